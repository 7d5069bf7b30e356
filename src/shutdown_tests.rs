//! The machine, driven by hand, and then through every sequence of events up to a length.

use super::*;

const HUP: Signal = Signal::HUP;
const TERM: Signal = Signal::TERM;
const INT: Signal = Signal::INT;
const USR1: Signal = Signal::USR1;
const USR2: Signal = Signal::USR2;

fn from_somebody(signal: Signal) -> Received {
    Received { signal, code: libc::SI_USER, pid: 4, uid: 5, value: 0 }
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn policy(sleep: u64, grace: u64) -> Policy {
    let mut rewrites = Rewrites::none();
    rewrites.set(USR1, Some(USR2));
    rewrites.set(HUP, None);
    Policy {
        stop_signals: SignalSet::of(TERM).with(INT),
        rewrites,
        pre_stop_sleep: seconds(sleep),
        grace_period: Some(seconds(grace)).filter(|grace| !grace.is_zero()),
    }
}

/// A machine and what it did last.
struct Driven(Machine);

impl Driven {
    fn new(sleep: u64, grace: u64) -> Driven {
        Driven(Machine::new(policy(sleep, grace)))
    }

    fn at(&mut self, second: u64, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.0.handle(event, seconds(second), &mut |action| actions.push(action));
        actions
    }

    fn signal(&mut self, second: u64, signal: Signal) -> Vec<Action> {
        self.at(second, Event::Signal(from_somebody(signal)))
    }
}

fn forward(signal: Signal) -> Action {
    Action::Forward(from_somebody(signal))
}

fn begins(signal: Signal) -> Action {
    Action::ShutdownBegins(from_somebody(signal))
}

#[test]
fn without_sleep_and_grace_period_the_stop_signal_is_forwarded_and_nothing_else_happens() {
    let mut machine = Driven::new(0, 0);
    assert_eq!(machine.signal(1, TERM), [begins(TERM), forward(TERM)]);
    assert_eq!(machine.0.wake_at(), None);
    assert_eq!(machine.at(1_000_000, Event::Tick), []);
    assert_eq!(machine.signal(1_000_001, TERM), [forward(TERM)]);
    assert_eq!(machine.at(1_000_002, Event::CommandExited), [Action::Exit]);
}

#[test]
fn one_clock_covers_the_sleep_and_the_grace_period() {
    let mut machine = Driven::new(5, 25);
    assert_eq!(machine.signal(100, TERM), [begins(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(105)));
    assert_eq!(machine.at(104, Event::Tick), []);
    assert_eq!(machine.at(105, Event::Tick), [forward(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(125)));
    assert_eq!(machine.at(124, Event::Tick), []);
    assert_eq!(machine.at(125, Event::Tick), [Action::Kill]);
    assert_eq!(machine.0.wake_at(), Some(seconds(125) + KILL_TIMEOUT));
    assert_eq!(machine.at(126, Event::CommandExited), [Action::Exit]);
    assert_eq!(machine.0.wake_at(), None);
}

#[test]
fn a_process_that_sigkill_cannot_end_is_left_behind_after_a_while() {
    let mut machine = Driven::new(0, 5);
    machine.signal(0, TERM);
    assert_eq!(machine.at(5, Event::Tick), [Action::Kill]);
    assert_eq!(machine.at(6, Event::Tick), []);
    assert_eq!(machine.at(7, Event::Tick), [Action::Abandon]);
    assert_eq!(machine.at(8, Event::Tick), []);
    assert_eq!(machine.signal(9, TERM), []);
}

#[test]
fn the_same_stop_signal_during_the_sleep_ends_it_and_is_forwarded_once() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, TERM);
    assert_eq!(machine.signal(2, TERM), [forward(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(25)));
    assert_eq!(machine.signal(3, TERM), [forward(TERM)]);
}

#[test]
fn another_stop_signal_during_the_sleep_ends_it_and_both_are_forwarded_in_their_order() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, INT);
    assert_eq!(machine.signal(2, TERM), [forward(INT), forward(TERM)]);
}

#[test]
fn a_real_time_stop_signal_that_comes_twice_arrives_twice() {
    let signal = Signal::new(40).unwrap();
    let mut policy = policy(5, 25);
    policy.stop_signals = SignalSet::of(signal);
    let mut machine = Driven(Machine::new(policy));
    machine.signal(0, signal);
    assert_eq!(machine.signal(2, signal), [forward(signal), forward(signal)]);
}

#[test]
fn two_stop_signals_start_one_shutdown() {
    let mut machine = Driven::new(0, 10);
    assert_eq!(machine.signal(0, INT), [begins(INT), forward(INT)]);
    assert_eq!(machine.signal(7, TERM), [forward(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(10)));
}

#[test]
fn other_signals_are_forwarded_at_once_in_every_state() {
    let mut machine = Driven::new(5, 10);
    assert_eq!(machine.signal(0, USR2), [forward(USR2)]);
    machine.signal(0, TERM);
    assert_eq!(machine.signal(1, USR2), [forward(USR2)]);
    machine.at(5, Event::Tick);
    assert_eq!(machine.signal(6, USR2), [forward(USR2)]);
    machine.at(10, Event::Tick);
    assert_eq!(machine.signal(11, USR2), [forward(USR2)]);
}

#[test]
fn a_rewritten_signal_keeps_its_sender_and_a_dropped_one_is_told() {
    let mut machine = Driven::new(0, 0);
    assert_eq!(machine.signal(0, USR1), [Action::Forward(Received { signal: USR2, ..from_somebody(USR1) })]);
    assert_eq!(machine.signal(0, HUP), [Action::Drop(from_somebody(HUP))]);
}

#[test]
fn a_stop_signal_that_is_rewritten_still_starts_the_shutdown() {
    let mut policy = policy(0, 5);
    policy.rewrites.set(TERM, None);
    let mut machine = Driven(Machine::new(policy));
    assert_eq!(machine.signal(0, TERM), [begins(TERM), Action::Drop(from_somebody(TERM))]);
    assert_eq!(machine.at(5, Event::Tick), [Action::Kill]);
}

#[test]
fn a_stopped_command_is_continued_behind_the_stop_signal() {
    let mut machine = Driven::new(0, 0);
    assert_eq!(machine.at(0, Event::CommandStopped(Signal::TSTP)), [Action::CommandStopped(Signal::TSTP)]);
    assert_eq!(machine.signal(1, TERM), [begins(TERM), forward(TERM), Action::Continue]);
    assert_eq!(machine.at(1, Event::CommandContinued), []);
    assert_eq!(machine.signal(2, TERM), [forward(TERM)]);
}

#[test]
fn a_command_that_is_stopped_during_the_sleep_stays_so_until_the_sleep_is_over() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, TERM);
    assert_eq!(machine.at(1, Event::CommandStopped(Signal::STOP)), []);
    assert_eq!(machine.at(5, Event::Tick), [forward(TERM), Action::Continue]);
}

#[test]
fn a_command_that_is_stopped_after_the_stop_signal_is_continued() {
    let mut machine = Driven::new(0, 25);
    machine.signal(0, TERM);
    assert_eq!(machine.at(1, Event::CommandStopped(Signal::STOP)), [Action::Continue]);
}

#[test]
fn a_wake_up_that_comes_too_late_makes_up_for_all_that_was_due_in_its_order() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, TERM);
    assert_eq!(machine.at(90, Event::Tick), [forward(TERM), Action::Kill]);
    // The time that SIGKILL gets counts from when it was sent.
    assert_eq!(machine.0.wake_at(), Some(seconds(92)));
}

#[test]
fn an_exit_wins_over_a_deadline_reached_at_the_same_time() {
    let mut machine = Driven::new(0, 5);
    machine.signal(0, TERM);
    assert_eq!(machine.at(5, Event::CommandExited), [Action::Exit]);
}

#[test]
fn the_largest_times_do_not_overflow() {
    let mut policy = policy(0, 0);
    policy.pre_stop_sleep = Duration::MAX - seconds(1);
    policy.grace_period = Some(Duration::MAX);
    let mut machine = Driven(Machine::new(policy));
    machine.signal(7, TERM);
    assert_eq!(machine.0.wake_at(), Some(Duration::MAX));
}

/// What can happen to a machine, one of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Stop,
    OtherStop,
    Plain,
    Rewritten,
    Dropped,
    Exits,
    Stopped,
    Continued,
    /// A second passes.
    Second,
    /// Time passes up to the moment the machine asked for.
    Deadline,
}

const STEPS: [Step; 10] = [
    Step::Stop,
    Step::OtherStop,
    Step::Plain,
    Step::Rewritten,
    Step::Dropped,
    Step::Exits,
    Step::Stopped,
    Step::Continued,
    Step::Second,
    Step::Deadline,
];

/// What an onlooker knows, who sees the events and the actions but not the machine's state.
#[derive(Clone, Debug)]
struct Onlooker {
    policy: Policy,
    now: Duration,
    first_stop: Option<Duration>,
    stops: u32,
    stop_seen_by_command: bool,
    killed: Option<Duration>,
    over: bool,
    stopped: bool,
}

impl Onlooker {
    fn sleep_over(&self) -> bool {
        let Some(since) = self.first_stop else { return false };
        self.stops > 1 || self.now >= since + self.policy.pre_stop_sleep
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.first_stop? + self.policy.grace_period?)
    }

    /// Each check is one of the invariants of docs/design.md, in its words.
    fn check(&mut self, step: Step, machine: &Machine, actions: &[Action], trail: &[Step]) {
        let sent =
            |signal| actions.iter().filter(|action| matches!(action, Action::Forward(r) if r.signal == signal)).count();
        let done = |action| actions.contains(&action);
        let stops_sent = sent(TERM) + sent(INT);

        if self.over {
            assert!(actions.is_empty(), "1. After the end nothing is done. {trail:?}");
        }
        if step == Step::Exits && !self.over {
            assert!(actions == [Action::Exit], "2. The command's exit ends everything, at once. {trail:?}");
        }
        if step == Step::Plain && !self.over {
            assert_eq!(sent(Signal::QUIT), 1, "3. A signal that is no stop signal is forwarded at once. {trail:?}");
        }
        if step == Step::Rewritten && !self.over {
            assert_eq!((sent(USR1), sent(USR2)), (0, 1), "4. A rewritten signal arrives as the other one. {trail:?}");
        }
        if step == Step::Dropped && !self.over {
            let dropped = actions.iter().filter(|action| matches!(action, Action::Drop(_))).count();
            assert_eq!((sent(HUP), dropped), (0, 1), "5. A dropped signal is not forwarded, and told. {trail:?}");
        }
        if !self.sleep_over() {
            assert_eq!(stops_sent, 0, "6. No stop signal is forwarded before the sleep is over. {trail:?}");
        }
        self.stop_seen_by_command |= stops_sent > 0;
        if self.sleep_over() && !self.over {
            assert!(self.stop_seen_by_command, "7. When the sleep is over the stop signal is forwarded. {trail:?}");
        }
        let kills = actions.iter().filter(|action| **action == Action::Kill).count();
        if kills > 0 {
            let due = self.deadline().is_some_and(|deadline| self.now >= deadline);
            assert!(due, "8. SIGKILL never comes before the grace period is used up, or without one. {trail:?}");
            assert!(self.stop_seen_by_command, "9. SIGKILL never comes before the stop signal. {trail:?}");
            assert!(kills == 1 && self.killed.is_none(), "10. SIGKILL is sent once. {trail:?}");
            self.killed = Some(self.now);
        }
        if self.deadline().is_some_and(|deadline| self.now >= deadline) && !self.over && step != Step::Exits {
            assert!(self.killed.is_some(), "11. Nothing delays SIGKILL beyond the grace period. {trail:?}");
        }
        if done(Action::Abandon) {
            let patient = self.killed.is_some_and(|killed| self.now >= killed + KILL_TIMEOUT);
            assert!(patient, "12. A command is left behind only when SIGKILL did not end it in time. {trail:?}");
        }
        if self.stopped && stops_sent > 0 && self.killed.is_none() {
            assert!(done(Action::Continue), "13. A stopped command is continued behind the stop signal. {trail:?}");
        }
        if done(Action::Continue) {
            let helps = self.stopped && self.stop_seen_by_command;
            assert!(helps, "14. Only a stopped command that has a stop signal to act on is continued. {trail:?}");
        }
        if done(Action::CommandStopped(Signal::TSTP)) {
            let idle = step == Step::Stopped && self.first_stop.is_none();
            assert!(idle, "15. A stop of the command is followed only while no shutdown goes on. {trail:?}");
        }
        let begins = actions.iter().filter(|action| matches!(action, Action::ShutdownBegins(_))).count();
        let first = matches!(step, Step::Stop | Step::OtherStop) && self.stops == 1 && !self.over;
        assert_eq!(begins, usize::from(first), "16. However many stop signals, there is one shutdown. {trail:?}");
        self.over |= done(Action::Exit) || done(Action::Abandon);
        if self.first_stop.is_none() || self.over {
            assert_eq!(machine.wake_at(), None, "17. Without a shutdown the machine never wakes up. {trail:?}");
        }
        if let Some(moment) = machine.wake_at() {
            assert!(moment > self.now, "18. The machine never asks for a moment that has passed. {trail:?}");
        }
        if let (Some(deadline), false, None) = (self.deadline(), self.over, self.killed) {
            let wakes = machine.wake_at().is_some_and(|moment| moment <= deadline);
            assert!(wakes, "19. With a grace period the machine wakes up in time for its end. {trail:?}");
        }
        assert!(actions.len() <= 4, "20. No event leads to more than four actions. {trail:?}");
    }
}

fn explore(machine: &Machine, onlooker: &Onlooker, depth: usize, trail: &mut Vec<Step>, visited: &mut u64) {
    if depth == 0 {
        return;
    }
    for step in STEPS {
        let mut machine = machine.clone();
        let mut onlooker = onlooker.clone();
        let stop = |signal| Event::Signal(from_somebody(signal));
        let event = match step {
            Step::Stop => stop(TERM),
            Step::OtherStop => stop(INT),
            Step::Plain => Event::Signal(from_somebody(Signal::QUIT)),
            Step::Rewritten => Event::Signal(from_somebody(USR1)),
            Step::Dropped => Event::Signal(from_somebody(HUP)),
            Step::Exits => Event::CommandExited,
            Step::Stopped => Event::CommandStopped(Signal::TSTP),
            Step::Continued => Event::CommandContinued,
            Step::Second => {
                onlooker.now += seconds(1);
                Event::Tick
            }
            Step::Deadline => {
                let Some(moment) = machine.wake_at() else { continue };
                onlooker.now = moment;
                Event::Tick
            }
        };
        match step {
            Step::Stop | Step::OtherStop if !onlooker.over => {
                onlooker.stops += 1;
                onlooker.first_stop.get_or_insert(onlooker.now);
            }
            Step::Stopped => onlooker.stopped = true,
            Step::Continued => onlooker.stopped = false,
            _ => {}
        }
        let mut actions = Vec::new();
        machine.handle(event, onlooker.now, &mut |action| actions.push(action));
        trail.push(step);
        onlooker.check(step, &machine, &actions, trail);
        *visited += 1;
        explore(&machine, &onlooker, depth - 1, trail, visited);
        trail.pop();
    }
}

/// Every sequence of seven events: three million for each of the six policies.
#[test]
fn every_sequence_of_seven_events_keeps_every_invariant() {
    const DEPTH: usize = 7;
    for (sleep, grace) in [(0, 0), (0, 1), (0, 3), (2, 0), (1, 2), (2, 3)] {
        let policy = policy(sleep, grace);
        let onlooker = Onlooker {
            policy,
            now: Duration::ZERO,
            first_stop: None,
            stops: 0,
            stop_seen_by_command: false,
            killed: None,
            over: false,
            stopped: false,
        };
        let mut visited = 0;
        explore(&Machine::new(policy), &onlooker, DEPTH, &mut Vec::new(), &mut visited);
        assert!(visited > 9_u64.pow(7), "only {visited} states were visited");
    }
}
