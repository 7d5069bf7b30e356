//! The machine, driven by hand. Through every sequence of events: `explored.rs`.

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
        pre_stop_signal: None,
        pre_stop_sleep: seconds(sleep),
        grace_period: Some(seconds(grace)).filter(|grace| !grace.is_zero()),
        escalation: Escalation::default(),
        orphans: Orphans::Leave,
        notice_after: NOTICE,
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
fn without_sleep_and_grace_period_the_stop_signal_is_forwarded_and_after_the_notice_nothing_else_happens() {
    let mut machine = Driven::new(0, 0);
    assert_eq!(machine.0.wake_at(), None);
    assert_eq!(machine.signal(1, TERM), [begins(TERM), stop(TERM)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(6)));
    assert_eq!(machine.at(5, Event::Tick), []);
    assert_eq!(machine.at(6, Event::Tick), [Action::StillThere]);
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
    assert_eq!(machine.0.wake_at(), Some(seconds(110)), "the notice");
    assert_eq!(machine.at(110, Event::Tick), [Action::StillThere]);
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
    assert_eq!(machine.0.wake_at(), Some(seconds(7)), "the notice, from the forwarding on");
    assert_eq!(machine.signal(3, TERM), [stop(TERM)]);
    assert_eq!(machine.at(7, Event::Tick), [Action::StillThere]);
    assert_eq!(machine.0.wake_at(), Some(seconds(25)));
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
    assert_eq!(machine.signal(7, TERM), [stop(TERM), Action::StillThere]);
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
    assert_eq!(machine.at(90, Event::Tick), [stop(TERM)]);
    // Who was told late has a second.
    assert_eq!(machine.0.wake_at(), Some(seconds(91)));
    assert_eq!(machine.at(190, Event::Tick), [Action::Kill]);
    // The time that SIGKILL gets counts from when it was sent.
    assert_eq!(machine.0.wake_at(), Some(seconds(192)));
}

#[test]
fn a_forwarding_that_came_late_leaves_a_second_or_what_the_settings_leave() {
    let half_a_second = Duration::from_millis(500);
    for (grace, at, deadline) in [
        // In time, and late by so little that there is more than a second left.
        (seconds(25), seconds(5), seconds(25)),
        (seconds(25), seconds(23), seconds(25)),
        (seconds(25), seconds(24) + half_a_second, seconds(25) + half_a_second),
        (seconds(25), seconds(90), seconds(91)),
        // The settings leave less.
        (seconds(5) + half_a_second, seconds(5), seconds(5) + half_a_second),
        (seconds(5) + half_a_second, seconds(90), seconds(90) + half_a_second),
    ] {
        let mut machine = Machine::new(Policy { grace_period: Some(grace), ..policy(5, 0) });
        machine.handle(Event::Signal(from_somebody(TERM)), Duration::ZERO, &mut |_| {});
        machine.handle(Event::Tick, at, &mut |_| {});
        let next = deadline.min(at + NOTICE);
        assert_eq!(machine.wake_at(), Some(next), "{grace:?}, asked at {at:?}");
        let mut actions = Vec::new();
        machine.handle(Event::Tick, deadline, &mut |action| actions.push(action));
        assert_eq!(actions, [Action::Kill], "{grace:?}, asked at {at:?}");
    }
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
    assert_eq!(machine.at(15, Event::Tick), [Action::StillThere]);
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
    assert_eq!(machine.at(109, Event::CommandExited), [stop_orphans(from_somebody(TERM))]);
    assert_eq!(machine.0.wake_at(), Some(seconds(114)), "they had no stop signal before");
    assert_eq!(machine.at(114, Event::Tick), [Action::StillThere]);
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
    assert_eq!(machine.0.wake_at(), Some(seconds(105)));
    assert_eq!(machine.signal(110, TERM), [stop(TERM), Action::StillThere]);
    assert_eq!(machine.0.wake_at(), Some(seconds(125)));
}

#[test]
fn a_command_that_exits_during_the_sleep_ends_it_for_orphans_to_be_stopped() {
    let mut machine = with_orphans(5, 25, Orphans::Stop);
    machine.signal(100, INT);
    assert_eq!(machine.at(101, Event::CommandExited), [stop_orphans(from_somebody(INT))]);
    assert_eq!(machine.at(106, Event::Tick), [Action::StillThere]);
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
fn orphans_are_told_what_reached_the_command_and_not_what_a_rule_dropped() {
    let mut policy = Policy { orphans: Orphans::Stop, ..policy(5, 25) };
    policy.stop_signals = policy.stop_signals.with(INT);
    policy.rewrites.set(INT, None);
    let mut machine = Driven(Machine::new(policy));
    machine.signal(100, INT);
    machine.signal(101, TERM);
    assert_eq!(machine.at(102, Event::CommandExited), [stop_orphans(from_somebody(TERM))]);
}

#[test]
fn a_command_that_had_to_be_killed_takes_its_orphans_along() {
    let mut machine = with_orphans(0, 5, Orphans::Stop);
    machine.signal(0, TERM);
    assert_eq!(machine.at(5, Event::Tick), [Action::Kill]);
    assert_eq!(machine.at(6, Event::CommandExited), []);
    assert_eq!(machine.at(6, Event::Alone), [Action::Exit]);
}

fn step(machine: &mut Machine, second: u64, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    machine.handle(event, seconds(second), &mut |action| actions.push(action));
    actions
}

fn escalating(sleep: u64, grace: u64) -> Machine {
    let mut escalation = Escalation::default();
    assert!(escalation.push(seconds(3), INT) && escalation.push(seconds(6), Signal::QUIT));
    Machine::new(Policy { escalation, ..policy(sleep, grace) })
}

#[test]
fn signals_come_in_turn_counted_from_the_forwarding_until_the_command_is_gone() {
    let mut machine = escalating(5, 0);
    assert_eq!(step(&mut machine, 0, Event::Signal(from_somebody(TERM))), [begins(TERM)]);
    assert_eq!(step(&mut machine, 5, Event::Tick), [stop(TERM)]);
    assert_eq!(machine.wake_at(), Some(seconds(8)));
    assert_eq!(step(&mut machine, 8, Event::Tick), [Action::Escalate(INT)]);
    assert_eq!(machine.wake_at(), Some(seconds(10)), "the notice");
    assert_eq!(step(&mut machine, 10, Event::Tick), [Action::StillThere]);
    assert_eq!(machine.wake_at(), Some(seconds(11)));
    assert_eq!(step(&mut machine, 11, Event::Tick), [Action::Escalate(Signal::QUIT)]);
    assert_eq!(machine.wake_at(), None);
    assert_eq!(step(&mut machine, 12, Event::CommandExited), [Action::Exit]);
}

#[test]
fn an_escalation_delays_no_deadline_and_ends_with_it() {
    let mut machine = escalating(0, 25);
    step(&mut machine, 0, Event::Signal(from_somebody(TERM)));
    // A second stop signal does not start it anew.
    step(&mut machine, 2, Event::Signal(Received { pid: 9, ..from_somebody(TERM) }));
    assert_eq!(step(&mut machine, 3, Event::Tick), [Action::Escalate(INT)]);
    assert_eq!(step(&mut machine, 30, Event::Tick), [Action::Escalate(Signal::QUIT), Action::Kill]);
    assert_eq!(machine.wake_at(), Some(seconds(32)));
}

#[test]
fn the_command_gets_its_own_signal_before_the_sleep_and_once() {
    let mut machine = Machine::new(Policy { pre_stop_signal: Some(USR2), ..policy(5, 0) });
    assert_eq!(step(&mut machine, 0, Event::Signal(from_somebody(TERM))), [begins(TERM), Action::PreStop(USR2)]);
    assert_eq!(step(&mut machine, 1, Event::Signal(Received { pid: 9, ..from_somebody(TERM) })), [stop(TERM)]);
}

#[test]
fn a_grace_period_that_ends_before_the_notice_or_with_it_tells_in_its_place() {
    for grace in [3, 5] {
        let mut machine = Driven::new(0, grace);
        machine.signal(0, TERM);
        assert_eq!(machine.0.wake_at(), Some(seconds(grace)));
        assert_eq!(machine.at(grace, Event::Tick), [Action::Kill]);
    }
    // A container that was paused over both.
    let mut machine = Driven::new(0, 25);
    machine.signal(0, TERM);
    assert_eq!(machine.at(90, Event::Tick), [Action::Kill]);
}

#[test]
fn there_is_one_notice_also_for_a_command_and_what_it_left() {
    let mut machine = with_orphans(0, 0, Orphans::Stop);
    machine.signal(0, TERM);
    assert_eq!(machine.at(5, Event::Tick), [Action::StillThere]);
    assert_eq!(machine.at(6, Event::CommandExited), [stop_orphans(from_somebody(TERM))]);
    assert_eq!(machine.0.wake_at(), None);
}

#[test]
fn a_command_that_exits_when_the_notice_is_due_is_not_still_there() {
    for (orphans, actions) in [
        (Orphans::Leave, vec![Action::Exit]),
        // Who is left was told to stop just now.
        (Orphans::Stop, vec![stop_orphans(from_somebody(TERM))]),
    ] {
        let mut machine = with_orphans(0, 0, orphans);
        machine.signal(0, TERM);
        assert_eq!(machine.at(5, Event::CommandExited), actions);
    }
}

#[test]
fn of_a_stop_signal_that_a_rule_drops_there_is_no_notice() {
    let mut policy = policy(0, 0);
    policy.rewrites.set(TERM, None);
    let mut machine = Driven(Machine::new(policy));
    machine.signal(0, TERM);
    assert_eq!(machine.0.wake_at(), None);
    assert_eq!(machine.signal(3, INT), [stop(INT)]);
    assert_eq!(machine.0.wake_at(), Some(seconds(8)), "this one arrived");
}

#[test]
fn a_command_that_is_stopped_when_the_notice_is_due_is_continued_before_it() {
    let mut machine = Driven::new(0, 0);
    machine.signal(0, TERM);
    assert_eq!(machine.at(5, Event::CommandStopped(Signal::STOP)), [Action::Continue, Action::StillThere]);
}
