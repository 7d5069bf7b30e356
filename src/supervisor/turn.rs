//! One turn of the loop: a signal, changes of children or a moment that has come, handed to the machine.
//!
//! The program takes its turns in front of the kernel (`mod.rs`), the model in front of a model of it
//! (`model.rs`): it is the same turn.

use std::time::Duration;

use crate::shutdown::{Action, Event, Machine};
use crate::signal::{Received, Signal};

/// What a turn asks of its surroundings: the kernel, and what carries out the machine's actions.
pub(super) trait Surroundings {
    /// So many changes of children are looked at before signals are looked for again ([`BATCH`]).
    const BATCH: usize = BATCH;

    /// `CLOCK_MONOTONIC`.
    fn now(&self) -> Duration;

    /// Waits for a signal, so long at most; `None` waits for ever, zero only looks.
    fn wait(&mut self, timeout: Option<Duration>) -> Option<Received>;

    /// The signal as it concerns the command; none when it was raised for sexton itself.
    fn for_command(&mut self, received: Received) -> Option<Received>;

    /// The machine has done with a signal that concerned the command.
    fn signal_was_handled(&mut self, received: Received);

    /// Takes the next change of a child.
    fn next_change(&mut self) -> Looked;

    /// All that changed has been seen: sends SIGKILL to what escaped it, if anybody was to be killed.
    fn kill_again(&mut self);

    /// Whether the command is known to be gone.
    fn command_is_gone(&self) -> bool;

    /// Does what the machine says at this moment.
    fn act(&mut self, action: Action, now: Duration);

    /// What was learned of the command in doing so, once.
    fn learned(&mut self) -> Option<Event>;

    /// Nobody needs to know of any other change.
    fn is_done(&self) -> bool;
}

/// What a look for a change of a child found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// This, and what it means to the machine, if anything.
    Change(Option<Event>),
    /// No child changed since.
    Nothing,
    /// There is no child left.
    NoChildren,
    /// The kernel does not say.
    Refused,
}

/// How often sexton looks for dead children once such a look was refused: the notice of their death was taken
/// by then, and does not come again. And with `--pause`, how often it looks whether those are gone that an
/// engine's exec put into the container, whose end the kernel does not tell PID 1.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// So many changes of children: one takes one to three microseconds to reap, and the look for signals two
/// system calls.
pub(super) const BATCH: usize = 128;

/// So many batches are reaped at a deadline: all 32,768 pids that most machines have.
const BATCHES: u32 = 256;

/// The loop, from turn to turn.
#[derive(Debug)]
pub(super) struct Turns<S> {
    pub machine: Machine,
    pub surroundings: S,
    /// There may be more changes of children than were looked at.
    children_changed: bool,
    /// A child may be dead without a word from the kernel.
    polls: bool,
    /// When this turn began, once something wanted to know: most turns need no clock.
    now: Option<Duration>,
}

impl<S: Surroundings> Turns<S> {
    pub fn new(machine: Machine, surroundings: S) -> Turns<S> {
        Turns { machine, surroundings, children_changed: false, polls: false, now: None }
    }

    /// Waits for the next thing to happen, and acts on it.
    ///
    /// Nothing that happens, whoever it is meant for, delays a moment that the machine waits for.
    pub fn turn(&mut self) {
        self.now = None;
        // While children wait to be reaped, signals are only looked for: a storm of deaths
        // delays no signal, and a storm of signals no reaping.
        let timeout = if self.children_changed { Some(Duration::ZERO) } else { self.time_left() };
        let received = self.surroundings.wait(timeout);
        self.now = None;
        let is_due = self.machine.wake_at().is_some_and(|moment| moment <= self.now());
        if is_due {
            // Whoever is dead by now did not outlive the moment, whatever signals came before the
            // kernel's word of it, and however many others are dead as well.
            self.children_changed = (0..BATCHES).all(|_| self.reap());
        }
        if let Some(received) = received {
            // One that a process sent may stand for the kernel's, which merged with it.
            self.children_changed |= received.signal == Signal::CHLD;
            if let Some(received) = self.surroundings.for_command(received) {
                self.event(Event::Signal(received));
                self.surroundings.signal_was_handled(received);
            }
        }
        if is_due {
            self.event(Event::Tick);
        }
        if self.children_changed || self.polls {
            self.children_changed = self.reap();
        }
    }

    /// Hands an event to the machine, and does what that says.
    pub fn event(&mut self, event: Event) {
        // Most lives end without a look at the clock.
        let now = if self.machine.asks_for_time(event) { self.now() } else { Duration::ZERO };
        self.machine.handle(event, now, &mut |action| self.surroundings.act(action, now));
        if let Some(event) = self.surroundings.learned() {
            let now = self.now();
            self.machine.handle(event, now, &mut |action| self.surroundings.act(action, now));
        }
    }

    fn now(&mut self) -> Duration {
        *self.now.get_or_insert_with(|| self.surroundings.now())
    }

    fn time_left(&mut self) -> Option<Duration> {
        let left = self.machine.wake_at().map(|moment| moment.saturating_sub(self.now()));
        if self.polls { Some(left.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL)) } else { left }
    }

    /// Looks at a batch of changes. Returns whether there may be more.
    fn reap(&mut self) -> bool {
        for _ in 0..S::BATCH {
            let looked = self.surroundings.next_change();
            if let Looked::Change(event) = looked {
                if let Some(event) = event {
                    self.event(event);
                }
                if self.surroundings.is_done() {
                    return false;
                }
                continue;
            }
            if looked == Looked::Nothing {
                self.surroundings.kill_again();
            }
            let is_alone = looked == Looked::NoChildren && self.surroundings.command_is_gone();
            if is_alone {
                self.event(Event::Alone);
            }
            // The command is our child: while we have not reaped it, there is something wrong with the answer
            // that there is none.
            self.polls = !is_alone && looked != Looked::Nothing;
            return false;
        }
        self.polls = false;
        true
    }
}
