//! What happened to the command, noted while it happens: when somebody asks why it died, the
//! sender of a signal is gone, and the kernel's counters say nothing without what they were.
//!
//! All of it has its fixed place: once the command runs, nothing here allocates.

use std::time::Duration;

use super::died::{Command, Held, OutOfMemory, Processes, Sender, Survivors, Tracer, Whose, Zombies};
use crate::exit_status;
use crate::signal::{Received, Signal, SignalSet};
use crate::sys::{
    Ceiling, CpuLimit, Death, Memory, NotSeen, Opened, can_be_reaped, each_of_ours, is_dead, monotonic_now,
    monotonic_now_once, own_pid, process, reached_cpu_limit, tracer,
};

/// So many forwarded signals are noted. Who dies by one dies at once, so the latest would do; a place
/// for each of 64 took up a third of all the memory that an idle sexton has for itself.
const NOTED: usize = 8;

/// The notes.
#[derive(Debug)]
pub struct Evidence {
    started: Duration,
    /// What counted in our cgroup when the command had been started; in its own, where that turns out to be
    /// another one.
    memory: Option<Memory>,
    /// The command was dead by then: what had been counted may be its own death.
    counted_too_late: bool,
    /// What was seen of the command when it was dead and not reaped.
    last_look: Option<LastLook>,
    /// Who asked for the shutdown, and when: us, or a sexton in front of us.
    stop: Option<(Sender, Duration)>,
    /// When the first stop signal was forwarded.
    stop_forwarded: Option<Duration>,
    /// As what stop signals were forwarded, and the steps of the escalation.
    stops: SignalSet,
    /// All other signals that were forwarded.
    others: SignalSet,
    /// The latest signals that were forwarded, the last of each: whose and when.
    forwarded: [Option<(Sender, Duration)>; NOTED],
    /// The grace period is over, and sexton sent SIGKILL.
    killed: bool,
}

/// What can only be seen of a dead command before it is reaped.
#[derive(Clone, Copy, Debug)]
struct LastLook {
    counted: Counted,
    /// It had used all of the processor time that it might.
    cpu_limit: Option<CpuLimit>,
}

/// What was counted in the end.
#[derive(Clone, Copy, Debug)]
enum Counted {
    /// So many, where so many had been counted before.
    Again(Whose, u64),
    /// In another cgroup, which was the command's.
    Elsewhere,
    /// It cannot be said.
    Unknown,
}

impl Evidence {
    /// Those of a command that was started just now, with nothing in them yet.
    pub fn from_now() -> Evidence {
        Evidence {
            started: monotonic_now_once(),
            memory: None,
            counted_too_late: false,
            last_look: None,
            stop: None,
            stop_forwarded: None,
            stops: SignalSet::EMPTY,
            others: SignalSet::EMPTY,
            forwarded: [None; NOTED],
            killed: false,
        }
    }

    /// Notes what had been counted before this command.
    #[inline(never)]
    pub fn count_before(&mut self, command: i32, opened: &mut Opened) {
        Memory::find_ours(&mut self.memory, opened);
        // Most cgroups have nothing to count before.
        self.counted_too_late = self.memory.as_ref().is_some_and(|memory| memory.oom_kills > 0) && is_dead(command);
    }

    /// This signal asks for the shutdown, now. Returns who sent it.
    pub fn stop_requested(&mut self, received: Received, now: Duration) -> Sender {
        let sender = sender(received);
        self.stop = Some((sender, now.saturating_sub(received.held_back().unwrap_or_default().since)));
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
        self.others = self.others.with(received.signal);
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

    /// The command was sent this step of the escalation: the user wants it to end by that if nothing else ends it.
    pub fn escalated(&mut self, signal: Signal) {
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

    /// How long ago the first stop signal came, to us or to a sexton in front of us.
    pub fn since_stop(&self, now: Duration) -> Duration {
        self.stop.map_or(Duration::ZERO, |(_, asked)| now.saturating_sub(asked))
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
        monotonic_now_once().saturating_sub(self.started)
    }

    /// Whether this status says that a stop signal ended the command, be it that the command exits
    /// with it by itself, as shells and Java do. SIGKILL is never a good end.
    pub fn was_stopped_well(&self, status: u8) -> bool {
        let signal = status.checked_sub(exit_status::KILLED_BASE).and_then(|number| Signal::new(i32::from(number)));
        signal.is_some_and(|signal| signal != Signal::KILL && self.stops.contains(signal))
    }

    /// Whether there is nothing to be said of a death by this signal: sexton brought it about, or
    /// it is SIGINT or SIGPIPE, of which shells do not speak either.
    pub fn is_expected(&self, signal: Signal) -> bool {
        self.stops.contains(signal)
            || matches!(signal, Signal::INT | Signal::PIPE)
            || (self.killed && signal == Signal::KILL)
    }

    /// What is known of this signal's having been forwarded, other than as a stop signal.
    pub fn forwarding(&self, signal: Signal) -> Forwarding {
        match self.forwarded.iter().flatten().find(|(sender, _)| sender.received.signal == signal) {
            Some((sender, _)) if sender.received.pid == own_pid() => Forwarding::PreStop,
            Some((sender, then)) => Forwarding::Last(*sender, monotonic_now().saturating_sub(*then)),
            None if self.others.contains(signal) => Forwarding::Once,
            None => Forwarding::Never,
        }
    }

    /// The latest signals that were forwarded and were no stop signals, as they were forwarded: whose and when.
    pub fn forwarded_signals(&self) -> impl Iterator<Item = &(Sender, Duration)> {
        self.forwarded.iter().flatten()
    }

    /// Looks at the command, which is dead and not reaped yet.
    pub fn look_at_dead(&mut self, command: i32, death: Death) {
        if !self.is_well(death) {
            self.look(Some(command), death);
        }
    }

    /// The command is reaped. It may have been so without a word before, and then less can be seen.
    pub fn look_at_rest(&mut self, death: Death) {
        if !self.is_well(death) && self.last_look.is_none() {
            self.look(None, death);
        }
    }

    /// Whether there is nothing to be explained.
    fn is_well(&self, death: Death) -> bool {
        match death {
            Death::Exited(status) => status == 0,
            Death::Killed(signal) => self.is_expected(signal),
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self, dead: Option<i32>, death: Death) {
        // Of an exit there is something to be told when something was counted.
        let was_killed = matches!(death, Death::Killed(_));
        let counted = if was_killed || self.has_counted() { self.count(dead) } else { Counted::Unknown };
        let cpu_limit = match (dead, death) {
            (Some(command), Death::Killed(signal)) => reached_cpu_limit(command, signal),
            _ => None,
        };
        self.last_look = Some(LastLook { counted, cpu_limit });
    }

    /// Whether something was counted where something had been counted before.
    fn has_counted(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.oom_kills_now().is_some_and(|now| now > memory.oom_kills))
    }

    /// Looks at what was counted: where the dead command was, and in our own cgroup where that is not told.
    // Not a part of its caller: most ends need none of the room that it takes for paths.
    #[inline(never)]
    fn count(&mut self, dead: Option<i32>) -> Counted {
        let (now, whose) = match dead.map(Memory::of_dead) {
            Some(Ok(memory)) => (memory, Whose::Its),
            Some(Err(NotSeen::Hidden)) => return Counted::Unknown,
            Some(Err(NotSeen::Untold)) | None => match Memory::of_us_now() {
                Some(memory) => (memory, Whose::Sextons),
                None => return Counted::Unknown,
            },
        };
        match (&self.memory, whose) {
            (Some(before), _) if before.is_the_same_as(&now) => Counted::Again(whose, now.oom_kills),
            (_, Whose::Its) => {
                self.memory = Some(now);
                Counted::Elsewhere
            }
            // We are in another one than we were.
            (_, Whose::Sextons) => Counted::Unknown,
        }
    }

    /// Whether memory ran out while the command ran, as far as the kernel counts it.
    pub fn memory(&self) -> OutOfMemory<'_> {
        match (&self.memory, self.last_look.map_or(Counted::Unknown, |look| look.counted)) {
            (Some(memory), Counted::Again(whose, after)) => OutOfMemory::Counted {
                whose,
                below: memory.counts_below(),
                before: memory.oom_kills,
                after,
                too_late: self.counted_too_late,
            },
            (Some(memory), Counted::Elsewhere) => {
                OutOfMemory::Elsewhere { directory: memory.directory(), kills: memory.oom_kills }
            }
            (None, _) | (_, Counted::Unknown) => OutOfMemory::Unknown,
        }
    }

    /// The limit on memory, and what came closest to it.
    pub fn ceiling(&self) -> Ceiling {
        let counted = self.last_look.map(|look| look.counted);
        let found = self.memory.as_ref().filter(|_| matches!(counted, Some(Counted::Again(..) | Counted::Elsewhere)));
        // What was found at the start may be hidden by now.
        found
            .map_or_else(|| Memory::of_us_now().map(|memory| memory.ceiling()), |memory| Some(memory.ceiling()))
            .unwrap_or_default()
    }

    /// The limit on processor time that the kernel ended the command for.
    pub fn cpu_limit(&self) -> Option<CpuLimit> {
        self.last_look.and_then(|look| look.cpu_limit)
    }
}

/// Whether sexton forwarded a signal by which the command died.
#[derive(Clone, Copy, Debug)]
pub enum Forwarding {
    /// It did not.
    Never,
    /// sexton itself sent it, before the pre-stop sleep.
    PreStop,
    /// It did, but others were noted since.
    Once,
    /// Whose the last one was, and how long ago. It need not be the one that was deadly.
    Last(Sender, Duration),
}

/// Who sent this. A sender like kill(1) is gone a moment later: to be asked at once.
fn sender(received: Received) -> Sender {
    // One outside of our PID namespace comes as 0, and is not to be found in /proc.
    let can_be_seen = received.is_from_process() && received.pid != 0;
    Sender { received, process: can_be_seen.then(|| process(received.pid)).flatten() }
}

/// What is left besides the command; `None` without a usable `/proc`.
pub fn survivors_besides(command: Command) -> Option<Survivors> {
    look(command.pid, Processes::default())
}

/// What is left, the command first if it is; `None` without a usable `/proc`.
pub fn survivors(command: Option<Command>) -> Option<Survivors> {
    let mut alive = Processes::default();
    let first = command.and_then(|command| process(command.pid)).filter(|process| !process.is_zombie());
    if let Some(first) = first {
        alive.add(&first);
    }
    look(command.map_or(0, |command| command.pid), alive)
}

/// The command, if it is left; `None` when it cannot be seen.
pub fn command_alone(command: Command) -> Option<Survivors> {
    let mut survivors = Survivors::default();
    let process = process(command.pid)?;
    if !process.is_zombie() {
        survivors.alive.add(&process);
    } else if !can_be_reaped(process.pid) {
        survivors.held = Some(Held { process, tracer: Tracer::of(process.pid), count: 1 });
    }
    Some(survivors)
}

fn look(command: i32, mut alive: Processes) -> Option<Survivors> {
    let mut held = None::<Held>;
    let seen = each_of_ours(|process| {
        if !process.is_zombie() {
            if process.pid != command {
                alive.add(process);
            }
        } else if process.parent == own_pid() && !can_be_reaped(process.pid) {
            let count = held.map_or(0, |held| held.count) + 1;
            held = match held {
                Some(held) if process.pid != command => Some(Held { count, ..held }),
                _ => Some(Held { process: *process, tracer: Tracer::of(process.pid), count }),
            };
        }
    });
    seen.ok().map(|()| Survivors { alive, held })
}

impl Tracer {
    /// Of a process that is traced.
    fn of(pid: i32) -> Tracer {
        let pid = tracer(pid).unwrap_or(0);
        Tracer { pid, process: process(pid) }
    }
}

/// Calls `tell` for each process, up to eight of them, that does not reap those it is to reap.
pub fn zombies(mut tell: impl FnMut(Zombies)) {
    let mut found = [None::<Zombies>; 8];
    let _ = each_of_ours(|zombie| {
        if !zombie.is_zombie() {
            return;
        }
        let is_ours = zombie.parent == own_pid();
        // Those that nobody holds are reaped in a moment.
        if is_ours && can_be_reaped(zombie.pid) {
            return;
        }
        let tracer = tracer(zombie.pid).unwrap_or(0);
        let is_traced = is_ours || tracer != 0;
        let keeper = if is_traced { tracer } else { zombie.parent };
        let is_its = |place: &&mut Option<Zombies>| {
            place.is_none_or(|zombies| (zombies.keeper, zombies.is_traced) == (keeper, is_traced))
        };
        if let Some(place) = found.iter_mut().find(is_its) {
            let count = place.map_or(0, |zombies| zombies.count) + 1;
            *place = Some(Zombies { keeper, process: None, is_traced, count });
        }
    });
    for zombies in found.into_iter().flatten() {
        tell(Zombies { process: process(zombies.keeper), ..zombies });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_forwarded_signals_the_latest_are_noted_with_the_last_sender_of_each() {
        let mut evidence = Evidence::from_now();
        let signals: Vec<Signal> = Signal::all().take(NOTED + 1).collect();
        let noted = |evidence: &Evidence, signal| match evidence.forwarding(signal) {
            Forwarding::Last(sender, _) => Some(sender.received.pid),
            Forwarding::Once => Some(0),
            Forwarding::PreStop => Some(own_pid()),
            Forwarding::Never => None,
        };
        for signal in &signals[..NOTED] {
            evidence.forwarded(Received::sent_by(1, *signal), false);
        }
        evidence.forwarded(Received::sent_by(2, signals[0]), false);
        evidence.forwarded(Received::sent_by(3, signals[NOTED]), false);
        assert_eq!(noted(&evidence, signals[0]), Some(2));
        assert_eq!(noted(&evidence, signals[1]), Some(0), "the oldest makes room, and is not forgotten");
        assert_eq!(noted(&evidence, signals[2]), Some(1));
        evidence.forwarded(Received::sent_by(own_pid(), signals[3]), false);
        assert!(matches!(evidence.forwarding(signals[3]), Forwarding::PreStop));
        assert_eq!(noted(&evidence, signals[NOTED]), Some(3));
        assert_eq!(noted(&evidence, Signal::new(64).unwrap()), None);
    }
}
