//! The core table: what holds for sexton as PID 1 of every engine and runtime, written once.
//!
//! A test file says with [`Runtime`] how its engine starts and signals a container, and
//! `core_tests!(ITS_RUNTIME)` makes one test of each row.

use std::time::{Duration, Instant};

/// An engine that runs containers whose PID 1 is sexton.
pub trait Runtime {
    type Container: Started;

    /// Starts a container with these variables and this command.
    fn start(&self, variables: &[(&str, &str)], command: &[&str]) -> Self::Container;

    /// Signals that the engine itself does not send, with what it says instead.
    fn refused(&self) -> &[(&str, &str)] {
        &[]
    }

    /// Whether the kernel tells in `/proc/PID/status` which signals a process ignores.
    fn tells_of_signals(&self) -> bool {
        true
    }
}

/// A container that was started.
pub trait Started {
    /// Waits for a line of stdout or stderr that contains this text.
    fn wait_for_line(&mut self, text: &str);

    /// Has the engine send PID 1 a signal: a name without `SIG`, or a number. What the engine says if
    /// it does not.
    fn kill(&self, signal: &str) -> Result<(), String>;

    /// Waits for the end and returns the exit status that the engine tells.
    fn status(&mut self) -> i32;

    /// All that was written: stdout and stderr.
    fn logged(&self) -> (String, String);
}

/// One `#[test]` for each row of the table.
#[macro_export]
macro_rules! core_tests {
    ($runtime:expr) => {
        $crate::core_tests! { $runtime =>
            the_exit_status_is_the_commands
            the_stop_signal_ends_a_command_that_does_not_know_it
            every_signal_is_forwarded
            every_orphan_is_reaped
            the_command_starts_as_if_sexton_were_not_there
            the_pre_stop_sleep_is_before_the_stop_signal
            the_grace_period_ends_with_sigkill
            the_last_line_of_a_background_process_is_not_lost
        }
    };
    ($runtime:expr => $($row:ident)*) => {
        $(#[test]
        fn $row() {
            $crate::harness::core::$row(&$runtime);
        })*
    };
}

/// `probe record`: says `ready`, then a line for each signal; SIGTERM ends it with 7.
const RECORD: [&str; 4] = ["/probe", "record", "15", "7"];

/// SIGTERM is the last one: it ends the command.
const SIGNALS: [(&str, i32); 15] = [
    ("HUP", 1),
    ("USR1", 10),
    ("USR2", 12),
    ("INT", 2),
    ("QUIT", 3),
    ("WINCH", 28),
    ("CONT", 18),
    ("TSTP", 20),
    ("SEGV", 11),
    ("CHLD", 17),
    ("PIPE", 13),
    ("34", 34),
    ("37", 37),
    ("64", 64),
    ("TERM", 15),
];

pub fn the_exit_status_is_the_commands<R: Runtime>(runtime: &R) {
    let cases: [(&[&str], i32, &str); 8] = [
        (&["true"], 0, ""),
        (&["sh", "-c", "exit 7"], 7, ""),
        (&["/probe", "exit", "255"], 255, ""),
        (&["/missing"], 127, "/missing"),
        (&["missing"], 127, "PATH"),
        (&["/bin"], 126, "directory"),
        (&["/probe", "die", "9"], 137, "was killed by SIGKILL, which sexton did not send"),
        (&["/probe", "die", "15"], 143, "was killed by SIGTERM"),
    ];
    for (command, status, said) in cases {
        let mut container = runtime.start(&[], command);
        assert_eq!(container.status(), status, "{command:?}: {:?}", container.logged());
        let (_, stderr) = container.logged();
        assert!(stderr.contains(said) && stderr.is_empty() == said.is_empty(), "{command:?}: {stderr}");
    }
}

pub fn the_stop_signal_ends_a_command_that_does_not_know_it<R: Runtime>(runtime: &R) {
    // As PID 1 itself, sleep would not even notice SIGTERM.
    let mut container = runtime.start(&[], &["sh", "-c", "echo ready; exec sleep 1000"]);
    container.wait_for_line("ready");
    container.kill("TERM").unwrap();
    assert_eq!(container.status(), 143);
}

pub fn every_signal_is_forwarded<R: Runtime>(runtime: &R) {
    let mut container = runtime.start(&[], &RECORD);
    container.wait_for_line("ready");
    let mut came = 0;
    for (name, number) in SIGNALS {
        let refused = runtime.refused().iter().find(|(refused, _)| *refused == name);
        match (container.kill(name), refused) {
            (Ok(()), None) => {
                container.wait_for_line(&format!("signal {number} "));
                came += 1;
            }
            (Err(said), Some((_, expected))) => assert!(said.contains(expected), "{name}: {said}"),
            (sent, _) => panic!("{name} is refused or not, against the engine's list: {sent:?}"),
        }
    }
    assert_eq!(container.status(), 7);
    let (stdout, stderr) = container.logged();
    // `runc run` forwards the SIGURG by which its own Go wakes its threads.
    let lines = stdout.lines().filter(|line| !line.starts_with("signal 23 "));
    assert_eq!(lines.count(), 1 + came, "each came once: {stdout}");
    assert_eq!(stderr, "", "all was well, so sexton says nothing");
}

pub fn every_orphan_is_reaped<R: Runtime>(runtime: &R) {
    const COUNT: usize = 50;
    let script = format!("trap 'exit 7' TERM; /probe orphans {COUNT} 0 </dev/null; sleep 1000 & wait");
    let mut container = runtime.start(&[("SEXTON_WARN_ON_REAP", "1")], &["sh", "-c", &script]);
    for _ in 0..COUNT {
        container.wait_for_line("reaped orphan");
    }
    container.kill("TERM").unwrap();
    assert_eq!(container.status(), 7);
}

pub fn the_command_starts_as_if_sexton_were_not_there<R: Runtime>(runtime: &R) {
    let mut container = runtime.start(&[], &["/probe", "state"]);
    assert_eq!(container.status(), 0);
    let (stdout, stderr) = container.logged();
    assert_eq!(stderr, "");
    assert!(has_fresh_signals(&stdout), "{stdout}");
    for line in ["descriptors [0, 1, 2]", "ppid 1", "cwd 2f"] {
        assert!(stdout.lines().any(|known| known == line), "{line}: {stdout}");
    }
}

/// Whether this `probe state` tells of no blocked and no ignored signal. 32 and 33 are not ours to
/// judge: glibc has its own children ignore them (posix_spawn(3)), and engines hand that on.
pub fn has_fresh_signals(state: &str) -> bool {
    let set = |key| state.lines().find_map(|line| u64::from_str_radix(line.strip_prefix(key)?.trim(), 16).ok());
    let glibcs = 1 << 31 | 1 << 32;
    set("mask") == Some(0) && set("ignored").is_some_and(|ignored| ignored & !glibcs == 0)
}

pub fn the_pre_stop_sleep_is_before_the_stop_signal<R: Runtime>(runtime: &R) {
    const SLEEP: Duration = Duration::from_secs(1);
    let variables = [("SEXTON_PRE_STOP_SLEEP", "1s"), ("SEXTON_LOG", "info")];
    let mut container = runtime.start(&variables, &RECORD);
    container.wait_for_line("ready");
    let begin = Instant::now();
    container.kill("TERM").unwrap();
    container.wait_for_line("sleeping 1s before forwarding it");
    // Any other signal does not wait.
    container.kill("USR1").unwrap();
    container.wait_for_line("signal 10 ");
    container.wait_for_line("signal 15 ");
    assert!(begin.elapsed() >= SLEEP, "the stop signal came after {:?}", begin.elapsed());
    assert_eq!(container.status(), 7);
}

pub fn the_grace_period_ends_with_sigkill<R: Runtime>(runtime: &R) {
    let mut container = runtime.start(&[("SEXTON_GRACE_PERIOD", "1s")], &["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    let begin = Instant::now();
    container.kill("TERM").unwrap();
    assert_eq!(container.status(), 137);
    assert!(begin.elapsed() >= Duration::from_secs(1), "it was over after {:?}", begin.elapsed());
    let (_, stderr) = container.logged();
    let why = if runtime.tells_of_signals() { ": it ignores SIGTERM (" } else { "; killed with SIGKILL" };
    for part in [&format!("did not stop within 1s of SIGTERM{why}"), "; killed with SIGKILL"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

pub fn the_last_line_of_a_background_process_is_not_lost<R: Runtime>(runtime: &R) {
    // With `stop` it is ended by SIGTERM, with `wait` by itself.
    let background = "(trap 'echo last line; exit' TERM; kill -USR1 $$; sleep 1 & wait; echo last line)";
    let script = format!("trap 'exit 3' USR1; {background} & while :; do wait; done");
    for policy in ["wait", "stop"] {
        let mut container = runtime.start(&[("SEXTON_ORPHANS", policy)], &["sh", "-c", &script]);
        assert_eq!(container.status(), 3, "{policy}");
        let (stdout, _) = container.logged();
        assert_eq!(stdout, "last line\n", "{policy}");
    }
}
