//! Why whoever was told to stop does not: rules over facts, which [`super::told`] gathers.
//!
//! The strongest cause that is certain is said, and nothing that is only likely: a server that cleans up looks
//! like many things.

use std::fmt;
use std::time::Duration;

use log::kv::Value;

use super::amounts::{Bytes, Count, Thousandths, milliseconds};
use super::died::Command;
use crate::report::Facts;
use crate::signal::Signal;
use crate::sys::{AtLimit, HeldBack, Process, Status, SystemCall, WaitChannel};

/// What a process was going to do with the stop signal at the moment it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// It takes it later.
    pub is_blocked: bool,
    /// The kernel throws it away.
    pub is_ignored: bool,
    /// It has a handler.
    pub is_caught: bool,
    /// It waits for signals, this one perhaps among them, whatever the rest says; if that is known.
    pub is_awaited: Option<bool>,
}

impl Disposition {
    /// What is seen of it now.
    pub fn of(status: &Status, call: Option<SystemCall>, signal: Signal) -> Disposition {
        Disposition {
            is_blocked: status.blocked.contains(signal),
            is_ignored: status.ignored.contains(signal),
            is_caught: status.caught.contains(signal),
            is_awaited: call.map(SystemCall::waits_for_signals),
        }
    }

    /// The default action is taken, at once.
    pub fn is_default(self) -> bool {
        !self.is_blocked && !self.is_ignored && !self.is_caught && self.is_awaited == Some(false)
    }
}

/// What is known of a process that was told to stop and is still there.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The process.
    pub process: Process,
    /// What it does with signals now.
    pub status: Status,
    /// And with this one.
    pub now: Disposition,
    /// What it was sent.
    pub signal: Signal,
    /// What it was going to do with that.
    pub before: Option<Disposition>,
    /// The same signal was sent more than once.
    pub again: bool,
    /// Another one was sent since, for which it has a handler, as it had none for the first.
    pub other: Option<Signal>,
    /// How long it has had the signal.
    pub had_it: Duration,
    /// The process group had the signal as well.
    pub with_group: bool,
    /// Who traces it, if that can be seen.
    pub tracer: Option<Process>,
    /// It is a shell, and has not left the wait for a child in which it was when it was told.
    pub is_shell_that_waits: bool,
    /// It is a program that only starts others.
    pub is_wrapper: bool,
    /// It has started somebody since it was told.
    pub started_since: bool,
    /// The last child that it had started by then, if that does not look like one in the background.
    pub last_child: Option<Process>,
    /// A child of it that did not get the signal, for it would be dead.
    pub untold_child: Option<Process>,
    /// A child of it that got the signal with the group, and does not ignore it.
    pub told_child: Option<Process>,
    /// Where it waits in the kernel.
    pub wait_channel: Option<WaitChannel>,
    /// It has not run since an earlier look, seconds ago.
    pub has_not_run: bool,
    /// Its cgroup is frozen.
    pub is_frozen: bool,
    /// A CPU limit of its cgroup held processes back meanwhile.
    pub held_back: Option<HeldBack>,
    /// How long it had a processor meanwhile.
    pub processor: Option<Duration>,
    /// Memory was at the limit of its cgroup meanwhile.
    pub at_limit: Option<AtLimit>,
}

/// Why it does not stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// By SIGSTOP or its like.
    Stopped,
    /// By a debugger.
    Traced,
    /// And the signal is pending.
    Blocks,
    /// It did when the signal came; does it still?
    Ignores {
        /// It does.
        still: bool,
    },
    /// It ignores the signal and leaves that to this child, which had it too.
    LeavesItToChild(Process),
    /// As PID 1 of a namespace of its own.
    NoHandlerAsInit,
    /// Nor does the signal do anything then.
    NoHandler,
    /// A shell runs its trap only when this child has ended.
    ShellWaits {
        /// The child.
        child: Process,
        /// It had the signal too.
        is_told: bool,
    },
    /// A program that starts others was told, this child of it was not.
    ChildNotTold(Process),
    /// Its cgroup is.
    Frozen,
    /// State D.
    Uninterruptible,
    /// It got less of a processor than it wanted.
    CpuLimit(HeldBack),
    /// It has a handler, or takes the signal as sigwait(3) does.
    HandlesIt {
        /// And runs, or has had a processor for a tenth of the time, if that is known.
        is_at_work: Option<bool>,
    },
}

/// The cause that is certain, if there is one. The order is that of docs/logging.md.
pub fn cause(seen: &Seen) -> Option<Cause> {
    let status = &seen.status;
    let now = seen.now;
    let is_pending = status.pending.contains(seen.signal);
    let is_undelivered = is_pending && !now.is_blocked;
    match status.state {
        b'T' => return Some(Cause::Stopped),
        b't' => return Some(Cause::Traced),
        b'Z' | b'X' => return None,
        _ => {}
    }
    let was_caught = seen.before.is_some_and(|before| before.is_caught);
    let is_at_work = seen.processor.map(|time| status.state == b'R' || is_a_part(time, 10, seen.had_it));
    // What it made of the first one is not why it is still there.
    if seen.other.is_some() && !was_caught {
        return Some(Cause::HandlesIt { is_at_work });
    }
    // A handler has its own signal blocked while it runs, and the second one waits for its end.
    if is_pending && now.is_blocked && !(now.is_caught && seen.again) {
        return Some(Cause::Blocks);
    }
    if let Some(before) = seen.before
        && before.is_ignored
        // What was blocked only for a moment, as by a shell that forks, is thrown away when it is unblocked.
        && (!before.is_blocked || now.is_ignored && !now.is_blocked)
        && before.is_awaited != Some(true)
        && (now.is_ignored || !seen.again)
    {
        let child = seen.told_child.filter(|_| seen.with_group && now.is_ignored);
        return Some(child.map_or(Cause::Ignores { still: now.is_ignored }, Cause::LeavesItToChild));
    }
    // By default a signal ends a process, but for these.
    if now.is_default() && !is_pending && seen.before.is_none_or(Disposition::is_default) {
        if seen.status.is_inner_init {
            return Some(Cause::NoHandlerAsInit);
        }
        if seen.signal.is_ignored_by_default() {
            return Some(Cause::NoHandler);
        }
    }
    if seen.is_shell_that_waits
        && was_caught
        && now.is_caught
        && !seen.started_since
        && let Some(child) = seen.last_child
    {
        return Some(Cause::ShellWaits { child, is_told: seen.with_group });
    }
    if seen.is_frozen {
        return Some(Cause::Frozen);
    }
    if status.state == b'D' && (is_undelivered || seen.has_not_run) {
        return Some(Cause::Uninterruptible);
    }
    // What was blocked and is not pending any more was taken, by sigwait(3) or a signalfd(2).
    let was_blocked = seen.before.is_some_and(|before| before.is_blocked || before.is_awaited == Some(true));
    let handles_it = !is_undelivered && (was_caught || was_blocked);
    if handles_it
        && seen.is_wrapper
        && !seen.with_group
        && !seen.started_since
        && let Some(child) = seen.untold_child
    {
        return Some(Cause::ChildNotTold(child));
    }
    let wants_more = status.state == b'R' || seen.processor.is_some_and(|time| is_a_part(time, 100, seen.had_it));
    if let Some(held_back) = seen.held_back
        && wants_more
        && is_a_part(held_back.time, 10, seen.had_it)
    {
        return Some(Cause::CpuLimit(held_back));
    }
    handles_it.then_some(Cause::HandlesIt { is_at_work })
}

/// Whether it is at least this part of the whole.
fn is_a_part(time: Duration, part: u32, whole: Duration) -> bool {
    time.saturating_mul(part) >= whole
}

impl Cause {
    /// Whether it will not pass by itself: worth a word while there is time to do something about it.
    pub fn will_not_mend(&self) -> bool {
        match self {
            Cause::Stopped
            | Cause::Traced
            | Cause::Blocks
            | Cause::Ignores { .. }
            | Cause::NoHandlerAsInit
            | Cause::NoHandler
            | Cause::ShellWaits { is_told: false, .. }
            | Cause::Frozen
            | Cause::Uninterruptible => true,
            Cause::LeavesItToChild(_)
            | Cause::ShellWaits { is_told: true, .. }
            | Cause::ChildNotTold(_)
            | Cause::CpuLimit(_)
            | Cause::HandlesIt { .. } => false,
        }
    }

    /// As it is named in JSON; docs/logging.md lists them.
    fn name(&self) -> &'static str {
        match self {
            Cause::Stopped => "stopped",
            Cause::Traced => "traced",
            Cause::Blocks => "blocked",
            Cause::Ignores { .. } => "ignored",
            Cause::LeavesItToChild(_) => "left_to_child",
            Cause::NoHandlerAsInit | Cause::NoHandler => "no_handler",
            Cause::ShellWaits { .. } => "shell_waits",
            Cause::ChildNotTold(_) => "child_not_told",
            Cause::Frozen => "frozen",
            Cause::Uninterruptible => "uninterruptible",
            Cause::CpuLimit(_) => "cpu_limit",
            Cause::HandlesIt { is_at_work: Some(true) } => "at_work",
            Cause::HandlesIt { is_at_work: Some(false) } => "waiting",
            Cause::HandlesIt { is_at_work: None } => "handled",
        }
    }

    /// The child that it is about.
    fn child(&self) -> Option<&Process> {
        match self {
            Cause::LeavesItToChild(child) | Cause::ShellWaits { child, .. } | Cause::ChildNotTold(child) => Some(child),
            _ => None,
        }
    }
}

/// Whom it is about, as seen from who was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The command, or whoever is spoken of already.
    Itself,
    /// A child of the command that had the signal too.
    ItsChild,
    /// One of those that the command left.
    Left,
}

/// The stop signal as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopSignal {
    /// What was sent.
    pub sent: Signal,
    /// What came, in whose place a rewrite sends it.
    pub came: Signal,
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sent.fmt(f)?;
        if self.sent != self.came {
            write!(f, " (sent for {})", self.came)?;
        }
        Ok(())
    }
}

/// A cause with what it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Stuck {
    /// Whom it is about.
    pub who: Who,
    /// What it was sent.
    pub signal: StopSignal,
    /// Why it does not stop.
    pub cause: Cause,
    /// What this rests on.
    pub seen: Seen,
}

impl fmt::Display for Stuck {
    /// A clause: the cause, and what can be done about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (signal, seen) = (self.signal, &self.seen);
        let named = Named(&seen.process);
        let it: &dyn fmt::Display = match self.who {
            Who::Itself => &"it",
            Who::ItsChild => &format_args!("its child {named}"),
            Who::Left => &named,
        };
        match self.cause {
            Cause::Stopped => write!(f, "{it} is stopped, and acts on nothing before SIGCONT"),
            Cause::Traced => match (&seen.tracer, seen.status.tracer) {
                (Some(tracer), _) => write!(f, "{it} is traced and held by {}", Named(tracer)),
                (None, 0) => write!(f, "{it} is traced and held by a process that cannot be seen from here"),
                (None, pid) => write!(f, "{it} is traced and held by pid {pid}"),
            },
            Cause::Blocks => write!(
                f,
                "{it} blocks {signal}, which is still pending (it has to unblock that, or to take it with sigwait or a \
                 signalfd)"
            ),
            Cause::Ignores { still: true } => {
                write!(f, "{it} ignores {}", signal.sent)?;
                if signal.sent != signal.came {
                    write!(f, ", sent for {}", signal.came)?;
                }
                f.write_str(" (it needs a handler, or with --rewrite a signal that it has one for)")
            }
            Cause::Ignores { still: false } => write!(f, "{it} ignored {signal} when that came, and would not now"),
            Cause::LeavesItToChild(child) => {
                write!(f, "{it} ignores {signal}, and its child {}, which had that too, does not", Named(&child))
            }
            Cause::NoHandlerAsInit => write!(
                f,
                "as PID 1 of its own namespace {it} has no handler for {signal}, and the kernel drops that (it needs \
                 one, or an init there)"
            ),
            Cause::NoHandler => write!(f, "{it} has no handler for {signal}, which does nothing then"),
            Cause::ShellWaits { child, is_told } => {
                let child = Named(&child);
                write!(f, "{it} is a shell with a trap, which waits for {child} to end first ")?;
                if is_told {
                    write!(f, "(that had {signal} too)")
                } else {
                    f.write_str("(start that with exec, or use --group)")
                }
            }
            Cause::ChildNotTold(child) => {
                write!(f, "{it} was told, and its child {} was not (--group tells both)", Named(&child))
            }
            Cause::Frozen => write!(f, "{it} is in a frozen cgroup, in which nothing runs"),
            Cause::Uninterruptible => {
                write!(f, "{it} is in state D")?;
                let waits_in = seen.wait_channel.as_ref().map(WaitChannel::name);
                if let Some(channel) = waits_in {
                    write!(f, " ({channel})")?;
                }
                f.write_str(", a wait that a handler does not end")?;
                match waits_in {
                    Some(channel) if is_vfork(channel) => f.write_str(": for a child that it made with vfork"),
                    _ => f.write_str(", as for a disk or a network file system that does not answer"),
                }
            }
            Cause::CpuLimit(HeldBack { time, limit }) => {
                f.write_str("a CPU limit")?;
                if let Some(limit) = limit {
                    write!(f, " ({} CPU)", Thousandths(limit))?;
                }
                let (time, had_it) = (Seconds(time), Seconds(seen.had_it));
                if time.0 <= seen.had_it {
                    write!(f, " held {it} back for {time} of these {had_it}")
                } else {
                    write!(f, " held {it} back for {time} in these {had_it}, on all CPUs together")
                }
            }
            Cause::HandlesIt { is_at_work } => {
                match seen.other {
                    Some(other) => write!(f, "{it} handles {other}")?,
                    None => write!(f, "{it} handles {signal}")?,
                }
                let Some((is_at_work, time)) = is_at_work.zip(seen.processor) else { return Ok(()) };
                let was = match (is_at_work, seen.status.state) {
                    (true, _) => "at work",
                    (false, b'D') => "waiting in state D",
                    (false, _) => "waiting",
                };
                write!(f, " and was {was} ({} of CPU in {})", Seconds(time), Seconds(seen.had_it))
            }
        }
    }
}

impl Stuck {
    /// Adds what is known.
    pub fn facts<'a>(&'a self, facts: Facts<'a>) -> Facts<'a> {
        let Seen { process, status, now, wait_channel, processor, .. } = &self.seen;
        let does = match now {
            Disposition { is_caught: true, .. } => "caught",
            Disposition { is_ignored: true, .. } => "ignored",
            _ => "default",
        };
        let is_other = self.who != Who::Itself;
        let facts = facts.and("why", self.cause.name());
        let facts = facts.and_if("stuck_pid", is_other.then_some(process.pid));
        let facts = facts.and_if("stuck_command", is_other.then(|| Value::from_display(process)));
        let facts = facts
            .and("state", Value::from(state(status.state)))
            .and("disposition", does)
            .and("blocked", now.is_blocked)
            .and("pending", status.pending.contains(self.signal.sent))
            .and_if("cpu_since_stop_ms", processor.map(milliseconds));
        let facts = match self.cause {
            Cause::Traced => facts
                .and("tracer_pid", status.tracer)
                .and_if("tracer_command", self.seen.tracer.as_ref().map(Value::from_display)),
            Cause::Uninterruptible => {
                facts.and_if("wait_channel", wait_channel.as_ref().map(|channel| Value::from(channel.name())))
            }
            Cause::CpuLimit(held_back) => facts
                .and("throttled_since_stop_ms", milliseconds(held_back.time))
                .and_if("cpu_limit_millicores", held_back.limit),
            _ => facts,
        };
        match self.cause.child() {
            Some(child) => facts.and("child_pid", child.pid).and_shown("child_command", child),
            None => facts,
        }
    }
}

/// All that can be said of why somebody does not stop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Why {
    stuck: Option<Stuck>,
    at_limit: Option<AtLimit>,
}

impl Why {
    /// What can be said of one of whom this was seen.
    pub fn of(who: Who, signal: StopSignal, seen: &Seen) -> Why {
        let stuck = cause(seen).map(|cause| Stuck { who, signal, cause, seen: *seen });
        Why { stuck, at_limit: seen.at_limit }
    }

    /// The cause, if one is certain.
    pub fn cause(&self) -> Option<Cause> {
        self.stuck.map(|stuck| stuck.cause)
    }

    /// Whether the cause will not pass by itself.
    pub fn will_not_mend(&self) -> bool {
        self.stuck.is_some_and(|stuck| stuck.cause.will_not_mend())
    }

    /// Adds what is known.
    pub fn facts<'a>(&'a self, facts: Facts<'a>) -> Facts<'a> {
        let facts = match &self.stuck {
            Some(stuck) => stuck.facts(facts),
            None => facts,
        };
        facts.and_if("memory_limit_hits", self.at_limit.map(|at_limit| at_limit.times))
    }
}

impl fmt::Display for Why {
    /// A clause, with a colon before it; nothing where nothing is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stuck) = &self.stuck {
            write!(f, ": {stuck}")?;
        }
        let Some(AtLimit { times, limit }) = self.at_limit else { return Ok(()) };
        f.write_str(if self.stuck.is_some() { "; memory was at its limit" } else { ": memory was at its limit" })?;
        if let Some(limit) = limit {
            write!(f, " ({})", Bytes(limit))?;
        }
        write!(f, " {} meanwhile", Count::times(times))
    }
}

/// The notice: while there is still time.
#[derive(Clone, Copy, Debug)]
pub struct StillThere<'a> {
    /// The command.
    pub command: Command,
    /// It is gone: it is about what it left.
    pub command_is_gone: bool,
    /// What was sent.
    pub signal: StopSignal,
    /// How long ago.
    pub had_it: Duration,
    /// Why, as far as that is known.
    pub why: &'a Why,
}

impl fmt::Display for StillThere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StillThere { command, signal, why, .. } = self;
        if self.command_is_gone {
            write!(f, "what {command} left")?;
        } else {
            command.fmt(f)?;
        }
        let seconds = self.had_it.saturating_add(Duration::from_millis(500)).as_secs();
        // The cause says what it was sent for.
        write!(f, " still runs {seconds}s after {}{why}", signal.sent)
    }
}

/// A process with its pid.
struct Named<'a>(&'a Process);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.0, self.0.pid)
    }
}

/// `18.2s`, `20s`, `0.02s`: the kernel counts a processor's time in hundredths.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis() / 10) {
            (0, hundredths) => write!(f, "0.{hundredths:02}s"),
            (seconds, 0..10) => write!(f, "{seconds}s"),
            (seconds, hundredths) => write!(f, "{seconds}.{}s", hundredths / 10),
        }
    }
}

/// Where the kernel has a parent wait that made a child with vfork(2).
fn is_vfork(channel: &str) -> bool {
    ["wait_for_vfork_done", "kernel_clone", "_do_fork", "do_fork"].contains(&channel)
}

/// A state as text.
fn state(state: u8) -> &'static str {
    match state {
        b'R' => "R",
        b'S' => "S",
        b'D' => "D",
        b'T' => "T",
        b't' => "t",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SignalSet;

    const TERM: SignalSet = SignalSet::of(Signal::TERM);
    const DEFAULT: Disposition =
        Disposition { is_blocked: false, is_ignored: false, is_caught: false, is_awaited: Some(false) };
    const CAUGHT: Disposition = Disposition { is_caught: true, ..DEFAULT };
    const IGNORED: Disposition = Disposition { is_ignored: true, ..DEFAULT };
    const BLOCKED: Disposition = Disposition { is_blocked: true, ..DEFAULT };
    const AWAITED: Disposition = Disposition { is_awaited: Some(true), ..DEFAULT };
    const UNKNOWN: Disposition = Disposition { is_awaited: None, ..DEFAULT };
    const SIGNAL: StopSignal = StopSignal { sent: Signal::TERM, came: Signal::TERM };

    fn named(pid: i32, name: &str) -> Process {
        Process::imagined(pid, b'S', name)
    }

    /// A server that has a handler and waits.
    fn server() -> Seen {
        Seen {
            process: named(7, "server"),
            status: Status { state: b'S', threads: 1, ..Status::NOTHING },
            now: CAUGHT,
            signal: Signal::TERM,
            before: Some(CAUGHT),
            again: false,
            other: None,
            had_it: Duration::from_secs(20),
            with_group: false,
            tracer: None,
            is_shell_that_waits: false,
            is_wrapper: false,
            started_since: false,
            last_child: None,
            untold_child: None,
            told_child: None,
            wait_channel: None,
            has_not_run: false,
            is_frozen: false,
            held_back: None,
            processor: Some(Duration::from_millis(20)),
            at_limit: None,
        }
    }

    fn with(change: impl FnOnce(&mut Seen)) -> Seen {
        let mut seen = server();
        change(&mut seen);
        seen
    }

    fn in_state(state: u8) -> Seen {
        with(|seen| seen.status.state = state)
    }

    fn ignoring() -> Seen {
        with(|seen| {
            (seen.before, seen.now) = (Some(IGNORED), IGNORED);
        })
    }

    fn blocking() -> Seen {
        with(|seen| {
            (seen.before, seen.now, seen.status.pending) = (Some(BLOCKED), BLOCKED, TERM);
        })
    }

    fn without_handler() -> Seen {
        with(|seen| (seen.before, seen.now) = (Some(DEFAULT), DEFAULT))
    }

    fn shell() -> Seen {
        with(|seen| {
            seen.process = named(7, "sh");
            (seen.is_shell_that_waits, seen.is_wrapper) = (true, true);
            (seen.last_child, seen.untold_child) = (Some(named(8, "node")), Some(named(8, "node")));
        })
    }

    fn in_a_dead_wait() -> Seen {
        with(|seen| (seen.status.state, seen.status.pending) = (b'D', TERM))
    }

    fn held_back(seconds: u64) -> Option<HeldBack> {
        Some(HeldBack { time: Duration::from_secs(seconds), limit: Some(500) })
    }

    #[track_caller]
    fn assert_said(seen: Seen, clause: &str) {
        assert_eq!(Why::of(Who::Itself, SIGNAL, &seen).to_string(), format!(": {clause}"));
    }

    #[test]
    fn each_cause_is_said_with_what_can_be_done_about_it() {
        let gdb = named(12, "gdb");
        let traced =
            |tracer, pid| with(|seen| (seen.status.state, seen.status.tracer, seen.tracer) = (b't', pid, tracer));
        let waits_in = |channel| Seen { wait_channel: Some(WaitChannel::imagined(channel)), ..in_a_dead_wait() };
        let worked = |milliseconds| Seen { processor: Some(Duration::from_millis(milliseconds)), ..server() };
        for (seen, clause) in [
            (in_state(b'T'), "it is stopped, and acts on nothing before SIGCONT"),
            (traced(Some(gdb), 12), "it is traced and held by gdb (pid 12)"),
            (traced(None, 12), "it is traced and held by pid 12"),
            (traced(None, 0), "it is traced and held by a process that cannot be seen from here"),
            (
                blocking(),
                "it blocks SIGTERM, which is still pending (it has to unblock that, or to take it with sigwait or a \
                 signalfd)",
            ),
            (ignoring(), "it ignores SIGTERM (it needs a handler, or with --rewrite a signal that it has one for)"),
            (
                Seen { before: Some(Disposition { is_blocked: true, ..IGNORED }), ..ignoring() },
                "it ignores SIGTERM (it needs a handler, or with --rewrite a signal that it has one for)",
            ),
            (Seen { now: CAUGHT, ..ignoring() }, "it ignored SIGTERM when that came, and would not now"),
            (
                with(|seen| {
                    *seen = without_handler();
                    seen.status.is_inner_init = true;
                }),
                "as PID 1 of its own namespace it has no handler for SIGTERM, and the kernel drops that (it needs one, \
                 or an init there)",
            ),
            (
                shell(),
                "it is a shell with a trap, which waits for node (pid 8) to end first (start that with exec, or use \
                 --group)",
            ),
            (
                Seen { with_group: true, ..shell() },
                "it is a shell with a trap, which waits for node (pid 8) to end first (that had SIGTERM too)",
            ),
            (
                Seen { is_shell_that_waits: false, ..shell() },
                "it was told, and its child node (pid 8) was not (--group tells both)",
            ),
            (
                Seen { with_group: true, told_child: Some(named(8, "node")), ..ignoring() },
                "it ignores SIGTERM, and its child node (pid 8), which had that too, does not",
            ),
            (Seen { is_frozen: true, ..in_a_dead_wait() }, "it is in a frozen cgroup, in which nothing runs"),
            (
                in_a_dead_wait(),
                "it is in state D, a wait that a handler does not end, as for a disk or a network file system that does \
                 not answer",
            ),
            (
                waits_in("nfs_wait_bit_killable"),
                "it is in state D (nfs_wait_bit_killable), a wait that a handler does not end, as for a disk or a \
                 network file system that does not answer",
            ),
            (
                waits_in("kernel_clone"),
                "it is in state D (kernel_clone), a wait that a handler does not end: for a child that it made with \
                 vfork",
            ),
            (
                Seen { held_back: held_back(17), ..worked(2_500) },
                "a CPU limit (0.5 CPU) held it back for 17s of these 20s",
            ),
            (
                Seen { held_back: held_back(70), ..worked(2_500) },
                "a CPU limit (0.5 CPU) held it back for 70s in these 20s, on all CPUs together",
            ),
            (worked(18_250), "it handles SIGTERM and was at work (18.2s of CPU in 20s)"),
            (worked(20), "it handles SIGTERM and was waiting (0.02s of CPU in 20s)"),
            (
                Seen { processor: worked(20).processor, ..in_state(b'D') },
                "it handles SIGTERM and was waiting in state D (0.02s of CPU in 20s)",
            ),
            (Seen { processor: None, ..server() }, "it handles SIGTERM"),
        ] {
            assert_said(seen, clause);
        }
    }

    #[test]
    fn what_would_be_wrong_is_not_said() {
        let handles = Some(Cause::HandlesIt { is_at_work: Some(false) });
        // It took the signal, and ignores the next one.
        assert_eq!(cause(&Seen { before: Some(CAUGHT), ..ignoring() }), handles);
        // Its handler runs, and the second signal waits for the end of it.
        let in_handler = with(|seen| {
            seen.now = Disposition { is_blocked: true, ..CAUGHT };
            (seen.status.pending, seen.again) = (TERM, true);
        });
        assert_eq!(cause(&in_handler), handles);
        // It waits for signals with sigwait(3), and has taken this one.
        // While it waits, it is not to be seen that it blocks them; nor does it matter that it ignores them.
        let awaits = Disposition { is_awaited: Some(true), ..IGNORED };
        for (before, now) in [(BLOCKED, BLOCKED), (AWAITED, BLOCKED), (BLOCKED, AWAITED), (awaits, awaits)] {
            let mut waiter = Seen { before: Some(before), now, ..server() };
            assert_eq!(cause(&waiter), handles, "{waiter:?}");
            waiter.status.is_inner_init = true;
            assert_eq!(cause(&waiter), handles, "{waiter:?}");
        }
        // Something that it handles was sent behind what it ignores (--escalate).
        for seen in [ignoring(), blocking()] {
            let escalated = Seen { other: Some(Signal::INT), ..seen };
            let why = Why::of(Who::Itself, SIGNAL, &escalated);
            assert_eq!(why.to_string(), ": it handles SIGINT and was waiting (0.02s of CPU in 20s)");
        }
        // It had a handler, and has none for the next one.
        let reset = with(|seen| (seen.now, seen.status.is_inner_init) = (DEFAULT, true));
        assert_eq!(cause(&reset), handles);
        // The trap runs: it started a process, or waits elsewhere, or for nobody.
        for seen in [
            Seen { started_since: true, ..shell() },
            Seen { is_shell_that_waits: false, untold_child: None, ..shell() },
            Seen { last_child: None, untold_child: None, ..shell() },
        ] {
            assert_eq!(cause(&seen), handles, "{seen:?}");
        }
        // It is no wrapper, but a server with children.
        assert_eq!(cause(&Seen { untold_child: Some(named(8, "worker")), ..server() }), handles);
        // State D for a moment: the signal was taken.
        assert_eq!(cause(&in_state(b'D')), handles);
        assert_eq!(cause(&Seen { has_not_run: true, ..in_state(b'D') }), Some(Cause::Uninterruptible));
        // The limit held others back, or hardly anybody.
        assert_eq!(cause(&Seen { held_back: held_back(17), ..server() }), handles);
        let busy = Seen { processor: Some(Duration::from_secs(18)), ..server() };
        let busy_now = cause(&Seen { held_back: held_back(1), ..busy });
        assert_eq!(busy_now, Some(Cause::HandlesIt { is_at_work: Some(true) }));
        // Others left it little, and yet it does not wait.
        assert_eq!(cause(&in_state(b'R')), Some(Cause::HandlesIt { is_at_work: Some(true) }));
        // Nothing is known of what it did with the signal; or it is dead, or about to be.
        for seen in [
            Seen { before: None, ..server() },
            Seen { before: None, ..ignoring() },
            in_state(b'Z'),
            without_handler(),
            with(|seen| (seen.before, seen.now, seen.status.is_inner_init) = (None, UNKNOWN, true)),
            Seen { status: Status { pending: TERM, ..without_handler().status }, ..without_handler() },
        ] {
            assert_eq!(cause(&seen), None, "{seen:?}");
        }
    }

    #[test]
    fn a_signal_that_does_nothing_by_default_needs_a_handler() {
        let signal = Signal::new(libc::SIGWINCH).unwrap();
        let seen = Seen { signal, ..without_handler() };
        let why = Why::of(Who::Itself, StopSignal { sent: signal, came: Signal::TERM }, &seen);
        assert_eq!(why.to_string(), ": it has no handler for SIGWINCH (sent for SIGTERM), which does nothing then");
        assert_eq!(cause(&without_handler()), None, "SIGTERM ends it");
    }

    #[test]
    fn what_a_rewritten_signal_was_sent_for_is_said_once() {
        let signal = StopSignal { sent: Signal::new(libc::SIGQUIT).unwrap(), came: Signal::TERM };
        let why = Why::of(Who::Itself, signal, &ignoring());
        let command = Command { name: c"sh", pid: 7 };
        let had_it = Duration::from_secs(5);
        assert_eq!(
            StillThere { command, command_is_gone: false, signal, had_it, why: &why }.to_string(),
            "sh (pid 7) still runs 5s after SIGQUIT: it ignores SIGQUIT, sent for SIGTERM (it needs a handler, or with \
             --rewrite a signal that it has one for)"
        );
    }

    #[test]
    fn only_what_does_not_pass_by_itself_is_worth_a_warning() {
        let mends = |seen: Seen| !Why::of(Who::Itself, SIGNAL, &seen).will_not_mend();
        for seen in [in_state(b'T'), in_state(b't'), blocking(), ignoring(), shell(), in_a_dead_wait()] {
            assert!(!mends(seen), "{seen:?}");
        }
        for seen in [
            server(),
            Seen { with_group: true, ..shell() },
            Seen { is_shell_that_waits: false, ..shell() },
            Seen { held_back: held_back(17), processor: Some(Duration::from_secs(2)), ..server() },
            Seen { before: None, ..server() },
        ] {
            assert!(mends(seen), "{seen:?}");
        }
    }

    #[test]
    fn memory_at_its_limit_is_added_and_others_are_named() {
        let at_limit = |times, limit| Some(AtLimit { times, limit });
        let seen = Seen { at_limit: at_limit(12, Some(64 << 20)), ..server() };
        assert_said(
            seen,
            "it handles SIGTERM and was waiting (0.02s of CPU in 20s); memory was at its limit (64 MiB) 12 times \
             meanwhile",
        );
        assert_said(
            Seen { at_limit: at_limit(1, None), before: None, ..server() },
            "memory was at its limit 1 time meanwhile",
        );
        for (who, told) in [(Who::ItsChild, "its child server (pid 7)"), (Who::Left, "server (pid 7)")] {
            let why = Why::of(who, SIGNAL, &in_state(b'T'));
            assert_eq!(why.to_string(), format!(": {told} is stopped, and acts on nothing before SIGCONT"));
        }
        let command = Command { name: c"sh", pid: 7 };
        let why = Why::of(Who::Itself, SIGNAL, &in_state(b'T'));
        // The machine counts from before it was sent.
        let had_it = Duration::from_millis(4_997);
        let told = StillThere { command, command_is_gone: false, signal: SIGNAL, had_it, why: &why };
        assert_eq!(
            told.to_string(),
            "sh (pid 7) still runs 5s after SIGTERM: it is stopped, and acts on nothing before SIGCONT"
        );
        let gone = StillThere { command_is_gone: true, why: &Why::default(), ..told };
        assert_eq!(gone.to_string(), "what sh (pid 7) left still runs 5s after SIGTERM");
    }

    #[test]
    fn times_and_parts_of_a_cpu_read_well() {
        for (milliseconds, shown) in [(0, "0.00s"), (20, "0.02s"), (999, "0.99s"), (20_050, "20s"), (18_250, "18.2s")] {
            assert_eq!(Seconds(Duration::from_millis(milliseconds)).to_string(), shown);
        }
        for (thousandths, shown) in [(500, "0.5"), (2000, "2"), (250, "0.25"), (1_125, "1.125"), (20, "0.02")] {
            assert_eq!(Thousandths(thousandths).to_string(), shown);
        }
    }
}
