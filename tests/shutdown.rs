//! The shutdown is bounded and told.

mod harness;

use std::io::{BufRead, BufReader};
use std::time::Duration;

use harness::{BOTH, Folder, Place, Running, Sexton, Status, now, probe_binary, sexton_binary, wait_until};

/// How much later than planned something may happen on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

fn recorder(place: Place, options: &[&str]) -> Running {
    let mut run = Sexton::new(place).options(options).probe(["record", "15", "7"]);
    run.line();
    run
}

fn stubborn(place: Place, options: &[&str]) -> Running {
    let mut run = Sexton::new(place).options(options).probe(["ignore", "15", "2"]);
    run.line();
    run
}

#[track_caller]
fn assert_between(what: &str, time: Duration, at_least: Duration) {
    assert!(time >= at_least && time < at_least + SLACK, "{what}: {time:?} instead of {at_least:?}");
}

#[test]
fn without_a_pre_stop_sleep_the_stop_signal_is_forwarded_at_once() {
    for place in BOTH {
        let mut run = recorder(place, &["--grace-period", "30s"]);
        let sent = now();
        run.send(15);
        let seen = run.recorded();
        assert_between("the forward", seen.at - sent, Duration::ZERO);
        assert_eq!(run.status(), Status::Exited(7));
    }
}

#[test]
fn the_stop_signal_is_forwarded_when_the_sleep_is_over_and_not_before() {
    for place in BOTH {
        for options in [&["--pre-stop-sleep", "700ms"][..], &["--pre-stop-sleep", "700ms", "--grace-period", "30s"]] {
            let mut run = recorder(place, options);
            let sent = now();
            run.send(15);
            let seen = run.recorded();
            assert_eq!(seen.signal, 15);
            assert_between("the forward", seen.at - sent, Duration::from_millis(700));
            assert_eq!(run.status(), Status::Exited(7));
        }
    }
}

/// What is filtered out, because it is meant for sexton itself, is no reason to let a moment pass.
#[test]
fn no_flood_of_signals_that_are_not_for_the_command_holds_off_the_sleep_and_the_grace_period() {
    // Signal 32 stands for the parent's death with -p; of 17 the kernel's own tell of dead orphans.
    for (options, signal) in [(&["-p", "TERM"][..], "32"), (&[], "17")] {
        for place in BOTH {
            let times = ["--pre-stop-sleep", "300ms", "--grace-period", "1s"];
            let mut run = Sexton::new(place).options(times).options(options).probe(["flood", signal]);
            run.line();
            let sent = now();
            run.send(15);
            let seen = run.recorded();
            assert_eq!(seen.signal, 15);
            assert_between("the forward", seen.at - sent, Duration::from_millis(300));
            assert_eq!(run.status(), Status::Exited(128 + libc::SIGKILL), "{place:?} {signal}");
            assert_between("SIGKILL", now() - sent, Duration::from_secs(1));
        }
    }
}

/// As for a container that was paused: sexton does not run before both moments have passed.
#[test]
fn a_command_that_is_told_late_has_time_to_stop() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .options(["--pre-stop-sleep", "100ms", "--grace-period", "1100ms"])
            .probe(["record", "0", "0"]);
        run.line();
        run.send(15);
        wait_until("sexton took it", || {
            harness::is_waiting(run.pid) && run.proc_status("ShdPnd") == "0000000000000000"
        });
        run.send(libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(1500));
        let continued = now();
        run.send(libc::SIGCONT);
        let mut seen = run.recorded();
        while seen.signal == libc::SIGCONT {
            seen = run.recorded();
        }
        assert_eq!(seen.signal, 15);
        assert_eq!(run.status(), Status::Exited(128 + libc::SIGKILL));
        // Not since the command saw it, which may be late to look at the clock.
        assert_between("SIGKILL", now() - continued, Duration::from_secs(1));
    }
}

/// sexton itself was stopped at the deadline, and wakes up to a signal that the kernel hands over before its word
/// of the command's death.
#[test]
fn a_command_that_ended_in_time_is_not_told_as_one_that_did_not_stop() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(["--grace-period", "3s"]).probe(["record", "10", "7"]);
        run.line();
        let command = run.command_pid();
        let is_in =
            |pid, states: &str| harness::proc_status(pid, "State").is_some_and(|state| states.contains(&state[..1]));
        let sent = now();
        run.send(15);
        assert_eq!(run.recorded().signal, 15);
        wait_until("sexton waits", || harness::is_waiting(run.pid));
        run.send(libc::SIGSTOP);
        wait_until("sexton is stopped", || is_in(run.pid, "T"));
        harness::kill(command, libc::SIGUSR1);
        wait_until("the command is dead", || is_in(command, "Z"));
        assert!(now() - sent < Duration::from_secs(3), "{place:?}: too slow a machine for this test");
        wait_until("the deadline has passed", || now() - sent > Duration::from_secs(3));
        run.send(libc::SIGHUP);
        run.send(libc::SIGCONT);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    }
}

#[test]
fn other_signals_are_forwarded_at_once_during_the_sleep() {
    for place in BOTH {
        let mut run = recorder(place, &["--pre-stop-sleep", "1h"]);
        run.send(15);
        run.send(libc::SIGUSR1);
        assert_eq!(run.recorded().signal, libc::SIGUSR1);
        run.send(libc::SIGHUP);
        assert_eq!(run.recorded().signal, libc::SIGHUP);
    }
}

#[test]
fn a_second_stop_signal_ends_the_sleep() {
    for place in BOTH {
        let mut run = recorder(place, &["--pre-stop-sleep", "1h", "--grace-period", "2h"]);
        run.send(15);
        // The kernel merges a SIGTERM with one that is pending: wait until the first was taken.
        wait_until("sexton took the first one", || {
            harness::is_waiting(run.pid) && run.proc_status("ShdPnd") == "0000000000000000"
        });
        // From another process: the same one twice at once would be an echo.
        let kill = format!("kill -TERM {}", run.pid);
        assert!(harness::command("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(run.recorded().signal, 15);
        assert_eq!(run.status(), Status::Exited(7));
    }
}

/// timeout sends SIGTERM to its child, then to its process group, in which the child is.
#[test]
fn under_timeout_the_pre_stop_sleep_is_not_cut_short() {
    for _ in 0..5 {
        let (sexton, probe) = (harness::sexton_binary(), harness::probe_binary());
        let script =
            format!("timeout 0.3 {} --pre-stop-sleep 700ms -- {} record 15 0", sexton.display(), probe.display());
        let mut run = Sexton::new(Place::Ordinary).binary("/bin/sh").options(["-c", &script]).bare();
        let started = now();
        run.line();
        // timeout sends SIGCONT as well, which is forwarded at once.
        let mut seen = run.recorded();
        while seen.signal == libc::SIGCONT {
            seen = run.recorded();
        }
        assert_eq!(seen.signal, 15);
        assert!(seen.at - started >= Duration::from_millis(900), "{:?}", seen.at - started);
    }
}

#[test]
fn a_command_that_exits_during_the_sleep_ends_everything_at_once() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(["--pre-stop-sleep", "1h"]).probe(["record", "10", "3"]);
        run.line();
        run.send(15);
        run.send(libc::SIGUSR1);
        assert_eq!(run.status(), Status::Exited(3));
    }
}

#[test]
fn a_command_that_ignores_the_stop_signal_is_killed_when_the_grace_period_is_over() {
    for place in BOTH {
        let run = stubborn(place, &["--grace-period", "700ms"]);
        let sent = now();
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_between("the end", now() - sent, Duration::from_millis(700));
        assert_eq!(status, Status::Exited(137));
        assert!(stderr.contains("did not stop within 700ms of SIGTERM: it ignores SIGTERM"), "{stderr}");
        assert!(stderr.contains("; killed with SIGKILL; SIGTERM came from "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn the_pre_stop_sleep_counts_against_the_grace_period() {
    for place in BOTH {
        let mut run = stubborn(place, &["--pre-stop-sleep", "4s", "--grace-period", "5s"]);
        let sent = now();
        run.send(15);
        assert_eq!(run.status(), Status::Exited(137));
        assert_between("the end", now() - sent, Duration::from_secs(5));
    }
}

#[test]
fn without_a_grace_period_sexton_has_no_deadline_at_all() {
    for place in BOTH {
        for options in [&[][..], &["--grace-period", "0"]] {
            let mut run = stubborn(place, options);
            run.send(15);
            // The last that it wakes up for.
            let mut notice = String::new();
            BufReader::new(run.stderr.take().unwrap()).read_line(&mut notice).unwrap();
            assert!(notice.contains(" still runs 5s after SIGTERM"), "{notice}");
            wait_until("sexton waits again", || {
                harness::is_waiting(run.pid) && run.proc_status("ShdPnd") == "0000000000000000"
            });
            // rt_sigtimedwait(set, info, timeout, size): no timeout.
            let syscall = std::fs::read_to_string(format!("/proc/{}/syscall", run.pid)).unwrap();
            assert_eq!(syscall.split(' ').nth(3), Some("0x0"), "{place:?}: {syscall}");
            assert_eq!(run.try_status(Duration::ZERO), None);
        }
    }
}

#[test]
fn a_stopped_command_is_continued_so_that_it_can_act_on_the_stop_signal() {
    for place in BOTH {
        for sleep in [&[][..], &["--pre-stop-sleep", "200ms"]] {
            let mut run = recorder(place, sleep);
            let command = run.command_pid();
            harness::kill(command, libc::SIGSTOP);
            wait_until("the command is stopped", || harness::proc_status(command, "State").unwrap().starts_with('T'));
            run.send(15);
            let first = run.recorded().signal;
            // SIGCONT is blocked by the recorder and so pending as well; it is what lets it run.
            assert!(first == 15 || first == libc::SIGCONT, "{place:?}: {first}");
            if first == libc::SIGCONT {
                assert_eq!(run.recorded().signal, 15);
            }
            assert_eq!(run.status(), Status::Exited(7));
        }
    }
}

#[test]
fn two_kinds_of_stop_signal_start_one_shutdown() {
    for place in BOTH {
        let run = stubborn(place, &["--stop-signal", "INT", "--stop-signal", "TERM", "--grace-period", "1s", "-v"]);
        let sent = now();
        run.send(libc::SIGINT);
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(137));
        assert_between("the end", now() - sent, Duration::from_secs(1));
        assert_eq!(stderr.matches("shutdown begins").count(), 1, "{stderr}");
        assert!(stderr.contains("forwarded SIGINT") && stderr.contains("forwarded SIGTERM"), "{stderr}");
    }
}

#[test]
fn sigterm_is_no_stop_signal_when_another_one_is_named() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .options(["--stop-signal", "QUIT", "--pre-stop-sleep", "1h"])
            .probe(["record", "15", "7"]);
        run.line();
        run.send(15);
        assert_eq!(run.status(), Status::Exited(7), "{place:?}: SIGTERM is forwarded at once");
    }
}

#[test]
fn with_group_sigkill_reaches_the_whole_group() {
    // As an ordinary process: behind a PID 1 the kernel would end them anyway.
    let probe = harness::probe_binary();
    let script = format!("{0} ignore 15 & {0} ignore 15", probe.display());
    let mut run = Sexton::new(Place::Ordinary)
        .options(["-g", "--grace-period", "300ms"])
        .shell(&format!("trap '' TERM; {script}"));
    let pids: Vec<i32> =
        (0..2).map(|_| run.wait_for_line("ready").strip_prefix("ready ").unwrap().parse().unwrap()).collect();
    run.send(15);
    assert_eq!(run.status(), Status::Exited(137));
    for pid in pids {
        wait_until("the group is gone", || {
            harness::proc_status(pid, "State").is_none_or(|state| state.starts_with('Z') || state.starts_with('X'))
        });
    }
}

#[test]
fn settings_can_come_from_the_environment_alone() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .env("SEXTON_PRE_STOP_SLEEP", "300ms")
            .env("SEXTON_GRACE_PERIOD", "800ms")
            .env("SEXTON_STOP_SIGNALS", "QUIT,TERM")
            .probe(["ignore", "3", "15"]);
        run.line();
        let sent = now();
        run.send(libc::SIGQUIT);
        assert_eq!(run.status(), Status::Exited(137));
        assert_between("the end", now() - sent, Duration::from_millis(800));
    }
}

// ---- The recipe for a CI job ----

/// A step as a runner starts it, with this line of the README's in its script, and `record` in the place of
/// `make test`. Returns it, when the command is ready, and the pid of sexton.
fn step(folder: &Folder, line: &str, record: &str) -> (Running, i32) {
    let line = line.replace("sexton", sexton_binary().to_str().unwrap());
    let line = line.replace("make test", &format!("{} record {record}", probe_binary().display()));
    let script = folder.file("step.sh", format!("{line}\n"));
    let mut run = Sexton::new(Place::Ordinary).binary("/bin/bash").options(["-e", &script]).bare();
    run.wait_for_line("ready");
    let is_sexton = |pid: i32| harness::proc_status(pid, "Name").as_deref() == Some("sexton");
    let sexton = if is_sexton(run.pid) { run.pid } else { harness::children(run.pid)[0] };
    assert!(is_sexton(sexton));
    (run, sexton)
}

/// GitHub's runner signals the step's shell alone: SIGINT, 7.5 s later SIGTERM, and SIGKILL after 2.5 s more.
#[test]
fn a_cancelled_ci_job_hears_of_it_at_once_only_when_its_recipe_is_typed_with_exec() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, recipe) = readme.split_once("### CI job\n").unwrap();
    let recipe = recipe.lines().find(|line| line.contains("sexton -g ")).unwrap();
    let without = recipe.strip_prefix("exec ").expect("the recipe begins with exec");
    let folder = Folder::new();

    let (mut run, sexton) = step(&folder, recipe, "2 7");
    assert_eq!(sexton, run.pid, "the shell has become sexton");
    run.send(libc::SIGINT);
    assert_eq!(run.recorded().signal, libc::SIGINT);
    assert_eq!(run.status(), Status::Exited(7));

    // The shell waits for sexton's end before it thinks of SIGINT, and tells nobody.
    let (mut run, sexton) = step(&folder, without, "15 7");
    let syscall = || std::fs::read_to_string(format!("/proc/{}/syscall", run.pid)).unwrap_or_default();
    wait_until("the shell waits", || syscall().split(' ').next() == Some(&libc::SYS_wait4.to_string()));
    run.send(libc::SIGINT);
    wait_until("the shell has it", || run.proc_status("ShdPnd") == "0".repeat(16));
    harness::kill(sexton, libc::SIGUSR1);
    assert_eq!(run.recorded().signal, libc::SIGUSR1, "nobody has sent the command a SIGINT");
    // Of SIGTERM the shell dies, and only then sexton acts, by -p.
    run.send(libc::SIGTERM);
    assert_eq!(run.status(), Status::Killed(libc::SIGTERM));
    assert_eq!(run.recorded().signal, libc::SIGTERM);
    wait_until("the job is gone", || harness::proc_status(sexton, "State").is_none_or(|state| state.starts_with('Z')));
}
