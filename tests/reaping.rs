//! Orphans are reaped, however many, and delay no signal.

mod harness;

use std::time::Duration;

use harness::{BOTH, Place, Running, Sexton, Status, now, probe_binary, wait_until};

fn zombies_of(pid: i32) -> usize {
    let is_zombie = |pid: &i32| harness::proc_status(*pid, "State").is_some_and(|state| state.starts_with('Z'));
    harness::children(pid).iter().filter(|pid| is_zombie(pid)).count()
}

#[test]
fn of_20_000_orphans_no_zombie_is_left() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["orphans", "20000", "0"]);
        run.wait_for_line("left");
        wait_until("all are reaped", || harness::children(run.pid).len() == 1);
        assert_eq!(zombies_of(run.pid), 0, "{place:?}");
        drop(run.stdin.take());
        assert_eq!(run.status(), Status::Exited(0));
    }
}

#[test]
fn of_10_000_zombies_that_come_all_at_once_none_is_left() {
    for place in BOTH {
        let script =
            format!("{} zombies 10000; exec {} record 15 7", probe_binary().display(), probe_binary().display());
        let mut run = Sexton::new(place).shell(&script);
        run.wait_for_line("ready");
        wait_until("all are reaped", || harness::children(run.pid).len() == 1);
        run.send(15);
        assert_eq!(run.recorded().signal, 15);
        assert_eq!(run.status(), Status::Exited(7));
    }
}

/// Sends SIGUSR1 and a real-time signal, whose number is above SIGCHLD's, until the storm is over.
/// Returns the delays.
fn delays_during(run: &mut Running, over: &dyn Fn(&str) -> bool) -> Vec<Duration> {
    let mut delays = Vec::new();
    for signal in [libc::SIGUSR1, 64].into_iter().cycle() {
        let sent = now();
        run.queue(signal, 1);
        loop {
            let line = run.line();
            assert!(line != "no process", "the storm could not be made: has the machine too few pids?");
            if over(&line) {
                return delays;
            }
            if let Some(at) = line.strip_prefix(&format!("signal {signal} ")).and_then(|rest| rest.rsplit(' ').next()) {
                delays.push(Duration::from_nanos(at.parse().unwrap()) - sent);
                break;
            }
        }
    }
    unreachable!()
}

#[test]
fn in_a_storm_of_20_000_deaths_a_signal_takes_less_than_100_ms() {
    for place in BOTH {
        let script = format!("{0} orphans 20000 0 & exec {0} record 15 0", probe_binary().display());
        let mut run = Sexton::new(place).shell(&script);
        run.wait_for_line("ready");
        let mut delays = delays_during(&mut run, &|line| line == "left");
        delays.sort();
        assert!(delays.len() > 100, "{place:?}: only {} signals fell into the storm", delays.len());
        // The machine may keep any process waiting now and then; sexton may not as a rule.
        let (typical, late) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
        assert!(late < Duration::from_millis(100), "{place:?}: median {typical:?}, 99 % within {late:?}");
    }
}

#[test]
fn while_10_000_zombies_come_at_once_a_signal_takes_less_than_100_ms() {
    for place in BOTH {
        let script = format!("{0} zombies 10000 & sleep 0.1; exec {0} record 15 0", probe_binary().display());
        let mut run = Sexton::new(place).shell(&script);
        run.wait_for_line("ready");
        let mut delays = Vec::new();
        while harness::children(run.pid).len() > 1 || delays.len() < 100 {
            let sent = now();
            run.queue(64, 1);
            loop {
                let line = run.line();
                if let Some(at) = line.strip_prefix("signal 64 ").and_then(|rest| rest.rsplit(' ').next()) {
                    delays.push(Duration::from_nanos(at.parse().unwrap()) - sent);
                    break;
                }
            }
        }
        delays.sort();
        let late = delays[delays.len() * 99 / 100];
        assert!(late < Duration::from_millis(100), "{place:?}: 99 % of {} within {late:?}", delays.len());
    }
}

#[test]
fn an_orphan_that_outlives_its_parent_is_reaped_when_it_ends() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["orphans", "50", "200"]);
        run.wait_for_line("left");
        wait_until("all are reaped", || harness::children(run.pid).len() == 1);
        drop(run.stdin.take());
        assert_eq!(run.status(), Status::Exited(0));
    }
}

#[test]
fn each_orphan_reaped_is_a_warning_if_asked_for() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(["-w"]).probe(["orphans", "3", "0"]);
        run.wait_for_line("left");
        wait_until("all are reaped", || harness::children(run.pid).len() == 1);
        let (_, _, stderr) = run.finish();
        assert_eq!(stderr.matches("sexton: reaped orphan ").count(), 3, "{stderr}");
    }
}

/// tini, catatonit and tino hang: the kernel reaps by itself, and the status is lost.
#[test]
fn an_inherited_ignored_sigchld_does_not_lose_the_status() {
    for place in BOTH {
        let mut run = Sexton::new(place).setup(["ignore=17"]).probe(["exit", "5"]);
        assert_eq!(run.status(), Status::Exited(5), "{place:?}");
    }
}

#[test]
fn when_the_command_is_gone_sexton_does_not_wait_for_orphans() {
    let mut run = Sexton::new(Place::Ordinary).stdout(std::process::Stdio::null()).shell("sleep 600 & exit 4");
    assert_eq!(run.status(), Status::Exited(4));
}
