//! The world learns that the shutdown has begun: by PID 1's name, by a file, by signals in turn.

mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use harness::{BOTH, Folder, Place, Running, Sexton, Status, now, wait_until};

fn name_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// A command that records what comes, until SIGTERM or the signal given ends it with status 7.
fn recorder(place: Place, options: &[&str], last: &str) -> Running {
    let mut run = Sexton::new(place).options(options).probe(["record", last, "7"]);
    run.line();
    run
}

#[test]
fn the_name_of_pid_1_tells_how_far_the_shutdown_is() {
    let mut run = recorder(Place::Init, &["--pre-stop-sleep", "1h"], "10");
    let before = name_of(run.pid);
    assert!(before.starts_with("sexton") && !before.contains(':'), "{before}");
    run.send(libc::SIGHUP);
    assert_eq!(run.recorded().signal, libc::SIGHUP);
    assert_eq!(name_of(run.pid), before, "a signal that is no stop signal changes nothing");
    run.send(15);
    wait_until("the drain is seen", || name_of(run.pid) == "sexton: drain");
    // One with a value is no echo of the first.
    run.queue(15, 1);
    assert_eq!(run.recorded().signal, 15);
    wait_until("the stop is seen", || name_of(run.pid) == "sexton: stop");
    run.send(10);
    assert_eq!(run.recorded().signal, 10);
    assert_eq!(run.status(), Status::Exited(7));
}

#[test]
fn without_a_sleep_the_name_tells_that_the_command_was_told() {
    let mut run = recorder(Place::Init, &[], "10");
    run.send(15);
    assert_eq!(run.recorded().signal, 15);
    assert_eq!(name_of(run.pid), "sexton: stop");
}

#[test]
fn the_command_cannot_change_the_name_of_pid_1() {
    let script = "{ echo other >/proc/1/comm; } 2>/dev/null && echo done || echo refused; read line </proc/1/comm; \
                  echo \"$line\"; exec sleep 600";
    let mut run = Sexton::new(Place::Init).shell(script);
    assert_eq!(run.line(), "refused");
    assert_eq!(run.line(), "sexton");
}

#[test]
fn an_ordinary_process_keeps_its_name() {
    let mut run = recorder(Place::Ordinary, &["--pre-stop-sleep", "50ms"], "10");
    let before = name_of(run.pid);
    run.send(15);
    assert_eq!(run.recorded().signal, 15);
    assert_eq!(name_of(run.pid), before);
}

#[test]
fn orphans_that_are_stopped_after_the_commands_own_exit_are_a_shutdown_too() {
    let folder = Folder::new();
    let file = folder.path("drain");
    for place in BOTH {
        let mut run = Sexton::new(place)
            .options(["--orphans", "stop", "--drain-file", &file])
            .shell("trap 'kill -STOP $$' TERM; (trap 'echo told; while test -e /; do sleep 0.05; done' TERM; echo ready; while :; do sleep 0.05; done) & read x; exit 3");
        assert_eq!(run.line(), "ready");
        assert!(!Path::new(&file).exists());
        drop(run.stdin.take());
        assert_eq!(run.line(), "told");
        assert!(Path::new(&file).exists(), "{place:?}");
        if place == Place::Init {
            assert_eq!(name_of(run.pid), "sexton: stop");
        }
    }
}

#[test]
fn the_drain_file_is_there_from_the_stop_signal_on_and_gone_after_a_restart() {
    for place in BOTH {
        let folder = Folder::new();
        let file = folder.path("drain");
        for _ in 0..2 {
            let mut run = recorder(place, &["--pre-stop-sleep", "1h", "--drain-file", &file], "10");
            assert!(!Path::new(&file).exists(), "{place:?}: it is removed at the start");
            run.send(15);
            wait_until("the file is there", || Path::new(&file).exists());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
            run.send(10);
            assert_eq!(run.recorded().signal, 10);
            let (status, _, stderr) = run.finish();
            assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""));
            assert!(Path::new(&file).exists());
        }
    }
}

#[test]
fn a_drain_file_that_cannot_be_made_is_one_warning_and_the_shutdown_goes_on() {
    for place in BOTH {
        let folder = Folder::new();
        symlink(folder.path("elsewhere"), folder.path("link")).unwrap();
        let cases = [
            (folder.path("no/such/folder"), "No such file or directory", 1),
            // What the command put there: it is removed at the start, so it is no link by then.
            ("/proc/drain".to_owned(), "No such file or directory", 1),
            (folder.path(""), "Is a directory", 2),
        ];
        for (file, why, warnings) in cases {
            let mut run = recorder(place, &["--drain-file", &file], "15");
            run.send(15);
            assert_eq!(run.recorded().signal, 15);
            let (status, _, stderr) = run.finish();
            assert_eq!(status, Status::Exited(7), "{file}");
            let last = stderr.lines().last().unwrap_or_default();
            assert!(
                last.starts_with(&format!("sexton: cannot make {file}, which says that")) && last.ends_with(why),
                "{stderr}"
            );
            assert_eq!(stderr.lines().count(), warnings, "{stderr}");
        }
        assert!(!Path::new(&folder.path("elsewhere")).exists());
    }
}

/// The folder may be one that the command can write to.
#[test]
fn a_drain_file_follows_no_link_that_the_command_put_there() {
    for place in BOTH {
        let folder = Folder::new();
        let (file, victim) = (folder.path("drain"), folder.path("victim"));
        let script = format!("ln -s {victim} {file}; echo ready; exec sleep 600");
        let mut run = Sexton::new(place).options(["--drain-file", &file]).shell(&script);
        assert_eq!(run.line(), "ready");
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(128 + 15));
        assert!(stderr.contains(&format!("cannot make {file}")), "{stderr}");
        assert!(!Path::new(&victim).exists());
    }
}

#[test]
fn the_command_gets_its_own_signal_then_the_sleep_then_the_stop_signal() {
    for place in BOTH {
        for (options, rewritten) in [(&[][..], 15), (&["-r", "TERM:QUIT", "-r", "USR2:HUP"], libc::SIGQUIT)] {
            let times = ["--pre-stop-signal", "USR2", "--pre-stop-sleep", "300ms", "-v"];
            let mut run =
                Sexton::new(place).options(times).options(options).probe(["record", &rewritten.to_string(), "7"]);
            run.line();
            let sent = now();
            run.send(15);
            // As it is: it goes through no rewrite.
            let first = run.recorded();
            assert_eq!(first.signal, libc::SIGUSR2);
            assert!(first.at - sent < Duration::from_millis(250), "{:?}", first.at - sent);
            let second = run.recorded();
            assert_eq!(second.signal, rewritten);
            assert!(second.at - sent >= Duration::from_millis(300));
            let (status, _, stderr) = run.finish();
            assert_eq!(status, Status::Exited(7));
            assert!(stderr.contains("sent SIGUSR2 to ") && stderr.contains("before the pre-stop sleep"), "{stderr}");
        }
    }
}

#[test]
fn with_group_the_pre_stop_signal_and_the_escalation_reach_the_whole_group() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .options(["-g", "--pre-stop-signal", "USR1", "--pre-stop-sleep", "100ms", "--escalate", "100ms:USR2"])
            .shell("trap '' TERM; trap : USR1 USR2; (trap 'echo child 10' USR1; trap 'echo child 12; exit' USR2; echo ready; while :; do sleep 0.02; done) & while kill -0 $! 2>/dev/null; do wait $!; done; exit 6");
        assert_eq!(run.line(), "ready");
        run.send(15);
        assert_eq!(run.line(), "child 10");
        assert_eq!(run.line(), "child 12");
        assert_eq!(run.status(), Status::Exited(6), "{place:?}");
    }
}

/// It was to drain, and is gone instead: whoever wonders at lost requests has to be told.
#[test]
fn a_command_that_ends_by_the_pre_stop_signal_did_not_stop_well_and_is_told_what_it_needs() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .options(["--pre-stop-signal", "USR2", "--pre-stop-sleep", "1h", "--ok-after-stop"])
            .shell("echo ready; exec sleep 600");
        assert_eq!(run.line(), "ready");
        wait_until("the exec", || name_of(run.command_pid()) == "sleep");
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(128 + libc::SIGUSR2));
        let told =
            "was killed by SIGUSR2; sexton sent it one (--pre-stop-signal), for which it needs a handler; it ran for ";
        assert!(stderr.contains(told) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn signals_come_in_turn_each_so_long_after_the_stop_signal_was_forwarded() {
    for place in BOTH {
        let options = ["--pre-stop-sleep", "200ms", "--escalate", "300ms:INT", "--escalate", "600ms:QUIT", "-v"];
        let mut run = recorder(place, &options, "3");
        run.send(15);
        let stop = run.recorded();
        assert_eq!(stop.signal, 15);
        for (signal, after) in [(libc::SIGINT, 300), (libc::SIGQUIT, 600)] {
            let seen = run.recorded();
            assert_eq!(seen.signal, signal);
            let waited = seen.at - stop.at;
            // The line that told of the stop signal was written a moment later.
            assert!(waited >= Duration::from_millis(after - 50) && waited < Duration::from_secs(3), "{waited:?}");
        }
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(7));
        let line = stderr.lines().find(|line| line.contains("sent SIGINT to ")).expect(&stderr);
        let (_, told) = line.split_once("which still runs ").expect(&stderr);
        let (told, _) = told.split_once(" after the stop signal").expect(&stderr);
        // It is measured from the moment at which the stop signal had been sent. A second and more is told without ms.
        assert!(told.strip_suffix("ms").is_none_or(|told| told.parse::<u32>().unwrap() >= 250), "{stderr}");
    }
}

/// PostgreSQL's smart, fast and immediate shutdown, with its variable.
#[test]
fn an_end_by_a_step_of_the_escalation_is_what_was_asked_for() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .env("SEXTON_ESCALATE", "100ms:USR1, 10s:QUIT")
            .options(["--grace-period", "30s"])
            .shell("trap '' TERM; echo ready; exec sleep 600");
        assert_eq!(run.line(), "ready");
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(128 + libc::SIGUSR1), ""), "{place:?}");

        let options = ["--ok-after-stop", "--escalate", "100ms:USR1", "--grace-period", "30s"];
        let mut run = Sexton::new(place).options(options).shell("trap '' TERM; echo ready; exec sleep 600");
        assert_eq!(run.line(), "ready");
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}: a step is a stop signal too");
    }
}

/// A stop signal that a rewrite drops begins the shutdown all the same.
#[test]
fn a_dropped_stop_signal_is_not_said_to_have_reached_the_command() {
    for place in BOTH {
        let options = ["-r", "TERM:none", "--grace-period", "100ms"];
        let mut run = Sexton::new(place).options(options).probe(["record", "15", "0"]);
        run.line();
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(137), "{place:?}");
        let told =
            "did not stop within 100ms of SIGTERM, which --rewrite drops: nothing told it to stop; killed with SIGKILL";
        assert!(stderr.contains(told), "{place:?}: {stderr}");
    }
}

#[test]
fn orphans_that_are_waited_for_get_the_escalation_too() {
    for place in BOTH {
        let mut run = Sexton::new(place)
            .options(["--orphans", "wait", "--escalate", "100ms:USR1"])
            .shell("(trap '' TERM; trap 'echo told; exit' USR1; while kill -0 $$ 2>/dev/null; do sleep 0.02; done; echo ready; while :; do sleep 0.02; done) & exit 4");
        assert_eq!(run.line(), "ready");
        run.send(15);
        assert_eq!(run.line(), "told");
        assert_eq!(run.status(), Status::Exited(4), "{place:?}");
    }
}

#[test]
fn wrong_usage_is_one_sentence_and_starts_nothing() {
    for (options, sentence) in [
        (&["--pre-stop-signal", "USR2"][..], "--pre-stop-signal needs --pre-stop-sleep"),
        (
            &["--pre-stop-sleep", "1s", "--pre-stop-signal", "TERM"],
            "SIGTERM is what the command is sent at the end of the sleep",
        ),
        (
            &["--pre-stop-sleep", "1s", "-r", "TERM:INT", "--pre-stop-signal", "INT"],
            "SIGINT is what the command is sent",
        ),
        (&["--pre-stop-sleep", "1s", "--pre-stop-signal", "KILL"], "no process ever receives SIGKILL"),
        (&["--drain-file", "drain"], "\"drain\" is no absolute path; write it like /tmp/drain"),
        (&["--escalate", "10s"], "\"10s\" is no step; write it DURATION:SIGNAL, like 10s:INT"),
        (&["--escalate", "INT:10s"], "\"INT\" is no duration"),
        (&["--escalate", "10s:NOPE"], "is no signal"),
        (&["--escalate", "0:INT"], "comes with the stop signal"),
        (&["--escalate", "10s:KILL"], "SIGKILL is what --grace-period sends; set that"),
        (&["--escalate", "10s:STOP"], "a command that is stopped does not end"),
        (&["--escalate", "10s:INT", "--escalate", "10s:QUIT"], "does not come later than the one before it"),
        (
            &["--escalate", "10s:INT", "--grace-period", "10s"],
            "--escalate: 10s:SIGINT comes too late: --grace-period (10s) ends 10s after",
        ),
        (
            &["--escalate", "6s:INT", "--pre-stop-sleep", "4s", "--grace-period", "10s"],
            "ends 6s after the stop signal is forwarded",
        ),
    ] {
        let (status, stdout, stderr) = Sexton::new(Place::Ordinary).options(options).shell("echo started").finish();
        assert_eq!((status, stdout.as_str()), (Status::Exited(125), ""), "{options:?}");
        assert!(stderr.contains(sentence) && stderr.lines().count() == 1, "{options:?}: {stderr}");
    }
}
