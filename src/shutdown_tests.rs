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
        orphans: Orphans::Leave,
    }
}

fn with_orphans(sleep: u64, grace: u64, orphans: Orphans) -> Driven {
    Driven(Machine::new(Policy { orphans, ..policy(sleep, grace) }))
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

fn stop(signal: Signal) -> Action {
    Action::ForwardStop(from_somebody(signal))
}

fn begins(signal: Signal) -> Action {
    Action::ShutdownBegins(from_somebody(signal))
}

#[test]
fn without_sleep_and_grace_period_the_stop_signal_is_forwarded_and_nothing_else_happens() {
    let mut machine = Driven::new(0, 0);
    assert_eq!(machine.signal(1, TERM), [begins(TERM), stop(TERM)]);
    assert_eq!(machine.0.wake_at(), None);
    assert_eq!(machine.at(1_000_000, Event::Tick), []);
    assert_eq!(machine.signal(1_000_001, TERM), [stop(TERM)]);
    assert_eq!(machine.at(1_000_002, Event::CommandExited), [Action::Exit]);
}

#[test]
fn one_clock_covers_the_sleep_and_the_grace_period() {
    let mut machine = Driven::new(5, 25);
    assert_eq!(machine.signal(100, TERM), [begins(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(105)));
    assert_eq!(machine.at(104, Event::Tick), []);
    assert_eq!(machine.at(105, Event::Tick), [stop(TERM)]);
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
    assert_eq!(machine.signal(2, TERM), [stop(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(25)));
    assert_eq!(machine.signal(3, TERM), [stop(TERM)]);
}

#[test]
fn an_echo_of_the_stop_signal_does_not_end_the_sleep() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, TERM);
    let echo = |machine: &mut Driven, received| {
        let mut actions = Vec::new();
        machine.0.handle(Event::Signal(received), Duration::from_millis(99), &mut |action| actions.push(action));
        actions
    };
    assert_eq!(echo(&mut machine, from_somebody(TERM)), [], "the same process at once: one request");
    assert_eq!(machine.0.wake_at(), Some(seconds(5)));
    for other in [
        Received { pid: 5, ..from_somebody(TERM) },
        from_somebody(INT),
        Received { code: libc::SI_QUEUE, ..from_somebody(TERM) },
    ] {
        assert_ne!(echo(&mut Driven(machine.0.clone()), other), [], "{other:?} is another request");
    }
    let mut from_outside = Driven::new(5, 25);
    let engine = Received { pid: 0, ..from_somebody(TERM) };
    from_outside.at(0, Event::Signal(engine));
    assert_eq!(echo(&mut from_outside, engine), [Action::ForwardStop(engine)], "all that is outside has pid 0");
}

#[test]
fn another_stop_signal_during_the_sleep_ends_it_and_both_are_forwarded_in_their_order() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, INT);
    assert_eq!(machine.signal(2, TERM), [stop(INT), stop(TERM)]);
}

#[test]
fn a_real_time_stop_signal_that_comes_twice_arrives_twice() {
    let signal = Signal::new(40).unwrap();
    let mut policy = policy(5, 25);
    policy.stop_signals = SignalSet::of(signal);
    let mut machine = Driven(Machine::new(policy));
    machine.signal(0, signal);
    assert_eq!(machine.signal(2, signal), [stop(signal), stop(signal)]);
}

#[test]
fn two_stop_signals_start_one_shutdown() {
    let mut machine = Driven::new(0, 10);
    assert_eq!(machine.signal(0, INT), [begins(INT), stop(INT)]);
    assert_eq!(machine.signal(7, TERM), [stop(TERM)]);
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
    assert_eq!(machine.signal(1, TERM), [begins(TERM), stop(TERM), Action::Continue]);
    assert_eq!(machine.at(1, Event::CommandContinued), []);
    assert_eq!(machine.signal(2, TERM), [stop(TERM)]);
}

#[test]
fn a_command_that_is_stopped_during_the_sleep_stays_so_until_the_sleep_is_over() {
    let mut machine = Driven::new(5, 25);
    machine.signal(0, TERM);
    assert_eq!(machine.at(1, Event::CommandStopped(Signal::STOP)), []);
    assert_eq!(machine.at(5, Event::Tick), [stop(TERM), Action::Continue]);
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
    assert_eq!(machine.at(90, Event::Tick), [stop(TERM), Action::Kill]);
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

/// What sexton itself sends when nobody sent a stop signal.
fn stop_orphans(received: Received) -> Action {
    Action::StopOrphans(received)
}

#[test]
fn orphans_that_are_waited_for_get_the_signals_and_the_deadline_of_the_command() {
    let mut machine = with_orphans(0, 25, Orphans::Wait);
    assert_eq!(machine.at(0, Event::CommandExited), []);
    assert_eq!(machine.0.wake_at(), None);
    assert_eq!(machine.signal(1, USR2), [forward(USR2)]);
    assert_eq!(machine.signal(10, TERM), [begins(TERM), stop(TERM)]);
    assert_eq!(machine.at(35, Event::Tick), [Action::Kill]);
    assert_eq!(machine.at(36, Event::Alone), [Action::Exit]);
}

#[test]
fn waiting_ends_when_nobody_is_left() {
    let mut machine = with_orphans(0, 0, Orphans::Wait);
    assert_eq!(machine.at(0, Event::Alone), [], "the command is still there");
    machine.at(1, Event::CommandExited);
    assert_eq!(machine.at(2, Event::Alone), [Action::Exit]);
    assert_eq!(machine.at(3, Event::Alone), []);
}

#[test]
fn orphans_to_be_stopped_share_the_clock_of_the_shutdown() {
    let mut machine = with_orphans(5, 25, Orphans::Stop);
    machine.signal(100, TERM);
    machine.at(105, Event::Tick);
    assert_eq!(machine.at(110, Event::CommandExited), [stop_orphans(from_somebody(TERM))]);
    assert_eq!(machine.0.wake_at(), Some(seconds(125)));
    assert_eq!(machine.at(125, Event::Tick), [Action::Kill]);
    assert_eq!(machine.at(127, Event::Tick), [Action::Abandon]);
}

#[test]
fn a_command_that_exits_by_itself_leaves_its_orphans_a_grace_period_of_their_own() {
    let mut machine = with_orphans(5, 25, Orphans::Stop);
    let own = Received { signal: TERM, code: libc::SI_USER, pid: 0, uid: 0, value: 0 };
    assert_eq!(
        machine.at(100, Event::CommandExited),
        [stop_orphans(own)],
        "no sleep: nobody is told to stop taking requests"
    );
    assert_eq!(machine.0.wake_at(), Some(seconds(125)));
    assert_eq!(machine.signal(110, TERM), [stop(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(125)));
}

#[test]
fn a_command_that_exits_during_the_sleep_ends_it_for_orphans_to_be_stopped() {
    let mut machine = with_orphans(5, 25, Orphans::Stop);
    machine.signal(100, INT);
    assert_eq!(machine.at(101, Event::CommandExited), [stop_orphans(from_somebody(INT))]);
    assert_eq!(machine.0.wake_at(), Some(seconds(125)));
}

#[test]
fn orphans_get_the_stop_signal_as_it_is_rewritten() {
    let mut policy = policy(0, 0);
    policy.orphans = Orphans::Stop;
    policy.stop_signals = SignalSet::of(Signal::QUIT);
    policy.rewrites.set(Signal::QUIT, Some(INT));
    let mut machine = Driven(Machine::new(policy));
    let own = Received { signal: INT, code: libc::SI_USER, pid: 0, uid: 0, value: 0 };
    assert_eq!(machine.at(0, Event::CommandExited), [stop_orphans(own)]);
}

#[test]
fn a_command_that_had_to_be_killed_takes_its_orphans_along() {
    let mut machine = with_orphans(0, 5, Orphans::Stop);
    machine.signal(0, TERM);
    assert_eq!(machine.at(5, Event::Tick), [Action::Kill]);
    assert_eq!(machine.at(6, Event::CommandExited), []);
    assert_eq!(machine.at(6, Event::Alone), [Action::Exit]);
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
    Alone,
    Stopped,
    Continued,
    /// A second passes.
    Second,
    /// Time passes up to the moment the machine asked for.
    Deadline,
}

const STEPS: [Step; 11] = [
    Step::Stop,
    Step::OtherStop,
    Step::Plain,
    Step::Rewritten,
    Step::Dropped,
    Step::Exits,
    Step::Alone,
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
    first_signal: Option<Signal>,
    /// What happens is the first stop signal once more.
    echo: bool,
    stops: u32,
    stop_was_sent: bool,
    gone: Option<Duration>,
    orphans_told: bool,
    killed: Option<Duration>,
    over: bool,
    stopped: bool,
}

impl Onlooker {
    fn new(policy: Policy) -> Onlooker {
        Onlooker {
            policy,
            now: Duration::ZERO,
            first_stop: None,
            first_signal: None,
            echo: false,
            stops: 0,
            stop_was_sent: false,
            gone: None,
            orphans_told: false,
            killed: None,
            over: false,
            stopped: false,
        }
    }

    /// Whether this stop signal, now, is taken for the first one once more.
    fn echoes(&self, signal: Signal) -> bool {
        let sleeps = self.first_stop.is_some() && !self.sleep_over();
        sleeps && self.first_signal == Some(signal) && self.first_stop == Some(self.now)
    }

    /// The command's own exit, where it starts the shutdown of what it left.
    fn exit_that_stops(&self) -> Option<Duration> {
        self.gone.filter(|_| self.policy.orphans == Orphans::Stop)
    }

    /// When the clock of the shutdown started.
    fn started(&self) -> Option<Duration> {
        [self.first_stop, self.exit_that_stops()].into_iter().flatten().min()
    }

    fn sleep_over(&self) -> bool {
        let slept = |since| self.stops > 1 || self.now >= since + self.policy.pre_stop_sleep;
        self.exit_that_stops().is_some() || self.first_stop.is_some_and(slept)
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.started()? + self.policy.grace_period?)
    }

    /// Each check is one of the invariants of docs/design.md, in its words.
    fn check(&mut self, step: Step, machine: &Machine, actions: &[Action], trail: &[Step]) {
        let count = |is: &dyn Fn(&Action) -> bool| actions.iter().filter(|action| is(action)).count();
        let sent = |signal| {
            count(
                &|action| matches!(action, Action::Forward(r) | Action::ForwardStop(r) | Action::StopOrphans(r) if r.signal == signal),
            )
        };
        let done = |action| actions.contains(&action);
        let stops_sent = sent(TERM) + sent(INT);
        let leave = self.policy.orphans == Orphans::Leave;

        if self.over {
            assert!(actions.is_empty(), "1. After the end nothing is done. {trail:?}");
        }
        let nobody_left = (step == Step::Exits && leave) || (step == Step::Alone && self.gone.is_some());
        if nobody_left && !self.over {
            assert!(actions == [Action::Exit], "2. When nobody is left to care for, sexton exits at once. {trail:?}");
        } else {
            assert!(!done(Action::Exit), "3. While somebody is left, sexton stays. {trail:?}");
        }
        if step == Step::Plain && !self.over {
            assert_eq!(sent(Signal::QUIT), 1, "4. A signal that is no stop signal is forwarded at once. {trail:?}");
        }
        if step == Step::Rewritten && !self.over {
            assert_eq!((sent(USR1), sent(USR2)), (0, 1), "5. A rewritten signal arrives as the other one. {trail:?}");
        }
        if step == Step::Dropped && !self.over {
            let dropped = count(&|action| matches!(action, Action::Drop(_)));
            assert_eq!((sent(HUP), dropped), (0, 1), "6. A dropped signal is not forwarded, and told. {trail:?}");
        }
        if !self.sleep_over() {
            assert_eq!(stops_sent, 0, "7. No stop signal is forwarded before the sleep is over. {trail:?}");
        }
        self.stop_was_sent |= stops_sent > 0;
        if self.sleep_over() && !self.over && !nobody_left {
            assert!(self.stop_was_sent, "8. When the sleep is over the stop signal is forwarded. {trail:?}");
        }
        let kills = count(&|action| *action == Action::Kill);
        if kills > 0 {
            let due = self.deadline().is_some_and(|deadline| self.now >= deadline);
            assert!(due, "9. SIGKILL never comes before the grace period is used up, or without one. {trail:?}");
            assert!(self.stop_was_sent, "10. SIGKILL never comes before the stop signal. {trail:?}");
            assert!(kills == 1 && self.killed.is_none(), "11. SIGKILL is sent once. {trail:?}");
            self.killed = Some(self.now);
        }
        if self.deadline().is_some_and(|deadline| self.now >= deadline) && !self.over && !nobody_left {
            assert!(self.killed.is_some(), "12. Nothing delays SIGKILL beyond the grace period. {trail:?}");
        }
        if done(Action::Abandon) {
            let patient = self.killed.is_some_and(|killed| self.now >= killed + KILL_TIMEOUT);
            assert!(patient, "13. Who outlives SIGKILL is left behind only after a while. {trail:?}");
        }
        let told = count(&|action| matches!(action, Action::StopOrphans(_)));
        let tells =
            step == Step::Exits && self.exit_that_stops().is_some() && self.killed.is_none_or(|at| at == self.now);
        if told > 0 {
            assert!(
                told == 1 && tells && !self.orphans_told,
                "14. Orphans are told to stop once, at the command's exit. {trail:?}"
            );
            self.orphans_told = true;
        }
        if tells && !self.over && kills == 0 && self.killed.is_none() {
            assert_eq!(told, 1, "15. Orphans that are to be stopped are told so. {trail:?}");
        }
        if self.stopped && stops_sent > 0 && self.killed.is_none() {
            assert!(done(Action::Continue), "16. A stopped command is continued behind the stop signal. {trail:?}");
        }
        if done(Action::Continue) {
            let helps = self.stopped && self.stop_was_sent;
            assert!(helps, "17. Only a stopped command that has a stop signal to act on is continued. {trail:?}");
        }
        if done(Action::CommandStopped(Signal::TSTP)) {
            let idle = step == Step::Stopped && self.started().is_none();
            assert!(idle, "18. A stop of the command is followed only while no shutdown goes on. {trail:?}");
        }
        let begins = count(&|action| matches!(action, Action::ShutdownBegins(_)));
        let first = matches!(step, Step::Stop | Step::OtherStop)
            && self.stops == 1
            && !self.echo
            && !self.over
            && self.exit_that_stops().is_none();
        assert_eq!(begins, usize::from(first), "19. However many stop signals, there is one shutdown. {trail:?}");
        self.over |= done(Action::Exit) || done(Action::Abandon);
        if self.started().is_none() || self.over {
            assert_eq!(machine.wake_at(), None, "20. Without a shutdown the machine never wakes up. {trail:?}");
        }
        if let Some(moment) = machine.wake_at() {
            assert!(moment > self.now, "21. The machine never asks for a moment that has passed. {trail:?}");
        }
        if let (Some(deadline), false, None) = (self.deadline(), self.over, self.killed) {
            let wakes = machine.wake_at().is_some_and(|moment| moment <= deadline);
            assert!(wakes, "22. With a grace period the machine wakes up in time for its end. {trail:?}");
        }
        if self.echo {
            assert!(actions.is_empty(), "24. The stop signal from the same process at once is one request. {trail:?}");
        }
        assert!(actions.len() <= 4, "23. No event leads to more than four actions. {trail:?}");
    }
}

fn explore(machine: &Machine, onlooker: &Onlooker, depth: usize, trail: &mut Vec<Step>, visited: &mut u64) {
    if depth == 0 {
        return;
    }
    for step in STEPS {
        let mut machine = machine.clone();
        let mut onlooker = onlooker.clone();
        let signal = |signal| Event::Signal(from_somebody(signal));
        let event = match step {
            Step::Stop => signal(TERM),
            Step::OtherStop => signal(INT),
            Step::Plain => signal(Signal::QUIT),
            Step::Rewritten => signal(USR1),
            Step::Dropped => signal(HUP),
            // What is reaped does not stop, go on or exit again.
            Step::Exits | Step::Stopped | Step::Continued if onlooker.gone.is_some() => continue,
            Step::Exits => Event::CommandExited,
            Step::Alone => Event::Alone,
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
        onlooker.echo = match step {
            Step::Stop => onlooker.echoes(TERM),
            Step::OtherStop => onlooker.echoes(INT),
            _ => false,
        };
        match step {
            _ if onlooker.echo => {}
            Step::Stop | Step::OtherStop if !onlooker.over => {
                onlooker.first_signal.get_or_insert(if step == Step::Stop { TERM } else { INT });
                onlooker.stops += 1;
                onlooker.first_stop.get_or_insert(onlooker.now);
            }
            Step::Exits => {
                onlooker.gone = Some(onlooker.now);
                onlooker.stopped = false;
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

fn explore_all(orphans: Orphans, least: u64) {
    const DEPTH: usize = 7;
    for (sleep, grace) in [(0, 0), (0, 1), (0, 3), (2, 0), (1, 2), (2, 3)] {
        let policy = Policy { orphans, ..policy(sleep, grace) };
        let mut visited = 0;
        explore(&Machine::new(policy), &Onlooker::new(policy), DEPTH, &mut Vec::new(), &mut visited);
        assert!(visited > least, "only {visited} states were visited");
    }
}

#[test]
fn every_sequence_of_seven_events_keeps_every_invariant() {
    explore_all(Orphans::Leave, 2_000_000);
}

#[test]
fn every_sequence_of_seven_events_keeps_every_invariant_when_orphans_are_waited_for() {
    explore_all(Orphans::Wait, 2_000_000);
}

#[test]
fn every_sequence_of_seven_events_keeps_every_invariant_when_orphans_are_stopped() {
    explore_all(Orphans::Stop, 2_000_000);
}
