//! The machine, driven through every sequence of events, with the invariants of docs/design.md
//! checked after each event.
//!
//! Two sequences that lead the machine into the same state, and the onlooker to the same knowledge,
//! have the same future, so it is explored once. Times count as how far they lie ahead or back, and
//! what is longer ago than anything it is compared with is just long ago. That leaves so few states
//! that the exploration comes to an end by itself: what holds then holds for sequences of any length.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::*;
use crate::signal::HeldBack;

/// One step of the clock: just long enough for a stop signal to be no echo of the one before.
const UNIT: Duration = ECHO;

const TERM: Signal = Signal::TERM;
const INT: Signal = Signal::INT;

/// What can happen to a machine, one of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A stop signal that a process sends by kill(2).
    Stop,
    /// The same from another process.
    StopByAnother,
    /// The same from the first process, with a value.
    QueuedStop,
    /// Another stop signal.
    OtherStop,
    /// A stop signal that the kernel queues.
    RealTimeStop,
    /// A stop signal that a sexton in front of us held back for a unit.
    HeldBackStop,
    /// The same, and somebody insisted on it.
    InsistedStop,
    /// The command is a sexton with a grace period.
    Kills,
    Plain,
    Rewritten,
    Dropped,
    Exits,
    Alone,
    Stopped,
    Continued,
    /// The machine is asked, and no time has passed.
    Idle,
    /// A unit of time passes.
    Unit,
    /// Time passes up to the moment the machine asked for.
    Deadline,
    /// So much time passes that all is overdue.
    Late,
}

const STEPS: [Step; 19] = [
    Step::Stop,
    Step::StopByAnother,
    Step::QueuedStop,
    Step::OtherStop,
    Step::RealTimeStop,
    Step::HeldBackStop,
    Step::InsistedStop,
    Step::Kills,
    Step::Plain,
    Step::Rewritten,
    Step::Dropped,
    Step::Exits,
    Step::Alone,
    Step::Stopped,
    Step::Continued,
    Step::Idle,
    Step::Unit,
    Step::Deadline,
    Step::Late,
];

/// Longer than every time of a policy, and than all of them together.
const LONG: Duration = Duration::from_secs(10);

impl Step {
    /// The signal that comes, if it is one.
    fn signal(self) -> Option<Received> {
        let sent = |signal| Received { signal, code: libc::SI_USER, pid: 4, uid: 5, value: 0 };
        Some(match self {
            Step::Stop => sent(TERM),
            Step::StopByAnother => Received { pid: 6, ..sent(TERM) },
            Step::QueuedStop => Received { code: libc::SI_QUEUE, value: 7, ..sent(TERM) },
            Step::OtherStop => sent(INT),
            Step::RealTimeStop => sent(real_time()),
            Step::HeldBackStop => held_back(false),
            Step::InsistedStop => held_back(true),
            Step::Plain => sent(Signal::QUIT),
            Step::Rewritten => sent(Signal::USR1),
            Step::Dropped => sent(Signal::HUP),
            _ => return None,
        })
    }

    /// The time for which the signal that comes was held back before.
    fn since(self) -> Duration {
        self.signal().and_then(|received| received.held_back()).unwrap_or_default().since
    }
}

fn held_back(is_over: bool) -> Received {
    let value = HeldBack { since: UNIT, is_over }.to_value();
    Received { signal: TERM, code: Received::HELD_BACK, pid: 3, uid: 0, value }
}

fn real_time() -> Signal {
    Signal::new(40).unwrap()
}

/// What an onlooker knows, who sees the events and the actions but not the machine's state.
#[derive(Clone, Copy, Debug)]
struct Onlooker {
    now: Duration,
    /// The first stop signal, and when it came.
    first_stop: Option<(Received, Duration)>,
    /// Another one came while it was held back, and was no echo of it.
    insisted: bool,
    /// A stop signal was forwarded, or was to be and a rule of the user dropped it.
    stop_was_sent: bool,
    /// When that was.
    told: Option<Duration>,
    /// Since when who is left has had a stop signal.
    had_it: Option<Duration>,
    noticed: bool,
    /// When the command exited.
    gone: Option<Duration>,
    /// When SIGKILL was sent.
    killed: Option<Duration>,
    orphans_told: bool,
    /// So many steps of the escalation were taken.
    escalated: usize,
    stopped: bool,
    /// The command is a sexton with a grace period.
    kills: bool,
    over: bool,
}

impl Onlooker {
    const fn new() -> Onlooker {
        Onlooker {
            // Later than anything that came before us.
            now: LONG,
            first_stop: None,
            insisted: false,
            stop_was_sent: false,
            told: None,
            had_it: None,
            noticed: false,
            gone: None,
            killed: None,
            orphans_told: false,
            escalated: 0,
            stopped: false,
            kills: false,
            over: false,
        }
    }
}

/// One event, what was known before it and after it, and what the machine did.
struct Seen<'a> {
    policy: &'a Policy,
    step: Step,
    before: Onlooker,
    after: Onlooker,
    /// The event is the first stop signal once more.
    echo: bool,
    /// A machine that has given its notice already does the same but for that, and comes to the same state.
    same_without_notice: bool,
    actions: &'a [Action],
    wake_at: Option<Duration>,
}

impl Seen<'_> {
    fn count(&self, is: impl Fn(&Action) -> bool) -> usize {
        self.actions.iter().filter(|action| is(action)).count()
    }

    fn has(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }

    /// How often this signal was sent.
    fn sent(&self, signal: Signal) -> usize {
        self.count(|action| matches!(action, Action::Forward(r) | Action::ForwardStop(r) | Action::StopOrphans(r) if r.signal == signal))
    }

    /// How many stop signals were sent, or were to be and a rule of the user dropped them.
    fn stops(&self) -> usize {
        self.count(|action| match action {
            Action::ForwardStop(_) | Action::StopOrphans(_) => true,
            Action::Drop(received) => self.policy.stop_signals.contains(received.signal),
            _ => false,
        })
    }

    fn kills(&self) -> usize {
        self.count(|action| *action == Action::Kill)
    }

    fn notices(&self) -> usize {
        self.count(|action| *action == Action::StillThere)
    }

    /// When the notice is due, if SIGKILL does not come first.
    fn notice(&self) -> Option<Duration> {
        Some(self.after.had_it? + self.policy.notice_after).filter(|_| self.after.killed.is_none() && self.goes_on())
    }

    fn escalations(&self) -> usize {
        self.count(|action| matches!(action, Action::Escalate(_)))
    }

    /// So many steps of the escalation are due by now.
    fn steps_due(&self) -> usize {
        let Some(told) = self.after.told else { return 0 };
        let steps = (0..).map_while(|number| self.policy.escalation.step(number));
        steps.take_while(|(after, _)| self.after.now >= told + *after).count()
    }

    /// Nobody is left to care for, and this very event said so.
    fn nobody_left(&self) -> bool {
        match self.step {
            Step::Exits => self.policy.orphans == Orphans::Leave,
            Step::Alone => self.before.gone.is_some(),
            _ => false,
        }
    }

    /// The machine has something to care for.
    fn goes_on(&self) -> bool {
        !self.before.over && !self.nobody_left()
    }

    /// The command's own exit, where that starts the shutdown of what it left.
    fn exit_that_stops(&self) -> Option<Duration> {
        self.after.gone.filter(|_| self.policy.orphans == Orphans::Stop)
    }

    /// When the clock of the shutdown started.
    fn started(&self) -> Option<Duration> {
        let first = self.after.first_stop.map(|(_, at)| at);
        first.into_iter().chain(self.exit_that_stops()).min()
    }

    fn sleep_is_over(&self) -> bool {
        let slept = |(_, began)| self.after.insisted || self.after.now >= began + self.policy.pre_stop_sleep;
        self.exit_that_stops().is_some() || self.after.first_stop.is_some_and(slept)
    }

    /// When SIGKILL is due: at the end of the grace period, or later for who was told late.
    fn deadline(&self) -> Option<Duration> {
        let deadline = (self.started()? + self.policy.grace_period?).max(self.time_to_stop().unwrap_or_default());
        Some(deadline + if self.after.kills { HEAD_START } else { Duration::ZERO })
    }

    /// The shutdown begins with a stop signal for which others slept long enough.
    fn begins_after_the_sleep(&self) -> bool {
        let held_back = self.step.signal().and_then(|received| received.held_back());
        let first = self.before.first_stop.is_none() && self.started() != self.exit_that_stops();
        first && held_back.is_some_and(|held_back| held_back.left_of(self.policy.pre_stop_sleep).is_zero())
    }

    /// Until when who was told to stop has time for it, whatever happened before.
    fn time_to_stop(&self) -> Option<Duration> {
        let left = self.policy.grace_period? - self.policy.pre_stop_sleep;
        Some(self.after.told? + left.min(LATE_GRACE))
    }

    fn deadline_is_over(&self) -> bool {
        self.deadline().is_some_and(|deadline| self.after.now >= deadline)
    }

    /// The orphans have to be told now.
    fn tells_orphans(&self) -> bool {
        self.step == Step::Exits && self.exit_that_stops().is_some() && self.before.killed.is_none()
    }

    fn is_signal(&self, step: Step) -> bool {
        self.step == step && !self.before.over
    }
}

/// `None` where the sentence has nothing to say, else whether it holds.
type Check = fn(&Seen) -> Option<bool>;

/// The invariants of docs/design.md, in its words and its order.
const INVARIANTS: [(&str, Check); 35] = [
    ("After the end sexton does nothing.", |s| s.before.over.then_some(s.actions.is_empty())),
    ("When nobody is left to care for, sexton exits at once.", |s| {
        (s.nobody_left() && !s.before.over).then(|| s.actions == [Action::Exit])
    }),
    ("While somebody is left, sexton stays.", |s| s.goes_on().then(|| !s.has(Action::Exit))),
    ("A signal that is not a stop signal is forwarded at once.", |s| {
        s.is_signal(Step::Plain).then(|| s.sent(Signal::QUIT) == 1)
    }),
    ("A rewritten signal arrives as the one that the rewrite names.", |s| {
        s.is_signal(Step::Rewritten).then(|| (s.sent(Signal::USR1), s.sent(Signal::USR2)) == (0, 1))
    }),
    ("A dropped signal is not forwarded, and sexton says so.", |s| {
        let drops = || s.count(|action| matches!(action, Action::Drop(r) if r.signal == Signal::HUP));
        s.is_signal(Step::Dropped).then(|| (s.sent(Signal::HUP), drops()) == (0, 1))
    }),
    ("No stop signal is forwarded before the sleep is over.", |s| (!s.sleep_is_over()).then(|| s.stops() == 0)),
    ("When the sleep is over the stop signal is forwarded.", |s| {
        (s.sleep_is_over() && s.goes_on()).then_some(s.after.stop_was_sent)
    }),
    ("SIGKILL never comes before the grace period is used up, or without one.", |s| {
        (s.kills() > 0).then(|| s.deadline_is_over())
    }),
    ("SIGKILL never comes before the stop signal.", |s| (s.kills() > 0).then_some(s.after.stop_was_sent)),
    ("SIGKILL is sent once.", |s| (s.kills() > 0).then(|| s.kills() == 1 && s.before.killed.is_none())),
    (
        "Only a late forwarding, or an inner sexton that has a second to send it, delays SIGKILL beyond the grace period.",
        |s| (s.deadline_is_over() && s.goes_on()).then_some(s.after.killed.is_some()),
    ),
    ("A process that outlives SIGKILL is left behind only after a while.", |s| {
        let patient = || s.before.killed.is_some_and(|killed| s.after.now >= killed + KILL_TIMEOUT);
        s.has(Action::Abandon).then(patient)
    }),
    ("Orphans are told to stop once, at the command's exit.", |s| {
        let told = s.count(|action| matches!(action, Action::StopOrphans(_)));
        (told > 0).then(|| told == 1 && s.tells_orphans() && !s.before.orphans_told)
    }),
    ("Orphans that sexton is to stop get the stop signal.", |s| {
        // By the stop signal as it is rewritten, and not at all where a rule drops it.
        (s.tells_orphans() && !s.before.over).then(|| s.stops() >= 1)
    }),
    ("A stopped command is continued after the stop signal.", |s| {
        let stops = s.before.stopped && s.after.stopped && s.stops() > 0 && s.before.killed.is_none();
        stops.then(|| s.has(Action::Continue))
    }),
    ("Only a stopped command that has a stop signal to act on is continued.", |s| {
        s.has(Action::Continue).then_some(s.after.stopped && s.after.stop_was_sent)
    }),
    ("sexton stops along with the command only while no shutdown goes on.", |s| {
        s.has(Action::CommandStopped(Signal::TSTP)).then(|| s.step == Step::Stopped && s.started().is_none())
    }),
    ("However many stop signals come, there is one shutdown.", |s| {
        let begins = s.count(|action| matches!(action, Action::ShutdownBegins(_)));
        let first = s.before.first_stop.is_none() && s.after.first_stop.is_some();
        Some(begins == usize::from(first && s.exit_that_stops().is_none()))
    }),
    ("Without a shutdown the machine never wakes up.", |s| {
        (s.started().is_none() || s.after.over).then(|| s.wake_at.is_none())
    }),
    ("The machine never asks for a moment that has passed.", |s| s.wake_at.map(|moment| moment > s.after.now)),
    ("With a grace period the machine wakes up in time for its end.", |s| {
        let deadline = s.deadline().filter(|_| !s.after.over && s.after.killed.is_none())?;
        Some(s.wake_at.is_some_and(|moment| moment <= deadline))
    }),
    ("No event leads to more than four actions, apart from the steps of an escalation.", |s| {
        Some(s.actions.len() - s.escalations() <= 4)
    }),
    ("The same stop signal from the same process within a moment is one request.", |s| {
        s.echo.then_some(s.actions.is_empty())
    }),
    ("Between the forwarding, late or not, and SIGKILL lies a second, or as long as the settings leave.", |s| {
        (s.kills() > 0).then(|| s.time_to_stop().is_some_and(|end| s.after.now >= end))
    }),
    ("The pre-stop signal is sent once, when the shutdown begins, and only before a sleep.", |s| {
        let sent = s.count(|action| matches!(action, Action::PreStop(_)));
        (s.policy.pre_stop_signal.is_some()).then(|| {
            let begins = s.count(|action| matches!(action, Action::ShutdownBegins(_))) == 1;
            let sleeps = !s.policy.pre_stop_sleep.is_zero() && !s.begins_after_the_sleep();
            sent == usize::from(begins && s.after.gone.is_none() && sleeps)
        })
    }),
    ("No step of an escalation comes before the stop signal, before its time, or if an inner sexton sends it.", |s| {
        (s.escalations() > 0).then(|| s.after.escalated <= s.steps_due() && !s.before.kills)
    }),
    ("While somebody is left and SIGKILL was not sent, every step that is due was taken.", |s| {
        (s.steps_due() > 0 && s.goes_on() && s.before.killed.is_none() && !s.before.kills)
            .then(|| s.after.escalated == s.steps_due())
    }),
    ("After SIGKILL there is no step of an escalation.", |s| {
        let is_step = |action: &Action| matches!(action, Action::Escalate(_));
        let kill = s.actions.iter().position(|action| *action == Action::Kill);
        let last = s.actions.iter().rposition(is_step);
        s.after.killed.map(|_| s.before.killed.is_none_or(|_| last.is_none()) && (kill.is_none() || last <= kill))
    }),
    ("sexton does not sleep again for what a sexton in front of it has slept.", |s| {
        (s.begins_after_the_sleep() && !s.before.over).then(|| s.stops() > 0)
    }),
    ("A shutdown has one notice at most.", |s| (s.notices() > 0).then(|| s.notices() == 1 && !s.before.noticed)),
    ("The notice never comes before a process has had the stop signal for its time, nor after SIGKILL.", |s| {
        (s.notices() > 0).then(|| s.notice().is_some_and(|due| s.after.now >= due))
    }),
    ("If a process has had the stop signal for that time and is not killed, there is a notice.", |s| {
        s.notice().filter(|due| s.after.now >= *due).map(|_| s.after.noticed)
    }),
    ("The machine wakes up in time for the notice.", |s| {
        let due = s.notice().filter(|_| !s.after.noticed)?;
        Some(s.wake_at.is_some_and(|moment| moment <= due))
    }),
    ("The notice moves no deadline and no signal.", |s| Some(s.same_without_notice)),
];

/// The machine and its onlooker, at one point of a sequence of events.
#[derive(Clone)]
struct Point {
    machine: Machine,
    onlooker: Onlooker,
    trail: Vec<Step>,
}

/// All that the future of a point depends on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    machine: (State, Notice, bool, bool, Nested, Option<Received>),
    first_stop: Option<Received>,
    flags: [bool; 7],
    escalated: usize,
    /// How long ago the times are that the onlooker remembers.
    ages: [Option<Duration>; 5],
}

impl Point {
    fn key(&self, policy: &Policy) -> Key {
        let Point { machine, onlooker, .. } = self;
        let ahead = |moment: Duration| moment.saturating_sub(onlooker.now);
        let state = match machine.state {
            State::Sleeping { until, held, deadline } => {
                State::Sleeping { until: ahead(until), held, deadline: deadline.map(ahead) }
            }
            State::Stopping { deadline, since, steps } => {
                // What is to come of the escalation: the next step says when the others are.
                let next = policy.escalation.step(steps).map(|(after, _)| ahead(since + after));
                State::Stopping { deadline: deadline.map(ahead), since: next.unwrap_or_default(), steps }
            }
            State::Killing { give_up } => State::Killing { give_up: ahead(give_up) },
            state @ (State::Running | State::Done) => state,
        };
        let notice = match machine.notice {
            Notice::DueAt(moment) => Notice::DueAt(ahead(moment)),
            notice @ (Notice::NotDue | Notice::Given) => notice,
        };
        let is_past_notice = onlooker.noticed || onlooker.killed.is_some();
        let age = |moment: Option<Duration>, most| moment.map(|moment| (onlooker.now - moment).min(most));
        // The longest time that the start of the shutdown is compared with.
        let most = policy.pre_stop_sleep.max(policy.grace_period.unwrap_or_default()).max(ECHO);
        let last_step = policy.escalation.last().map_or(Duration::ZERO, |(after, _)| after);
        Key {
            machine: (state, notice, machine.command_is_stopped, machine.command_is_gone, machine.nested, machine.stop),
            first_stop: onlooker.first_stop.map(|(received, _)| received),
            escalated: onlooker.escalated,
            flags: [
                onlooker.insisted,
                onlooker.stop_was_sent,
                onlooker.orphans_told,
                onlooker.stopped,
                onlooker.kills,
                onlooker.noticed,
                onlooker.over,
            ],
            ages: [
                age(onlooker.first_stop.map(|(_, at)| at), most),
                age(onlooker.gone, most),
                age(onlooker.told, most.max(last_step)),
                age(onlooker.had_it.filter(|_| !is_past_notice), policy.notice_after),
                age(onlooker.killed, KILL_TIMEOUT),
            ],
        }
    }

    /// What comes after this step; `None` where it cannot happen.
    fn after(&self, step: Step, policy: &Policy, said: &mut [u64; INVARIANTS.len()]) -> Option<Point> {
        let mut point = self.clone();
        point.trail.push(step);
        let (machine, onlooker) = (&mut point.machine, &mut point.onlooker);
        let event = match step {
            // What is reaped does not stop, go on or exit again.
            Step::Exits | Step::Stopped | Step::Continued | Step::Kills if onlooker.gone.is_some() => return None,
            Step::Exits => Event::CommandExited,
            Step::Alone => Event::Alone,
            Step::Stopped => Event::CommandStopped(Signal::TSTP),
            Step::Continued => Event::CommandContinued,
            // That is seen when a stop signal is sent to it, and is no news the next time.
            Step::Kills if !onlooker.stop_was_sent || onlooker.kills => return None,
            Step::Kills => Event::CommandIsSexton(Nested { kills: true, escalates: true }),
            Step::Idle => Event::Tick,
            Step::Unit => {
                onlooker.now += UNIT;
                Event::Tick
            }
            Step::Deadline => {
                onlooker.now = machine.wake_at()?;
                Event::Tick
            }
            Step::Late => {
                onlooker.now += LONG;
                Event::Tick
            }
            signal => Event::Signal(signal.signal()?),
        };
        let mut actions = Vec::new();
        machine.handle(event, onlooker.now, &mut |action| actions.push(action));
        let same_without_notice = is_same_without_notice(&self.machine, event, onlooker.now, machine, &actions);

        let echo = onlooker.learn(step, policy);
        let mut seen = Seen {
            policy,
            step,
            before: self.onlooker,
            after: *onlooker,
            echo,
            same_without_notice,
            actions: &actions,
            wake_at: machine.wake_at(),
        };
        seen.after.stop_was_sent |= seen.stops() > 0;
        seen.after.told = seen.after.told.or(seen.after.stop_was_sent.then_some(seen.after.now));
        let told = seen.count(|action| matches!(action, Action::ForwardStop(_) | Action::StopOrphans(_))) > 0;
        seen.after.had_it = seen.after.had_it.or(told.then_some(seen.after.now));
        seen.after.noticed |= seen.notices() > 0;
        seen.after.orphans_told |= seen.count(|action| matches!(action, Action::StopOrphans(_))) > 0;
        seen.after.escalated += seen.escalations();
        seen.after.killed = seen.after.killed.or((seen.kills() > 0).then_some(seen.after.now));
        seen.after.over |= seen.has(Action::Exit) || seen.has(Action::Abandon);
        for (number, ((sentence, check), said)) in (1..).zip(INVARIANTS.iter().zip(said)) {
            if let Some(holds) = check(&seen) {
                *said += 1;
                assert!(holds, "{number}. {sentence}\n{policy:?}\n{:?}\n{actions:?}", point.trail);
            }
        }
        *onlooker = seen.after;
        Some(point)
    }
}

/// Whether a machine that has given its notice already would have done the same, but for the notice, and come
/// to the same state.
fn is_same_without_notice(before: &Machine, event: Event, now: Duration, after: &Machine, actions: &[Action]) -> bool {
    let mut quiet = Machine { notice: Notice::Given, ..before.clone() };
    let mut others = actions.iter().filter(|action| **action != Action::StillThere);
    let mut is_same = true;
    quiet.handle(event, now, &mut |action| is_same &= others.next() == Some(&action));
    let known = |machine: &Machine| (machine.state, machine.command_is_stopped, machine.command_is_gone, machine.stop);
    is_same && others.next().is_none() && known(&quiet) == known(after)
}

impl Onlooker {
    /// What the event says by itself. Returns whether it is an echo of the first stop signal.
    fn learn(&mut self, step: Step, policy: &Policy) -> bool {
        match step {
            Step::Exits => {
                self.gone = Some(self.now);
                self.stopped = false;
                // Orphans that are to be stopped are told at this moment, and had nothing before.
                self.had_it = self.had_it.filter(|_| policy.orphans != Orphans::Stop);
            }
            Step::Stopped => self.stopped = true,
            Step::Continued => self.stopped = false,
            Step::Kills => self.kills = true,
            _ => {}
        }
        let Some(received) = step.signal().filter(|received| policy.stop_signals.contains(received.signal)) else {
            return false;
        };
        if self.over {
            return false;
        }
        match self.first_stop {
            None => {
                // Our own shutdown may have begun before.
                let own = self.gone.filter(|_| policy.orphans == Orphans::Stop).unwrap_or_default();
                self.first_stop = Some((received, (self.now - step.since()).max(own)));
                self.insisted = step == Step::InsistedStop;
            }
            Some((first, at)) => {
                let is_held = !self.stop_was_sent && self.gone.is_none_or(|_| policy.orphans != Orphans::Stop);
                let same = (first.signal, first.pid) == (received.signal, received.pid) && !received.is_queued();
                if is_held && same && self.now < at + ECHO {
                    return true;
                }
                self.insisted = true;
            }
        }
        false
    }
}

/// How many states there are, and after how many events there is no new one.
fn explore(policy: &Policy, said: &mut [u64; INVARIANTS.len()]) -> (usize, usize) {
    let start = Point { machine: Machine::new(*policy), onlooker: Onlooker::new(), trail: Vec::new() };
    let mut known = HashSet::from([start.key(policy)]);
    let mut points = vec![start];
    let mut length = 0;
    while !points.is_empty() {
        let mut next = Vec::new();
        for point in &points {
            for step in STEPS {
                next.extend(point.after(step, policy, said).filter(|after| known.insert(after.key(policy))));
            }
        }
        points = next;
        length += 1;
    }
    (known.len(), length)
}

/// What a rule of the user makes of the stop signal.
const STOP_REWRITES: [Option<Signal>; 3] = [Some(TERM), Some(Signal::USR2), None];

/// The longest sleep and grace period, in units. `make prove` asks for longer ones.
fn longest_time() -> u32 {
    const VARIABLE: &str = "EXPLORE_UNITS";
    match std::env::var(VARIABLE) {
        Ok(units) => units.parse().unwrap_or_else(|_| panic!("{VARIABLE}: {units:?} is no number")),
        Err(_) => 3,
    }
}

/// Every pre-stop sleep with every grace period that it allows, 0 being none.
fn policies() -> impl Iterator<Item = Policy> {
    let units = 0..=longest_time();
    let times = units.clone().flat_map(move |sleep| units.clone().map(move |grace| (sleep, grace)));
    // One that leaves more than the second that who is told late has.
    let times = times.chain([(1, 13)]);
    let usual = times.filter(|(sleep, grace)| *grace == 0 || sleep < grace).flat_map(|(sleep, grace)| {
        ORPHANS.into_iter().flat_map(move |orphans| STOP_REWRITES.map(|stop| policy(sleep, grace, orphans, stop)))
    });
    // With more to send: before the sleep, and after the forwarding.
    let eager = [(0, 0), (1, 0), (0, 3), (1, 4)].into_iter().flat_map(|(sleep, grace)| {
        ORPHANS.map(|orphans| {
            let mut escalation = Escalation::default();
            assert!(escalation.push(UNIT, Signal::PIPE) && escalation.push(UNIT * 2, Signal::TSTP));
            let pre_stop_signal = Some(Signal::TTIN);
            Policy { pre_stop_signal, escalation, ..policy(sleep, grace, orphans, Some(TERM)) }
        })
    });
    usual.chain(eager)
}

const ORPHANS: [Orphans; 3] = [Orphans::Leave, Orphans::Wait, Orphans::Stop];

/// Times in units.
fn policy(sleep: u32, grace: u32, orphans: Orphans, stop: Option<Signal>) -> Policy {
    let mut rewrites = Rewrites::none();
    rewrites.set(Signal::USR1, Some(Signal::USR2));
    rewrites.set(Signal::HUP, None);
    rewrites.set(TERM, stop);
    Policy {
        stop_signals: SignalSet::of(TERM).with(INT).with(real_time()),
        rewrites,
        pre_stop_signal: None,
        pre_stop_sleep: UNIT * sleep,
        grace_period: Some(UNIT * grace).filter(|grace| !grace.is_zero()),
        escalation: Escalation::default(),
        orphans,
        // Before, at and behind the end of a grace period.
        notice_after: UNIT * 2,
    }
}

#[test]
fn every_sequence_of_events_of_any_length_keeps_every_invariant() {
    let mut said = [0; INVARIANTS.len()];
    let (mut states, mut longest, mut count) = (0, 0, 0);
    for policy in policies() {
        let (known, length) = explore(&policy, &mut said);
        (states, longest, count) = (states + known, longest.max(length), count + 1);
    }
    let mut table = format!("{states} states of {count} policies; nothing new after {longest} events\n");
    for ((sentence, _), said) in INVARIANTS.iter().zip(said) {
        assert!(said > 0, "never put to the test: {sentence}");
        let _ = writeln!(table, "{said:>10} times: {sentence}");
    }
    println!("{table}");
}

#[test]
fn the_invariants_are_those_of_the_design_document() {
    let design = include_str!("../../docs/design.md");
    let checked = INVARIANTS.iter().zip(1..).map(|((sentence, _), number)| format!("{number}. {sentence}"));
    let written = design.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    // The document's other numbered list has the four promises, which are written in bold.
    let written = written.filter(|line| !line.contains("**"));
    assert_eq!(checked.collect::<Vec<_>>(), written.collect::<Vec<_>>());
}
