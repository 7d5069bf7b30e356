//! A signal that was to stop the command, as it seems, and that sexton was not told to take for one, is told:
//! only where that made a difference, and only when it came from where engines are.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::time::Duration;

mod harness;
#[path = "harness/json.rs"]
mod json;

use harness::{BOTH, Folder, Place, Running, Sexton, Status, needs, probe_binary};
use json::Json;

const SLEEP: [&str; 2] = ["--pre-stop-sleep", "1s"];
const GRACE: [&str; 2] = ["--grace-period", "5s"];

/// A command that waits for this signal, and exits with 7 when it comes.
fn start<'a>(place: Place, options: impl IntoIterator<Item = &'a str>, signal: i32) -> Running {
    let mut run = Sexton::new(place).options(options).setup(["core=0"]).probe(["record", &signal.to_string(), "7"]);
    run.wait_for_line("ready");
    run
}

/// sexton's one line.
#[track_caller]
fn sentence(stderr: &str) -> &str {
    let line = stderr.strip_prefix("sexton: ").and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("no line of sexton's: {stderr:?}"));
    assert!(!line.contains('\n'), "one line is enough: {stderr}");
    line
}

fn sender(place: Place) -> String {
    match place {
        Place::Init => "outside the container".to_owned(),
        Place::Ordinary => format!("pid {} (", std::process::id()),
    }
}

#[test]
fn a_signal_from_outside_that_images_stop_with_is_told_with_what_did_not_apply_and_the_setting() {
    let stops = [(3, "QUIT"), (2, "INT"), (28, "WINCH"), (10, "USR1"), (30, "PWR"), (37, "RTMIN+3")];
    for place in BOTH {
        for (number, name) in stops {
            let run = start(place, SLEEP.into_iter().chain(GRACE), number);
            run.send(number);
            let (status, _, stderr) = run.finish();
            assert_eq!(status, Status::Exited(7), "{place:?} {name}");
            let said = sentence(&stderr);
            let after = format!(" after SIG{name} from {}", sender(place));
            let told = format!(
                ", and SIG{name} is no stop signal here: the pre-stop sleep (1s) and the grace period (5s) did not apply; \
                 SEXTON_STOP_SIGNALS={name},TERM makes it one"
            );
            assert!(said.contains(" ended ") && said.contains(&after) && said.ends_with(&told), "{place:?}: {said}");
        }
    }
}

#[test]
fn the_setting_that_is_told_makes_it_a_stop_signal() {
    for place in BOTH {
        for (number, name) in [(3, "QUIT,TERM"), (37, "RTMIN+3,TERM")] {
            let run = Sexton::new(place).options(["--pre-stop-sleep", "200ms"]).env("SEXTON_STOP_SIGNALS", name);
            let mut run = run.probe(["record", &number.to_string(), "7"]);
            run.wait_for_line("ready");
            let sent = harness::now();
            run.send(number);
            assert!(run.recorded().at - sent >= Duration::from_millis(200), "{place:?}: it slept");
            let (status, _, stderr) = run.finish();
            assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
        }
    }
}

#[test]
fn each_policy_that_did_not_apply_is_told_by_itself() {
    let folder = Folder::new();
    let file = folder.path("drain");
    for place in BOTH {
        for (options, told) in [
            (&SLEEP[..], ": the pre-stop sleep (1s) did not apply; "),
            (&GRACE, ": the grace period (5s) did not apply; "),
            (&["--escalate", "1s:INT"], ": --escalate did not apply; "),
            (&["--drain-file", &file], ": --drain-file did not apply; "),
            (&["--orphans", "stop"], ": --orphans stop takes this for the command's own end; "),
            (&["--orphans", "wait"], ": --orphans wait takes this for the command's own end; "),
        ] {
            let run = start(place, options.iter().copied(), 3);
            run.send(3);
            let (_, _, stderr) = run.finish();
            assert!(sentence(&stderr).contains(told), "{place:?}: {stderr}");
        }
    }
}

/// An image without a STOPSIGNAL, and a setting for one that has it.
#[test]
fn sigterm_is_told_where_it_is_no_stop_signal() {
    for place in BOTH {
        let run = start(place, GRACE.into_iter().chain(["--stop-signal", "QUIT"]), 15);
        run.send(15);
        let (_, _, stderr) = run.finish();
        let setting = "; SEXTON_STOP_SIGNALS=TERM,QUIT makes it one, or one more --stop-signal TERM";
        assert!(sentence(&stderr).ends_with(setting), "{place:?}: {stderr}");
    }
}

#[test]
fn a_rewritten_signal_is_told_as_what_it_came_as() {
    for place in BOTH {
        let run = start(place, GRACE.into_iter().chain(["--rewrite", "QUIT:TERM"]), 15);
        run.send(3);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(7));
        assert!(sentence(&stderr).contains("and SIGQUIT is no stop signal here"), "{place:?}: {stderr}");
    }
}

#[test]
fn a_command_that_the_signal_kills_is_told_both() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(GRACE).setup(["core=0"]).probe(["hoard", "0"]);
        run.wait_for_line("ready");
        run.send(10);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(138));
        let lines: Vec<&str> = stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{stderr}");
        assert!(lines[0].contains("was killed by SIGUSR1"), "{stderr}");
        assert!(lines[1].contains("SIGUSR1 is no stop signal here: the grace period (5s)"), "{stderr}");
    }
}

#[test]
fn as_json_it_has_its_facts() {
    let schema = json::parse(include_str!("../docs/logging.schema.json"));
    for place in BOTH {
        let run = start(place, SLEEP.into_iter().chain(GRACE).chain(["--log-format", "json"]), 3);
        run.send(3);
        let (_, _, stderr) = run.finish();
        let line = json::parse(&stderr);
        json::check(&schema, &line);
        assert_eq!(line.get("event").text(), "not_a_stop_signal");
        assert_eq!(line.get("level").text(), "warn");
        assert_eq!(line.get("signal").text(), "SIGQUIT");
        let sender = if place == Place::Init { 0 } else { std::process::id() };
        assert_eq!(line.get("sender_pid"), &Json::Number(f64::from(sender)));
        assert_eq!(line.get("pre_stop_sleep_ms"), &Json::Number(1000.0));
        assert_eq!(line.get("grace_period_ms"), &Json::Number(5000.0));
        assert_eq!(line.get("setting").text(), "SEXTON_STOP_SIGNALS=QUIT,TERM");
        assert!(matches!(line.get("ended_after_ms"), Json::Number(ms) if *ms < 10_000.0));
    }
}

// ---- What would be wrong if it were said ----

#[test]
fn nothing_is_said_where_a_stop_signal_would_have_made_no_difference() {
    for place in BOTH {
        let run = start(place, ["--group", "--ok-after-stop"], 3);
        run.send(3);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    }
}

#[test]
fn nothing_is_said_when_a_stop_signal_was_seen() {
    for place in BOTH {
        let mut run = start(place, ["--grace-period", "20s"], 3);
        run.send(15);
        assert_eq!(run.recorded().signal, 15);
        run.send(3);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    }
}

#[test]
fn nothing_is_said_of_signals_that_nobody_stops_containers_with() {
    for place in BOTH {
        for signal in [1, 12, 34] {
            let run = start(place, GRACE, signal);
            run.send(signal);
            let (status, _, stderr) = run.finish();
            assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
        }
    }
}

#[test]
fn nothing_is_said_of_a_signal_that_was_dropped() {
    for place in BOTH {
        let run = start(place, GRACE.into_iter().chain(["--rewrite", "QUIT:none"]), 1);
        run.send(3);
        run.send(1);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    }
}

#[test]
fn nothing_is_said_of_a_command_that_ends_by_itself() {
    for place in BOTH {
        let (status, _, stderr) = Sexton::new(place).options(GRACE).probe(["exit", "7"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    }
}

/// What sexton runs is not outside, be it the command, its child or an orphan.
#[test]
fn nothing_is_said_of_signals_from_inside() {
    for place in BOTH {
        for script in [
            "trap 'exit 7' QUIT; kill -QUIT $PPID; while :; do sleep 0.01; done",
            "trap 'exit 7' QUIT; sexton=$PPID; (kill -QUIT $sexton; read x) & while :; do sleep 0.01; done",
            // An orphan, and one in a session of its own: with a grandchild that sends.
            "trap 'exit 7' QUIT; sexton=$PPID; (setsid bash -c \"(kill -QUIT $sexton; read x); read x\" &); while :; do \
             sleep 0.01; done",
        ] {
            let mut run = Sexton::new(place).options(GRACE).command(["bash", "-c", script]);
            let stderr = run.stderr.take().unwrap();
            assert_eq!(run.status(), Status::Exited(7), "{place:?}: {script}");
            drop(run);
            let said = std::io::read_to_string(stderr).unwrap();
            assert!(!said.contains("no stop signal"), "{place:?}, {script}: {said}");
        }
    }
}

/// As PID 1: what `docker exec` runs can be seen, and is no engine.
#[test]
fn nothing_is_said_of_a_signal_from_an_engines_exec() {
    needs!(Root);
    let run = start(Place::Init, GRACE, 3);
    // It ends with the namespace.
    harness::command("nsenter")
        .args(["-t", &run.pid.to_string(), "-p", "-m", "--", "setsid", "--wait", "sh", "-c", "kill -QUIT 1"])
        .status()
        .expect("nsenter is missing: apt-get install util-linux");
    let (status, _, stderr) = run.finish();
    assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""));
}

/// Where the kernel has no room to note a sender (`ulimit -i 0`), a real-time signal from inside looks like one from
/// outside: it is not said that it came from there.
#[test]
fn of_a_signal_without_a_name_it_is_not_said_that_it_came_from_outside() {
    for place in BOTH {
        let script = "trap 'exit 7' RTMIN+3; kill -37 $PPID; while :; do sleep 0.01; done";
        let run = Sexton::new(place).setup(["sigpending=0"]).options(GRACE).command(["bash", "-c", script]);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(7), "{place:?}");
        let told =
            " after SIGRTMIN+3 from outside the container, or from a sender whom the kernel had no room to note, and ";
        assert!(sentence(&stderr).contains(told), "{place:?}: {stderr}");
    }
}

/// As PID 1 the parent is outside as well, and its death comes as a signal from there.
#[test]
fn nothing_is_said_of_the_signal_that_stands_for_the_parents_death() {
    needs!(Root);
    for namespace in ["", "unshare -fp --mount-proc "] {
        let sexton = harness::sexton_binary();
        let probe = probe_binary();
        let script = format!(
            "{namespace}{} -p INT --grace-period 20s -- {} record 2 7 & read x; kill -KILL $!",
            sexton.display(),
            probe.display()
        );
        // Without unshare bash itself is the parent, and its end is the death.
        let script = if namespace.is_empty() { script.replace("kill -KILL $!", "exit 0") } else { script };
        let mut run = Sexton::new(Place::Ordinary).binary("/bin/bash").options(["-c", &script]).bare();
        run.wait_for_line("ready");
        let stderr = run.stderr.take().unwrap();
        drop(run.stdin.take());
        run.wait_for_line("signal 2 ");
        // It ends when sexton does, who has it as well.
        let said = std::io::read_to_string(stderr).unwrap();
        assert!(!said.contains("no stop signal"), "{said}");
    }
}

#[test]
fn nothing_is_said_of_a_signal_that_came_long_before_the_end() {
    let mut runs: Vec<Running> = BOTH
        .into_iter()
        .map(|place| {
            let script = "trap 'echo told' QUIT; echo ready; while read x; do :; done; sleep 10.2; exit 7";
            let mut run = Sexton::new(place).options(GRACE).command(["bash", "-c", script]);
            run.wait_for_line("ready");
            run.send(3);
            // It reads on after the trap, until stdin ends.
            run.wait_for_line("told");
            run
        })
        .collect();
    runs.iter_mut().for_each(|run| drop(run.stdin.take()));
    for run in runs {
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""));
    }
}
