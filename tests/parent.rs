//! `-p`: the death of the parent, and what is none.

mod harness;

use std::ffi::OsString;
use std::process::Stdio;

use harness::{BOTH, Place, Running, Sexton, Status, needs, probe_binary, sexton_binary};

#[test]
fn the_death_of_the_parent_arrives_as_the_signal_asked_for() {
    let (sexton, probe) = (sexton_binary(), probe_binary());
    let script = format!("{} -p TERM --pre-stop-sleep 1ms -- {} record 15 7 & wait", sexton.display(), probe.display());
    // The shell stands where sexton stands in the other tests: it is sexton's parent.
    let mut run = Sexton::new(Place::Ordinary).binary("/bin/sh").options(["-c", &script]).bare();
    run.wait_for_line("ready");
    run.send(libc::SIGKILL);
    assert_eq!(run.recorded().signal, 15);
}

/// The next parent, which adopted sexton, may die as well; and the kernel may have no room to note
/// who the signal is from.
#[test]
fn the_death_of_a_parent_is_told_once_and_never_as_another_signal() {
    for limit in ["", "ulimit -i 0; "] {
        let (sexton, probe) = (sexton_binary(), probe_binary());
        let (sexton, probe) = (sexton.display(), probe.display());
        let inner = format!("{limit}{sexton} -p TERM -- {probe} record 10 7 & echo shell $$; read x; wait");
        let mut run = Sexton::new(Place::Ordinary).command(["bash", "-c", &inner]);
        let mut shell = None;
        let mut recorder = None;
        while shell.is_none() || recorder.is_none() {
            let line = run.line();
            shell = line.strip_prefix("shell ").map(|pid| pid.parse().unwrap()).or(shell);
            recorder = line.strip_prefix("ready ").map(|pid| pid.parse().unwrap()).or(recorder);
        }
        // The shell's death makes the outer sexton the inner one's parent, and then it exits too.
        harness::kill(shell.unwrap(), libc::SIGKILL);
        assert_eq!(run.recorded().signal, 15, "{limit}");
        assert_eq!(run.status(), Status::Exited(137));
        harness::kill(recorder.unwrap(), 10);
        assert_eq!(run.recorded().signal, 10, "{limit}");
    }
}

/// A sexton with these options in front of a recorder, which USR1 ends with 7, as the words of a command.
fn recorder(options: &[&str]) -> Vec<OsString> {
    let words = options.iter().map(OsString::from).chain(["--".into(), probe_binary().into_os_string()]);
    let words = [sexton_binary().into_os_string()].into_iter().chain(words);
    words.chain(["record", "10", "7"].map(OsString::from)).collect()
}

/// The same behind a word of the probe's. All signals are blocked from the start, so that the recorder finds
/// one even if it comes first.
fn behind(place: Place, setup: &[&str], word: &str, options: &[&str]) -> Running {
    let words = [OsString::from(word)].into_iter().chain(recorder(options));
    let setup = ["mask=ffffffffffffffff"].iter().chain(setup).copied();
    Sexton::new(place).setup(setup).binary(probe_binary()).options(words).bare()
}

/// The recorder's pid, as the test sees it, once it runs.
fn recorder_of(run: &mut Running) -> i32 {
    run.wait_for_line("ready");
    let is_recorder = |pid: &i32| harness::children(*pid).is_empty();
    *harness::descendants(run.pid).iter().find(|pid| is_recorder(pid)).expect("a recorder")
}

/// That no signal came before USR1, which is sent to the recorder's sexton.
#[track_caller]
fn assert_not_told(mut run: Running, what: &str) {
    let recorder = recorder_of(&mut run);
    let sexton: i32 = harness::proc_status(recorder, "PPid").unwrap().parse().unwrap();
    harness::wait_until("sexton waits", || harness::is_waiting(sexton));
    harness::kill(sexton, libc::SIGUSR1);
    assert_eq!(run.recorded().signal, libc::SIGUSR1, "{what}");
    assert_eq!(run.status(), Status::Exited(7), "{what}");
}

/// The adopter is PID 1, of this machine and of a namespace.
#[test]
fn a_parent_that_died_before_sexton_started_counts_too() {
    for setup in [&[][..], &["beside-init"]] {
        let mut run = behind(Place::Ordinary, setup, "orphaned", &["-p", "HUP"]);
        let ready = run.wait_for_line("ready");
        if setup.is_empty() {
            let recorder: i32 = ready.strip_prefix("ready ").unwrap().parse().unwrap();
            let sexton = harness::proc_status(recorder, "PPid").unwrap().parse().unwrap();
            run.ends_too([sexton, recorder]);
        }
        assert_eq!(run.recorded().signal, libc::SIGHUP, "{setup:?}");
    }
}

/// Not PID 1, but in a session of its own that is older than ours.
#[test]
fn a_parent_that_died_before_sexton_started_counts_where_another_one_adopted_sexton() {
    for place in BOTH {
        let mut run = behind(place, &[], "adopts", &["-p", "HUP"]);
        run.wait_for_line("ready");
        assert_eq!(run.recorded().signal, libc::SIGHUP, "{place:?}");
    }
}

/// setsid(2) between its fork and sexton's start: it is another session's by then, and lives.
#[test]
fn a_parent_that_left_the_session_is_not_taken_for_dead() {
    for (place, setup) in [(Place::Ordinary, &[][..]), (Place::Ordinary, &["beside-init"]), (Place::Init, &[])] {
        for options in [&["-p", "TERM"][..], &["-p", "KILL"], &["-p", "TERM", "--pre-stop-sleep", "1ms"]] {
            let run = behind(place, setup, "leaves-session", options);
            assert_not_told(run, &format!("{place:?} {setup:?} {options:?}"));
        }
    }
}

/// And when it dies it is told all the same.
#[test]
fn the_death_of_a_parent_that_left_the_session_is_told() {
    for setup in [&[][..], &["beside-init"]] {
        let mut run = behind(Place::Ordinary, setup, "leaves-session", &["-p", "TERM"]);
        run.wait_for_line("ready");
        run.ends_all_below();
        run.send(libc::SIGKILL);
        assert_eq!(run.recorded().signal, libc::SIGTERM, "{setup:?}");
    }
}

/// Without room in the queue (`ulimit -i 0`) the kernel notes no sender of a real-time signal, and PID 1's
/// parent is nobody that can be looked at.
#[test]
fn a_signal_32_without_a_name_is_not_taken_for_the_death_of_the_parent() {
    let script = "trap : VTALRM; for i in 1 2 3; do kill -32 $PPID; kill -VTALRM $PPID; done; exit 4";
    for place in BOTH {
        for setup in [&[][..], &["sigpending=0"]] {
            for signal in ["TERM", "KILL", "RTMIN+3"] {
                let run = Sexton::new(place).setup(setup.iter().copied()).options(["-p", signal, "-v"]);
                let (status, _, stderr) = run.shell(script).finish();
                assert_eq!(status, Status::Exited(4), "{place:?} {setup:?} {signal}: {stderr}");
                assert!(!stderr.contains("shutdown begins"), "{place:?} {setup:?} {signal}: {stderr}");
            }
        }
    }
}

/// A parent outside the PID namespace: unshare(1) of PID 1, nsenter(1) of another process there. The death comes
/// with and without room for the kernel to note it.
#[test]
fn the_death_of_a_parent_outside_the_namespace_arrives_as_the_signal_asked_for() {
    needs!(Root);
    for limit in ["", "ulimit -i 0; "] {
        for (signal, number) in [("TERM", 15), ("HUP", 1), ("RTMIN+3", 37)] {
            let recorder = recorder(&["-p", signal]);
            let recorder: Vec<_> = recorder.iter().map(|word| word.to_str().unwrap()).collect();
            let script = format!("{limit}exec unshare -fp --mount-proc {}", recorder.join(" "));
            let mut run = Sexton::new(Place::Ordinary).binary("/bin/bash").options(["-c", &script]).bare();
            run.wait_for_line("ready");
            run.ends_all_below();
            run.send(libc::SIGKILL);
            assert_eq!(run.recorded().signal, number, "as PID 1: {limit}{signal}");

            let namespace = Sexton::new(Place::Init).probe(["record", "10", "0"]);
            let enter = format!("nsenter -t {} -p -m -- {}", namespace.pid, recorder.join(" "));
            let mut run = Sexton::new(Place::Ordinary)
                .binary("/bin/bash")
                .options(["-c", &format!("{limit}exec {enter}")])
                .bare();
            run.wait_for_line("ready");
            run.ends_all_below();
            run.send(libc::SIGKILL);
            assert_eq!(run.recorded().signal, number, "as another one: {limit}{signal}");
        }
    }
}

/// The kernel can only send sexton itself SIGKILL, and the command would go on without it.
#[test]
fn the_death_of_a_parent_outside_the_namespace_may_stand_for_sigkill() {
    needs!(Root);
    let namespace = Sexton::new(Place::Init).probe(["record", "10", "0"]);
    let recorder = recorder(&["-p", "KILL"]);
    let recorder: Vec<_> = recorder.iter().map(|word| word.to_str().unwrap()).collect();
    let namespaces = ["unshare -fp --mount-proc".to_owned(), format!("nsenter -t {} -p -m --", namespace.pid)];
    for enter in namespaces {
        let script = format!("exec {enter} {}", recorder.join(" "));
        let mut run = Sexton::new(Place::Ordinary).binary("/bin/bash").options(["-c", &script]).bare();
        let command = recorder_of(&mut run);
        run.send(libc::SIGKILL);
        harness::wait_until("the command is dead", || {
            harness::proc_status(command, "State").is_none_or(|state| state.starts_with('Z'))
        });
    }
}

#[test]
fn while_the_parent_lives_the_parent_death_signal_does_not_come() {
    for place in BOTH {
        let mut run =
            Sexton::new(place).setup(["mask=ffffffffffffffff"]).options(["-p", "HUP"]).probe(["record", "15", "7"]);
        run.line();
        run.send(15);
        assert_eq!(run.recorded().signal, 15, "{place:?}");
        assert_eq!(run.status(), Status::Exited(7));
    }
}

/// The kernel sends the parent-death signal when the thread ends that started us (prctl(2)).
#[test]
fn the_end_of_a_mere_thread_of_the_parent_does_not_count() {
    use std::io::{BufRead, BufReader};
    let spawn = || {
        harness::command(sexton_binary())
            .args(["-p", "TERM", "--"])
            .arg(probe_binary())
            .args(["record", "15", "7"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut child = std::thread::spawn(spawn).join().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("ready"), "{line}");
    for signal in [libc::SIGUSR1, libc::SIGTERM] {
        harness::kill(child.id() as i32, signal);
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("signal {signal} ")), "{line}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(7));
}
