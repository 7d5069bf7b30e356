//! The table of docs/logging.md, "What sexton says about a death": each of its rows is a real death here.

use crate::harness::cgroup::{Cgroup, memory_root, memory_version};
use crate::harness::needs;
use crate::harness::{self, BOTH, Place, Sexton, Status};
use crate::json::Json;
use crate::{LIMIT, assert_has, events, probe, sentence};

/// What happened, in the words of the table.
mod cause {
    pub const MEMORY: &str = "The kernel kills the command for lack of memory";
    pub const CHILD_THEN_KILL: &str =
        "It kills a child of the command for that; later the command sends itself SIGKILL";
    pub const CHILD_THEN_ABORT: &str = "It kills a child of the command for that; then the command aborts";
    pub const CHILD_THEN_EXIT: &str = "It kills a child of the command for that; then the command exits with 3";
    pub const AROUND: &str =
        "It kills the command because a cgroup around the command's own, such as a pod's, has no memory left";
    pub const MOVED: &str = "The command moved to another cgroup, and the kernel kills it there";
    pub const MOVED_1: &str = "The same under version 1, which does not show in which cgroup a process died";
    pub const TOO_LATE: &str = "The command is dead before sexton can look at the count, and the count is not 0";
    pub const UNSEEN: &str = "There is no `/proc`, or something is mounted over the cgroups";
    pub const KILL: &str = "A process sends SIGKILL: the command itself, a child of it, or one outside the container";
    pub const CPU: &str = "`ulimit -t 1` is used up";
    pub const SOFT_CPU: &str = "`ulimit -S -t 1` is used up";
    pub const FORWARDED: &str = "sexton forwards SIGUSR1, and the command dies of it";
    pub const HANDLED: &str = "The command handles that SIGUSR1, and later sends itself another one";
    pub const FORGOTTEN: &str = "The same, with eight other signals in between";
    pub const PAST: &str = "Somebody sends SIGTERM to the command, and not to sexton";
    pub const FAULT: &str = "The command uses memory that is not its own";

    /// All of them, and where each is played.
    pub const ALL: [(&str, fn()); 17] = [
        (MEMORY, super::the_command_is_killed_for_lack_of_memory),
        (CHILD_THEN_KILL, super::a_child_is_killed_for_lack_of_memory_and_then_the_command_by_itself),
        (CHILD_THEN_ABORT, super::a_child_is_killed_for_lack_of_memory_and_the_command_aborts),
        (CHILD_THEN_EXIT, super::a_child_is_killed_for_lack_of_memory_and_the_command_fails),
        (AROUND, super::the_memory_that_lacks_is_that_of_a_cgroup_around_it),
        (MOVED, super::the_command_had_moved_and_is_killed_for_lack_of_memory),
        (MOVED_1, super::the_command_had_moved_and_is_killed_for_lack_of_memory),
        (TOO_LATE, super::the_command_is_dead_before_the_first_look),
        (UNSEEN, super::the_cgroup_cannot_be_seen),
        (KILL, super::a_process_sends_sigkill),
        (CPU, super::the_processor_time_is_used_up),
        (SOFT_CPU, super::the_processor_time_is_used_up_to_the_soft_limit),
        (FORWARDED, super::a_forwarded_signal_is_deadly),
        (HANDLED, super::a_forwarded_signal_is_handled_and_another_one_is_deadly),
        (FORGOTTEN, super::a_forwarded_signal_is_not_forgotten),
        (PAST, super::a_signal_goes_past_sexton),
        (FAULT, super::the_command_does_what_it_may_not_do),
    ];
}

/// The rows of the table, cell by cell.
fn table() -> Vec<Vec<&'static str>> {
    let documentation = include_str!("../../docs/logging.md");
    let section =
        documentation.split_once("## What sexton says about a death\n").unwrap().1.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.skip(2).map(|row| row.split(" | ").collect()).collect()
}

#[test]
fn the_table_has_these_rows_and_no_others() {
    let causes: Vec<&str> = table().iter().map(|row| row[0]).collect();
    assert_eq!(causes, cause::ALL.map(|(cause, _)| cause));
}

/// `12`, `345ms`, `1s 2ms` and the path of a cgroup all become `#`.
fn without_numbers(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let inner = word.trim_start_matches('(').trim_end_matches([',', ';', ')']);
        let (before, after) = word.split_once(inner).unwrap_or(("", ""));
        let digits = inner.trim_end_matches(['m', 's']);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match words.last_mut() {
            Some(last) if is_number && last == "#" => *last = format!("#{after}"),
            _ if is_number || inner.starts_with("/sys/") => words.push(format!("{before}#{after}")),
            _ => words.push(word.into()),
        }
    }
    words.join(" ").replace("less than #", "#")
}

/// That sexton says what the table does.
#[track_caller]
fn assert_told(stderr: &str, cause: &str) {
    let line = sentence(stderr);
    // Of a command of any name that ran for any time.
    let (_, said) = line.split_once(") ").unwrap_or_else(|| panic!("{line}"));
    let (said, _) = said.rsplit_once("; it ran for ").unwrap_or_else(|| panic!("{line}"));
    let row = table().into_iter().find(|row| row[0] == cause).unwrap_or_else(|| panic!("there is no row: {cause}"));
    let mut told = row[1].trim_matches('`').to_owned();
    if memory_version() == 1 {
        told = told.replace("in its cgroup", "in sexton's cgroup");
    } else if harness::linux() < (5, 19) {
        told = told.replace("peak 24 MiB, ", "");
    }
    // Who sent a signal depends on where sexton is.
    let anonymous = |text: &str| match text.split_once("forwarded came from ") {
        Some((before, after)) => format!("{before}somebody, {}", after.rsplit_once(", ").unwrap().1),
        None => text.into(),
    };
    assert_eq!(without_numbers(&anonymous(said)), without_numbers(&anonymous(&told)), "{line}");
}

// ---- Lack of memory ----

#[test]
fn the_command_is_killed_for_lack_of_memory() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, _, stderr) = Sexton::new(place).setup([cgroup.word()]).probe(["eat-later"]).finish();
        assert_eq!(status, Status::Exited(137), "{place:?}: {stderr}");
        assert_told(&stderr, cause::MEMORY);
        assert_has(&stderr, &["(limit 24 MiB, ", "oom_kill 0 → 1)"]);
        if cgroup.memory_peak().is_some() {
            assert_has(&stderr, &["peak 24 MiB, "]);
        }
    }
}

/// A shell script of which a child is killed for lack of memory, and then this happens.
fn after_a_childs_death(place: Place, cgroup: &Cgroup, then: &str) -> (Status, String) {
    let script = format!("{} eaten-child 0; {then}", probe());
    let (status, _, stderr) = Sexton::new(place).setup(["core=0".into(), cgroup.word()]).shell(&script).finish();
    (status, stderr)
}

#[test]
fn a_child_is_killed_for_lack_of_memory_and_then_the_command_by_itself() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, stderr) = after_a_childs_death(place, &cgroup, "kill -9 $$");
        assert_eq!(status, Status::Exited(137));
        assert_told(&stderr, cause::CHILD_THEN_KILL);
    }
}

#[test]
fn a_child_is_killed_for_lack_of_memory_and_the_command_aborts() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, stderr) = after_a_childs_death(place, &cgroup, "kill -ABRT $$");
        assert_eq!(status, Status::Exited(128 + libc::SIGABRT));
        assert_told(&stderr, cause::CHILD_THEN_ABORT);
    }
}

#[test]
fn a_child_is_killed_for_lack_of_memory_and_the_command_fails() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, stderr) = after_a_childs_death(place, &cgroup, "exit 3");
        assert_eq!(status, Status::Exited(3), "{place:?}: {stderr}");
        assert_told(&stderr, cause::CHILD_THEN_EXIT);

        let cgroup = Cgroup::with_memory(LIMIT);
        let (status, stderr) = after_a_childs_death(place, &cgroup, "exit 0");
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "a command that succeeds all the same");
    }
}

/// With a mount namespace of its own, whatever the place.
fn with_mounts(place: Place) -> Sexton {
    let sexton = Sexton::new(place);
    if place == Place::Ordinary { sexton.setup(["beside-init"]) } else { sexton }
}

#[test]
fn the_memory_that_lacks_is_that_of_a_cgroup_around_it() {
    needs!(Cgroups);
    for place in BOTH {
        let around = Cgroup::with_memory(LIMIT);
        let cgroup = Cgroup::with_memory_below(around.path(), Some(2 * LIMIT));
        // As in a container, which sees no cgroup but its own.
        let bind = format!("bind={}:{}", cgroup.path().display(), memory_root().display());
        let (_, _, stderr) = with_mounts(place).setup([cgroup.word(), bind]).probe(["eat-later"]).finish();
        assert_told(&stderr, cause::AROUND);
        assert_has(&stderr, &["(limit 48 MiB, ", "oom_kill 0 → 1)"]);
        if cgroup.memory_peak().is_some() {
            assert_has(&stderr, &["peak 24 MiB, "]);
        }
        // With both in sight the lower limit is told, and what came close to it.
        let cgroup = Cgroup::with_memory_below(around.path(), Some(2 * LIMIT));
        let (_, _, stderr) = Sexton::new(place).setup([cgroup.word()]).probe(["eat-later"]).finish();
        assert_told(&stderr, cause::AROUND);
        assert_has(&stderr, &["(limit 24 MiB, ", "oom_kill 0 → 1)"]);
    }
}

#[test]
fn the_command_had_moved_and_is_killed_for_lack_of_memory() {
    needs!(Cgroups);
    for place in BOTH {
        let (first, second) = (Cgroup::with_memory(LIMIT), Cgroup::with_memory(LIMIT));
        let script = format!("echo $$ >{}; exec {} eat", second.procs().display(), probe());
        let (status, _, stderr) = Sexton::new(place).setup([first.word()]).shell(&script).finish();
        assert_eq!((status, first.oom_kills(), second.oom_kills()), (Status::Exited(137), 0, 1));
        if memory_version() == 1 {
            assert_told(&stderr, cause::MOVED_1);
        } else {
            assert_told(&stderr, cause::MOVED);
            assert_has(&stderr, &[&format!("({})", second.path().display())]);
        }
    }
}

#[test]
fn the_command_is_dead_before_the_first_look() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        // glibc's way to open a file, and musl's.
        let holds = ["openat", "open"].map(|call| format!("mourn=sexton {call} /proc/self/cgroup"));
        let mut run = Sexton::new(place).setup([cgroup.word()]).setup(holds).probe(["eat"]);
        let (status, _, stderr) = run.try_finish(harness::PATIENCE).unwrap();
        assert_eq!((status, cgroup.oom_kills()), (Status::Exited(137), 1));
        assert_eq!(run.traced, ["mourn"]);
        assert_told(&stderr, cause::TOO_LATE);
    }
}

#[test]
fn the_cgroup_cannot_be_seen() {
    needs!(Cgroups);
    let (_, _, stderr) = Sexton::new(Place::Init).setup(["no-proc"]).probe(["die", "9"]).finish();
    assert_told(&stderr, cause::UNSEEN);
    let root = memory_root().display();
    for place in BOTH {
        let eats_in = |cgroup: &Cgroup, mount: String| {
            let (_, _, stderr) = with_mounts(place).setup([cgroup.word(), mount]).probe(["eat-later"]).finish();
            assert_eq!(cgroup.oom_kills(), 1);
            stderr
        };
        assert_told(&eats_in(&Cgroup::with_memory(LIMIT), format!("hide={root}")), cause::UNSEEN);

        // What is to be seen in the place of the cgroup is another one of the same name.
        let (cgroup, other) = (Cgroup::with_memory(LIMIT), Cgroup::with_memory(LIMIT));
        let namesake = cgroup.namesake_below(&other);
        let stderr = eats_in(&cgroup, format!("bind={}:{root}", other.path().display()));
        assert_eq!(namesake.oom_kills(), 0);
        assert_told(&stderr, cause::UNSEEN);

        // A later mount that shows the cgroup hides nothing.
        assert_told(&eats_in(&Cgroup::with_memory(LIMIT), format!("bind={root}:{root}")), cause::MEMORY);
    }
}

// ---- Signals ----

#[test]
fn a_process_sends_sigkill() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let sexton = || Sexton::new(place).setup([cgroup.word()]);
        for script in ["kill -9 $$", "sh -c 'kill -9 $PPID'; exit 1", "ulimit -t 100; kill -9 $$"] {
            let (status, _, stderr) = sexton().shell(script).finish();
            assert_eq!(status, Status::Exited(137));
            assert_told(&stderr, cause::KILL);
        }
        let mut run = sexton().probe(["hoard", "0"]);
        run.line();
        harness::kill(run.command_pid(), libc::SIGKILL);
        assert_told(&run.finish().2, cause::KILL);
    }
}

#[test]
fn the_processor_time_is_used_up() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let sexton = || Sexton::new(place).setup([cgroup.word()]);
        let (status, _, stderr) = sexton().shell("ulimit -t 1; while :; do :; done").finish();
        assert_eq!(status, Status::Exited(137));
        assert_told(&stderr, cause::CPU);
        // The kernel's first word of it is about dead children of the command, which sexton inherits.
        let (_, _, stderr) = sexton().shell(&format!("ulimit -t 1; exec {} burn 5", probe())).finish();
        assert_told(&stderr, cause::CPU);
    }
}

#[test]
fn the_processor_time_is_used_up_to_the_soft_limit() {
    const SCRIPT: &str = "ulimit -S -t 1; while :; do :; done";
    for place in BOTH {
        let (status, _, stderr) = Sexton::new(place).setup(["core=0"]).shell(SCRIPT).finish();
        assert_eq!(status, Status::Exited(128 + libc::SIGXCPU));
        assert_told(&stderr, cause::SOFT_CPU);
        let sexton = Sexton::new(place).options(["--log-format", "json"]).setup(["core=0"]);
        let killed = &events(&sexton.shell(SCRIPT).finish().2, "command_killed")[0];
        assert_eq!(killed.get("cpu_limit_ms"), &Json::Number(1000.0));
    }
}

#[test]
fn a_forwarded_signal_is_deadly() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["hoard", "0"]);
        run.line();
        run.send(libc::SIGUSR1);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(128 + libc::SIGUSR1));
        assert_told(&stderr, cause::FORWARDED);
        let sender = match place {
            Place::Init => "came from outside the container, ".to_owned(),
            Place::Ordinary => format!("came from pid {} (", std::process::id()),
        };
        assert_has(&stderr, &[&sender]);
    }
}

/// A command that handles these signals, is still there when all have come, and sends itself SIGUSR1 then.
fn handles_and_dies(place: Place, signals: &[i32]) -> String {
    use std::io::Write;
    let numbers: Vec<String> = signals.iter().map(i32::to_string).collect();
    let handled = numbers.join(" ");
    let script =
        format!("trap 'echo got' {handled}; echo ready; until read go; do :; done; trap - USR1; kill -USR1 $$");
    let mut run = Sexton::new(place).shell(&script);
    run.wait_for_line("ready");
    for signal in signals {
        run.send(*signal);
        run.wait_for_line("got");
    }
    run.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(128 + libc::SIGUSR1));
    stderr
}

#[test]
fn a_forwarded_signal_is_handled_and_another_one_is_deadly() {
    for place in BOTH {
        assert_told(&handles_and_dies(place, &[libc::SIGUSR1]), cause::HANDLED);
    }
}

#[test]
fn a_forwarded_signal_is_not_forgotten() {
    let others = [libc::SIGUSR2, libc::SIGHUP, libc::SIGALRM, libc::SIGWINCH, libc::SIGURG, libc::SIGIO, libc::SIGPWR];
    let signals = [&[libc::SIGUSR1][..], &others, &[libc::SIGVTALRM]].concat();
    for place in BOTH {
        assert_told(&handles_and_dies(place, &signals), cause::FORGOTTEN);
    }
}

#[test]
fn a_signal_goes_past_sexton() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["hoard", "0"]);
        run.line();
        harness::kill(run.command_pid(), libc::SIGTERM);
        assert_told(&run.finish().2, cause::PAST);
    }
}

#[test]
fn the_command_does_what_it_may_not_do() {
    for place in BOTH {
        for (signal, name) in [(libc::SIGSEGV, "SIGSEGV"), (libc::SIGABRT, "SIGABRT"), (libc::SIGBUS, "SIGBUS")] {
            let sexton = Sexton::new(place).setup(["core=0"]);
            let (status, _, stderr) = sexton.probe(["die", &signal.to_string()]).finish();
            assert_eq!(status, Status::Exited(128 + signal));
            assert_told(&stderr.replace(name, "SIGSEGV"), cause::FAULT);
        }
    }
}
