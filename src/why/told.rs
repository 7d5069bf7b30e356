//! What is noted of whoever is told to stop, at that moment, and what is seen of it when it does not.
//!
//! What somebody did with a signal can only be said of the moment when it came: a server that cleans up may
//! ignore the next one. All of it has its fixed place, for sexton allocates nothing here.

use std::time::Duration;

use super::died::Processes;
use super::stuck::{Cause, Disposition, Seen, StopSignal, Who, Why};
use crate::signal::{Signal, SignalSet};
use crate::sys::{
    Limits, Process, Status, SystemCall, WaitChannel, called_by, each_child, is_frozen, monotonic_now, process,
    processor_time, since_boot,
};

/// So many processes are noted: the command, and with it or behind it the first few of what it started.
const NOTED: usize = 6;

/// The notes.
#[derive(Debug, Default)]
pub struct Told {
    /// When noting began, before anybody was told, on the clocks of [`monotonic_now`] and [`since_boot`].
    began: Option<(Duration, u64)>,
    /// The first stop signal that was sent to whoever is left.
    first: Option<First>,
    /// What was sent before that, and what since.
    others: [SignalSet; 2],
    noted: [Option<Noted>; NOTED],
    /// The first of them that waited for a child, as its only thread.
    wait: Option<(i32, SystemCall)>,
    /// What the kernel had counted, if that is wanted.
    limits: Option<Limits>,
    /// Who was in state D at an earlier look, and how often it had left the processor.
    in_state_d: Option<(i32, u64)>,
}

/// A stop signal and when it was sent.
#[derive(Clone, Copy, Debug)]
struct First {
    signal: StopSignal,
    at: Duration,
    /// When nobody was told yet, on the clock of [`since_boot`].
    before: u64,
    /// And when all were.
    after: u64,
}

/// A process, just before the signal was sent.
#[derive(Clone, Copy, Debug)]
struct Noted {
    pid: i32,
    disposition: Disposition,
    /// How long it had had a processor, if that is wanted.
    processor: Option<Duration>,
}

impl Told {
    /// This signal is about to be sent to this process. It waits for this, so that is little.
    pub fn note(&mut self, pid: i32, signal: Signal) {
        if self.first.is_some() {
            return;
        }
        self.began.get_or_insert_with(|| (monotonic_now(), since_boot()));
        let is_its = |noted: &&mut Option<Noted>| noted.is_none_or(|noted| noted.pid == pid);
        let Some(free) = self.noted.iter_mut().find(is_its) else { return };
        let Some(status) = Status::of(pid) else { return };
        let call = call_of(pid, &status);
        *free = Some(Noted { pid, disposition: Disposition::of(&status, call, signal), processor: None });
        self.wait = self.wait.or(call.filter(|call| call.waits_for_child()).map(|call| (pid, call)));
    }

    /// The command is gone: the next that is sent is the first for whom it left.
    pub fn command_is_gone(&mut self) {
        (self.began, self.first, self.others) = (None, None, Default::default());
    }

    /// It was sent. What a later look compares with is noted if `all` that there is to know is wanted.
    pub fn sent(&mut self, signal: StopSignal, all: bool) {
        if self.first.is_some() {
            return self.also_sent(signal.sent);
        }
        let after = since_boot();
        let (at, before) = self.began.unwrap_or((monotonic_now(), after));
        self.first = Some(First { signal, at, before, after });
        if all {
            for noted in self.noted.iter_mut().flatten() {
                noted.processor = processor_time(noted.pid);
            }
            self.limits = self.noted.iter().flatten().next().map(|noted| Limits::of(noted.pid));
        }
    }

    /// This was sent besides.
    pub fn also_sent(&mut self, signal: Signal) {
        let [before, since] = &mut self.others;
        let set = if self.first.is_some() { since } else { before };
        *set = set.with(signal);
    }

    /// What was sent, and how long ago.
    pub fn had_it(&self) -> Option<(StopSignal, Duration)> {
        self.first.map(|first| (first.signal, monotonic_now().saturating_sub(first.at)))
    }

    fn noted(&self, pid: i32) -> Option<Noted> {
        self.noted.iter().flatten().find(|noted| noted.pid == pid).copied()
    }

    /// Why the command does not stop. It had the signal with its process group, or alone.
    ///
    /// To be asked before it is killed.
    #[inline(never)]
    pub fn why(&mut self, command: i32, with_group: bool) -> Why {
        let found = self.first.zip(process(command));
        let Some((first, command)) = found else { return Why::default() };
        let why = self.look(&first, Who::Itself, &command, with_group);
        let is_held = |cause| matches!(cause, Cause::Stopped | Cause::Traced | Cause::Frozen | Cause::Uninterruptible);
        if !with_group || why.cause().is_some_and(is_held) {
            return why;
        }
        // It may wait for a child, which had the signal too, and cannot act on it.
        let mut children = Few::default();
        each_child(command.pid, |child| children.add(child));
        let in_group = |child: &&Process| child.group == command.group && child.started_before(first.before);
        let is_stuck = |cause| is_held(cause) || matches!(cause, Cause::Blocks | Cause::NoHandlerAsInit);
        let mut children = children.iter().filter(in_group).map(|child| self.look(&first, Who::ItsChild, child, true));
        children.find(|child| child.cause().is_some_and(is_stuck)).unwrap_or(why)
    }

    /// The same of what the command left. All of it had the signal, or what was noted alone.
    #[inline(never)]
    pub fn why_left(&mut self, left: &Processes, all_told: bool) -> Why {
        let Some(first) = self.first else { return Why::default() };
        let mut likeliest = Why::default();
        for process in left.first() {
            if !process.started_by(first.after) || !(all_told || self.noted(process.pid).is_some()) {
                continue;
            }
            let why = self.look(&first, Who::Left, process, true);
            if why.will_not_mend() {
                return why;
            }
            if likeliest.cause().is_none() {
                likeliest = why;
            }
        }
        likeliest
    }

    /// Looks at one who was told.
    #[inline(never)]
    fn look(&mut self, first: &First, who: Who, process: &Process, with_group: bool) -> Why {
        self.see(first, process, with_group).map_or(Why::default(), |seen| Why::of(who, first.signal, &seen))
    }

    #[inline(never)]
    fn see(&mut self, first: &First, process: &Process, with_group: bool) -> Option<Seen> {
        let pid = process.pid;
        let status = Status::of(pid)?;
        let noted = self.noted(pid);
        let had_it = monotonic_now().saturating_sub(first.at);
        let has_not_run = status.state == b'D' && self.in_state_d == Some((pid, status.switches));
        if status.state == b'D' {
            self.in_state_d = Some((pid, status.switches));
        }
        let call = call_of(pid, &status);
        // Of whoever has one thread, as shells have.
        let may_be_asked = status.threads == 1 && call.is_some_and(SystemCall::is_idle);
        let is_in_same_wait = may_be_asked && self.wait == call.map(|call| (pid, call));
        let is_shell = has_shells_name(process) || may_be_asked && is_called_as_shell(pid);
        let is_wrapper = is_shell || is_wrapper(process);
        let mut children = Few::default();
        let mut started_since = false;
        each_child(pid, |child| {
            if child.started_before(first.before) {
                children.add(child);
            } else {
                started_since = true;
            }
        });
        let sent = first.signal.sent;
        let [_, since] = self.others;
        let does = |child: &Process| {
            let status = Status::of(child.pid)?;
            Some((Disposition::of(&status, call_of(child.pid, &status), sent), status))
        };
        let is_untold =
            |child: &&Process| does(child).is_some_and(|(does, status)| does.is_default() && !status.is_inner_init);
        let is_told = |child: &&Process| {
            let takes_it = |does: Disposition| does.is_caught || does.is_blocked || does.is_awaited == Some(true);
            child.group == process.group && does(child).is_some_and(|(does, _)| takes_it(does))
        };
        let limits = self.limits.map(|before| (before, Limits::of(pid)));
        Some(Seen {
            process: *process,
            status,
            now: Disposition::of(&status, call, sent),
            signal: sent,
            before: noted.map(|noted| noted.disposition),
            again: self.others.iter().any(|others| others.contains(sent)),
            other: since
                .iter()
                .find(|other| *other != sent && status.caught.contains(*other))
                .filter(|_| !noted.is_some_and(|noted| noted.disposition.is_caught)),
            had_it,
            with_group,
            tracer: Some(status.tracer).filter(|tracer| *tracer > 0).and_then(crate::sys::process),
            is_shell_that_waits: is_shell && is_in_same_wait,
            is_wrapper,
            started_since,
            last_child: children.last().filter(|child| is_in_same_wait && !is_in_background(child.pid)).copied(),
            untold_child: children.iter().find(|child| is_wrapper && !with_group && is_untold(child)).copied(),
            told_child: children.iter().find(|child| with_group && is_told(child)).copied(),
            wait_channel: if status.state == b'D' { WaitChannel::of(pid) } else { None },
            has_not_run,
            is_frozen: is_frozen(pid),
            held_back: limits.and_then(|(before, now)| now.held_back_since(&before, pid)),
            processor: noted.and_then(|noted| Some(processor_time(pid)?.saturating_sub(noted.processor?))),
            at_limit: limits.and_then(|(before, now)| now.at_limit_since(&before, pid)),
        })
    }
}

/// The system call in which a process waits, if it may be asked for that ([`SystemCall::of`]).
fn call_of(pid: i32, status: &Status) -> Option<SystemCall> {
    if status.state == b'S' { SystemCall::of(pid) } else { None }
}

/// A few processes, the last of them the last that there was.
#[derive(Default)]
struct Few {
    processes: [Option<Process>; 8],
    count: usize,
}

impl Few {
    fn add(&mut self, process: &Process) {
        let last = self.processes.len() - 1;
        if let Some(place) = self.processes.get_mut(self.count.min(last)) {
            *place = Some(*process);
        }
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().flatten()
    }

    fn last(&self) -> Option<&Process> {
        self.iter().last()
    }
}

/// Shells that wait for what runs in the foreground with wait(2). Others, zsh(1) and mksh(1), do so with
/// sigsuspend(2), as they wait for what runs in the background.
const SHELLS: [&[u8]; 5] = [b"sh", b"dash", b"bash", b"ash", b"busybox"];

/// Programs that start others and end with them.
const WRAPPERS: [&[u8]; 11] =
    [b"npm", b"npx", b"yarn", b"pnpm", b"make", b"gmake", b"just", b"task", b"sudo", b"su", b"runuser"];

fn has_shells_name(process: &Process) -> bool {
    SHELLS.contains(&process.name())
}

/// A script's shell has the script's name. To be asked of a process that is idle, as its only thread
/// ([`called_by`]).
fn is_called_as_shell(pid: i32) -> bool {
    let mut room = [0; 64];
    called_by(pid, &mut room).is_some_and(|name| {
        let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        SHELLS.contains(&name.strip_prefix(b"-").unwrap_or(name))
    })
}

/// By the first word of its name: `npm start`.
fn is_wrapper(process: &Process) -> bool {
    WRAPPERS.contains(&process.name().split(|byte| *byte == b' ').next().unwrap_or_default())
}

/// A shell without job control has what it starts in the background ignore both (POSIX, "Asynchronous
/// Lists").
fn is_in_background(pid: i32) -> bool {
    Status::of(pid)
        .is_none_or(|status| [Signal::INT, Signal::QUIT].iter().all(|signal| status.ignored.contains(*signal)))
}
