//! sexton says why the command died, with the evidence: each case with a real cause.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

mod harness;

use harness::{BOTH, Place, Sexton, Status, wait_until};

static COUNT: AtomicU32 = AtomicU32::new(0);

fn unique() -> String {
    format!("sexton-died-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A folder of the test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(unique());
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A cgroup of the test's own, gone with it.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Of version 1 or 2, whichever has the memory controller here.
    #[track_caller]
    fn with_memory(limit: u64) -> Cgroup {
        let first = Path::new("/sys/fs/cgroup/memory");
        let second = Path::new("/sys/fs/cgroup");
        let (parent, file, swap) = if first.join("memory.limit_in_bytes").exists() {
            (first, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        } else {
            let _ = fs::write(second.join("cgroup.subtree_control"), "+memory");
            (second, "memory.max", "memory.swap.max")
        };
        let cgroup = Cgroup::below(parent);
        let set = |file: &str, value: u64| fs::write(cgroup.0.join(file), value.to_string());
        set(file, limit).unwrap_or_else(|error| {
            panic!("no limit can be set on a memory cgroup below {}: {error}; run the test as root", parent.display())
        });
        let _ = set(swap, if swap == "memory.swap.max" { 0 } else { limit });
        cgroup
    }

    #[track_caller]
    fn below(parent: &Path) -> Cgroup {
        let path = parent.join(unique());
        fs::create_dir(&path).unwrap_or_else(|error| {
            panic!("no cgroup can be made below {}: {error}; run the test as root", parent.display())
        });
        Cgroup(path)
    }

    /// For the launcher: sexton starts in it.
    fn word(&self) -> String {
        format!("cgroup={}", self.0.display())
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last of its processes may be on its way out.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

const LIMIT: u64 = 24 << 20;

/// What sexton says of its end, in one line.
#[track_caller]
fn sentence(stderr: &str) -> &str {
    let line = stderr.strip_prefix("sexton: ").and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("no line of sexton's: {stderr:?}"));
    assert!(!line.contains('\n'), "one line is enough: {stderr}");
    line
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not said: {text}");
    }
}

// ---- Killed by a signal ----

#[test]
fn a_command_that_dies_by_a_signal_of_its_own_is_told_with_its_name_and_time() {
    for place in BOTH {
        for (signal, name) in [(libc::SIGSEGV, "SIGSEGV"), (libc::SIGABRT, "SIGABRT"), (libc::SIGBUS, "SIGBUS")] {
            let (status, _, stderr) = Sexton::new(place).probe(["die", &signal.to_string()]).finish();
            assert_eq!(status, Status::Exited(128 + signal));
            assert_has(sentence(&stderr), &["(pid ", &format!("was killed by {name}"), "; it ran for "]);
        }
    }
}

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

#[test]
fn of_a_deadly_signal_that_was_forwarded_and_is_no_stop_signal_the_sender_is_told() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["hoard", "0"]);
        run.line();
        run.send(libc::SIGUSR1);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(128 + libc::SIGUSR1));
        let sender = match place {
            Place::Init => "outside the container".to_owned(),
            Place::Ordinary => format!("pid {} (", std::process::id()),
        };
        let origin = format!("which came from {sender}");
        assert_has(sentence(&stderr), &["was killed by SIGUSR1", &origin, "was forwarded", "; it ran for"]);
    }
}

#[test]
fn of_a_deadly_signal_that_went_past_sexton_that_is_told() {
    for place in BOTH {
        let (_, _, stderr) = Sexton::new(place).probe(["die", "15"]).finish();
        assert_has(sentence(&stderr), &["was killed by SIGTERM, which did not come through sexton"]);
    }
}

// ---- Out of memory ----

#[test]
fn a_command_that_the_kernel_kills_for_lack_of_memory_is_told_with_the_counter_and_the_limit() {
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, _, stderr) = Sexton::new(place).setup([cgroup.word()]).probe(["eat"]).finish();
        assert_eq!(status, Status::Exited(137), "{place:?}: {stderr}");
        let told =
            "was killed by SIGKILL: the kernel ran out of memory for this container (limit 24 MiB, oom_kill 0 → 1)";
        assert_has(sentence(&stderr), &[told, "; it ran for"]);
    }
}

#[test]
fn a_sigkill_while_the_counter_stays_as_it_was_came_from_somebody_else() {
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, _, stderr) = Sexton::new(place).setup([cgroup.word()]).probe(["die", "9"]).finish();
        assert_eq!(status, Status::Exited(137));
        assert_has(sentence(&stderr), &["which sexton did not send", "oom_kill still 0", "another process did"]);
    }
}

#[test]
fn without_a_counter_in_sight_nobody_is_accused() {
    let (_, _, stderr) = Sexton::new(Place::Init).setup(["no-proc"]).probe(["die", "9"]).finish();
    assert_has(sentence(&stderr), &["cannot be seen from here"]);
}

#[test]
fn a_command_that_fails_after_one_of_its_processes_was_killed_for_lack_of_memory_is_told() {
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, _, stderr) = Sexton::new(place).setup([cgroup.word()]).probe(["eaten-child", "3"]).finish();
        assert_eq!(status, Status::Exited(3), "{place:?}: {stderr}");
        let told = "ran out of memory for this container and killed a process (limit 24 MiB, oom_kill 0 → 1)";
        assert_has(sentence(&stderr), &["exited with status 3; ", told]);

        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, _, stderr) = Sexton::new(place).setup([cgroup.word()]).probe(["eaten-child", "0"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "a command that succeeds all the same");
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
        let told =
            "did not stop within 900ms of SIGTERM; killed with SIGKILL, 2 processes left besides it (probe, probe)";
        let origin = format!("; SIGTERM came from {sender}");
        assert_has(sentence(&stderr), &[told, &origin, ", was held back for 30", "ms and left "]);
    }
}

#[test]
fn the_sender_of_a_stop_signal_is_named_when_it_can_be_seen() {
    for place in BOTH {
        let script = "trap '' TERM; kill -TERM $PPID; read x";
        let mut run = Sexton::new(place).options(["--grace-period", "500ms"]).shell(script);
        assert_eq!(run.status(), Status::Exited(137));
        let stderr = std::io::read_to_string(run.stderr.take().unwrap()).unwrap();
        assert_has(sentence(&stderr), &["; SIGTERM came from pid ", " (sh, uid 0)"]);
    }
}

#[test]
fn a_process_that_sigkill_cannot_end_is_named_and_does_not_hang_sexton() {
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
        let mut stderr = std::io::BufReader::new(run.stderr.take().unwrap());
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            std::io::BufRead::read_line(&mut stderr, line).unwrap();
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

// ---- Zombies ----

#[test]
fn with_v_whoever_does_not_reap_its_children_is_named() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(["-v"]).probe(["hoard", "12"]);
        run.line();
        run.send(15);
        let (_, _, stderr) = run.finish();
        // The command is the hoarder: when it dies, sexton reaps what it left. So it is seen only
        // if it still lives when the shutdown begins, as it does during the sleep.
        let mut run = Sexton::new(place).options(["-v", "--pre-stop-sleep", "200ms"]).probe(["hoard", "12"]);
        run.line();
        run.send(15);
        let (_, _, slept) = run.finish();
        assert_has(&slept, &["(probe) leaves 12 zombies: it must wait() for its children\n"]);
        assert_has(&stderr, &["shutdown begins"]);

        // Another process than the command, when the command exits by itself.
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
