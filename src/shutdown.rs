//! The shutdown as a pure state machine: an event and the time go in, actions come out.
//!
//! ```text
//!             stop signal            sleep over            deadline
//!  Running ───────────────▶ Sleeping ───────────▶ Stopping ─────────▶ Killing
//!     │                        │  a second stop        │                 │
//!     │                        └─ signal ends the ─────┘                 │
//!     └── command exits ──▶ Done ◀───────────────────────────────────────┘
//! ```
//!
//! No system call, no clock, no I/O: the time is a [`Duration`] since any fixed moment, and it
//! only ever grows. [`Machine::wake_at`] says when the machine wants to be asked again.

use std::time::Duration;

use crate::signal::{Received, Rewrites, Signal, SignalSet};

/// How long sexton waits for the command to be gone after SIGKILL.
///
/// A process in uninterruptible sleep (state D: a dead NFS server, a broken disk) outlives even
/// SIGKILL. Two seconds, because a grace period of 8s then still fits into Docker's 10s.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// What the shutdown does, fixed from the start.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Which signals start the shutdown.
    pub stop_signals: SignalSet,
    /// What is forwarded in place of each signal.
    pub rewrites: Rewrites,
    /// From the stop signal to its forwarding; shorter than the grace period.
    pub pre_stop_sleep: Duration,
    /// From the stop signal to SIGKILL; `None`: never.
    pub grace_period: Option<Duration>,
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
    /// Time has passed, and nothing else happened.
    Tick,
}

/// Something to do, at once and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The shutdown has begun: there is nothing to do, but it is worth telling.
    ShutdownBegins(Received),
    /// Send this to the command.
    Forward(Received),
    /// A rule of the user says that this is not forwarded.
    Drop(Received),
    /// Send SIGCONT to the command: it is stopped and could not act on the stop signal.
    Continue,
    /// The command was stopped by this signal, and no shutdown is going on.
    CommandStopped(Signal),
    /// Send SIGKILL to the command.
    Kill,
    /// SIGKILL did not end the command within [`KILL_TIMEOUT`]: exit without it.
    Abandon,
    /// The command is gone: exit.
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    },
    Killing {
        give_up: Duration,
    },
    Done,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: Policy,
    state: State,
    command_is_stopped: bool,
}

impl Machine {
    /// A machine whose command runs.
    pub fn new(policy: Policy) -> Machine {
        Machine { policy, state: State::Running, command_is_stopped: false }
    }

    /// When the machine wants its next [`Event::Tick`], if nothing happens before; `None`: never.
    pub fn wake_at(&self) -> Option<Duration> {
        match self.state {
            State::Running | State::Done => None,
            State::Sleeping { until, .. } => Some(until),
            State::Stopping { deadline } => deadline,
            State::Killing { give_up } => Some(give_up),
        }
    }

    /// Takes one event at the time `now` and hands what is to be done to `act`.
    pub fn handle(&mut self, event: Event, now: Duration, act: &mut impl FnMut(Action)) {
        // What is reaped is gone: the exit wins over a deadline that was reached at the same time.
        if event == Event::CommandExited && self.state != State::Done {
            self.state = State::Done;
            act(Action::Exit);
            return;
        }
        // A flood of signals must not keep a deadline from being seen.
        self.time_passes(now, act);
        match event {
            Event::Signal(received) => self.signal(received, now, act),
            Event::CommandStopped(signal) => self.command_stopped(signal, act),
            Event::CommandContinued => self.command_is_stopped = false,
            Event::CommandExited | Event::Tick => {}
        }
    }

    fn time_passes(&mut self, now: Duration, act: &mut impl FnMut(Action)) {
        if let State::Sleeping { until, held, deadline } = self.state
            && now >= until
        {
            self.state = State::Stopping { deadline };
            self.forward_stop(held, act);
        }
        if let State::Stopping { deadline: Some(deadline) } = self.state
            && now >= deadline
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
            self.forward(received, act);
            return;
        }
        match self.state {
            State::Running => {
                act(Action::ShutdownBegins(received));
                let deadline = self.policy.grace_period.map(|grace| now.saturating_add(grace));
                if self.policy.pre_stop_sleep.is_zero() {
                    self.state = State::Stopping { deadline };
                    self.forward_stop(received, act);
                } else {
                    let until = now.saturating_add(self.policy.pre_stop_sleep);
                    self.state = State::Sleeping { until, held: received, deadline };
                }
            }
            State::Sleeping { held, deadline, .. } => {
                self.state = State::Stopping { deadline };
                // A held signal is like a pending one: a standard signal that comes again adds
                // nothing, any other one arrives as well (signal(7), "Queueing").
                if held.signal == received.signal && !held.signal.is_real_time() {
                    self.forward_stop(held, act);
                } else {
                    self.forward(held, act);
                    self.forward_stop(received, act);
                }
            }
            State::Stopping { .. } | State::Killing { .. } => self.forward_stop(received, act),
            State::Done => {}
        }
    }

    /// A stopped command cannot act on the stop signal before it goes on.
    fn forward_stop(&mut self, received: Received, act: &mut impl FnMut(Action)) {
        self.forward(received, act);
        if self.command_is_stopped {
            act(Action::Continue);
        }
    }

    fn forward(&self, received: Received, act: &mut impl FnMut(Action)) {
        match self.policy.rewrites.apply(received.signal) {
            Some(signal) => act(Action::Forward(received.rewritten(signal))),
            None => act(Action::Drop(received)),
        }
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

#[cfg(test)]
#[path = "shutdown_tests.rs"]
mod tests;
