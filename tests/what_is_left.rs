//! What a stop cuts off is told, and nothing that was not.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

mod harness;
#[path = "harness/json.rs"]
mod json;

use harness::{BOTH, Folder, Place, Running, Sexton, Status, needs, probe_binary, sexton_binary, wait_until};
use json::Json;

/// As engines start it: sexton leads its session. The script's `PROBE` is the tests' own command.
fn start(place: Place, options: &[&str], script: &str) -> Running {
    prepare(place, options).command(["bash", "-c", &with_probe(script)])
}

fn prepare(place: Place, options: &[&str]) -> Sexton {
    Sexton::new(place).setup(["setsid"]).options(options)
}

fn with_probe(script: &str) -> String {
    script.replace("PROBE", probe_binary().to_str().unwrap())
}

/// Waits for `ready` so often, stops it, and returns what sexton said. What it left is killed.
#[track_caller]
fn stop(mut run: Running, ready: usize) -> (Status, String) {
    for _ in 0..ready {
        run.wait_for_line("ready");
    }
    let left = harness::descendants(run.pid);
    run.send(libc::SIGTERM);
    end(run, &left)
}

/// Waits for its end, kills these, so that the end of stderr comes, and returns what sexton said.
#[track_caller]
fn end(mut run: Running, left: &[i32]) -> (Status, String) {
    let mut stderr = run.stderr.take().unwrap();
    let status = run.status();
    for pid in left {
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
    (status, std::io::read_to_string(&mut stderr).unwrap())
}

/// What becomes of a process.
fn fate(place: Place) -> &'static str {
    match place {
        Place::Init => "which the kernel kills now",
        Place::Ordinary => "which runs on",
    }
}

/// sexton's one line, with `N` in the place of each pid.
#[track_caller]
fn sentence(stderr: &str) -> String {
    let line = stderr.strip_prefix("sexton: ").and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("no line of sexton's: {stderr:?}"));
    assert!(!line.contains('\n'), "one line is enough: {stderr}");
    without_pids(line)
}

fn without_pids(text: &str) -> String {
    let mut parts = text.split("(pid ");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |all, part| all + "(pid N" + part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

#[test]
fn what_a_stop_cuts_off_is_named_with_what_becomes_of_it_and_the_cure() {
    for place in BOTH {
        let (status, said) = stop(start(place, &[], "PROBE server 20000; true"), 1);
        assert_eq!(status, Status::Exited(143), "{place:?}");
        let told = format!(
            "bash (pid N) is gone and leaves probe (pid N), {}; with --orphans stop it gets SIGTERM and may finish",
            fate(place)
        );
        assert_eq!(sentence(&said), told, "{place:?}");
    }
}

#[test]
fn what_descends_from_the_command_is_told_however_deep_and_in_whatever_session() {
    for place in BOTH {
        // A shell below the shell, and below that one a server in a session of its own.
        let script = "trap 'exit 3' TERM; (setsid PROBE server 20000; true) & wait";
        let (status, said) = stop(start(place, &[], script), 1);
        assert_eq!(status, Status::Exited(3), "{place:?}");
        let run = if place == Place::Init { "which the kernel kills now" } else { "which run on" };
        let told = format!(
            "bash (pid N) is gone and leaves bash (pid N) and probe (pid N), {run}; with --orphans stop they get \
             SIGTERM and may finish"
        );
        assert_eq!(sentence(&said), told, "{place:?}");
    }
}

#[test]
fn many_are_counted_and_four_of_them_named() {
    for place in BOTH {
        for (count, told) in [(7, "and 3 others, "), (120, "and more than 96 others, ")] {
            let script = format!("for i in $(seq {count}); do sleep 1000 & done; trap 'exit 3' TERM; echo ready; wait");
            let (_, said) = stop(start(place, &[], &script), 1);
            // A fork that has not executed its sleep yet is a bash as well.
            let said = sentence(&said).replace("bash (pid N)", "sleep (pid N)");
            let four = ["sleep (pid N)"; 4].join(", ");
            assert!(said.contains(&format!("is gone and leaves {four} {told}")), "{place:?}: {said}");
        }
    }
}

#[test]
fn who_had_the_stop_signal_with_the_group_is_told_so() {
    for place in BOTH {
        let (_, said) = stop(start(place, &["--group"], "PROBE server 20000; true"), 1);
        let told = format!(
            "bash (pid N) is gone and leaves probe (pid N), {}; it has SIGTERM, and with --orphans stop sexton waits \
             until it has finished",
            fate(place)
        );
        assert_eq!(sentence(&said), told, "{place:?}");
    }
}

#[test]
fn npm_leaves_its_server() {
    needs!(NPM);
    let folder = Folder::new();
    let script = format!("{} server 20000; true", probe_binary().display());
    let package = format!(r#"{{"name": "server", "version": "1.0.0", "scripts": {{"start": "{script}"}}}}"#);
    std::fs::write(folder.path("package.json"), package).unwrap();
    for place in BOTH {
        let mut run = prepare(place, &[])
            .setup([format!("cwd={}", folder.path(""))])
            .env("HOME", folder.path(""))
            .env("npm_config_update_notifier", "false")
            .command(["npm", "start"]);
        run.wait_for_line("ready");
        let left = harness::descendants(run.pid);
        run.send(libc::SIGTERM);
        let (_, said) = end(run, &left);
        // npm says something of its own.
        let line = said.lines().find(|line| line.starts_with("sexton: ")).unwrap_or_else(|| panic!("{said}"));
        let line = without_pids(line);
        assert!(line.starts_with("sexton: npm (pid N) is gone and leaves "), "{place:?}: {line}");
        assert!(line.contains("probe (pid N)"), "{place:?}: {line}");
    }
}

#[test]
fn as_json_it_has_its_facts_and_it_stands_in_the_termination_log() {
    let schema = json::parse(include_str!("../docs/logging.schema.json"));
    for place in BOTH {
        let folder = Folder::new();
        let log = folder.path("log");
        let termination_log = format!("--termination-log={log}");
        let options = ["--log-format", "json", &termination_log];
        let (_, said) = stop(start(place, &options, "PROBE server 20000; true"), 1);
        let line = json::parse(&said);
        json::check(&schema, &line);
        assert_eq!(line.get("event").text(), "processes_left");
        assert_eq!(line.get("level").text(), "warn");
        assert_eq!(line.get("signal").text(), "SIGTERM");
        assert_eq!(line.get("survivors"), &Json::Number(1.0));
        assert_eq!(without_pids(line.get("survivor_names").text()), "probe (pid N)");
        assert_eq!(line.get("left_by_command"), &Json::Bool(true));
        assert_eq!(line.get("runs_on"), &Json::Bool(place == Place::Ordinary));
        assert_eq!(json::parse(&std::fs::read_to_string(&log).unwrap()).get("message"), line.get("message"));

        // Whatever the level is.
        std::fs::write(&log, "").unwrap();
        let (_, said) = stop(start(place, &["-q", &termination_log], "PROBE server 20000; true"), 1);
        assert_eq!(said, "");
        assert!(std::fs::read_to_string(&log).unwrap().contains(" is gone and leaves probe (pid "));
    }
}

#[test]
fn without_a_usable_proc_it_is_told_that_somebody_is_left() {
    let run =
        prepare(Place::Init, &[]).setup(["no-proc"]).command(["bash", "-c", &with_probe("PROBE server 20000; :")]);
    let (_, said) = stop(run, 1);
    let told = "bash (pid N) is gone, and a process that cannot be named without a usable /proc is still there, which the \
                kernel kills now; with --orphans stop it gets SIGTERM and may finish";
    assert_eq!(sentence(&said), told);
}

// ---- Without a stop signal ----

/// A command that exits by itself with this status and leaves a server in a session of its own.
fn daemon(place: Place, options: &[&str], status: i32) -> (Status, String) {
    let script = format!("setsid PROBE server 20000 <&- & read x; exit {status}");
    let mut run = start(place, options, &script);
    run.wait_for_line("ready");
    let left = harness::descendants(run.pid);
    drop(run.stdin.take());
    end(run, &left)
}

#[test]
fn with_v_a_server_that_made_itself_a_daemon_is_told_with_what_keeps_it() {
    for place in BOTH {
        let (status, said) = daemon(place, &["-v"], 0);
        assert_eq!(status, Status::Exited(0));
        let said = without_pids(said.lines().last().unwrap());
        // As PID 1 it is not known that it was not an engine's exec who left it.
        let left = match place {
            Place::Init => ", and probe (pid N) is still there",
            Place::Ordinary => " and leaves probe (pid N)",
        };
        let cure = "with --orphans wait sexton waits until it has finished; a server that makes itself a daemon mostly has \
                    an option to stay in the foreground";
        assert_eq!(said, format!("sexton: bash (pid N) is gone{left}, {}; {cure}", fate(place)), "{place:?}");

        let (status, said) = daemon(place, &["-v"], 3);
        assert_eq!(status, Status::Exited(3));
        assert!(said.ends_with("; with --orphans stop it is told, and may finish\n"), "{place:?}: {said}");
    }
}

#[test]
fn without_v_nothing_is_said_of_what_a_command_leaves_that_exits_by_itself() {
    for place in BOTH {
        assert_eq!(daemon(place, &[], 0), (Status::Exited(0), String::new()), "{place:?}");
        assert_eq!(daemon(place, &[], 3), (Status::Exited(3), String::new()), "{place:?}");
    }
}

// ---- What would be wrong if it were said ----

#[test]
fn nothing_is_said_of_a_clean_stop() {
    for place in BOTH {
        for options in [&[][..], &["--group"], &["--orphans", "stop"], &["--orphans", "wait"]] {
            let run = prepare(place, options).probe(["server", "0"]);
            assert_eq!(stop(run, 1), (Status::Exited(0), String::new()), "{place:?} {options:?}");
        }
        // Who is left is waited for, and so nobody is cut off.
        let run = start(place, &["--orphans", "stop"], "PROBE server 100; true");
        assert_eq!(stop(run, 1), (Status::Exited(143), String::new()), "{place:?}");
    }
}

#[test]
fn nothing_is_said_of_zombies() {
    for place in BOTH {
        for options in [&[][..], &["-v"]] {
            let (status, said) = stop(prepare(place, options).probe(["hoard", "12"]), 1);
            assert_eq!(status, Status::Exited(143), "{place:?}");
            assert!(!said.contains("is gone"), "{place:?}: {said}");
        }
    }
}

/// All of them got the signal in the same moment: who is still to be seen is dying.
#[test]
fn nothing_is_said_of_children_that_end_at_the_same_moment() {
    for place in BOTH {
        for _ in 0..10 {
            let run = start(place, &["--group"], "for i in 1 2 3 4 5 6 7 8; do PROBE hoard 0 & done; wait");
            assert_eq!(stop(run, 8), (Status::Exited(143), String::new()), "{place:?}");
        }
    }
}

/// The shell replaced itself by sexton: what it had started before is not the command's.
#[test]
fn nothing_is_said_of_who_was_there_before_the_command() {
    for place in BOTH {
        let script = format!("PROBE record 1 0 & exec {} -v -- PROBE server 0", sexton_binary().display());
        let mut run =
            Sexton::new(place).setup(["setsid"]).binary("/bin/bash").options(["-c", &with_probe(&script)]).bare();
        run.wait_for_line("ready");
        run.wait_for_line("ready");
        let left = harness::descendants(run.pid);
        run.send(libc::SIGTERM);
        let (status, said) = end(run, &left);
        assert_eq!(status, Status::Exited(0));
        assert!(!said.contains("is gone"), "{place:?}: {said}");
    }
}

/// A process that an engine's exec puts beside the command: it leads a session, and its parent is outside.
fn beside(run: &Running, script: &str) -> Child {
    let mut stranger = harness::command("nsenter")
        .args(["-t", &run.pid.to_string(), "-p", "-m", "--", "setsid", "--wait", "sh", "-c", &with_probe(script)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter is missing: apt-get install util-linux");
    let mut line = String::new();
    BufReader::new(stranger.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ready"), "{line:?}");
    stranger
}

#[test]
fn nothing_is_said_of_what_an_engines_exec_put_there() {
    needs!(Root);
    for options in [&[][..], &["-v"]] {
        let mut run = prepare(Place::Init, options).probe(["server", "0"]);
        run.wait_for_line("ready");
        // It and its child, which has a session of its own.
        let mut stranger = beside(&run, "setsid PROBE record 1 0; true");
        run.send(libc::SIGTERM);
        let (status, said) = end(run, &[]);
        assert_eq!(status, Status::Exited(0));
        assert!(!said.contains("is gone"), "{said}");
        stranger.wait().unwrap();
    }
}

#[test]
fn of_who_is_there_only_those_are_named_that_the_command_left() {
    needs!(Root);
    let mut run = start(Place::Init, &[], "PROBE server 20000; true");
    run.wait_for_line("ready");
    let mut stranger = beside(&run, "PROBE record 1 0; true");
    run.send(libc::SIGTERM);
    let (_, said) = end(run, &[]);
    let told = "bash (pid N) is gone and leaves probe (pid N), which the kernel kills now; with --orphans stop it gets SIGTERM \
                and may finish";
    assert_eq!(sentence(&said), told);
    stranger.wait().unwrap();
}

/// Its number is higher than the command's, for the numbers began anew in between.
#[test]
fn nothing_is_said_of_who_was_there_long_before_the_command_whatever_its_number() {
    needs!(Root);
    // More than the second that a start may take.
    let script = format!(
        "echo 20000 >/proc/sys/kernel/ns_last_pid; PROBE record 1 0 & sleep 1.5; echo 100 >/proc/sys/kernel/ns_last_pid; \
         exec {} -v -- PROBE server 0",
        sexton_binary().display()
    );
    let mut run =
        Sexton::new(Place::Init).setup(["setsid"]).binary("/bin/bash").options(["-c", &with_probe(&script)]).bare();
    assert_eq!(run.wait_for_line("ready"), "ready 20001");
    assert!(run.wait_for_line("ready").starts_with("ready 10"));
    run.send(libc::SIGTERM);
    let (status, said) = end(run, &[]);
    assert_eq!(status, Status::Exited(0));
    assert!(!said.contains("is gone"), "{said}");
}

/// Whether the command or an exec left it nobody knows: it is not said that the command did.
#[test]
fn of_an_orphan_that_an_exec_may_have_left_it_is_not_said_who_did() {
    needs!(Root);
    let mut run = prepare(Place::Init, &[]).probe(["server", "0"]);
    run.wait_for_line("ready");
    let mut stranger = beside(&run, "PROBE record 1 0 & read x <&1; exit 0");
    // `setsid --wait` is not the shell: it waits for it.
    let sexton = run.pid;
    unsafe { libc::kill(stranger.id() as i32, libc::SIGKILL) };
    stranger.wait().unwrap();
    wait_until("sexton has the orphan for a child", || harness::children(sexton).len() == 2);
    run.send(libc::SIGTERM);
    let (status, said) = end(run, &[]);
    assert_eq!(status, Status::Exited(0));
    let told = "probe (pid N) is gone, and probe (pid N) is still there, which the kernel kills now; with --orphans stop it \
                gets SIGTERM and may finish";
    assert!(sentence(&said).ends_with(told), "{said}");
}

/// The sentence about the grace period has named them.
#[test]
fn who_is_left_at_the_end_of_the_grace_period_is_told_once() {
    for place in BOTH {
        let script = "trap '' TERM; PROBE ignore 15 & wait; wait";
        let (status, said) = stop(start(place, &["--grace-period", "300ms"], script), 1);
        assert_eq!(status, Status::Exited(137));
        assert!(said.contains("1 process left besides it (probe)"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

// ---- What it costs ----

/// What sexton calls from the command's start to its own end, but for how often it waits.
fn calls(place: Place, level: &str, stops: bool) -> Vec<String> {
    let mut run = prepare(place, &[]).setup(["trace"]).env("SEXTON_LOG", level).probe(["server", "0"]);
    run.wait_for_line("ready");
    // In which system call it waits is asked only of who waits.
    wait_until("the command waits", || {
        harness::proc_status(run.command_pid(), "State").is_some_and(|state| state.starts_with('S'))
    });
    if stops {
        run.send(libc::SIGTERM);
    } else {
        harness::kill(run.command_pid(), libc::SIGTERM);
    }
    assert_eq!(run.status(), Status::Exited(0), "{place:?}");
    let calls = run.traced.iter().filter_map(|line| line.strip_prefix("call sexton "));
    calls.filter(|call| !call.starts_with("rt_sigtimedwait") && !call.starts_with("wait4")).map(str::to_owned).collect()
}

#[test]
fn the_look_is_one_system_call_when_nobody_is_left_and_none_when_no_stop_was_asked_for() {
    let is_look = |call: &String| call.starts_with("waitid");
    for place in BOTH {
        let unasked = calls(place, "warn", false);
        assert!(!unasked.iter().any(is_look), "{place:?}: {unasked:?}");
        let one_call_more = || {
            let untold = calls(place, "error", true);
            assert!(!untold.iter().any(is_look), "{place:?}: {untold:?}");
            let mut told = calls(place, "warn", true);
            let look = told.iter().position(is_look).unwrap_or_else(|| panic!("{place:?}: {told:?}"));
            told.remove(look);
            told == untold
        };
        // On a busy machine one of the two may come upon the command in another state, and look at it once more.
        assert!((0..5).any(|_| one_call_more()), "{place:?}");
    }
}
