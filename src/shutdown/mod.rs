//! The shutdown as a pure state machine: an event and the time go in, actions come out.
//!
//! ```text
//!             stop signal            sleep over            deadline
//!  Running ───────────────▶ Sleeping ───────────▶ Stopping ─────────▶ Killing
//!     │                        │  a second stop        │                 │
//!     │                        └─ signal ends the ─────┘                 │
//!     └── command exits ──▶ (orphans, if asked for) ──▶ Done ◀───────────┘
//! ```
//!
//! The orphans take the place of the command when it is gone: signals go to them, and the same
//! clock runs for them.
//!
//! No system call, no clock, no I/O: the time is a [`Duration`] since any fixed moment, and it
//! only ever grows. [`Machine::wake_at`] says when the machine wants to be asked again.

use std::time::Duration;

use crate::config::{Escalation, Orphans};
use crate::signal::{Received, Rewrites, Signal, SignalSet};

/// How long sexton waits for the command to be gone after SIGKILL.
///
/// A process in uninterruptible sleep (state D: a dead NFS server, a broken disk) outlives even
/// SIGKILL. Two seconds, because a grace period of 8s then still fits into Docker's 10s.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// The same stop signal from the same process within this time is one request.
pub const ECHO: Duration = Duration::from_millis(100);

/// So long at least has who is told late to stop before SIGKILL comes, or as long as the policy leaves
/// between the sleep and the end of the grace period.
///
/// A container that was paused wakes up beyond all of its deadlines; its command has heard of none.
pub const LATE_GRACE: Duration = Duration::from_secs(1);

/// So much longer than its grace period sexton waits for a command that is a sexton with a grace period of
/// its own: that one knows better whom to kill, and what to say of it.
pub const HEAD_START: Duration = Duration::from_secs(1);

/// So long the command has had the stop signal when the notice tells that it is still there.
///
/// Half of the ten seconds after which `docker stop` kills the container, and whoever would tell then.
pub const NOTICE: Duration = Duration::from_secs(5);

/// What the shutdown does, fixed from the start.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Which signals start the shutdown.
    pub stop_signals: SignalSet,
    /// What is forwarded in place of each signal.
    pub rewrites: Rewrites,
    /// What is sent when the shutdown begins, as it is; only with a sleep.
    pub pre_stop_signal: Option<Signal>,
    /// From the stop signal to its forwarding; shorter than the grace period.
    pub pre_stop_sleep: Duration,
    /// From the stop signal to SIGKILL, but for [`LATE_GRACE`]; `None`: never.
    pub grace_period: Option<Duration>,
    /// What is sent in turn after the stop signal was forwarded, as it is; each shorter than what the
    /// settings leave between the sleep and the end of the grace period.
    pub escalation: Escalation,
    /// What becomes of the processes that the command leaves.
    pub orphans: Orphans,
    /// From the forwarding of the stop signal to the notice that its receiver is still there ([`NOTICE`]).
    pub notice_after: Duration,
}

impl Policy {
    /// The stop signal for orphans when nobody sent one.
    fn own_stop(&self) -> Received {
        let stops = self.stop_signals;
        let signal =
            if stops.contains(Signal::TERM) { Signal::TERM } else { stops.iter().next().unwrap_or(Signal::TERM) };
        Received::sent_by(0, signal)
    }
}

/// What a command that is a sexton does by itself in a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nested {
    /// It sends SIGKILL when a grace period is over.
    pub kills: bool,
    /// It sends further signals in turn.
    pub escalates: bool,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal that is meant for the command.
    Signal(Received),
    /// The command was stopped by this signal.
    CommandStopped(Signal),
    /// The command goes on after a stop.
    CommandContinued,
    /// The command is dead and reaped.
    CommandExited,
    /// The command is gone, and so is everybody who descends from it or was left to sexton.
    Alone,
    /// The command is a sexton itself, and does these by itself.
    CommandIsSexton(Nested),
    /// Time has passed, and nothing else happened.
    Tick,
}

/// Something to do, at once and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The shutdown has begun: there is nothing to do, but it is worth telling.
    ShutdownBegins(Received),
    /// Send this to the command; to all that is left when it is gone.
    Forward(Received),
    /// The same, with a stop signal.
    ForwardStop(Received),
    /// Send this to the command, which may get ready for the stop signal.
    PreStop(Signal),
    /// Send this to whom the stop signal was sent: it did not help.
    Escalate(Signal),
    /// The command is gone: send this to all that is left and did not get it with the command.
    StopOrphans(Received),
    /// A rule of the user says that this is not forwarded.
    Drop(Received),
    /// Send SIGCONT to the command: it is stopped and could not act on the stop signal.
    Continue,
    /// The command was stopped by this signal, and no shutdown is going on.
    CommandStopped(Signal),
    /// Whoever was told to stop has had the time for it, and is still there: look why, and tell.
    StillThere,
    /// Send SIGKILL to the command, or to all that is left when orphans are not to be left.
    Kill,
    /// SIGKILL did not end everything within [`KILL_TIMEOUT`]: exit all the same.
    Abandon,
    /// There is nobody left to care for: exit.
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Running,
    /// The stop signal is held until the sleep is over.
    Sleeping {
        until: Duration,
        held: Received,
        deadline: Option<Duration>,
    },
    Stopping {
        deadline: Option<Duration>,
        /// When the stop signal was forwarded.
        since: Duration,
        /// So many steps of the escalation were taken.
        steps: usize,
    },
    Killing {
        give_up: Duration,
    },
    Done,
}

/// The one notice that there is in a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Notice {
    /// Nobody who is left was told to stop.
    NotDue,
    /// At this moment, if somebody is still there.
    DueAt(Duration),
    Given,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: Policy,
    state: State,
    notice: Notice,
    command_is_stopped: bool,
    command_is_gone: bool,
    /// What it does by itself, being a sexton.
    nested: Nested,
    /// The stop signal that began the shutdown.
    stop: Option<Received>,
}

impl Machine {
    /// A machine whose command runs.
    pub fn new(policy: Policy) -> Machine {
        Machine {
            policy,
            state: State::Running,
            notice: Notice::NotDue,
            command_is_stopped: false,
            command_is_gone: false,
            nested: Nested::default(),
            stop: None,
        }
    }

    /// When the machine wants its next [`Event::Tick`], if nothing happens before; `None`: never.
    pub fn wake_at(&self) -> Option<Duration> {
        match self.state {
            State::Running | State::Done => None,
            State::Sleeping { until, .. } => Some(until),
            State::Stopping { deadline, since, steps } => {
                let step = self.step(steps).map(|(after, _)| since.saturating_add(after));
                let notice = match self.notice {
                    Notice::DueAt(moment) => Some(moment),
                    Notice::NotDue | Notice::Given => None,
                };
                step.into_iter().chain(deadline.map(|deadline| self.kill_at(deadline))).chain(notice).min()
            }
            State::Killing { give_up } => Some(give_up),
        }
    }

    /// When SIGKILL is sent for this deadline: two that kill at the same moment would be one too many.
    fn kill_at(&self, deadline: Duration) -> Duration {
        deadline.saturating_add(if self.nested.kills { HEAD_START } else { Duration::ZERO })
    }

    /// A step of the escalation, if it is ours to take.
    fn step(&self, steps: usize) -> Option<(Duration, Signal)> {
        self.policy.escalation.step(steps).filter(|_| !self.nested.escalates)
    }

    /// Takes one event at the time `now` and hands what is to be done to `act`.
    pub fn handle(&mut self, event: Event, now: Duration, act: &mut impl FnMut(Action)) {
        // What is reaped is gone: the exit wins over a deadline that was reached at the same time.
        if !self.asks_for_time(event) {
            return self.exit(act);
        }
        if event == Event::CommandExited {
            // It is not known yet that anybody outlives it, so no moment that has come is for them.
            return self.command_exited(now, act);
        }
        // A flood of signals must not keep a deadline from being seen.
        self.time_passes(now, act);
        match event {
            Event::Signal(received) => self.signal(received, now, act),
            Event::CommandStopped(signal) => self.command_stopped(signal, act),
            Event::CommandContinued => self.command_is_stopped = false,
            Event::CommandIsSexton(nested) => self.nested = nested,
            Event::CommandExited | Event::Alone | Event::Tick => {}
        }
        // Last, for what was done now may be what helps. Once SIGKILL is sent, what is said of that tells the rest.
        if let (State::Stopping { .. }, Notice::DueAt(moment)) = (self.state, self.notice)
            && now >= moment
        {
            self.notice = Notice::Given;
            act(Action::StillThere);
        }
    }

    /// Whether it makes a difference when this happens: it does not, once nothing is left to be done.
    pub fn asks_for_time(&self, event: Event) -> bool {
        match event {
            Event::CommandExited => self.policy.orphans != Orphans::Leave,
            Event::Alone => !self.command_is_gone,
            _ => true,
        }
    }

    fn exit(&mut self, act: &mut impl FnMut(Action)) {
        if self.state != State::Done {
            self.state = State::Done;
            act(Action::Exit);
        }
    }

    /// The command is gone, and what it left is not to be left alone.
    fn command_exited(&mut self, now: Duration, act: &mut impl FnMut(Action)) {
        self.command_is_gone = true;
        self.command_is_stopped = false;
        if self.policy.orphans != Orphans::Stop {
            return;
        }
        self.state = match self.state {
            State::Running => stopping(now, self.policy.grace_period.map(|grace| now.saturating_add(grace))),
            State::Sleeping { until, deadline, .. } => stopping(now, told(now, until, deadline)),
            // The clock of what was told with the command goes on.
            stopping @ State::Stopping { .. } => stopping,
            State::Killing { .. } | State::Done => return,
        };
        if let Notice::DueAt(_) = self.notice {
            // It was about the command. Who is left is told only now.
            self.notice = Notice::NotDue;
        }
        let stop = self.stop.unwrap_or(self.policy.own_stop());
        self.tell_to_stop(stop, Action::StopOrphans, now, act);
    }

    fn time_passes(&mut self, now: Duration, act: &mut impl FnMut(Action)) {
        if let State::Sleeping { until, held, deadline } = self.state
            && now >= until
        {
            self.state = stopping(now, told(now, until, deadline));
            self.forward_stop(held, now, act);
        }
        while let State::Stopping { deadline, since, steps } = self.state
            && let Some((after, signal)) = self.step(steps)
            && now >= since.saturating_add(after)
        {
            self.state = State::Stopping { deadline, since, steps: steps + 1 };
            act(Action::Escalate(signal));
        }
        if let State::Stopping { deadline: Some(deadline), .. } = self.state
            && now >= self.kill_at(deadline)
        {
            self.state = State::Killing { give_up: now.saturating_add(KILL_TIMEOUT) };
            act(Action::Kill);
        }
        if let State::Killing { give_up } = self.state
            && now >= give_up
        {
            self.state = State::Done;
            act(Action::Abandon);
        }
    }

    fn signal(&mut self, received: Received, now: Duration, act: &mut impl FnMut(Action)) {
        if self.state == State::Done {
            return;
        }
        if !self.policy.stop_signals.contains(received.signal) {
            self.forward(received, Action::Forward, act);
            return;
        }
        match self.state {
            State::Running => {
                self.stop = Some(received);
                act(Action::ShutdownBegins(received));
                // One clock for all that stand in a row: it was started when the first of them got the signal.
                let held_back = received.held_back().unwrap_or_default();
                let began = now.saturating_sub(held_back.since);
                let deadline = self.policy.grace_period.map(|grace| began.saturating_add(grace));
                let until = began.saturating_add(self.policy.pre_stop_sleep);
                if held_back.is_over || until <= now {
                    self.state = stopping(now, told(now, until, deadline));
                    self.forward_stop(received, now, act);
                } else {
                    if let Some(signal) = self.policy.pre_stop_signal.filter(|_| !self.command_is_gone) {
                        act(Action::PreStop(signal));
                    }
                    self.state = State::Sleeping { until, held: received, deadline };
                }
            }
            State::Sleeping { held, until, .. } if self.is_echo(held, received, until, now) => {}
            State::Sleeping { held, deadline, .. } => {
                self.state = stopping(now, deadline);
                // A held signal is like a pending one: a standard signal that comes again adds
                // nothing, any other one arrives as well (signal(7), "Queueing").
                if held.signal == received.signal && !held.signal.is_real_time() {
                    self.forward_stop(held, now, act);
                } else {
                    self.tell_to_stop(held, Action::ForwardStop, now, act);
                    self.forward_stop(received, now, act);
                }
            }
            State::Stopping { .. } | State::Killing { .. } => self.forward_stop(received, now, act),
            State::Done => {}
        }
    }

    /// timeout(1) sends its signal to its child, and then to its process group, in which the child
    /// is: one request that arrives twice, and no wish to end the sleep.
    fn is_echo(&self, held: Received, received: Received, until: Duration, now: Duration) -> bool {
        let began = until.saturating_sub(self.policy.pre_stop_sleep);
        let same = received.signal == held.signal && received.pid == held.pid && !received.is_queued();
        same && received.pid != 0 && received.is_from_process() && now.saturating_sub(began) < ECHO
    }

    /// A stopped command cannot act on the stop signal before it goes on.
    fn forward_stop(&mut self, received: Received, now: Duration, act: &mut impl FnMut(Action)) {
        self.tell_to_stop(received, Action::ForwardStop, now, act);
        if self.command_is_stopped {
            act(Action::Continue);
        }
    }

    /// Does `what` with a stop signal as rewritten. From the first time that somebody is told, the time
    /// runs after which there is a notice.
    fn tell_to_stop(
        &mut self,
        received: Received,
        what: fn(Received) -> Action,
        now: Duration,
        act: &mut impl FnMut(Action),
    ) {
        let is_told = self.forward(received, what, act);
        // What the command leaves is told what reached the command, not what a rule dropped.
        let was_dropped = self.stop.is_some_and(|stop| self.policy.rewrites.apply(stop.signal).is_none());
        if is_told && was_dropped {
            self.stop = Some(received);
        }
        if is_told && self.notice == Notice::NotDue {
            self.notice = Notice::DueAt(now.saturating_add(self.policy.notice_after));
        }
    }

    /// Does `what` with the signal as rewritten. Returns whether no rule drops it.
    fn forward(&self, received: Received, what: fn(Received) -> Action, act: &mut impl FnMut(Action)) -> bool {
        let signal = self.policy.rewrites.apply(received.signal);
        act(signal.map_or(Action::Drop(received), |signal| what(received.rewritten(signal))));
        signal.is_some()
    }

    fn command_stopped(&mut self, signal: Signal, act: &mut impl FnMut(Action)) {
        self.command_is_stopped = true;
        match self.state {
            State::Running => act(Action::CommandStopped(signal)),
            // It was told to stop, in the other sense of the word, and must be able to.
            State::Stopping { .. } => act(Action::Continue),
            State::Sleeping { .. } | State::Killing { .. } | State::Done => {}
        }
    }
}

/// The stop signal is forwarded now.
fn stopping(now: Duration, deadline: Option<Duration>) -> State {
    State::Stopping { deadline, since: now, steps: 0 }
}

/// The deadline of who is told to stop now, and should have been at `until` at the latest.
fn told(now: Duration, until: Duration, deadline: Option<Duration>) -> Option<Duration> {
    let deadline = deadline?;
    Some(deadline.max(now.saturating_add(deadline.saturating_sub(until).min(LATE_GRACE))))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod explored;
