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
