//! sexton is never stopped, blocked or killed by its own log.

mod harness;

use harness::{BOTH, Sexton, Status, full_pipe};

#[test]
fn with_stderr_stuck_signals_are_forwarded_and_the_exit_status_arrives() {
    for place in BOTH {
        let (_reader, writer) = full_pipe();
        let mut run = Sexton::new(place).options(["-vvv"]).stderr(writer).probe(["record", "15", "7"]);
        run.line();
        for signal in [libc::SIGUSR1, libc::SIGHUP, 15] {
            run.send(signal);
            assert_eq!(run.recorded().signal, signal, "{place:?}");
        }
        assert_eq!(run.status(), Status::Exited(7));
    }
}

#[test]
fn lines_that_found_no_room_are_counted_and_the_count_is_told() {
    for place in BOTH {
        let (reader, writer) = full_pipe();
        let mut run = Sexton::new(place).options(["-vv"]).stderr(writer).probe(["record", "15", "0"]);
        run.line();
        run.send(libc::SIGUSR1);
        run.recorded();
        // "started", "received" and "forwarded" found no room.
        harness::wait_until("sexton waits again", || harness::is_waiting(run.pid));
        let mut emptied = vec![0; 1 << 20];
        let mut reader = std::fs::File::from(reader);
        std::io::Read::read(&mut reader, &mut emptied).unwrap();
        run.send(libc::SIGTERM);
        run.recorded();
        assert_eq!(run.status(), Status::Exited(0));
        drop(run);
        let text = std::io::read_to_string(reader).unwrap();
        let first = text.trim_start_matches('.').lines().next().unwrap();
        assert_eq!(first, "sexton: 3 lines dropped, which stderr did not take", "{place:?}: {text}");
        assert!(text.contains("sexton: received SIGTERM"), "{text}");
        assert_eq!(text.matches("dropped").count(), 1, "they are told once: {text}");
    }
}

#[test]
fn with_stderr_closed_signals_are_forwarded() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(["-vvv"]).setup(["close=2"]).probe(["record", "15", "7"]);
        run.line();
        run.send(libc::SIGHUP);
        assert_eq!(run.recorded().signal, 1, "{place:?}");
        run.send(15);
        assert_eq!(run.recorded().signal, 15, "{place:?}");
        assert_eq!(run.status(), Status::Exited(7));
    }
}

#[test]
fn a_full_disk_under_stderr_does_not_matter() {
    for place in BOTH {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut run = Sexton::new(place).options(["-vvv"]).stderr(full).probe(["record", "15", "7"]);
        run.line();
        run.send(15);
        assert_eq!((run.recorded().signal, run.status()), (15, Status::Exited(7)), "{place:?}");
    }
}

#[test]
fn silence_when_all_is_well_and_the_story_with_v() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["record", "15", "0"]);
        run.line();
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");

        let mut run = Sexton::new(place).options(["-v"]).probe(["record", "15", "0"]);
        run.line();
        run.send(15);
        let (_, _, stderr) = run.finish();
        let told: Vec<&str> = stderr.lines().collect();
        for (line, part) in told.iter().zip([
            "started ",
            "shutdown begins: SIGTERM from ",
            "forwarded SIGTERM to ",
            "exited with status 0",
        ]) {
            assert!(line.starts_with("sexton: ") && line.contains(part), "{place:?}: {line} has no {part:?}");
        }
        assert_eq!(told.len(), 4, "{stderr}");
    }
}
