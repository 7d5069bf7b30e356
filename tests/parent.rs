//! `-p`: the death of the parent, and what is none.

mod harness;

use std::process::Stdio;

use harness::{BOTH, Place, Sexton, Status, probe_binary, sexton_binary};

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

#[test]
fn a_parent_that_died_before_sexton_started_counts_too() {
    let words =
        [sexton_binary().into_os_string(), "-p".into(), "HUP".into(), "--".into(), probe_binary().into_os_string()];
    let options = ["orphaned".into()].into_iter().chain(words).chain(["record".into(), "1".into(), "7".into()]);
    // All is blocked from the start, so that the recorder finds the signal even if it comes first.
    let mut run =
        Sexton::new(Place::Ordinary).setup(["mask=ffffffffffffffff"]).binary(probe_binary()).options(options).bare();
    run.wait_for_line("ready");
    assert_eq!(run.recorded().signal, 1);
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
