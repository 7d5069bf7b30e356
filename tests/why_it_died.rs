//! sexton says why the command died, with the evidence: each case with a real cause.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

#[path = "why_it_died/causes.rs"]
mod causes;
#[path = "why_it_died/cost.rs"]
mod cost;
mod harness;
#[path = "harness/json.rs"]
mod json;

use harness::cgroup::Cgroup;
use harness::{BOTH, Folder, Place, Sexton, Status, needs, pipe, probe_binary, sexton_binary, wait_until};
use json::Json;

const LIMIT: u64 = 24 << 20;

/// What sexton says of its end, in one line.
#[track_caller]
fn sentence(stderr: &str) -> &str {
    let line = stderr.strip_prefix("sexton: ").and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("no line of sexton's: {stderr:?}"));
    assert!(!line.contains('\n'), "one line is enough: {stderr}");
    line
}

fn probe() -> String {
    harness::probe_binary().display().to_string()
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not said: {text}");
    }
}

// ---- Killed by a signal ----

#[test]
fn a_core_dump_is_told_if_there_was_one_and_only_then() {
    for place in BOTH {
        let folder = Folder::new();
        let with_limit = |limit: &str| {
            let run = Sexton::new(place).setup([&format!("core={limit}"), &format!("cwd={}", folder.path(""))]);
            run.probe(["die", "6"]).finish().2
        };
        // The kernel sets the bit when it wrote the file, or gave it to a program.
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        let none = with_limit("0");
        if pattern.starts_with('|') {
            return;
        }
        assert!(!none.contains("core dumped"), "{none}");
        assert_has(&with_limit("100000000"), &["was killed by SIGABRT, core dumped; it ran for"]);
    }
}

#[test]
fn nothing_is_said_when_the_forwarded_stop_signal_ends_the_command() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["hoard", "0"]);
        run.line();
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(143), ""), "{place:?}");

        let mut run = Sexton::new(place).options(["-r", "TERM:QUIT"]).setup(["core=0"]).probe(["hoard", "0"]);
        run.line();
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(131), ""), "{place:?}");
    }
}

#[test]
fn nothing_is_said_of_sigint_and_sigpipe() {
    for place in BOTH {
        for signal in [libc::SIGINT, libc::SIGPIPE] {
            let (status, _, stderr) = Sexton::new(place).probe(["die", &signal.to_string()]).finish();
            assert_eq!((status, stderr.as_str()), (Status::Exited(128 + signal), ""), "{place:?}");
        }
    }
}

/// Only what was declared.
#[test]
fn a_lack_of_memory_is_told_though_sigkill_was_declared_good_and_a_failure_that_was_is_none() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let sexton = Sexton::new(place).options(["-e", "137"]).setup([cgroup.word()]);
        let (status, _, stderr) = sexton.probe(["eat-later"]).finish();
        assert_eq!(status, Status::Exited(0), "{place:?}: {stderr}");
        assert_has(sentence(&stderr), &["was killed by SIGKILL", "oom_kill 0 → 1"]);

        let cgroup = Cgroup::with_memory(LIMIT);
        let sexton = Sexton::new(place).options(["-e", "3"]).setup([cgroup.word()]);
        let (status, _, stderr) = sexton.probe(["eaten-child", "3"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");
    }
}

// ---- The grace period, and what SIGKILL cannot end ----

#[test]
fn a_grace_period_that_is_used_up_is_told_with_the_sender_the_sleep_and_what_is_left() {
    for place in BOTH {
        let probe = harness::probe_binary();
        let script = format!("trap '' TERM; {0} ignore 15 & {0} ignore 15 & wait; wait", probe.display());
        let mut run =
            Sexton::new(place).options(["--grace-period", "900ms", "--pre-stop-sleep", "300ms"]).shell(&script);
        run.wait_for_line("ready");
        run.wait_for_line("ready");
        run.send(15);
        let (status, _, stderr) = run_to_end(run);
        assert_eq!(status, Status::Exited(137));
        let sender = match place {
            Place::Init => "outside the container".to_owned(),
            Place::Ordinary => format!("pid {} (", std::process::id()),
        };
        let why = "did not stop within 900ms of SIGTERM: it ignores SIGTERM (";
        let left = "; killed with SIGKILL, 2 processes left besides it (probe, probe)";
        let origin = format!("; SIGTERM came from {sender}");
        assert_has(sentence(&stderr), &[why, left, &origin, ", was held back for 3", "ms and left "]);
    }
}

#[test]
fn the_sender_of_a_stop_signal_is_named_when_it_can_be_seen() {
    for place in BOTH {
        let script = "trap '' TERM; kill -TERM $PPID; read x";
        let mut run = Sexton::new(place).options(["--grace-period", "500ms"]).shell(script);
        assert_eq!(run.status(), Status::Exited(137));
        let stderr = std::io::read_to_string(run.stderr.take().unwrap()).unwrap();
        assert_has(sentence(&stderr), &["; SIGTERM came from pid ", &format!(" (sh, uid {})", place.uid())]);
    }
}

#[test]
fn nobody_is_named_as_the_sender_of_a_signal_for_which_the_queue_had_no_room() {
    const REAL_TIME: i32 = 37;
    for place in BOTH {
        let told = |setup: &[&str]| {
            let options = ["-v", "--stop-signal", "RTMIN+3", "--log-format", "json"];
            let sexton = Sexton::new(place).setup(setup.iter().copied());
            let mut run = sexton.options(options).probe(["record", &REAL_TIME.to_string(), "0"]);
            run.line();
            run.send(REAL_TIME);
            run.recorded();
            let (_, _, stderr) = run.finish();
            events(&stderr, "shutdown_begins").remove(0)
        };
        let nameless = told(&["sigpending=0"]);
        let sentence = "SIGRTMIN+3 from outside the container, or from a sender whom the kernel had no room to note";
        assert_has(nameless.get("message").text(), &[sentence]);
        assert_eq!((nameless.get("sender_pid"), nameless.get("sender_uid")), (&Json::Null, &Json::Null));
        let with_room = told(&[]);
        match place {
            // root's kill(2) from outside looks the same.
            Place::Init => assert_has(with_room.get("message").text(), &[sentence]),
            Place::Ordinary => {
                let own = std::process::id();
                assert_has(with_room.get("message").text(), &[&format!("SIGRTMIN+3 from pid {own} (")]);
                assert_eq!(with_room.get("sender_pid"), &Json::Number(f64::from(own)));
            }
        }
    }
}

#[test]
fn a_process_that_sigkill_cannot_end_is_named_and_does_not_hang_sexton() {
    needs!(Freezer);
    let freezer = Path::new("/sys/fs/cgroup/freezer");
    // A frozen cgroup of version 2 lets SIGKILL through, and what else waits in state D needs a
    // device or a file system that is broken.
    assert!(freezer.exists(), "{} is missing: this needs the freezer of version 1", freezer.display());
    for place in BOTH {
        let cgroup = Cgroup::below(freezer);
        let mut run = Sexton::new(place).options(["--grace-period", "200ms"]).probe(["hoard", "0"]);
        run.line();
        let command = run.command_pid();
        cgroup.write("cgroup.procs", &command.to_string());
        cgroup.write("freezer.state", "FROZEN");
        run.send(15);
        let mut stderr = BufReader::new(run.stderr.take().unwrap());
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            stderr.read_line(line).unwrap();
        }
        assert_has(&lines[0], &["killed with SIGKILL"]);
        assert_has(
            &lines[1],
            &["still there 2s after SIGKILL is pid ", "(probe, state D): ", "frozen cgroup; leaving it"],
        );
        // When PID 1 exits, the kernel itself waits for all others of the namespace.
        if place == Place::Ordinary {
            assert_eq!(run.status(), Status::Exited(137));
        }
        cgroup.write("freezer.state", "THAWED");
        assert_eq!(if place == Place::Init { run.status() } else { Status::Exited(137) }, Status::Exited(137));
        let is_dead = |state: String| state.starts_with(['Z', 'X']);
        wait_until("the command is dead", || harness::proc_status(command, "State").is_none_or(is_dead));
    }
}

#[test]
fn one_process_that_was_left_is_told_as_one() {
    for place in BOTH {
        let options = ["-v", "--orphans", "stop"];
        let (_, _, stderr) = Sexton::new(place).options(options).probe(["sleepers", "1"]).finish();
        assert_has(&stderr, &["sent SIGTERM to 1 process, now that "]);
    }
}

// ---- Zombies ----

#[test]
fn with_v_whoever_does_not_reap_its_children_is_named() {
    for place in BOTH {
        // When the command dies, sexton reaps what it left. So it looks before the stop signal is forwarded.
        let told = "(probe) leaves 12 zombies: it must wait() for its children\n";
        for options in [&["-v"][..], &["-v", "--pre-stop-sleep", "200ms"]] {
            let mut run = Sexton::new(place).options(options).probe(["hoard", "12"]);
            run.line();
            run.send(15);
            let (_, _, stderr) = run.finish();
            let (_, behind) = stderr.split_once("shutdown begins").unwrap();
            let (before, _) = behind.split_once("forwarded SIGTERM").unwrap();
            assert_has(before, &[told]);
        }

        // Another process than the command: told once, though it lives as long as the command.
        let script =
            format!("trap 'exit 0' TERM; {} hoard 12 & while :; do wait; done", harness::probe_binary().display());
        let mut run = Sexton::new(place).options(["-v"]).shell(&script);
        run.wait_for_line("ready");
        run.send(15);
        let (_, _, stderr) = run_to_end(run);
        assert_eq!(stderr.matches(told).count(), 1, "{place:?}: {stderr}");

        // And when the command exits by itself.
        let script = format!("{} hoard 3 & read x; exit 0", harness::probe_binary().display());
        let mut run = Sexton::new(place).options(["-v"]).shell(&script);
        run.wait_for_line("ready");
        let (_, _, stderr) = run_to_end(run);
        assert_has(&stderr, &["(probe) leaves 3 zombies: it must wait() for its children\n"]);

        let mut run = Sexton::new(place).options(["--pre-stop-sleep", "200ms"]).probe(["hoard", "12"]);
        run.line();
        run.send(15);
        assert_eq!(run.finish().2, "", "silence without -v");
    }
}

/// As a debugger holds what it debugs: nobody else can reap it.
#[test]
fn a_command_that_is_dead_and_held_by_a_tracer_is_not_told_as_one_that_did_not_stop() {
    for place in BOTH {
        let mut run =
            Sexton::new(place).options(["--grace-period", "300ms"]).options(JSON).probe(["held", "server", "0"]);
        run.wait_for_line("ready");
        run.send(15);
        assert_eq!(run.status(), Status::Exited(137), "{place:?}");
        // The tracer's end is the end of stderr.
        drop(run.stdin.take());
        let stderr = std::io::read_to_string(run.stderr.take().unwrap()).unwrap();
        let (over, unkillable) = (&events(&stderr, "grace_period_over")[0], &events(&stderr, "unkillable")[0]);
        for line in [over, unkillable] {
            assert_eq!(line.get("tracer_command").text(), "probe", "{place:?}: {stderr}");
            let (Json::Number(pid), Json::Number(tracer)) = (line.get("pid"), line.get("tracer_pid")) else {
                panic!("{stderr}")
            };
            let held =
                format!("pid {pid} (probe) is dead, but pid {tracer} (probe) traces it and has not let go of it");
            let rest = line.get("message").text().strip_prefix(&held).unwrap_or_else(|| panic!("{place:?}: {stderr}"));
            match line.get("event").text() {
                "unkillable" => assert_eq!(rest, "; leaving it", "{stderr}"),
                _ => assert!(
                    rest.starts_with(" within 300ms of SIGTERM, 1 process left besides it (probe); SIGTERM came"),
                    "{place:?}: {stderr}"
                ),
            }
        }
    }
}

#[test]
fn a_tracer_that_is_killed_as_an_orphan_lets_go_and_the_status_is_the_commands_own() {
    for place in BOTH {
        let options = ["--grace-period", "300ms", "--orphans", "stop"];
        let mut run = Sexton::new(place).options(options).probe(["held", "record", "15", "7"]);
        run.wait_for_line("ready");
        run.send(15);
        assert_eq!(run.status(), Status::Exited(7), "{place:?}");
        let (_, stderr) = (run.stdin.take(), std::io::read_to_string(run.stderr.take().unwrap()).unwrap());
        assert_has(
            &stderr,
            &["is dead, but pid ", " (probe) traces it and has not let go of it within 300ms of SIGTERM"],
        );
        assert_eq!(stderr.lines().count(), 1, "{place:?}: {stderr}");
    }
}

#[test]
fn a_tracer_outside_the_container_is_told_as_that() {
    let mut run = Sexton::new(Place::Init).options(["--grace-period", "300ms"]).probe(["server", "0"]);
    run.wait_for_line("ready");
    let command = nix::unistd::Pid::from_raw(run.command_pid());
    nix::sys::ptrace::seize(command, nix::sys::ptrace::Options::empty()).unwrap();
    run.send(15);
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    let held = "(probe) is dead, but a process outside the container traces it and has not let go of it";
    for end in [" within 300ms of SIGTERM; SIGTERM came", "; leaving it\n"] {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_has(&line, &[&format!("{held}{end}")]);
    }
    // The kernel does not let PID 1 end before everybody of its namespace is reaped.
    let status = nix::sys::wait::waitpid(command, None);
    assert_eq!(status, Ok(nix::sys::wait::WaitStatus::Exited(command, 0)));
    assert_eq!(run.status(), Status::Exited(137));
}

#[test]
fn with_v_a_zombie_is_told_of_whoever_has_to_reap_it_first() {
    for place in BOTH {
        // What is started in the background has no stdin else.
        let script =
            format!("exec 3<&0; {0} held exit 0 <&3 & exec {0} record 15 0", harness::probe_binary().display());
        let mut run = Sexton::new(place).options(["-v", "--pre-stop-sleep", "200ms"]).shell(&script);
        run.wait_for_line("ready");
        wait_until("it is dead", || {
            let is_dead = |pid| harness::proc_status(pid, "State").is_some_and(|state| state.starts_with('Z'));
            harness::descendants(run.pid).into_iter().any(is_dead)
        });
        run.send(15);
        let mut stderr = BufReader::new(run.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains("zombie") {
            told.clear();
            assert_ne!(stderr.read_line(&mut told).unwrap(), 0, "{place:?}: no zombies are told");
        }
        assert_has(&told, &["(probe) traces 1 zombie: it must wait() for what it traces\n"]);
        drop(run.stdin.take());
        assert_eq!(run.status(), Status::Exited(0), "{place:?}");
    }
}

/// A stopped process, which goes on when this goes.
struct GoesOn(i32);

impl Drop for GoesOn {
    fn drop(&mut self) {
        harness::kill(self.0, libc::SIGCONT);
    }
}

/// Of what an engine's exec started the parent is outside.
#[test]
fn with_v_a_zombie_whose_parent_is_outside_is_nobodys_in_the_container() {
    needs!(Root);
    let options = ["-v", "--pre-stop-sleep", "200ms"];
    let mut run = Sexton::new(Place::Init).options(options).options(JSON).probe(["record", "15", "0"]);
    run.line();
    let mut engine = harness::command("nsenter");
    engine
        .args(["-t", &run.pid.to_string(), "-p", "-m", "--"])
        .arg(harness::probe_binary())
        .args(["record", "10", "0"]);
    let mut engine = engine.stdout(Stdio::piped()).spawn().expect("nsenter is missing: apt-get install util-linux");
    BufReader::new(engine.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let engine_pid = engine.id() as i32;
    let executed = harness::children(engine_pid)[0];
    harness::kill(engine_pid, libc::SIGSTOP);
    let goes_on = GoesOn(engine_pid);
    // Or it reaps its child before it stops.
    wait_until("it is stopped", || {
        harness::proc_status(engine_pid, "State").is_some_and(|state| state.starts_with('T'))
    });
    harness::kill(executed, libc::SIGKILL);
    let is_dead = || harness::proc_status(executed, "State").is_some_and(|state| state.starts_with('Z'));
    wait_until("it is dead", is_dead);
    run.send(15);
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains(r#""event":"zombies""#) {
        told.clear();
        assert_ne!(stderr.read_line(&mut told).unwrap(), 0, "no zombies are told");
    }
    // The kernel does not let PID 1 end before everybody of its namespace is reaped.
    drop(goes_on);
    let _ = engine.wait();
    let told = &events(&told, "zombies")[0];
    let sentence = "a process outside the container leaves 1 zombie, which nobody in here can reap";
    assert_eq!(told.get("message").text(), sentence);
    assert_eq!(told.object().get("pid"), None);
    assert_eq!(run.status(), Status::Exited(0));
}

/// Ends its stdin and waits; what it left is killed, so that the end of stderr comes.
fn run_to_end(mut run: harness::Running) -> (Status, String, String) {
    let mut stderr = run.stderr.take().unwrap();
    let left = harness::descendants(run.pid);
    drop(run.stdin.take());
    let status = run.status();
    for pid in left {
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    let text = std::io::read_to_string(&mut stderr).unwrap();
    (status, String::new(), text)
}

// ---- Where it is told: JSON ----

fn schema() -> Json {
    json::parse(include_str!("../docs/logging.schema.json"))
}

/// Checks each line against the schema, and returns those of this event.
#[track_caller]
fn events(stderr: &str, event: &str) -> Vec<Json> {
    let lines: Vec<Json> = stderr.lines().map(json::parse).collect();
    lines.iter().for_each(|line| json::check(&schema(), line));
    lines.into_iter().filter(|line| line.get("event").text() == event).collect()
}

const JSON: [&str; 2] = ["--log-format", "json"];

#[test]
fn as_json_the_time_in_the_sentence_and_the_one_among_the_facts_are_the_same() {
    for place in BOTH {
        for _ in 0..20 {
            let (_, _, stderr) = Sexton::new(place).options(JSON).probe(["die", "11"]).finish();
            let killed = &events(&stderr, "command_killed")[0];
            let message = killed.get("message").text();
            let told = message.split_once("it ran for ").unwrap().1;
            let told = if told == "less than 1ms" { "0ms" } else { told };
            let Json::Number(fact) = killed.get("ran_ms") else { panic!("{stderr}") };
            assert_eq!(humantime::parse_duration(told).unwrap().as_millis() as f64, *fact, "{stderr}");
        }
    }
}

#[test]
fn as_json_every_line_of_a_whole_story_is_as_the_schema_says() {
    for place in BOTH {
        let options = ["-vvv", "-w", "--grace-period", "600ms", "--pre-stop-sleep", "200ms", "-r", "USR2:none"];
        let mut run = Sexton::new(place).options(JSON).options(options).probe(["ignore", "15", "10"]);
        run.line();
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM] {
            run.send(signal);
        }
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(137));
        for event in ["command_started", "signal_received", "signal_forwarded", "signal_dropped", "shutdown_begins"] {
            assert!(!events(&stderr, event).is_empty(), "{event}: {stderr}");
        }
        let over = &events(&stderr, "grace_period_over")[0];
        assert_eq!(over.get("signal"), &Json::Text("SIGTERM".into()));
        assert_eq!(over.get("grace_period_ms"), &Json::Number(600.0));
        assert_eq!(over.get("survivors"), &Json::Number(0.0));
        let sender = if place == Place::Init { 0 } else { std::process::id() };
        assert_eq!(over.get("sender_pid"), &Json::Number(f64::from(sender)));
        let killed = &events(&stderr, "command_killed")[0];
        assert_eq!(killed.get("exit_status"), &Json::Number(137.0));
        assert_eq!(killed.get("level").text(), "info", "sexton did it: no surprise");
    }
}

#[test]
fn as_json_a_lack_of_memory_is_told_in_numbers() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (_, _, stderr) = Sexton::new(place).options(JSON).setup([cgroup.word()]).probe(["eat-later"]).finish();
        let killed = &events(&stderr, "command_killed")[0];
        for (key, value) in [("oom_kills_before", 0.0), ("oom_kills", 1.0), ("memory_limit_bytes", LIMIT as f64)] {
            assert_eq!(killed.get(key), &Json::Number(value), "{key}");
        }
    }
}

#[test]
fn as_json_a_command_whose_name_is_no_text_or_has_no_end_is_still_json() {
    use std::os::unix::ffi::OsStringExt;
    for name in [b"/no/\xff\"\n\\".to_vec(), [b"/".to_vec(), vec![b'"'; 9000]].concat()] {
        for place in BOTH {
            let name = std::ffi::OsString::from_vec(name.clone());
            let (_, _, stderr) = Sexton::new(place).options(JSON).command([name]).finish();
            assert_eq!(events(&stderr, "command_not_started").len(), 1, "{stderr}");
            assert!(stderr.len() <= 4096);
        }
    }
}

#[test]
fn as_json_a_reaped_orphan_is_an_event_with_its_pid_under_a_command_and_in_a_pause() {
    for place in BOTH {
        let (probe, sexton) = (probe_binary(), sexton_binary());
        let with_command = Sexton::new(place).options(JSON).options(["-w"]);
        let with_command = with_command.shell(&format!("({} exit 3 &); read x", probe.display()));
        // A child that the shell leaves to what it becomes.
        let script = format!("{} die 10 & exec {} -P -w --log-format json", probe.display(), sexton.display());
        let pause = Sexton::new(place).binary("/bin/sh").options(["-c", &script]).bare();
        for (mut run, end) in [(with_command, "exited with status 3"), (pause, "was killed by SIGUSR1")] {
            let mut stderr = BufReader::new(run.stderr.take().unwrap());
            let mut line = String::new();
            stderr.read_line(&mut line).unwrap();
            let told = events(&line, "orphan_reaped");
            let [told] = &told[..] else { panic!("{place:?}: {line}") };
            let Json::Number(pid) = told.get("pid") else { panic!("{line}") };
            assert_eq!(told.get("message").text(), format!("reaped orphan {pid}: it {end}"), "{place:?}");
            assert_eq!(told.get("level").text(), "warn");
        }
    }
}

#[test]
fn every_key_and_every_event_of_the_schema_is_in_the_documentation() {
    let documentation = include_str!("../docs/logging.md");
    let schema = schema();
    let events = schema.get("properties").get("event").get("enum").list().iter().map(Json::text);
    for word in schema.get("properties").object().keys().map(String::as_str).chain(events) {
        assert!(documentation.contains(&format!("`{word}`")), "{word}");
    }
}

// ---- Where it is told: sinks that take nothing ----

#[test]
fn no_stderr_that_takes_nothing_keeps_the_command_from_its_signals_and_its_end() {
    for place in BOTH {
        for format in ["text", "json"] {
            let (_reader, full) = harness::full_pipe();
            let (reader, closed) = pipe();
            drop(reader);
            let disk = OwnedFd::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
            let unwritable = OwnedFd::from(File::open("/proc/self/status").unwrap());
            for stderr in [full, closed, disk, unwritable] {
                let sexton = Sexton::new(place).options(["-vvv", "--log-format", format]).stderr(stderr);
                let mut run = sexton.options(["--grace-period", "300ms"]).probe(["record", "10", "0"]);
                run.line();
                run.send(libc::SIGHUP);
                assert_eq!(run.recorded().signal, libc::SIGHUP);
                run.send(libc::SIGTERM);
                assert_eq!(run.recorded().signal, libc::SIGTERM);
                assert_eq!(run.status(), Status::Exited(137), "{place:?}, {format}");
            }
        }
    }
}

#[test]
fn as_json_the_number_of_dropped_lines_is_json_too() {
    for place in BOTH {
        let (reader, full) = harness::full_pipe();
        let mut run = Sexton::new(place).options(JSON).options(["-vv"]).stderr(full).probe(["record", "15", "0"]);
        run.line();
        run.send(libc::SIGUSR1);
        run.recorded();
        wait_until("sexton waits again", || harness::is_waiting(run.pid));
        let mut reader = File::from(reader);
        reader.read_exact(&mut vec![0; 64 << 10]).unwrap();
        run.send(15);
        run.recorded();
        assert_eq!(run.status(), Status::Exited(0));
        drop(run);
        let text = std::io::read_to_string(reader).unwrap();
        assert_eq!(events(&text, "lines_dropped")[0].get("lines"), &Json::Number(3.0), "{text}");
    }
}

// ---- Where it is told: the termination log ----

fn with_termination_log(place: Place, path: &str) -> Sexton {
    Sexton::new(place).options([format!("--termination-log={path}")])
}

#[test]
fn an_abnormal_end_is_added_to_the_termination_log_behind_what_the_command_wrote() {
    let folder = Folder::new();
    for place in BOTH {
        for (before, expected) in [("", ""), ("mine", "mine\n"), ("mine\n", "mine\n")] {
            let path = folder.path("log");
            fs::write(&path, before).unwrap();
            let (_, _, stderr) = with_termination_log(place, &path).options(["-v"]).probe(["die", "11"]).finish();
            let told = stderr.lines().last().unwrap();
            let written = fs::read_to_string(&path).unwrap();
            let rest = written.strip_prefix(&format!("{expected}{told}\n")).unwrap_or_else(|| panic!("{written}"));
            assert_has(rest, &["sexton: event=command_killed pid=", " exit_status=139 ", " signal=SIGSEGV"]);
            assert_eq!(rest.lines().count(), 1, "{written}");
        }
    }
}

#[test]
fn the_termination_log_is_made_where_there_is_none_and_only_for_an_abnormal_end() {
    for place in BOTH {
        let folder = Folder::new();
        let path = folder.path("log");
        for word in [["exit", "0"], ["exit", "3"], ["die", "2"]] {
            assert_eq!(with_termination_log(place, &path).probe(word).finish().2, "");
            assert!(!Path::new(&path).exists());
        }
        let (_, _, stderr) = with_termination_log(place, &path).env("SEXTON_LOG", "off").probe(["die", "11"]).finish();
        assert_eq!(stderr, "");
        assert_has(&fs::read_to_string(&path).unwrap(), &["was killed by SIGSEGV"]);
        fs::remove_file(&path).unwrap();
        with_termination_log(place, &path).options(JSON).command(["/no/such/command"]).finish();
        assert_eq!(events(&fs::read_to_string(&path).unwrap(), "command_not_started").len(), 1);
    }
}

#[test]
fn the_termination_log_never_has_more_than_4096_bytes() {
    let folder = Folder::new();
    let path = folder.path("log");
    for place in BOTH {
        for format in ["text", "json"] {
            for before in [3000, 3700, 3900] {
                fs::write(&path, vec![b'x'; before]).unwrap();
                let long = format!("/no/{}", "y".repeat(200));
                let sexton = with_termination_log(place, &path).options(["--log-format", format]);
                sexton.command([long]).finish();
                let written = fs::read_to_string(&path).unwrap();
                assert!(written.len() > before && written.len() <= 4096, "{} bytes", written.len());
                assert!(written.ends_with('\n'));
                if format == "json" {
                    events(written[before..].trim(), "");
                }
            }
        }
        fs::write(&path, vec![b'x'; 4096]).unwrap();
        let (_, _, stderr) = with_termination_log(place, &path).probe(["die", "11"]).finish();
        assert_has(&stderr, &["cannot write to the termination log", ": it has 4096 bytes already, and 4096 are read"]);
        // There is room for less than a line with its first facts.
        fs::write(&path, vec![b'x'; 3950]).unwrap();
        let (_, _, stderr) = with_termination_log(place, &path).probe(["die", "11"]).finish();
        assert_has(&stderr, &["cannot write to the termination log", ": it has 3950 bytes already, and 4096 are read"]);
    }
}

#[test]
fn a_termination_log_that_takes_nothing_is_a_warning_and_hangs_nobody() {
    let folder = Folder::new();
    fs::create_dir(folder.path("read-only")).unwrap();
    for name in ["unread", "full"] {
        let path = CString::new(folder.path(name)).unwrap();
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }
    let fifo = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(folder.path("full"));
    let mut fifo = fifo.unwrap();
    while fifo.write(&[b'.'; 4096]).is_ok() {}
    for place in BOTH {
        for (path, why) in [
            (folder.path("unread"), "a pipe that nobody reads, a socket, or a device that is not there"),
            (folder.path("full"), "Try again"),
            ("/dev/full".into(), "No space left on device"),
            (folder.path("read-only/log"), "Read-only file system"),
            (folder.path("no/such/folder"), "No such file or directory"),
            (folder.path(""), "Is a directory"),
        ] {
            let sexton = with_termination_log(place, &path).setup([format!("read-only={}", folder.path("read-only"))]);
            // The ordinary process too mounts for itself alone.
            let sexton = if place == Place::Ordinary { sexton.setup(["beside-init"]) } else { sexton };
            let (status, _, stderr) = sexton.probe(["die", "11"]).finish();
            assert_eq!(status, Status::Exited(139));
            let told: Vec<&str> = stderr.lines().collect();
            assert_eq!(told.len(), 2, "{path}: {stderr}");
            assert_has(told[1], &["sexton: cannot write to the termination log ", &path, why]);
        }
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_not_taken_for_a_log_that_is_full() {
    for place in BOTH {
        let folder = Folder::new();
        let path = folder.path("log");
        // Nothing of the line may be written, and then a part of it.
        for (limit, written) in [(0, 0), (10, 10)] {
            let sexton = with_termination_log(place, &path).setup([format!("fsize={limit}")]);
            let (status, _, stderr) = sexton.probe(["die", "11"]).finish();
            assert_eq!(status, Status::Exited(139));
            assert_eq!(fs::read(&path).unwrap().len(), written);
            let told = stderr.lines().last().unwrap();
            assert!(told.ends_with(": a limit on the size of files is reached (ulimit -f)"), "{stderr}");
            fs::remove_file(&path).unwrap();
        }
    }
}

// ---- The exit status after a stop ----

#[test]
fn with_ok_after_stop_an_end_by_the_stop_signal_is_0_and_no_other_end_is() {
    for place in BOTH {
        let ended = |options: &[&str], word: &[&str], signals: &[i32]| {
            let sexton = Sexton::new(place).options(["--ok-after-stop"]).options(options).setup(["core=0"]);
            let mut run = sexton.probe(word);
            if !signals.is_empty() {
                run.line();
            }
            signals.iter().for_each(|signal| run.send(*signal));
            run.status()
        };
        let exited = |status| (Status::Exited(status), place);
        assert_eq!((ended(&[], &["hoard", "0"], &[15]), place), exited(0));
        assert_eq!((ended(&["-r", "TERM:QUIT"], &["hoard", "0"], &[15]), place), exited(0));
        assert_eq!((ended(&[], &["record", "15", "143"], &[15]), place), exited(0), "as Java exits");
        // No stop was requested.
        assert_eq!((ended(&[], &["die", "15"], &[]), place), exited(143));
        assert_eq!((ended(&[], &["exit", "143"], &[]), place), exited(143));
        assert_eq!((ended(&[], &["hoard", "0"], &[libc::SIGUSR1]), place), exited(138));
        // It was, and the command failed.
        assert_eq!((ended(&[], &["record", "15", "1"], &[15]), place), exited(1));
        assert_eq!((ended(&[], &["record", "15", "137"], &[15]), place), exited(137));
        assert_eq!((ended(&["-r", "TERM:KILL"], &["hoard", "0"], &[15]), place), exited(137));
        assert_eq!((ended(&["--grace-period", "100ms"], &["ignore", "15"], &[15]), place), exited(137));
        let by_variable = Sexton::new(place).env("SEXTON_OK_AFTER_STOP", "1");
        let mut run = by_variable.probe(["hoard", "0"]);
        run.line();
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0));
    }
}
