//! Random signals for the real sexton, and a model of the kernel's queues that says what must arrive.

mod harness;

use std::collections::BTreeMap;

use harness::{BOTH, Place, Recorded, Running, Sexton, Status, wait_until};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Ends the command. The kernel hands it over last.
const END: i32 = 64;

/// A signal, with a value or without.
type Sent = (i32, Option<usize>);

/// All that can be caught, some of them often, but the last one.
fn signal() -> impl Strategy<Value = Sent> {
    let catchable = (1..END).prop_filter("can be caught", |signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal));
    let number = prop_oneof![catchable, prop::sample::select(vec![1, 10, 15, 17, 20, 32, 40, 41])];
    (number, prop::option::of(1..1_000_000_usize))
}

/// `make prove` asks for more.
fn storms() -> u32 {
    const VARIABLE: &str = "STORMS";
    match std::env::var(VARIABLE) {
        Ok(count) => count.parse().unwrap_or_else(|_| panic!("{VARIABLE}: {count:?} is no number")),
        Err(_) => 12,
    }
}

fn check(strategy: impl Strategy<Value = Vec<Sent>>, storm: impl Fn(Place, &[Sent])) {
    let config = Config { cases: storms(), failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |sent| {
        for place in BOTH {
            storm(place, &sent);
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

fn started(place: Place) -> Running {
    let mut run = Sexton::new(place).probe(["record", &END.to_string(), "7"]);
    run.line();
    run
}

fn send(run: &Running, (signal, value): Sent) {
    match value {
        Some(value) => run.queue(signal, value),
        None => run.send(signal),
    }
}

fn is_real_time(signal: i32) -> bool {
    signal >= 32
}

/// The values by signal, in the order of their coming.
#[derive(Debug, Default, PartialEq)]
struct Queues(BTreeMap<i32, Vec<usize>>);

impl Queues {
    /// As the kernel does for a process that takes nothing out (signal(7)).
    fn add(&mut self, (signal, value): Sent) {
        match signal {
            libc::SIGCONT => {
                self.0.retain(|pending, _| ![libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(pending))
            }
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => drop(self.0.remove(&libc::SIGCONT)),
            _ => {}
        }
        let queue = self.0.entry(signal).or_default();
        if queue.is_empty() || is_real_time(signal) {
            queue.push(value.unwrap_or(0));
        }
    }

    fn note(&mut self, seen: &Recorded) {
        self.0.entry(seen.signal).or_default().push(seen.value);
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// While sexton is stopped nothing is taken out, and what is pending is exactly known.
#[test]
fn what_is_pending_when_sexton_goes_on_arrives_exactly() {
    check(prop::collection::vec(signal(), 1..80), |place, sent| {
        let mut run = started(place);
        for sent in sent.chunks(40) {
            run.send(libc::SIGSTOP);
            wait_until("sexton is stopped", || run.proc_status("State").starts_with('T'));
            let mut expected = Queues::default();
            // SIGCONT makes sexton go on, blocked or not: only at the end.
            for sent in sent.iter().filter(|(signal, _)| *signal != libc::SIGCONT).chain([&(libc::SIGCONT, None)]) {
                send(&run, *sent);
                expected.add(*sent);
            }
            let mut arrived = Queues::default();
            while arrived.len() < expected.len() {
                arrived.note(&run.recorded());
            }
            assert_eq!(arrived, expected, "{place:?}");
        }
        run.send(END);
        assert_eq!(run.recorded().signal, END, "{place:?}: nothing else came");
        assert_eq!(run.status(), Status::Exited(7));
    });
}

/// sexton and the command take signals out at any moment: a standard signal may merge in front of
/// either of them, or in none; a real-time signal never does.
#[test]
fn in_a_storm_every_real_time_signal_arrives_in_its_order_and_every_other_at_least_once() {
    check(prop::collection::vec(signal(), 1..300), |place, sent| {
        // Each drops the other when it is pending, be it in front of sexton or of the command.
        let sent: Vec<Sent> = sent.iter().filter(|(signal, _)| *signal != libc::SIGCONT).copied().collect();
        let mut run = started(place);
        for sent in &sent {
            send(&run, *sent);
        }
        let mut expected: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (signal, value) in &sent {
            expected.entry(*signal).or_default().push(value.unwrap_or(0));
        }
        let mut arrived = Queues::default();
        let all_came = |arrived: &Queues| {
            expected.iter().all(|(signal, values)| {
                let count = arrived.0.get(signal).map_or(0, Vec::len);
                count >= if is_real_time(*signal) { values.len() } else { 1 }
            })
        };
        while !all_came(&arrived) {
            arrived.note(&run.recorded());
        }
        run.send(END);
        loop {
            let seen = run.recorded();
            if seen.signal == END {
                break;
            }
            arrived.note(&seen);
        }
        for (signal, values) in &arrived.0 {
            let sent = expected.get(signal).unwrap_or_else(|| panic!("{place:?}: nobody sent signal {signal}"));
            if is_real_time(*signal) {
                assert_eq!(values, sent, "{place:?}: signal {signal}");
            } else {
                // Some merged, and those that came are in their order.
                let mut rest = sent.iter();
                assert!(values.iter().all(|value| rest.any(|sent| sent == value)), "{place:?}: {signal}: {values:?}");
            }
        }
        assert_eq!(run.status(), Status::Exited(7));
    });
}
