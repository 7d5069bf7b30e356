//! A sexton behind a sexton, as the engine's init in front of the image's own: one stop is one sleep and
//! one grace period.

mod harness;

use std::path::Path;
use std::time::Duration;

use harness::{BOTH, Folder, Place, Running, Sexton, Status, needs, now, probe_binary, sexton_binary};

/// So long each sexton is to sleep: long enough for a second sleep to be told from a busy machine.
const SLEEP: Duration = Duration::from_secs(2);

/// Both places at once: most of a test is waiting.
fn in_both(test: impl Fn(Place) + Sync) {
    std::thread::scope(|scope| {
        for place in BOTH {
            let test = &test;
            scope.spawn(move || test(place));
        }
    });
}

/// A sexton whose settings are variables, as `docker run --init --env` gives them.
fn outer(place: Place, variables: &[(&str, &str)]) -> Sexton {
    variables.iter().fold(Sexton::new(place), |sexton, (name, value)| sexton.env(name, value))
}

/// Another one with these options in front of this command, as the words of a command.
fn inner(options: &[&str], command: &[String]) -> Vec<String> {
    let binary = sexton_binary();
    let own = [binary.to_str().unwrap()].into_iter().chain(options.iter().copied()).chain(["--"]);
    own.map(str::to_owned).chain(command.iter().cloned()).collect()
}

/// The tests' own command with these words.
fn probe(words: &[&str]) -> Vec<String> {
    [probe_binary().to_str().unwrap()].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

/// An inner one whose command is a recorder, which SIGTERM ends with 7.
fn recorder(options: &[&str]) -> Vec<String> {
    inner(options, &probe(&["record", "15", "7"]))
}

/// A shell script that forwards SIGTERM to this command, and says `shell` before the command says anything.
fn forwarding(command: &[String]) -> String {
    // What the command says has to wait for the shell, which knows its job by then.
    let job = format!("(read go; exec {}) <$fifo", command.join(" "));
    format!(
        "fifo=$(mktemp -u); mkfifo $fifo; trap 'kill -TERM $job' TERM; {job} & job=$!; echo shell; echo go >$fifo; \
         rm $fifo; wait; wait $job"
    )
}

/// Waits until the recorder runs and every sexton in front of it waits.
#[track_caller]
fn wait_for_all(run: &mut Running) {
    run.wait_for_line("ready");
    wait_for_sextons(run);
}

#[track_caller]
fn wait_for_sextons(run: &Running) {
    let sextons = || {
        let all = [run.pid].into_iter().chain(harness::descendants(run.pid));
        all.filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|file| file == sexton_binary()))
    };
    harness::wait_until("all wait", || sextons().all(harness::is_waiting));
}

/// Sends SIGTERM to the outer one. Returns how long it took the recorder to see it.
#[track_caller]
fn stopped_after(run: &mut Running) -> Duration {
    wait_for_all(run);
    let sent = now();
    run.send(15);
    let seen = run.recorded();
    // Whatever the sextons tell each other, the command gets a plain signal.
    assert_eq!((seen.signal, seen.code, seen.value), (15, libc::SI_USER, 0));
    seen.at - sent
}

#[track_caller]
fn assert_slept(what: &str, times: u32, took: Duration) {
    assert!(took >= SLEEP * times && took < SLEEP * (times + 1), "{what}: {took:?}");
}

/// That one of them sent SIGKILL, and said so in one line. On a machine that is so busy that somebody is still there two
/// seconds after SIGKILL the outer one may lose its patience.
#[track_caller]
fn assert_one_kill(stderr: &str) {
    assert!(stderr.contains("killed with SIGKILL"), "{stderr}");
    assert!(stderr.lines().count() == 1 || stderr.contains("still there 2s after SIGKILL"), "{stderr}");
}

const TIMES: [(&str, &str); 2] = [("SEXTON_PRE_STOP_SLEEP", "2s"), ("SEXTON_GRACE_PERIOD", "30s")];

#[test]
fn one_stop_is_one_sleep() {
    in_both(|place| {
        let mut run = outer(place, &TIMES).command(recorder(&[]));
        assert_slept("two", 1, stopped_after(&mut run));
        let (status, _, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    });
}

#[test]
fn however_many_stand_in_a_row() {
    in_both(|place| {
        let mut run = outer(place, &TIMES).command(inner(&[], &recorder(&[])));
        assert_slept("three", 1, stopped_after(&mut run));
        assert_eq!(run.status(), Status::Exited(7));
    });
}

/// As with `ENTRYPOINT ["/entrypoint.sh"]`, whose last line executes the image's own.
#[test]
fn behind_an_entrypoint_that_becomes_a_sexton_too() {
    in_both(|place| {
        let script = format!("echo an entrypoint; exec {}", recorder(&[]).join(" "));
        let mut run = outer(place, &TIMES).shell(&script);
        assert_slept("exec", 1, stopped_after(&mut run));
    });
}

#[test]
fn with_group_and_in_every_dialect_too() {
    in_both(|place| {
        for dialect in ["tini", "dumb-init", "catatonit"] {
            let variables = [&TIMES[..], &[("SEXTON_GROUP", "1")]].concat();
            let command = recorder(&["--dialect", dialect]);
            let mut run = outer(place, &variables).options(["--dialect", dialect]).command(command);
            // A group is given a value since Linux 6.9.
            let times = if harness::linux() >= (6, 9) { 1 } else { 2 };
            assert_slept(dialect, times, stopped_after(&mut run));
        }
    });
}

/// Neither may read what the other one is, nor send it a signal without CAP_KILL.
#[test]
fn a_sexton_of_another_user_is_told_too() {
    needs!(Root);
    let folder = Folder::new();
    let (sexton, probe) = folder.programs();
    in_both(|place| {
        let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let recorder = [sexton.as_str(), "--", &probe, "record", "15", "7"];
        let mut run = outer(place, &TIMES).command(setpriv.iter().chain(&recorder));
        assert_slept("another user", 1, stopped_after(&mut run));
    });
}

/// One kills, and says so: the one that knows whom.
#[test]
fn one_stop_is_one_grace_period_and_one_line_that_names_who_did_not_stop() {
    in_both(|place| {
        let variables = [("SEXTON_PRE_STOP_SLEEP", "1500ms"), ("SEXTON_GRACE_PERIOD", "2500ms")];
        let mut run = outer(place, &variables).command(inner(&[], &probe(&["record", "10", "7"])));
        wait_for_all(&mut run);
        let sent = now();
        run.send(15);
        assert!(run.recorded().at - sent >= Duration::from_millis(1500), "{place:?}");
        let (status, _, stderr) = run.finish();
        let took = now() - sent;
        assert!(took >= Duration::from_millis(2500), "{place:?}: {took:?}");
        assert_eq!(status, Status::Exited(137), "{place:?}: {stderr}");
        assert_one_kill(&stderr);
        assert!(
            stderr.contains("probe (pid ") && stderr.contains("did not stop within 2s 500ms"),
            "{place:?}: {stderr}"
        );
    });
}

/// With a grace period alone both would kill at the same moment, and where sexton is not PID 1 the command of
/// an inner one that was killed first would live on.
#[test]
fn a_grace_period_alone_is_the_inner_ones_to_end() {
    in_both(|place| {
        let run = outer(place, &[("SEXTON_GRACE_PERIOD", "300ms")]).command(inner(&[], &probe(&["ignore", "15"])));
        harness::wait_until("the command ignores SIGTERM", || {
            let last = harness::descendants(run.pid).pop();
            let ignored = last.and_then(|pid| harness::proc_status(pid, "SigIgn"));
            ignored.is_some_and(|mask| u64::from_str_radix(&mask, 16).is_ok_and(|mask| mask & 1 << 14 != 0))
        });
        wait_for_sextons(&run);
        let command = harness::descendants(run.pid).pop().unwrap();
        run.send(15);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(137), "{place:?}: {stderr}");
        assert_one_kill(&stderr);
        assert!(stderr.contains("probe (pid "), "{place:?}: {stderr}");
        assert!(!Path::new(&format!("/proc/{command}")).exists(), "{place:?}: the command lives on");
    });
}

/// The outer one's SIGKILL ends an inner one that has more time, a second later.
#[test]
fn the_shorter_grace_period_counts() {
    in_both(|place| {
        for (outers, inners, time) in [("300ms", "1h", 1300), ("1h", "300ms", 300)] {
            let mut run = outer(place, &[])
                .options(["--grace-period", outers])
                .command(inner(&["--grace-period", inners], &probe(&["record", "10", "7"])));
            wait_for_all(&mut run);
            let sent = now();
            run.send(15);
            run.recorded();
            // Whoever sends SIGKILL, nobody is left to hold the output.
            let end = run.try_finish(harness::PATIENCE);
            let took = now() - sent;
            let (status, _, stderr) = end.unwrap_or_else(|| panic!("{place:?} {outers} {inners}: somebody is left"));
            assert_eq!(status, Status::Exited(137), "{place:?}: {stderr}");
            assert_one_kill(&stderr);
            assert!(took >= Duration::from_millis(time), "{place:?} {outers} {inners}: {took:?}");
        }
    });
}

/// One that has no grace period is killed as any command is, when its time is over.
#[test]
fn a_sexton_without_times_is_a_command_like_any_other() {
    in_both(|place| {
        let options = ["--pre-stop-sleep", "100ms", "--grace-period", "600ms"];
        let mut run = outer(place, &[]).options(options).command(inner(&[], &probe(&["record", "10", "7"])));
        wait_for_all(&mut run);
        let sent = now();
        run.send(15);
        run.recorded();
        assert_eq!(run.status(), Status::Exited(137));
        let took = now() - sent;
        assert!(took >= Duration::from_millis(600) && took < Duration::from_millis(1600), "{place:?}: {took:?}");
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(run.stderr.take().unwrap()), &mut said).unwrap();
        assert!(said.contains("sexton (pid ") && said.contains("did not stop within 600ms"), "{place:?}: {said}");
    });
}

/// Of two sleeps the longer one counts, from the moment at which the outer one got the signal, whoever was told by
/// an option and whoever by a variable.
#[test]
fn of_two_sleeps_the_longer_one_counts() {
    in_both(|place| {
        for (variable, option) in [("1500ms", "2s"), ("2s", "1500ms"), ("2s", "0s"), ("1ms", "2s")] {
            let mut run =
                outer(place, &[("SEXTON_PRE_STOP_SLEEP", variable)]).command(recorder(&["--pre-stop-sleep", option]));
            let took = stopped_after(&mut run);
            // One after the other they would be 3.5s.
            assert!(took >= SLEEP && took < Duration::from_millis(3400), "{place:?} {variable} {option}: {took:?}");
        }
    });
}

/// The inner one's grace period began with the outer one's sleep, which is longer than it.
#[test]
fn the_command_hears_of_the_stop_before_it_is_killed() {
    in_both(|place| {
        let mut run = outer(place, &[])
            .options(["--pre-stop-sleep", "2s"])
            .command(inner(&["--grace-period", "1500ms", "--pre-stop-sleep", "1s"], &probe(&["record", "10", "7"])));
        wait_for_all(&mut run);
        let sent = now();
        run.send(15);
        let told = run.recorded().at;
        assert!(told - sent >= SLEEP, "{place:?}");
        assert_eq!(run.status(), Status::Exited(137));
        // What its settings leave between the sleep and SIGKILL; a busy machine lets the command see the signal late.
        assert!(now() - sent >= Duration::from_millis(2_000 + 500), "{place:?}");
    });
}

/// The signals before the sleep and after the stop signal are sent once each, by one of the two.
#[test]
fn the_signals_around_the_stop_signal_come_once() {
    in_both(|place| {
        let variables = [
            ("SEXTON_PRE_STOP_SIGNAL", "USR1"),
            ("SEXTON_PRE_STOP_SLEEP", "500ms"),
            ("SEXTON_ESCALATE", "300ms:QUIT"),
            ("SEXTON_GRACE_PERIOD", "1500ms"),
        ];
        let mut run = outer(place, &variables).command(inner(&[], &probe(&["record", "10", "7"])));
        run.wait_for_line("ready");
        wait_for_sextons(&run);
        run.send(15);
        let (status, stdout, stderr) = run.finish();
        let seen: Vec<&str> = stdout.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        // The recorder ends at SIGUSR1, which comes first.
        assert_eq!((status, seen.as_slice()), (Status::Exited(7), &["10"][..]), "{place:?}: {stdout} {stderr}");

        let mut run = outer(place, &variables).command(inner(&[], &probe(&["record", "34", "7"])));
        wait_for_all(&mut run);
        run.send(15);
        let (status, stdout, stderr) = run.finish();
        let seen: Vec<&str> = stdout.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!((status, seen.as_slice()), (Status::Exited(137), &["10", "15", "3"][..]), "{place:?}: {stdout}");
        assert_one_kill(&stderr);
    });
}

#[test]
fn a_second_stop_signal_ends_the_sleep_of_all() {
    in_both(|place| {
        let variables = [("SEXTON_PRE_STOP_SLEEP", "1h"), ("SEXTON_STOP_SIGNALS", "TERM,INT")];
        for second in [libc::SIGINT, libc::SIGTERM] {
            let mut run = outer(place, &variables).options(["-v"]).command(recorder(&[]));
            wait_for_all(&mut run);
            run.send(15);
            let mut stderr = std::io::BufReader::new(run.stderr.take().unwrap());
            let mut line = String::new();
            while !line.contains("shutdown begins") {
                line.clear();
                std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
            }
            // The same one at once is no wish to end the sleep.
            std::thread::sleep(Duration::from_millis(150));
            run.send(second);
            let mut seen = run.recorded().signal;
            if seen == second && seen != 15 {
                seen = run.recorded().signal;
            }
            assert_eq!(seen, 15, "{place:?}");
            assert_eq!(run.status(), Status::Exited(7), "{place:?}");
        }
    });
}

/// It is the stop of the inner one alone, and nobody has slept for it.
#[test]
fn a_stop_signal_for_the_inner_one_alone_is_slept_for() {
    in_both(|place| {
        let mut run = outer(place, &TIMES).command(recorder(&[]));
        wait_for_all(&mut run);
        let sent = now();
        harness::kill(run.command_pid(), 15);
        assert_slept("the inner one", 1, run.recorded().at - sent);
        assert_eq!(run.status(), Status::Exited(7));
    });
}

/// A shell in between forwards the signal, as far as the inner one can know in its own time: it has its own sleep. So
/// has a job's sexton further down, which merely inherited the variable.
#[test]
fn a_sexton_further_down_sleeps_for_itself() {
    in_both(|place| {
        let mut run = outer(place, &TIMES).shell(&forwarding(&recorder(&[])));
        run.wait_for_line("shell");
        assert_slept("behind a shell", 2, stopped_after(&mut run));

        // With --group the outer one itself signals it.
        let variables = [&TIMES[..], &[("SEXTON_GROUP", "1")]].concat();
        let script = format!("trap : TERM; {} & wait; wait $!", recorder(&[]).join(" "));
        let mut run = outer(place, &variables).shell(&script);
        assert_slept("in the group", 2, stopped_after(&mut run));
    });
}

/// A shell by that name, and the tests' own command, which blocks all signals as sexton does.
#[test]
fn who_is_merely_called_sexton_fools_nobody() {
    let folder = Folder::new();
    let [shell, probe] = ["a/sexton", "b/sexton"].map(|name| folder.path(name));
    for (copy, original) in [(&shell, Path::new("/bin/sh")), (&probe, &probe_binary())] {
        std::fs::create_dir(Path::new(copy).parent().unwrap()).unwrap();
        std::fs::copy(original, copy).unwrap();
    }
    in_both(|place| {
        // As the parent: it has slept for nobody.
        let mut run = outer(place, &TIMES).binary(&shell).options(["-c", &forwarding(&recorder(&[]))]).bare();
        run.wait_for_line("shell");
        assert_slept("behind a shell", 1, stopped_after(&mut run));

        // As the command: it gets the signal as it is.
        let mut run = outer(place, &TIMES).command([&probe, "record", "15", "7"]);
        run.wait_for_line("ready");
        run.send(15);
        let seen = run.recorded();
        assert_eq!((seen.signal, seen.code, seen.value), (15, libc::SI_USER, 0), "{place:?}");
        assert_eq!(run.status(), Status::Exited(7));
    });
}

/// Whoever may signal sexton may pretend to have slept for ever. The command is told, as a second stop signal would
/// have it told, and has the time that the settings leave it; a number of sexton's own is not to be had.
#[test]
fn a_forged_word_of_a_sleep_ends_the_sleep_and_leaves_the_command_its_time() {
    /// As in src/sys/signals.rs.
    const HELD_BACK: i32 = 0x5e87_0a01;
    in_both(|place| {
        let options = ["--pre-stop-sleep", "2s", "--grace-period", "2500ms"];
        let mut run = outer(place, &[]).options(options).probe(["record", "10", "7"]);
        wait_for_all(&mut run);
        // Not from when it is told: on a busy machine that may be late, and then the end is not.
        let sent = now();
        run.forge(15, HELD_BACK, libc::SI_QUEUE, u64::MAX);
        let told = run.recorded();
        assert_eq!((told.signal, told.code, told.value), (15, libc::SI_USER, 0));
        assert_eq!(run.status(), Status::Exited(137));
        assert!(now() - sent >= Duration::from_millis(500), "{place:?}: {:?}", now() - sent);

        let mut run = outer(place, &[]).options(options).probe(["record", "15", "7"]);
        wait_for_all(&mut run);
        let sent = now();
        run.forge(15, 0, i32::MIN, 7);
        let told = run.recorded();
        assert_eq!((told.signal, told.code, told.value), (15, libc::SI_QUEUE, 7), "{place:?}");
        assert!(told.at - sent >= SLEEP, "{place:?}");
        assert_eq!(run.status(), Status::Exited(7));
    });
}

/// Each sleeps for itself, as documented: nobody can be known.
#[test]
fn without_proc_each_sleeps_for_itself() {
    let variables = [("SEXTON_PRE_STOP_SLEEP", "2s"), ("SEXTON_GRACE_PERIOD", "30s")];
    let mut run = outer(Place::Init, &variables).setup(["no-proc"]).command(recorder(&[]));
    assert_slept("two", 2, stopped_after(&mut run));
}

#[test]
fn with_v_it_is_told_who_slept() {
    in_both(|place| {
        let variables = [("SEXTON_PRE_STOP_SLEEP", "300ms"), ("SEXTON_LOG", "info")];
        let mut run = outer(place, &variables).command(recorder(&["--pre-stop-sleep", "1h"]));
        wait_for_all(&mut run);
        run.send(15);
        let mut stderr = std::io::BufReader::new(run.stderr.take().unwrap());
        let mut begins = || loop {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
            if line.contains("shutdown begins") {
                return line;
            }
        };
        let (outers, inners) = (begins(), begins());
        assert!(outers.contains("; sleeping 300ms before forwarding it"), "{place:?}: {outers}");
        assert!(inners.contains(", a sexton that has held it back for "), "{place:?}: {inners}");
        assert!(inners.contains("; sleeping 59m ") && inners.contains(" more before forwarding it"), "{inners}");
    });
}
