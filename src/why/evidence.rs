//! What happened to the command, noted while it happens: when somebody asks why it died, the
//! sender of a signal is gone, and the kernel's counters say nothing without what they were.
//!
//! All of it has its fixed place: once the command runs, nothing here allocates.

use std::time::Duration;

use super::died::{Command, OutOfMemory, Processes, Sender, Zombies};
use crate::signal::{Received, Signal, SignalSet};
use crate::sys::{Memory, Opened, each_living, each_zombie, monotonic_now, process};

/// So many forwarded signals are noted. Who dies by one dies at once, so the latest would do; a place
/// for each of 64 took up a third of all the memory that an idle sexton has for itself.
const NOTED: usize = 8;

/// The notes.
#[derive(Debug)]
pub struct Evidence {
    started: Duration,
    memory: Option<Memory>,
    /// Who asked for the shutdown, and when.
    stop: Option<(Sender, Duration)>,
    /// When the first stop signal was forwarded.
    stop_forwarded: Option<Duration>,
    /// As what stop signals were forwarded.
    stops: SignalSet,
    /// The latest signals that were forwarded, the last of each: whose and when.
    forwarded: [Option<(Sender, Duration)>; NOTED],
    /// The grace period is over, and sexton sent SIGKILL.
    killed: bool,
}

impl Evidence {
    /// Of a command that was started just now.
    #[inline(never)]
    pub fn new(opened: &mut Opened) -> Evidence {
        Evidence {
            started: monotonic_now(),
            memory: Memory::of_us(opened),
            stop: None,
            stop_forwarded: None,
            stops: SignalSet::EMPTY,
            forwarded: [None; NOTED],
            killed: false,
        }
    }

    /// This signal asks for the shutdown. Returns who sent it.
    pub fn stop_requested(&mut self, received: Received) -> Sender {
        // Before the look at the sender, which takes its time.
        let now = monotonic_now();
        let sender = sender(received);
        self.stop = Some((sender, now));
        sender
    }

    /// This signal was sent to the command.
    pub fn forwarded(&mut self, received: Received, is_stop: bool) {
        let now = monotonic_now();
        if is_stop {
            self.stops = self.stops.with(received.signal);
            self.stop_forwarded.get_or_insert(now);
            return;
        }
        // The place of the same signal, a free one, or the oldest.
        let place = self.forwarded.iter_mut().min_by_key(|noted| match noted {
            Some((sender, _)) if sender.received.signal == received.signal => (0, Duration::ZERO),
            None => (1, Duration::ZERO),
            Some((_, then)) => (2, *then),
        });
        if let Some(place) = place {
            *place = Some((sender(received), now));
        }
    }

    /// The user wants the command to have this signal, and so to die of it if it does.
    pub fn wants(&mut self, signal: Signal) {
        self.stops = self.stops.with(signal);
    }

    /// sexton sends SIGKILL.
    pub fn killed(&mut self) {
        self.killed = true;
    }

    /// The first stop signal, and who sent it.
    pub fn stop(&self) -> Option<Sender> {
        self.stop.map(|(sender, _)| sender)
    }

    /// How long the stop signal was held back, and how long the command has had it.
    pub fn waits(&self) -> Option<(Duration, Duration)> {
        let ((_, asked), told) = (self.stop?, self.stop_forwarded?);
        Some((told.saturating_sub(asked), monotonic_now().saturating_sub(told)))
    }

    /// When the command ran by then (`CLOCK_MONOTONIC`).
    pub fn started(&self) -> Duration {
        self.started
    }

    /// Whether sexton sent SIGKILL at the end of the grace period.
    pub fn was_killed(&self) -> bool {
        self.killed
    }

    /// How long the command has run.
    pub fn ran(&self) -> Duration {
        monotonic_now().saturating_sub(self.started)
    }

    /// Whether a death by this signal is what a stop signal was to bring about.
    pub fn is_wanted(&self, signal: Signal) -> bool {
        self.stops.contains(signal)
    }

    /// Whether there is nothing to be said of a death by this signal: sexton brought it about, or
    /// it is SIGINT or SIGPIPE, of which shells do not speak either.
    pub fn is_expected(&self, signal: Signal) -> bool {
        self.is_wanted(signal)
            || matches!(signal, Signal::INT | Signal::PIPE)
            || (self.killed && signal == Signal::KILL)
    }

    /// The last one of this signal that was forwarded and was no stop signal, and how long ago.
    pub fn last_forwarded(&self, signal: Signal) -> Option<(Sender, Duration)> {
        let (sender, then) = *self.forwarded.iter().flatten().find(|(sender, _)| sender.received.signal == signal)?;
        Some((sender, monotonic_now().saturating_sub(then)))
    }

    /// The latest signals that were forwarded and were no stop signals, as they were forwarded: whose and when.
    pub fn forwarded_signals(&self) -> impl Iterator<Item = &(Sender, Duration)> {
        self.forwarded.iter().flatten()
    }

    /// Whether the memory of our cgroup ran out since the command was started.
    pub fn memory(&self) -> OutOfMemory {
        let memory = self.memory.as_ref();
        let before = memory.map(Memory::oom_kills_before);
        OutOfMemory::of(before, memory.and_then(Memory::oom_kills), || memory.and_then(Memory::limit))
    }
}

/// Who sent this. A sender like kill(1) is gone a moment later: to be asked at once.
fn sender(received: Received) -> Sender {
    // One outside of our PID namespace comes as 0, and is not to be found in /proc.
    let can_be_seen = received.is_from_process() && received.pid != 0;
    Sender { received, process: can_be_seen.then(|| process(received.pid)).flatten() }
}

/// What is alive besides the command; `None` without a usable `/proc`.
pub fn alive_besides(command: Command) -> Option<Processes> {
    let mut alive = Processes::default();
    let seen = each_living(|process| {
        if process.pid != command.pid {
            alive.add(process);
        }
    });
    seen.ok().map(|()| alive)
}

/// What is alive, the command first; `None` without a usable `/proc`.
pub fn alive(command: Option<Command>) -> Option<Processes> {
    let mut alive = Processes::default();
    let first = command.and_then(|command| process(command.pid)).filter(|process| !process.is_zombie());
    if let Some(first) = first {
        alive.add(&first);
    }
    let seen = each_living(|process| {
        if first.is_none_or(|first| first.pid != process.pid) {
            alive.add(process);
        }
    });
    seen.ok().map(|()| alive)
}

/// Calls `tell` for each process, up to eight of them, that does not reap its children.
pub fn zombies(mut tell: impl FnMut(Zombies)) {
    let mut found = [(0, 0_usize); 8];
    let _ = each_zombie(|zombie| {
        let is_its = |(parent, count): &&mut (i32, usize)| *parent == zombie.parent || *count == 0;
        if let Some((parent, count)) = found.iter_mut().find(is_its) {
            *parent = zombie.parent;
            *count += 1;
        }
    });
    for (parent, count) in found.into_iter().filter(|(_, count)| *count > 0) {
        tell(Zombies { parent, process: process(parent), count });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_forwarded_signals_the_latest_are_noted_with_the_last_sender_of_each() {
        let mut evidence = Evidence::new(&mut Opened::default());
        let signals: Vec<Signal> = Signal::all().take(NOTED + 1).collect();
        let noted =
            |evidence: &Evidence, signal| evidence.last_forwarded(signal).map(|(sender, _)| sender.received.pid);
        for signal in &signals[..NOTED] {
            evidence.forwarded(Received::sent_by(1, *signal), false);
        }
        evidence.forwarded(Received::sent_by(2, signals[0]), false);
        evidence.forwarded(Received::sent_by(3, signals[NOTED]), false);
        assert_eq!(noted(&evidence, signals[0]), Some(2));
        assert_eq!(noted(&evidence, signals[1]), None, "the oldest makes room");
        assert_eq!(noted(&evidence, signals[2]), Some(1));
        assert_eq!(noted(&evidence, signals[NOTED]), Some(3));
    }
}
