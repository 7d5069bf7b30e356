//! Whoever looks at sexton's exit status sees the command's.

mod harness;

use harness::{BOTH, Place, Sexton, Status};

#[test]
fn every_exit_status_of_the_command_is_sextons() {
    for place in BOTH {
        for status in 0..=255 {
            let (seen, _, stderr) = Sexton::new(place).probe(["exit", &status.to_string()]).finish();
            assert_eq!(seen, Status::Exited(status), "{place:?}");
            assert_eq!(stderr, "", "{place:?}: nothing is said when all is well");
        }
    }
}

#[test]
fn every_deadly_signal_becomes_128_plus_its_number() {
    // Not those whose default is to ignore (SIGCHLD, SIGCONT, SIGURG, SIGWINCH) or to stop.
    let deadly = (1..=64).filter(|signal| ![17, 18, 19, 20, 21, 22, 23, 28].contains(signal));
    for signal in deadly {
        for place in BOTH {
            let (seen, _, _) = Sexton::new(place).probe(["die", &signal.to_string()]).finish();
            assert_eq!(seen, Status::Exited(128 + signal), "{place:?}, signal {signal}");
        }
    }
}

#[test]
fn an_expected_exit_status_becomes_0_and_no_other_does() {
    for place in BOTH {
        let with = |options: &[&str], word: &str, number: &str| {
            Sexton::new(place).options(options).probe([word, number]).finish().0
        };
        assert_eq!(with(&["-e", "7"], "exit", "7"), Status::Exited(0));
        assert_eq!(with(&["-e", "7", "--expect-exit=9"], "exit", "9"), Status::Exited(0));
        assert_eq!(with(&["-e", "7"], "exit", "8"), Status::Exited(8));
        assert_eq!(with(&["-e", "143"], "die", "15"), Status::Exited(0));
        let by_variable = Sexton::new(place).env("SEXTON_EXPECT_EXIT", "7,8").probe(["exit", "8"]).finish().0;
        assert_eq!(by_variable, Status::Exited(0));
    }
}

/// Whoever sent the signal; and tini's option is the same.
#[test]
fn of_an_end_that_was_declared_good_nothing_is_said_but_with_v() {
    for place in BOTH {
        for dialect in [&[][..], &["--dialect", "tini"]] {
            let sexton = |options: &[&str]| Sexton::new(place).options(dialect).options(options);
            for (options, word, number) in [
                (&["-e", "143"][..], "die", "15"),
                (&["-e", "143", "-e", "139"], "die", "11"),
                (&["-e", "137"], "die", "9"),
                (&["-e", "7"], "exit", "7"),
            ] {
                let (status, _, stderr) = sexton(options).setup(["core=0"]).probe([word, number]).finish();
                assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?} {options:?}");
            }
            let mut run = sexton(&["-e", "143"]).shell("echo ready; exec sleep 1000");
            run.wait_for_line("ready");
            harness::kill(run.command_pid(), libc::SIGTERM);
            let (status, _, stderr) = run.finish();
            assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}: from somebody else");

            let (_, _, stderr) = sexton(&["-v", "-e", "143"]).probe(["die", "15"]).finish();
            assert!(stderr.contains(" was killed by SIGTERM after "), "{place:?}: {stderr}");
            let (status, _, stderr) = sexton(&["-e", "143"]).probe(["die", "1"]).finish();
            assert_eq!(status, Status::Exited(129), "{place:?}");
            assert!(stderr.contains(" was killed by SIGHUP"), "{place:?}: {stderr}");
        }
    }
}

/// sexton had to act, and the stop took as long as it may.
#[test]
fn that_the_grace_period_was_used_up_is_told_though_sigkill_was_declared_good() {
    for place in BOTH {
        let options = ["-e", "137", "--grace-period", "100ms"];
        let mut run = Sexton::new(place).options(options).probe(["ignore", "15"]);
        run.wait_for_line("ready");
        run.send(libc::SIGTERM);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(0), "{place:?}");
        assert!(stderr.contains(" did not stop within 100ms of SIGTERM"), "{place:?}: {stderr}");
        assert_eq!(stderr.matches('\n').count(), 1, "{place:?}: {stderr}");
    }
}

#[test]
fn with_reraise_the_parent_sees_the_signal_itself() {
    for signal in [1, 2, 6, 9, 11, 15] {
        let run = Sexton::new(Place::Ordinary).options(["--reraise"]).probe(["die", &signal.to_string()]);
        assert_eq!(run.finish().0, Status::Killed(signal));
    }
    let run = Sexton::new(Place::Ordinary).options(["--reraise"]).probe(["exit", "3"]);
    assert_eq!(run.finish().0, Status::Exited(3));
}

#[test]
fn with_reraise_what_cannot_be_raised_still_becomes_128_plus_its_number() {
    let run = Sexton::new(Place::Init).options(["--reraise"]).probe(["die", "15"]);
    assert_eq!(run.finish().0, Status::Exited(143), "the kernel protects PID 1 from its own signals");
    let run = Sexton::new(Place::Ordinary).options(["--reraise"]).probe(["die", "40"]);
    assert_eq!(run.finish().0, Status::Exited(168));
}
