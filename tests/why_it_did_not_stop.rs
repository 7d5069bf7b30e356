//! sexton says why the command did not stop, and nothing that would be wrong: each case with a real cause.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::ChildStderr;
use std::rc::Rc;

mod harness;
#[path = "harness/json.rs"]
mod json;

use harness::cgroup::Cgroup;
use harness::{BOTH, Folder, PATIENCE, Place, Running, Sexton, Status, needs, probe_binary, proc_status, wait_until};
use json::Json;

/// What is done once the command is ready, before it is told to stop.
type Prepare = Box<dyn Fn(&Running)>;

/// A command that does not stop, and why.
struct Case {
    options: Vec<String>,
    setup: Vec<String>,
    command: Vec<String>,
    /// So many lines it says until it is ready.
    ready: usize,
    /// And such a line once it was told.
    handled: Option<&'static str>,
    prepare: Option<Prepare>,
    /// As JSON names it; nothing when nothing can be said.
    why: &'static str,
    /// What is said.
    clause: Vec<&'static str>,
}

impl Case {
    fn new(why: &'static str, clause: &[&'static str], command: &[&str]) -> Case {
        Case {
            options: Vec::new(),
            setup: Vec::new(),
            command: command.iter().map(|word| word.replace("PROBE", probe_binary().to_str().unwrap())).collect(),
            ready: 1,
            handled: None,
            prepare: None,
            why,
            clause: clause.to_vec(),
        }
    }

    /// A shell with a script, which has started all and waits when it is told.
    fn shell(why: &'static str, clause: &[&'static str], shell: &str, script: &str) -> Case {
        Case::new(why, clause, &[shell, "-c", script]).prepare(|run| waits_for_child(run.command_pid()))
    }

    fn options<const N: usize>(mut self, options: [&str; N]) -> Case {
        self.options.extend(options.map(str::to_owned));
        self
    }

    fn setup(mut self, word: impl Into<String>) -> Case {
        self.setup.push(word.into());
        self
    }

    fn handled(mut self) -> Case {
        self.handled = Some("handled");
        self
    }

    fn prepare(mut self, prepare: impl Fn(&Running) + 'static) -> Case {
        self.prepare = Some(Box::new(prepare));
        self
    }

    /// Starts it and tells it to stop.
    fn stop(&self, place: Place, options: &[&str]) -> Told {
        let mut run =
            Sexton::new(place).setup(&self.setup).options(&self.options).options(options).command(&self.command);
        for _ in 0..self.ready {
            run.wait_for_line("ready");
        }
        if let Some(prepare) = &self.prepare {
            prepare(&run);
        }
        a_moment_passes();
        run.send(libc::SIGTERM);
        if let Some(beginning) = self.handled {
            run.wait_for_line(beginning);
        }
        Told::new(run)
    }

    #[track_caller]
    fn check(&self, place: Place, said: &str) {
        for part in &self.clause {
            assert!(said.contains(part), "{place:?}, {:?}: {part:?} is not said: {said}", self.command);
        }
    }
}

/// The clock by which the kernel says when a process started, in hundredths of a second, goes on: who is there
/// by now was there before what comes next.
fn a_moment_passes() {
    let clock = || {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
        (now.tv_sec, now.tv_nsec / 10_000_000)
    };
    let began = clock();
    wait_until("the clock goes on", || clock() > began);
}

/// A shell is in its wait for what runs in the foreground, or in the background.
fn waits_for_child(shell: i32) {
    let waits = [libc::SYS_wait4, libc::SYS_waitid, libc::SYS_rt_sigsuspend].map(|number| number.to_string());
    let call = || fs::read_to_string(format!("/proc/{shell}/syscall")).unwrap_or_default();
    wait_until("the shell waits", || waits.iter().any(|number| Some(number.as_str()) == call().split(' ').next()));
}

fn is_in_state(pid: i32, state: char) -> bool {
    proc_status(pid, "State").is_some_and(|seen| seen.starts_with(state))
}

/// A sexton whose command was told to stop.
struct Told {
    run: Running,
    /// Whom it has below it, by descriptors: a pid may be another process's by the end.
    left: Vec<OwnedFd>,
    /// What it says.
    lines: BufReader<ChildStderr>,
}

impl Told {
    fn new(mut run: Running) -> Told {
        let pidfd = |pid: i32| {
            let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
            (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
        };
        let left = harness::descendants(run.pid).into_iter().filter_map(pidfd).collect();
        Told { lines: BufReader::new(run.stderr.take().unwrap()), left, run }
    }

    /// The next line of sexton's.
    #[track_caller]
    fn line(&mut self) -> String {
        let line = self.line_or_end();
        assert_ne!(line, "", "sexton says nothing more, and has ended: {:?}", self.run.status());
        line
    }

    /// The same; nothing once nobody has its stderr any more.
    #[track_caller]
    fn line_or_end(&mut self) -> String {
        let is_there = !self.lines.buffer().is_empty() || harness::readable(self.lines.get_ref().as_raw_fd(), PATIENCE);
        assert!(is_there, "sexton says nothing, and somebody has its stderr");
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// sexton's status, and all that was said since.
    fn end(mut self) -> (Status, String) {
        let status = self.run.status();
        self.kill_all();
        let text = std::iter::from_fn(|| Some(self.line_or_end()).filter(|line| !line.is_empty())).collect();
        (status, text)
    }

    /// Ends the command's stdin, waits for the end, and returns all that was said.
    fn leave(mut self) -> String {
        drop(self.run.stdin.take());
        self.end().1
    }

    /// Whoever outlives sexton has its stderr.
    fn kill_all(&self) {
        for process in &self.left {
            let none = std::ptr::null::<libc::siginfo_t>();
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGKILL, none, 0) };
        }
    }
}

fn schema() -> Json {
    json::parse(include_str!("../docs/logging.schema.json"))
}

/// The line of this event.
#[track_caller]
fn event(stderr: &str, event: &str) -> Json {
    let lines = stderr.lines().map(json::parse);
    let line = lines.inspect(|line| json::check(&schema(), line)).find(|line| line.get("event").text() == event);
    line.unwrap_or_else(|| panic!("no {event}: {stderr}"))
}

const SHELL: [&str; 2] = [
    ": it is a shell with a trap, which waits for probe (pid ",
    ") to end first (start that with exec, or use --group)",
];
const STOPPED: &str = ": it is stopped, and acts on nothing before SIGCONT";
const WAITS: &str = ": it handles SIGTERM and was waiting (";

/// What does not pass by itself.
fn lasting() -> Vec<Case> {
    vec![
        Case::new("ignored", &[": it ignores SIGTERM (it needs a handler"], &["PROBE", "ignore", "15"]),
        Case::new("blocked", &[": it blocks SIGTERM, which is still pending ("], &["PROBE", "block", "15"]),
        // What counts is what it was sent.
        Case::new("blocked", &[": it blocks SIGQUIT (sent for SIGTERM), which is still"], &["PROBE", "block", "3"])
            .options(["-r", "TERM:QUIT"]),
        Case::new("no_handler", &[": it has no handler for SIGWINCH (sent for SIGTERM)"], &["PROBE", "hoard", "0"])
            .options(["-r", "TERM:WINCH"])
            .prepare(|run| {
                let command = run.command_pid();
                wait_until("it waits", || is_in_state(command, 'S'));
            }),
        Case::new("traced", &[": it is traced and held by probe (pid "], &["PROBE", "traced"]),
        Case::new(
            "uninterruptible",
            &[": it is in state D (", "for a child that it made with vfork"],
            &["PROBE", "vfork"],
        ),
        Case::shell("shell_waits", &SHELL, "sh", "trap exit TERM; PROBE hoard 0; :"),
        Case::shell("shell_waits", &SHELL, "bash", "trap : TERM; PROBE hoard 0; :"),
        // The second call of kill(2) and the third are SIGCONT behind SIGTERM, for its group and for it alone.
        Case::new("stopped", &[STOPPED], &["sh", "-c", "echo ready; kill -STOP $$"])
            .setup("fault=2:1:sexton kill")
            .setup("fault=3:1:sexton kill")
            .prepare(|run| {
                let command = run.command_pid();
                wait_until("it is stopped", || is_in_state(command, 'T'));
            }),
    ]
}

/// What may pass by itself: it is at work, waits for somebody who is, or for what cannot be seen.
fn passing() -> Vec<Case> {
    let waits = |handled, script: &str| {
        ["sh", "bash"].map(|shell| Case { handled: Some(handled), ..Case::shell("waiting", &[WAITS], shell, script) })
    };
    let drains = |how| Case::new("waiting", &[WAITS], &["PROBE", "drain", how]).handled();
    let mut cases = vec![
        Case::new("at_work", &[": it handles SIGTERM and was at work ("], &["PROBE", "drain", "works"]).handled(),
        // A server that cleans up, whatever it does with the next signal.
        drains("waits"),
        drains("ignores"),
        drains("resets"),
        drains("sigwait"),
        // Whose child says that it is there.
        Case {
            handled: Some("ready"),
            ..Case::new("waiting", &[": it handles SIGTERM and was waiting in state D ("], &["PROBE", "drain", "vfork"])
        },
        // sexton goes on with what stops itself.
        drains("stops"),
    ];
    // A trap that runs: it tells the server, and waits for that; it starts somebody; it comes back for more.
    cases.extend(waits("handled", "trap 'kill $!; wait $!' TERM; PROBE drain waits & wait $!; :"));
    cases.extend(waits("ready", "trap 'PROBE hoard 0' TERM; PROBE hoard 0 & wait; :"));
    cases.extend(waits("handled", "trap 'echo handled' TERM; PROBE drain waits & while :; do wait; done"));
    cases
}

// ---- When the grace period is over ----

#[test]
fn when_the_grace_period_is_over_the_cause_is_told_with_what_it_rests_on_and_no_wrong_one() {
    let options = ["--log-format", "json", "--grace-period", "4s"];
    for place in BOTH {
        let cases: Vec<Case> = lasting().into_iter().chain(passing()).collect();
        let runs: Vec<Told> = cases.iter().map(|case| case.stop(place, &options)).collect();
        for (case, run) in cases.iter().zip(runs) {
            let (status, stderr) = run.end();
            assert_eq!(status, Status::Exited(137), "{place:?}, {:?}: {stderr}", case.command);
            let over = event(&stderr, "grace_period_over");
            case.check(place, over.get("message").text());
            assert_eq!(over.get("why").text(), case.why, "{place:?}, {:?}: {stderr}", case.command);
            let told: &[(&str, &str)] = match case.why {
                "ignored" => &[("state", "S"), ("disposition", "ignored")],
                "blocked" => &[("state", "S"), ("disposition", "default")],
                "uninterruptible" => &[("state", "D"), ("disposition", "caught")],
                "traced" => &[("state", "t"), ("tracer_command", "probe")],
                "shell_waits" => &[("disposition", "caught"), ("child_command", "probe")],
                "stopped" => &[("state", "T")],
                _ => &[],
            };
            for (key, value) in told {
                assert_eq!(over.get(key).text(), *value, "{place:?}, {key}: {stderr}");
            }
            assert_eq!(
                over.get("blocked") == &Json::Bool(true),
                ["blocked"].contains(&case.why) || case.command.contains(&"sigwait".into()),
                "{stderr}"
            );
        }
    }
}

#[test]
fn as_text_the_cause_is_one_clause_and_in_the_termination_log_it_is_a_fact() {
    for place in BOTH {
        let folder = Folder::new();
        let log = folder.path("log");
        let case = Case::new("", &[], &["PROBE", "ignore", "15"]);
        let (_, stderr) = case.stop(place, &["--grace-period", "300ms", &format!("--termination-log={log}")]).end();
        let told = "did not stop within 300ms of SIGTERM: it ignores SIGTERM (it needs a handler, or with --rewrite a \
                    signal that it has one for); killed with SIGKILL; SIGTERM came from ";
        assert!(stderr.contains(told) && stderr.lines().count() == 1, "{stderr}");
        let written = fs::read_to_string(&log).unwrap();
        assert!(
            written.starts_with(&stderr) && written.contains(" why=ignored state=S disposition=ignored "),
            "{written}"
        );
    }
}

#[test]
fn a_script_is_known_as_its_shell_though_it_has_a_name_of_its_own() {
    let folder = Folder::new();
    let text = format!("#!/bin/bash\ntrap : TERM\n{} hoard 0\n", probe_binary().display());
    let script = folder.file("entrypoint.sh", text);
    for place in BOTH {
        let case = Case::new("shell_waits", &SHELL, &[&script]).prepare(|run| waits_for_child(run.command_pid()));
        let (_, stderr) = case.stop(place, &["--grace-period", "300ms"]).end();
        case.check(place, &stderr);
    }
}

#[test]
fn a_program_that_starts_others_and_does_not_tell_them_is_named_with_its_child() {
    let folder = Folder::new();
    // Its trap ran, and it waits on.
    let text = format!("#!/bin/sh\ntrap 'echo handled' TERM\n{} hoard 0 &\nwait\nwait\n", probe_binary().display());
    let npm = folder.file("npm", text);
    for place in BOTH {
        let case = Case::new("child_not_told", &[": it was told, and its child probe (pid "], &[&npm]).handled();
        let case = case.prepare(|run| waits_for_child(run.command_pid()));
        let (_, stderr) = case.stop(place, &["--grace-period", "300ms", "--log-format", "json"]).end();
        let over = event(&stderr, "grace_period_over");
        case.check(place, over.get("message").text());
        assert_eq!((over.get("why").text(), over.get("child_command").text()), ("child_not_told", "probe"));
        // With --group both had it, and the child died of it.
        let told = case.options(["--group"]).stop(place, &["--grace-period", "300ms"]);
        assert_eq!(told.end().0, Status::Exited(0));
    }
}

#[test]
fn with_the_group_the_child_that_keeps_it_is_named_and_no_wrapper_that_leaves_the_signal_to_it() {
    let ignored = "trap '' TERM; PROBE drain waits; :";
    for place in BOTH {
        for (why, clause, command) in [
            // The wrapper ignores what its child handles.
            ("left_to_child", ": it ignores SIGTERM, and its child probe (pid ", ["sh", "-c", ignored]),
            // A shell with a trap waits for a child that had it too.
            ("shell_waits", ") to end first (that had SIGTERM too)", ["sh", "-c", "trap : TERM; PROBE drain waits; :"]),
            ("blocked", ": its child probe (pid ", ["bash", "-c", "trap : TERM; PROBE block 15; :"]),
        ] {
            let case = Case::new(why, &[clause], &command).options(["--group"]);
            let case = case.prepare(|run| waits_for_child(run.command_pid()));
            let (_, stderr) = case.stop(place, &["--grace-period", "300ms", "--log-format", "json"]).end();
            let over = event(&stderr, "grace_period_over");
            case.check(place, over.get("message").text());
            assert_eq!(over.get("why").text(), why, "{stderr}");
            assert_eq!(over.get("stuck_command") == &Json::Text("probe".into()), why == "blocked", "{stderr}");
        }
        // Alone, the same wrapper ignores it, and nobody else has it.
        let case = Case::new("ignored", &[": it ignores SIGTERM ("], &["sh", "-c", ignored]);
        case.check(place, &case.stop(place, &["--grace-period", "300ms"]).end().1);
    }
}

#[test]
fn who_is_pid_1_of_a_namespace_of_its_own_without_a_handler_is_told_so_and_who_has_one_is_not() {
    needs!(Root);
    let clause = "as PID 1 of its own namespace its child probe (pid ";
    for place in BOTH {
        // As `unshare --fork` does, the command blocks what it leaves to its child.
        let namespace = |rest: &[&'static str]| [&["PROBE", "namespace", "1"], rest].concat();
        let options = ["--grace-period", "1s", "--log-format", "json", "--group"];
        let case = Case::new("no_handler", &[clause, ") has no handler for SIGTERM"], &namespace(&["hoard"]));
        let (_, stderr) = case.stop(place, &options).end();
        case.check(place, event(&stderr, "grace_period_over").get("message").text());
        for how in ["waits", "sigwait", "in-handler"] {
            let case = Case::new("", &[], &namespace(&["drain", how])).handled();
            let (_, stderr) = case.stop(place, &options).end();
            assert!(!stderr.contains("as PID 1"), "{how}: {stderr}");
        }
    }
}

#[test]
fn a_second_signal_that_waits_for_the_end_of_the_handler_is_not_blocked() {
    for place in BOTH {
        let case = Case::new("", &[], &["PROBE", "drain", "in-handler"]).handled();
        let told = case.stop(place, &["--grace-period", "2s", "--log-format", "json"]);
        told.run.send(libc::SIGTERM);
        let over = event(&told.end().1, "grace_period_over");
        assert_eq!((over.get("why").text(), over.get("pending")), ("waiting", &Json::Bool(true)));
    }
}

// ---- What the command left ----

#[test]
fn of_what_the_command_left_the_process_that_keeps_it_is_named_and_why() {
    needs!(Root);
    // It exits when its stdin ends.
    let leave = |words: &str| format!("PROBE {words} & read x; exit 0");
    let mut cases = vec![
        ("ignored", ": probe (pid ", ") ignores SIGTERM (", leave("ignore 15")),
        ("blocked", ": probe (pid ", ") blocks SIGTERM, which is still pending (", leave("block 15")),
        ("stopped", ": probe (pid ", ") is stopped, and acts on nothing", leave("drain stops")),
        ("waiting", ": probe (pid ", ") handles SIGTERM and was waiting (", leave("drain ignores")),
        ("waiting", ": probe (pid ", ") handles SIGTERM and was waiting (", leave("drain sigwait")),
    ];
    // Of several the one that will not stop by itself.
    cases.push((
        "ignored",
        ": probe (pid ",
        ") ignores SIGTERM (",
        "PROBE drain waits & PROBE drain waits & PROBE ignore 15 & read x; exit 0".into(),
    ));
    let inner = |words| format!("PROBE namespace 0 {words}");
    cases.push(("no_handler", ": as PID 1 of its own namespace probe (pid ", ") has no handler", inner("hoard")));
    cases.push(("waiting", ": probe (pid ", ") handles SIGTERM and was waiting (", inner("drain resets")));
    for place in BOTH {
        for (why, subject, predicate, script) in &cases {
            let options = ["--orphans", "stop", "--grace-period", "1s", "--log-format", "json"];
            let mut command: Vec<String> = script.split(' ').map(str::to_owned).collect();
            if script.contains('&') {
                command = vec!["sh".into(), "-c".into(), script.clone()];
            }
            let command: Vec<String> =
                command.iter().map(|word| word.replace("PROBE", probe_binary().to_str().unwrap())).collect();
            let mut run = Sexton::new(place).options(options).command(&command);
            for _ in 0..script.matches("PROBE ").count() {
                run.wait_for_line("ready");
            }
            a_moment_passes();
            let stderr = Told::new(run).leave();
            let over = event(&stderr, "grace_period_over");
            let message = over.get("message").text();
            assert!(message.contains(subject) && message.contains(predicate), "{place:?}: {message}");
            assert_eq!(over.get("why").text(), *why, "{stderr}");
            assert_eq!(over.get("stuck_command").text(), "probe");
        }
    }
}

// ---- The notice ----

#[test]
fn five_seconds_after_the_stop_signal_what_will_not_pass_by_itself_is_told_and_nothing_else() {
    for place in BOTH {
        let (lasting, passing) = (lasting(), passing());
        // Those that are left in peace have had the signal for longer than the others when these are told of.
        let mut left_in_peace: Vec<Told> = passing.iter().map(|case| case.stop(place, &[])).collect();
        let told: Vec<Told> = passing.iter().map(|case| case.stop(place, &["-v"])).collect();
        let named: Vec<Told> = lasting.iter().map(|case| case.stop(place, &[])).collect();
        for (case, mut told) in passing.iter().zip(told) {
            let said = std::iter::from_fn(|| Some(told.line())).find(|line| line.contains(" still runs ")).unwrap();
            assert!(said.contains("s after SIGTERM: "), "{said}");
            case.check(place, &said);
            told.kill_all();
        }
        for (case, mut told) in lasting.iter().zip(named) {
            let said = told.line();
            assert!(said.contains(" still runs ") && said.contains("s after SIG"), "{place:?}: {said}");
            case.check(place, &said);
            // Nothing comes of it but the line.
            assert!(told.run.try_status(std::time::Duration::ZERO).is_none());
            told.kill_all();
        }
        for told in &mut left_in_peace {
            told.kill_all();
        }
        for told in left_in_peace {
            let (_, stderr) = told.end();
            assert!(!stderr.contains("still runs"), "{place:?}: {stderr}");
        }
    }
}

#[test]
fn there_is_one_notice_in_a_shutdown_with_its_facts_and_in_the_termination_log() {
    for place in BOTH {
        let folder = Folder::new();
        let log = folder.path("log");
        let case = Case::new("", &[], &["PROBE", "ignore", "15"]);
        let options = ["--log-format", "json", &format!("--termination-log={log}"), "--grace-period", "11s"];
        let told = case.stop(place, &options);
        told.run.send(libc::SIGTERM);
        let (status, stderr) = told.end();
        assert_eq!((status, stderr.matches("still_there").count()), (Status::Exited(137), 1), "{stderr}");
        let notice = event(&stderr, "still_there");
        assert_eq!((notice.get("level").text(), notice.get("why").text()), ("warn", "ignored"));
        assert_eq!((notice.get("signal").text(), notice.get("grace_period_ms")), ("SIGTERM", &Json::Number(11_000.0)));
        assert!(matches!(notice.get("waited_ms"), Json::Number(waited) if *waited > 4_900.0), "{notice:?}");
        assert_eq!(event(&stderr, "grace_period_over").get("why").text(), "ignored");
        let written = fs::read_to_string(&log).unwrap();
        assert_eq!(event(&written, "still_there").get("why").text(), "ignored");
    }
}

#[test]
fn a_command_that_stops_in_time_is_told_nothing_of() {
    for place in BOTH {
        // It cleans up until long before the notice, and again until long after it would have come.
        let runs = ["3000", "7000"].map(|time| Case::new("", &[], &["PROBE", "server", time]).stop(place, &[]));
        for told in runs {
            assert_eq!(told.end(), (Status::Exited(0), String::new()), "{place:?}");
        }
    }
}

#[test]
fn the_notice_tells_of_what_the_command_left_from_when_that_was_told() {
    for place in BOTH {
        let case = Case::new("", &[], &["sh", "-c", "PROBE ignore 15 & PROBE server 3000; :"]);
        let mut told = Case { ready: 2, ..case }.options(["--orphans", "stop"]).stop(place, &["-v"]);
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains("still runs")) {
            said.push(told.line());
        }
        let notice = said.last().unwrap();
        assert!(
            notice.contains("what sh (pid ") && notice.contains(" left still runs 5s after SIGTERM: probe (pid "),
            "{notice}"
        );
        assert!(notice.contains(") ignores SIGTERM ("), "{notice}");
        told.kill_all();
        told.end();
    }
}

// ---- What the kernel does to it ----

#[test]
fn a_cpu_limit_that_held_it_back_is_told_and_none_that_held_back_others() {
    needs!(Cgroups);
    let options = ["--grace-period", "3s", "--log-format", "json"];
    for place in BOTH {
        let cgroup = Rc::new(Cgroup::with_cpu(2_000));
        let join = |run: &Running, cgroup: &Cgroup| cgroup.write("cgroup.procs", &run.command_pid().to_string());
        let limited = Rc::clone(&cgroup);
        let case =
            Case::new("cpu_limit", &[": a CPU limit (0.02 CPU) held it back for "], &["PROBE", "drain", "works"])
                .prepare(move |run| join(run, &limited));
        let busy = case.stop(place, &options);
        // Beside it, in the same cgroup, one that wants nothing.
        let limited = Rc::clone(&cgroup);
        let idle = Case::new("waiting", &[WAITS], &["PROBE", "drain", "waits"]).prepare(move |run| join(run, &limited));
        let waiting = idle.stop(place, &options);
        for (case, told) in [(&case, busy), (&idle, waiting)] {
            let (_, stderr) = told.end();
            let over = event(&stderr, "grace_period_over");
            case.check(place, over.get("message").text());
            assert_eq!(over.get("why").text(), case.why, "{stderr}");
            if case.why == "cpu_limit" {
                assert_eq!(over.get("cpu_limit_millicores"), &Json::Number(20.0));
                assert!(matches!(over.get("throttled_since_stop_ms"), Json::Number(time) if *time > 300.0), "{stderr}");
            }
        }
    }
}

#[test]
fn a_frozen_cgroup_is_told_while_it_is_frozen() {
    needs!(Freezer);
    let freezer = Path::new("/sys/fs/cgroup/freezer");
    assert!(freezer.exists(), "{} is missing: this needs the freezer of version 1", freezer.display());
    let clause = ": it is in a frozen cgroup, in which nothing runs";
    for place in BOTH {
        let cgroup = Rc::new(Cgroup::below(freezer));
        let freeze = |cgroup: &Rc<Cgroup>| {
            let cgroup = Rc::clone(cgroup);
            move |run: &Running| {
                let command = run.command_pid();
                cgroup.write("cgroup.procs", &command.to_string());
                cgroup.write("freezer.state", "FROZEN");
                wait_until("it is frozen", || is_in_state(command, 'D'));
            }
        };
        let case = Case::new("frozen", &[clause], &["PROBE", "hoard", "0"]).prepare(freeze(&cgroup));
        let mut told = case.stop(place, &[]);
        case.check(place, &told.line());
        cgroup.write("freezer.state", "THAWED");
        assert_eq!(told.end(), (Status::Exited(143), String::new()));

        let mut told = case.stop(place, &["--grace-period", "300ms"]);
        case.check(place, &told.line());
        cgroup.write("freezer.state", "THAWED");
        assert_eq!(told.end().0, Status::Exited(137));
    }
}

#[test]
fn memory_that_was_at_its_limit_since_the_stop_signal_is_told_as_well() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(8 << 20);
        // In version 1 it is this one that is reached first if it is the same, and Linux 6.18 does not count that.
        let with_swap = cgroup.procs().with_file_name("memory.memsw.limit_in_bytes");
        if with_swap.exists() {
            fs::write(with_swap, (64 << 20).to_string()).unwrap();
        }
        // On a disk, and there by now: /tmp may be in memory, which is not given back so easily.
        let folder = Folder::in_target();
        let large = fs::File::create(folder.path("large")).unwrap();
        (0..24).for_each(|_| (&large).write_all(&[7; 1 << 20]).unwrap());
        large.sync_all().unwrap();
        let case = Case::new(
            "",
            &[": it handles SIGTERM", "; memory was at its limit (8 MiB) "],
            &["PROBE", "drain", "cache"],
        )
        .setup(cgroup.word())
        .setup(format!("cwd={}", folder.path("")));
        let (_, stderr) = case.stop(place, &["--grace-period", "4s", "--log-format", "json"]).end();
        let over = event(&stderr, "grace_period_over");
        case.check(place, over.get("message").text());
        assert!(matches!(over.get("memory_limit_hits"), Json::Number(times) if *times >= 1.0), "{stderr}");
    }
}

// ---- Where nothing is known ----

#[test]
fn where_the_process_cannot_be_seen_nothing_is_said_of_it() {
    needs!(Root);
    for place in BOTH {
        let setup: &[&str] = if place == Place::Init { &[] } else { &["beside-init"] };
        for (word, command) in [
            (&["no-proc"][..], &["PROBE", "ignore", "15"][..]),
            // Another user's process, without CAP_SYS_PTRACE.
            (&["hidepid", "no-capability=19"], &["PROBE", "setuid", "1000", "ignore", "15"]),
        ] {
            let mut case = Case::new("", &[], command);
            case.setup = setup.iter().chain(word).map(|&word| word.to_owned()).collect();
            let (status, stderr) = case.stop(place, &["--grace-period", "300ms"]).end();
            assert_eq!(status, Status::Exited(137));
            let told = " did not stop within 300ms of SIGTERM; killed with SIGKILL; SIGTERM came from ";
            assert!(stderr.contains(told), "{place:?} {word:?}: {stderr}");
        }
    }
}
