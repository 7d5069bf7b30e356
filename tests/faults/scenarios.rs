//! Lives of sexton in which it makes all the calls that it knows. Each plays itself: nobody outside
//! has to do anything, so that a fault at any place leads to an end or to a hang.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Folder, Place, Sexton, Status, Terminal, probe_binary, unique};

/// What is seen of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub status: Status,
    /// What the command said.
    pub stdout: String,
    /// What sexton said, on stderr and in the termination log, but for numbers and times.
    pub lines: Vec<String>,
}

pub struct Scenario {
    pub name: &'static str,
    place: Place,
    setup: Vec<&'static str>,
    options: Vec<String>,
    command: Vec<String>,
    /// These descriptors are a terminal.
    terminal: Vec<i32>,
    /// The termination log, and what is in there already.
    termination_log: Option<&'static str>,
}

impl Scenario {
    fn new(name: &'static str, place: Place, options: &str, command: &[&str]) -> Scenario {
        Scenario {
            name,
            place,
            // An ordinary process too meets nobody else, so that there is no more to be found in /proc.
            setup: if place == Place::Ordinary { vec!["beside-init"] } else { Vec::new() },
            options: options.split_whitespace().map(str::to_owned).collect(),
            command: command.iter().map(|&word| word.into()).collect(),
            terminal: Vec::new(),
            termination_log: None,
        }
    }

    fn setup<const N: usize>(mut self, words: [&'static str; N]) -> Scenario {
        self.setup.extend(words);
        self
    }

    fn terminal<const N: usize>(mut self, descriptors: [i32; N]) -> Scenario {
        self.setup.extend(["setsid", "terminal=0"]);
        self.terminal = descriptors.into();
        self
    }

    fn termination_log(mut self, before: &'static str) -> Scenario {
        self.termination_log = Some(before);
        self
    }

    /// Lives it, with these words for the launcher (tests/probe/tracer.rs). `None` after a hang, or
    /// when somebody is left who still has stdout or stderr.
    pub fn run(&self, orders: &[String], patience: Duration) -> Option<(Life, Vec<String>)> {
        let mut sexton = Sexton::new(self.place).setup(self.setup.iter().copied()).setup(orders.iter().cloned());
        let mut terminal = (!self.terminal.is_empty()).then(Terminal::open);
        for descriptor in &self.terminal {
            let stdio = terminal.as_ref().unwrap().stdio();
            sexton = match descriptor {
                0 => sexton.stdin(stdio),
                _ => sexton.stderr(stdio),
            };
        }
        let log = self.termination_log.map(|before| {
            let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique());
            std::fs::write(&log, before).unwrap();
            log
        });
        if let Some(log) = &log {
            sexton = sexton.env("SEXTON_TERMINATION_LOG", log);
        }
        sexton = sexton.options(&self.options);
        let mut run = if self.command.is_empty() { sexton.bare() } else { sexton.command(&self.command) };
        let finished = run.try_finish(patience);
        let mut said = log.map_or(String::new(), |log| {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let _ = std::fs::remove_file(log);
            text
        });
        let (status, stdout, stderr) = finished?;
        said.push_str(&stderr);
        if let Some(terminal) = &mut terminal {
            said.push_str(&terminal.rest());
        }
        let lines = said.lines().map(without_numbers).collect();
        Some((Life { status, stdout, lines }, std::mem::take(&mut run.traced)))
    }
}

/// `12`, `345ms` and `1s 2ms` all become `#`.
fn without_numbers(line: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for word in line.trim_end().split(' ') {
        let mut seen = String::new();
        for character in word.chars() {
            match character.is_ascii_digit() {
                true if seen.ends_with('#') => {}
                true => seen.push('#'),
                false => seen.push(character),
            }
        }
        for unit in ["ms", "us", "s"] {
            seen = seen.replace(&format!("#{unit}"), "#");
        }
        if seen != "#" || out.last().map(String::as_str) != Some("#") {
            out.push(seen);
        }
    }
    // A busy machine needs more.
    out.join(" ").replace("less than #", "#")
}

/// All that a fault is tried in; their files are put into this folder.
pub fn scenarios(folder: &Folder) -> Vec<Scenario> {
    use Place::{Init, Ordinary};
    let probe = probe_binary().to_string_lossy().into_owned();
    let probe = probe.as_str();
    let file = |name: &str, content: &str| {
        let path = folder.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let windows = file("faults-windows", "#!/bin/sh\r\nexit 3\r\n");
    let without_interpreter = file("faults-plain", "echo started\nexit 3\n");
    let ignores = "trap '' TERM; kill -TERM $PPID; echo sent; while :; do sleep 9; done";
    let leaves = "sleep 60 & sleep 60 & echo left; exit 3";
    let stubborn = "trap '' TERM; setsid sleep 60 & sleep 60 & echo left; exit 3";
    let told = format!("sleep 60 & exec {probe} converse 3 15");
    let drained = "trap '' HUP INT TERM USR2; kill -TERM $PPID; echo sent; while :; do sleep 9; done";
    let in_turn = "--pre-stop-signal HUP --pre-stop-sleep 10ms --escalate 30ms:INT --escalate 60ms:USR2";
    let drain = format!("-v {in_turn} --grace-period 100ms --drain-file {}", folder.path("drain"));
    let no_file = format!("-g --escalate 30ms:INT --grace-period 100ms --drain-file {}", folder.path("none/drain"));
    let talk = [probe, "converse", "7", "10", "28", "64", "15"];
    vec![
        Scenario::new("a start", Init, "", &[probe, "state"]),
        Scenario::new("a start with SIGCHLD ignored", Init, "", &[probe, "state"]).setup(["ignore=17"]),
        Scenario::new("a start as an ordinary process", Ordinary, "-s -p HUP --die-with-sexton", &[probe, "state"]),
        Scenario::new("the death of the parent", Ordinary, "-p HUP", &[probe, "converse", "4", "32:1"]),
        Scenario::new("signals", Init, "", &talk),
        Scenario::new("signals to the group", Init, "-g", &talk),
        Scenario::new("all that is said", Init, "-vvv", &talk),
        Scenario::new("all that is said, as JSON", Init, "-vvv --log-format json", &talk),
        Scenario::new(
            "a command that does not stop",
            Init,
            "--pre-stop-sleep 10ms --grace-period 100ms",
            &["sh", "-c", ignores],
        )
        .termination_log("before"),
        Scenario::new("a drain", Init, &drain, &["sh", "-c", drained]),
        Scenario::new("a drain whose file cannot be made", Init, &no_file, &["sh", "-c", drained]),
        Scenario::new("a command that is killed", Init, "", &["sh", "-c", "kill -9 $$"]).termination_log(""),
        Scenario::new("a command that is killed, told on", Ordinary, "--reraise", &[probe, "die", "10"]),
        Scenario::new("orphans that are told to stop", Init, "--orphans stop", &["sh", "-c", leaves]),
        Scenario::new("orphans of an ordinary process", Ordinary, "--orphans stop", &["sh", "-c", leaves]),
        Scenario::new("stubborn orphans", Init, "--orphans stop --grace-period 200ms", &["sh", "-c", stubborn]),
        Scenario::new(
            "stubborn orphans of an ordinary process",
            Ordinary,
            "--orphans stop --grace-period 200ms",
            &["sh", "-c", stubborn],
        ),
        Scenario::new("orphans that are waited for", Init, "-w --orphans wait", &["sh", "-c", "sleep 0.1 & exit 3"]),
        Scenario::new(
            "a group that is stopped at the end",
            Init,
            "--dialect dumb-init",
            &["sh", "-c", "sleep 0.1; sleep 60 & exit 3"],
        ),
        Scenario::new("somebody whom a stop leaves", Init, "", &["sh", "-c", &told])
            .setup(["setsid"])
            .termination_log(""),
        Scenario::new("somebody whom the end of the command leaves", Init, "-v", &[probe, "sleepers", "2"])
            .setup(["setsid"]),
        Scenario::new(
            "a signal from inside that images stop with",
            Ordinary,
            "--grace-period 9s",
            &[probe, "converse", "3", "3"],
        ),
        Scenario::new("a terminal", Ordinary, "", &["sh", "-c", "kill -TSTP $$; echo on; exit 3"]).terminal([0]),
        Scenario::new("a terminal that is handed on", Init, "--dialect dumb-init", &[probe, "state"]).terminal([0]),
        Scenario::new("a terminal as stderr", Init, "-v", &[probe, "state"]).terminal([0, 2]),
        Scenario::new("a command that is not there", Init, "", &["no-such-command"]),
        Scenario::new("a command that cannot be executed", Init, "", &[&windows]),
        Scenario::new("a text that is no script", Init, "", &[&without_interpreter]),
        Scenario::new("an old kernel", Init, "-g --orphans stop", &["sh", "-c", leaves]).setup([
            "deny=38:close_range",
            "deny=38:pidfd_open",
            "deny=38:pwritev2",
            "deny=38:waitid",
        ]),
        Scenario::new("a pause", Init, "--pause", &[]).setup(["hold=1:enter:0:15:sexton rt_sigtimedwait"]),
        Scenario::new("wrong usage", Init, "--no-such-option", &[]),
        Scenario::new("the version", Init, "--version", &[]),
    ]
}
