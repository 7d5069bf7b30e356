//! The kernel's side of signals and children as a small model, with sexton's own parts in front of
//! it: the loop ([`Turns`]), what takes signals out ([`Inbox`]), what tells whose they are ([`Job`]), and
//! the state machine. What happens is random; every signal that the kernel handed over must be accounted
//! for, and no moment that the machine waits for may pass unseen.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use proptest::prelude::*;

use super::turn::{Looked, Surroundings, Turns};
use super::*;
use crate::config::Escalation;
use crate::shutdown::{Action, ECHO};
use crate::signal::{Rewrites, SignalSet};

/// As in signal(7), sigtimedwait(2) and wait(2).
#[derive(Default)]
struct Kernel {
    /// Of a standard signal one may be pending, later ones merge with it; real-time signals are
    /// queued.
    pending: BTreeMap<Signal, VecDeque<Received>>,
    command: Process,
    /// Orphans that are alive. Whoever else is in the namespace is no child, and no part of the model.
    orphans: usize,
    /// Orphans that are dead and not reaped.
    zombies: usize,
    /// How many signals of processes are or were pending.
    accepted: usize,
}

/// A process as wait(2) tells of it.
#[derive(Default)]
struct Process {
    is_stopped: bool,
    is_dead: bool,
    /// Changes that its parent has not been told.
    untold: VecDeque<Event>,
    is_reaped: bool,
}

/// So many of a real-time signal are queued, and the next is refused (RLIMIT_SIGPENDING).
const ROOM: usize = 4;

/// What the kernel's own signals carry in the place of a number.
const NOTICE: u64 = 0;

/// Signals that an instruction raises are handed over first (next_signal in kernel/signal.c).
const SYNCHRONOUS: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGFPE, libc::SIGSYS];

impl Kernel {
    /// A signal for sexton, which blocks all of them.
    fn send(&mut self, received: Received) {
        let signal = received.signal;
        // Whichever came last: a stop or its end.
        if signal == Signal::CONT {
            Signal::all().filter(|pending| is_stop(*pending)).for_each(|stop| self.forget(stop));
        } else if is_stop(signal) {
            self.forget(Signal::CONT);
        }
        let room = if signal.is_real_time() { ROOM } else { 1 };
        let queue = self.pending.entry(signal).or_default();
        if queue.len() < room {
            queue.push_back(received);
            self.accepted += usize::from(received.value != NOTICE);
        }
    }

    fn forget(&mut self, signal: Signal) {
        let forgotten = self.pending.remove(&signal).unwrap_or_default();
        self.accepted -= forgotten.iter().filter(|received| received.value != NOTICE).count();
    }

    /// A change of a child.
    fn notify(&mut self, code: i32) {
        self.send(Received { signal: Signal::CHLD, code, pid: COMMAND, uid: 0, value: NOTICE });
    }

    /// sigtimedwait(2): one that is pending, the lowest number first.
    fn take(&mut self, set: SignalSet) -> Option<Received> {
        let synchronous = SYNCHRONOUS.into_iter().filter_map(Signal::new);
        let mut pending: Vec<Signal> = self.pending().filter(|signal| set.contains(*signal)).collect();
        pending.sort_by_key(|signal| (!synchronous.clone().any(|known| known == *signal), *signal));
        self.pending.get_mut(pending.first()?)?.pop_front()
    }

    fn pending(&self) -> impl Iterator<Item = Signal> {
        self.pending.iter().filter(|(_, queue)| !queue.is_empty()).map(|(signal, _)| *signal)
    }

    /// A signal for the command, which handles all that it can.
    fn signal_command(&mut self, signal: Signal) {
        if signal == Signal::KILL {
            self.command_dies();
        } else if signal == Signal::CONT {
            self.command_goes_on();
        } else if signal == Signal::STOP {
            self.command_stops(signal);
        }
    }

    fn command_dies(&mut self) {
        if !self.command.is_dead {
            self.command.is_dead = true;
            self.command.is_stopped = false;
            self.command.untold = VecDeque::from([Event::CommandExited]);
            self.notify(libc::CLD_KILLED);
        }
    }

    fn command_stops(&mut self, signal: Signal) {
        if !self.command.is_dead && !self.command.is_stopped {
            self.command.is_stopped = true;
            // Only its present state is told.
            self.command.untold = VecDeque::from([Event::CommandStopped(signal)]);
            self.notify(libc::CLD_STOPPED);
        }
    }

    fn command_goes_on(&mut self) {
        if !self.command.is_dead && self.command.is_stopped {
            self.command.is_stopped = false;
            self.command.untold = VecDeque::from([Event::CommandContinued]);
            self.notify(libc::CLD_CONTINUED);
        }
    }

    /// So many of the orphans at most.
    fn orphans_die(&mut self, count: usize) {
        let count = count.min(self.orphans);
        self.orphans -= count;
        self.zombies += count;
        if count > 0 {
            self.notify(libc::CLD_EXITED);
        }
    }

    /// wait4(2): one change of a child.
    fn change(&mut self) -> Looked {
        if self.zombies > 0 {
            self.zombies -= 1;
            return Looked::Change(None);
        }
        if let Some(event) = self.command.untold.pop_front() {
            self.command.is_reaped |= event == Event::CommandExited;
            return Looked::Change(Some(event));
        }
        if self.command.is_reaped && self.orphans == 0 { Looked::NoChildren } else { Looked::Nothing }
    }
}

fn is_stop(signal: Signal) -> bool {
    signal == Signal::STOP || signal.is_terminal_stop()
}

/// What became of a signal that the kernel handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is held back until the pre-stop sleep is over.
    Held,
    /// As itself or as another one.
    Forwarded,
    /// A rule of the user says so, and it was told.
    Dropped,
    /// It merged with the one that is held, as with one that is pending.
    Merged,
    /// It was raised for sexton itself.
    Own,
    /// There was nobody left.
    TooLate,
}

/// What sexton takes for the kernel's word of its parent's death ([`Parent`]): plain signal 32.
fn is_word_of_parent(received: &Received) -> bool {
    received.signal.number() == 32 && received.code == libc::SI_USER
}

const OWN: i32 = 1;
const COMMAND: i32 = 7;
/// So many changes are looked at before signals are again: few, so that there are several batches.
const BATCH: usize = 3;

/// What is around the loop.
struct World {
    kernel: Kernel,
    inbox: Inbox,
    job: Job,
    /// As with `--parent-death-signal`: the kernel's word of the parent's death is for sexton, and here no
    /// parent ever dies.
    watches_parent: bool,
    policy: Policy,
    now: Duration,
    over: bool,
    /// Whether there was anything to do in this turn.
    busy: bool,
    /// For how long this turn was ready to wait.
    timeout: Option<Duration>,
    /// By the number that each signal carries as its value.
    fates: BTreeMap<u64, (Received, Fate)>,
    forwarded: Vec<Received>,
    /// When the first stop signal was forwarded.
    told: Option<Duration>,
    noticed: bool,
    /// How often another one was handed over while this one was pending.
    passed: BTreeMap<Signal, BTreeMap<Signal, u32>>,
}

type Sexton = Turns<World>;

impl Sexton {
    fn before(policy: Policy, shares_group: bool, watches_parent: bool) -> Sexton {
        let world = World {
            kernel: Kernel::default(),
            inbox: Inbox::default(),
            job: Job { own_pid: OWN, is_init: true, has_terminal: false, gave_foreground: false, shares_group },
            watches_parent,
            policy,
            now: Duration::ZERO,
            over: false,
            busy: false,
            timeout: None,
            fates: BTreeMap::new(),
            forwarded: Vec::new(),
            told: None,
            noticed: false,
            passed: BTreeMap::new(),
        };
        Turns::new(Machine::new(policy), world)
    }

    /// One turn of the loop. Returns whether there was anything to do.
    fn take_turn(&mut self) -> bool {
        let due = self.is_due();
        self.surroundings.busy = due;
        self.turn();
        assert!(self.surroundings.over || !self.is_due(), "a moment that the machine waits for passes unseen");
        self.surroundings.busy
    }

    fn is_due(&self) -> bool {
        self.machine.wake_at().is_some_and(|moment| moment <= self.surroundings.now)
    }

    /// All that is due is done; an hour is more than any time of a policy.
    fn until_all_is_quiet(&mut self) {
        let mut turns = 0;
        while self.take_turn() && !self.surroundings.over {
            turns += 1;
            assert!(turns < 10_000, "it does not come to rest");
        }
        if !self.surroundings.over {
            self.take_turn();
            let left = self.machine.wake_at().map(|moment| moment - self.surroundings.now);
            assert_eq!(self.surroundings.timeout, left, "it wakes up for nothing");
        }
    }
}

impl Surroundings for World {
    const BATCH: usize = BATCH;

    fn now(&self) -> Duration {
        self.now
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Option<Received> {
        self.timeout = timeout;
        let kernel = &mut self.kernel;
        let received = self.inbox.wait_for(Some(Duration::ZERO), |set, _| kernel.take(set))?;
        self.busy = true;
        self.note_passed(received.signal);
        Some(received)
    }

    fn for_command(&mut self, received: Received) -> Option<Received> {
        let is_parents = self.watches_parent && is_word_of_parent(&received);
        if is_parents || !self.job.concerns_command(&received) {
            if received.value != NOTICE {
                self.fates.insert(received.value, (received, Fate::Own));
            }
            return None;
        }
        // What no action says anything of: it is held, or merges with the one that is.
        let held = self.fates.values().find(|(_, fate)| *fate == Fate::Held);
        let fate = if self.over {
            Fate::TooLate
        } else if held.is_some_and(|(held, _)| held.signal == received.signal) {
            Fate::Merged
        } else {
            Fate::Held
        };
        self.fates.insert(received.value, (received, fate));
        Some(received)
    }

    fn signal_was_handled(&mut self, _received: Received) {}

    fn learned(&mut self) -> Option<Event> {
        None
    }

    fn next_change(&mut self) -> Looked {
        let looked = self.kernel.change();
        if let Looked::Change(event) = looked {
            self.busy = true;
            if event == Some(Event::CommandExited) && self.policy.orphans == Orphans::Leave {
                self.nobody_waits();
            }
        }
        looked
    }

    fn kill_again(&mut self) {}

    fn command_is_gone(&self) -> bool {
        self.kernel.command.is_reaped
    }

    fn is_done(&self) -> bool {
        self.over
    }

    fn act(&mut self, action: Action, _now: Duration) {
        match action {
            Action::Forward(received) | Action::ForwardStop(received) => {
                let (original, fate) = self.fates.get_mut(&received.value).expect("what is forwarded has come");
                assert_ne!(*fate, Fate::Forwarded, "{received:?} is forwarded twice");
                *fate = Fate::Forwarded;
                let rewritten = self.policy.rewrites.apply(original.signal).map(|signal| original.rewritten(signal));
                assert_eq!(Some(received), rewritten);
                self.forwarded.push(received);
                if matches!(action, Action::ForwardStop(_)) {
                    self.told.get_or_insert(self.now);
                }
                self.kernel.signal_command(received.signal);
            }
            Action::Drop(received) => {
                assert_eq!(self.policy.rewrites.apply(received.signal), None);
                let is_own = self.is_for_orphans(received);
                self.fates.get_mut(&received.value).map_or_else(|| assert!(is_own), |(_, fate)| *fate = Fate::Dropped);
            }
            Action::StopOrphans(received) => {
                assert!(self.is_for_orphans(received), "{received:?}");
                if !self.noticed {
                    self.told = Some(self.now);
                }
                // What was held for the command is for them. What had been sent to it is sent once more.
                if let Some((_, fate)) = self.fates.get_mut(&received.value)
                    && mem::replace(fate, Fate::Forwarded) == Fate::Held
                {
                    self.forwarded.push(received);
                }
            }
            Action::StillThere => {
                let told = self.told.expect("a notice comes behind the stop signal");
                let is_left = !self.kernel.command.is_reaped || self.kernel.orphans > 0;
                assert!(self.now >= told + self.policy.notice_after && !self.noticed && is_left);
                self.noticed = true;
            }
            Action::Continue => self.kernel.command_goes_on(),
            Action::Kill => {
                self.kernel.command_dies();
                if self.policy.orphans != Orphans::Leave {
                    self.kernel.orphans_die(usize::MAX);
                }
            }
            Action::Abandon | Action::Exit => {
                self.over = true;
                self.nobody_waits();
            }
            Action::PreStop(signal) | Action::Escalate(signal) => self.kernel.signal_command(signal),
            Action::ShutdownBegins(_) | Action::CommandStopped(_) => {}
        }
    }
}

impl World {
    /// It is sexton's own, or has come before; and it is the time for it.
    fn is_for_orphans(&self, received: Received) -> bool {
        let is_own = received.value == NOTICE && received.pid == 0;
        let is_time = self.kernel.command.is_reaped && self.policy.orphans == Orphans::Stop;
        is_time && (is_own || self.fates.contains_key(&received.value))
    }

    /// What was held for the command is not needed any more.
    fn nobody_waits(&mut self) {
        self.fates.values_mut().filter(|(_, fate)| *fate == Fate::Held).for_each(|(_, fate)| *fate = Fate::TooLate);
    }

    /// No signal may come again and again while another one waits: not more often than until the
    /// others are asked for twice, of which the first time may be for what came before.
    fn note_passed(&mut self, signal: Signal) {
        self.passed.remove(&signal);
        for waiting in self.kernel.pending().filter(|waiting| *waiting != signal) {
            let times = self.passed.entry(waiting).or_default().entry(signal).or_default();
            *times += 1;
            assert!(*times <= 2 * (1 + Inbox::AGAIN), "{signal} came {times} times while {waiting} was waiting");
        }
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Happening {
    Signal {
        signal: i32,
        code: i32,
        pid: i32,
    },
    /// The command, or one of its orphans, leaves so many.
    OrphansCome(usize),
    OrphansDie(usize),
    CommandExits,
    CommandStops,
    CommandGoesOn,
    Passes(u32),
    /// sexton gets so much of the processor.
    Turns(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let signal = prop_oneof![
        4 => prop::sample::select(vec![1, 2, 10, 12, 15, 17, 18, 19, 20, 32, 40, 41, 64]),
        1 => 1..=64_i32,
    ];
    let code = prop::sample::select(vec![libc::SI_USER, libc::SI_USER, libc::SI_QUEUE, libc::SI_KERNEL]);
    prop_oneof![
        12 => (signal, code, 0..4_i32).prop_map(|(signal, code, pid)| Happening::Signal { signal, code, pid }),
        2 => (1..9_usize).prop_map(Happening::OrphansCome),
        2 => (1..9_usize).prop_map(Happening::OrphansDie),
        1 => Just(Happening::CommandExits),
        2 => Just(Happening::CommandStops),
        2 => Just(Happening::CommandGoesOn),
        3 => (1..8_u32).prop_map(Happening::Passes),
        8 => (1..6_usize).prop_map(Happening::Turns),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let rewrite = (1..=64_i32, prop::option::of(1..=64_i32));
    let times = prop::sample::select(vec![(0, 0), (0, 5), (3, 0), (3, 9)]);
    let orphans = prop::sample::select(vec![Orphans::Leave, Orphans::Wait, Orphans::Stop]);
    let more = any::<bool>();
    (prop::collection::vec(rewrite, 0..4), times, more, orphans).prop_map(|(rules, (sleep, grace), more, orphans)| {
        let mut rewrites = Rewrites::none();
        for (from, to) in rules {
            rewrites.set(Signal::new(from).unwrap(), to.and_then(Signal::new));
        }
        let stop_signals = SignalSet::of(Signal::TERM);
        let mut escalation = Escalation::default();
        if sleep > 0 && grace > 0 {
            escalation.push(ECHO * 2, Signal::QUIT);
        }
        Policy {
            stop_signals: if more {
                stop_signals.with(Signal::INT).with(Signal::new(40).unwrap())
            } else {
                stop_signals
            },
            rewrites,
            pre_stop_signal: None,
            pre_stop_sleep: ECHO * sleep,
            grace_period: (grace > 0).then(|| ECHO * grace),
            escalation,
            orphans,
            notice_after: ECHO * 4,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_signal_that_the_kernel_hands_over_is_accounted_for(
        policy in policy(),
        shares_group in any::<bool>(),
        watches_parent in any::<bool>(),
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut sexton = Sexton::before(policy, shares_group, watches_parent);
        for (number, happening) in (1..).zip(happenings) {
            match happening {
                Happening::Signal { signal, code, pid } => {
                    let signal = Signal::new(signal).unwrap();
                    sexton.surroundings.kernel.send(Received { signal, code, pid, uid: 0, value: number });
                }
                Happening::OrphansCome(count) => {
                    let kernel = &mut sexton.surroundings.kernel;
                    if !kernel.command.is_dead || kernel.orphans > 0 {
                        kernel.orphans += count;
                    }
                }
                Happening::OrphansDie(count) => sexton.surroundings.kernel.orphans_die(count),
                Happening::CommandExits => sexton.surroundings.kernel.command_dies(),
                Happening::CommandStops => sexton.surroundings.kernel.command_stops(Signal::STOP),
                Happening::CommandGoesOn => sexton.surroundings.kernel.command_goes_on(),
                Happening::Passes(units) => sexton.surroundings.now += ECHO * units,
                Happening::Turns(count) => for _ in 0..count {
                    if !sexton.surroundings.over {
                        sexton.take_turn();
                    }
                },
            }
        }
        if !sexton.surroundings.over {
            sexton.until_all_is_quiet();
        }
        // The sleep and the grace period end, and so does what SIGKILL has to end.
        while let (false, Some(moment)) = (sexton.surroundings.over, sexton.machine.wake_at()) {
            sexton.surroundings.now = sexton.surroundings.now.max(moment);
            sexton.until_all_is_quiet();
        }
        let kernel = &sexton.surroundings.kernel;
        if !sexton.surroundings.over && sexton.surroundings.told.is_some() {
            prop_assert!(sexton.surroundings.noticed, "a command that does not stop goes unnoticed");
        }
        if sexton.surroundings.over {
            prop_assert!(kernel.command.is_reaped, "sexton left a command that was not dead");
            let is_left = policy.orphans != Orphans::Leave && kernel.orphans > 0;
            prop_assert!(!is_left, "sexton left orphans that were not to be left");
        } else {
            let is_left = policy.orphans != Orphans::Leave && kernel.orphans > 0;
            prop_assert!(!kernel.command.is_dead || is_left, "sexton missed the death of the last one");
            prop_assert_eq!((kernel.pending().count(), kernel.zombies, kernel.command.untold.len()), (0, 0, 0));
            prop_assert_eq!(sexton.surroundings.fates.len(), kernel.accepted, "some are not accounted for");
            let begun = sexton.surroundings.fates.values().any(|(received, fate)| {
                policy.stop_signals.contains(received.signal) && *fate != Fate::Own
            });
            // A stopped command cannot act on the stop signal.
            prop_assert!(!(begun && kernel.command.is_stopped), "sexton left the command stopped");
        }
        for (received, fate) in sexton.surroundings.fates.values() {
            let is_own = received.is_our_own(OWN)
                || shares_group && !received.is_from_process()
                || watches_parent && is_word_of_parent(received);
            let has_good_reason = match fate {
                Fate::Held => false,
                Fate::Own | Fate::Forwarded | Fate::Dropped => true,
                Fate::Merged => {
                    policy.stop_signals.contains(received.signal)
                        && !(received.signal.is_real_time() && received.is_queued())
                }
                Fate::TooLate => sexton.surroundings.over,
            };
            prop_assert!(has_good_reason && is_own == (*fate == Fate::Own), "{received:?} is {fate:?}");
        }
        // Those of one signal arrive in the order in which they were sent.
        for signal in Signal::all() {
            let of_it = sexton.surroundings.fates.values().filter(|(received, fate)| received.signal == signal && *fate == Fate::Forwarded);
            let sent: Vec<u64> = of_it.map(|(received, _)| received.value).collect();
            let arrived = sexton.surroundings.forwarded.iter().map(|received| received.value).filter(|value| sent.contains(value));
            prop_assert!(arrived.eq(sent.iter().copied()), "{signal} arrived in another order");
        }
    }
}
