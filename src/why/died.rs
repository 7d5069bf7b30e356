//! Why the command died, as sentences over facts; [`super::evidence`] gathers these.
//!
//! No sentence says more than its facts do: that the kernel killed *a* process for lack of memory
//! is known, that no process of the container killed another mostly is not.

use std::ffi::CStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use humantime::format_duration;
use log::kv::Value;
use nix::errno::Errno;

use super::amounts::{About, Bytes, Count, Rounded};
use super::cost::Cost;
use super::evidence::Forwarding;
use super::stuck::Why;
use crate::report::{Facts, Name, Printable};
use crate::shutdown::KILL_TIMEOUT;
use crate::signal::{Received, Signal};
use crate::sys::{Ceiling, CpuLimit, Process};

/// The command, as it is shown to people.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// What it was called by.
    pub name: &'static CStr,
    /// The main process.
    pub pid: i32,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", Name(self.name), self.pid)
    }
}

/// Its name.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.name()).fmt(f)
    }
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// What was sent.
    pub received: Received,
    /// The process that sent it, if it was still to be seen when the signal came.
    pub process: Option<Process>,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.received, &self.process) {
            (received, _) if !received.is_from_process() => f.write_str("the kernel"),
            (received, _) if received.may_be_nameless() => {
                f.write_str("outside the container, or from a sender whom the kernel had no room to note")
            }
            (Received { pid: 0, .. }, _) => f.write_str("outside the container"),
            (Received { pid, uid, .. }, Some(process)) => {
                write!(f, "pid {pid} ({process}, uid {uid})")
            }
            (Received { pid, uid, .. }, None) => write!(f, "pid {pid} (uid {uid})"),
        }
    }
}

/// And who sent the signal, as far as that is known.
pub fn by<'a>(facts: Facts<'a>, sender: Option<&'a Sender>) -> Facts<'a> {
    let Some(sender) = sender.filter(|sender| !sender.received.may_be_nameless()) else { return facts };
    let facts = facts.and("sender_pid", sender.received.pid).and("sender_uid", sender.received.uid);
    facts.and_if("sender_command", sender.process.as_ref().map(Value::from_display))
}

/// What the kernel's counter of processes killed for lack of memory says.
///
/// It counts for a cgroup, whatever the reason: its own limit, that of a cgroup around it, or the whole machine.
/// It does not say which process it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfMemory<'a> {
    /// There is no counter that can be seen from here.
    Unknown,
    /// It was looked at when the command had been started, and when it was dead.
    Counted {
        /// Whose cgroup it is of.
        whose: Whose,
        /// The cgroups below count as well.
        below: bool,
        /// What it was when the command had been started.
        before: u64,
        /// What it was when the command had died.
        after: u64,
        /// The command was dead when sexton first looked, and may be among those counted before.
        too_late: bool,
    },
    /// The command died in another cgroup than the one that sexton looked at when it had been started.
    Elsewhere {
        /// That other one.
        directory: &'a Path,
        /// What its counter says.
        kills: u64,
    },
}

/// Whose cgroup it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The command's own, as the kernel says.
    Its,
    /// sexton's. Where the command was is not known.
    Sextons,
}

impl OutOfMemory<'_> {
    /// Whether a process was killed for lack of memory: the command, or another one.
    pub fn has_killed(self) -> bool {
        match self {
            OutOfMemory::Unknown => false,
            OutOfMemory::Counted { before, after, too_late, .. } => after > before || too_late,
            OutOfMemory::Elsewhere { kills, .. } => kills > 0,
        }
    }

    /// Adds what is known.
    pub fn facts(self, facts: Facts<'_>) -> Facts<'_> {
        match self {
            OutOfMemory::Unknown => facts,
            OutOfMemory::Counted { before, after, .. } => facts.and("oom_kills_before", before).and("oom_kills", after),
            OutOfMemory::Elsewhere { kills, .. } => facts.and("oom_kills", kills),
        }
    }
}

/// What was counted, as a clause; nothing when there is no counter.
struct Told<'a> {
    memory: OutOfMemory<'a>,
    ceiling: Ceiling,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = Limits(self.ceiling);
        match self.memory {
            OutOfMemory::Unknown => Ok(()),
            OutOfMemory::Counted { whose, below, before, after, too_late } => {
                let killed = if too_late { after } else { after.saturating_sub(before) };
                f.write_str(if whose == Whose::Its { "in its cgroup" } else { "in sexton's cgroup" })?;
                // A count of 0 in all of them is one of 0 in each.
                f.write_str(if below && killed > 0 { " or one below it" } else { "" })?;
                self.killed(f, killed)?;
                match (killed, too_late) {
                    (0, _) => write!(f, " (oom_kill still {after})"),
                    (_, false) => write!(f, " while it ran ({limits}oom_kill {before} → {after})"),
                    (_, true) => {
                        f.write_str(", whether while it ran or before is not known: it was dead when sexton first ")?;
                        write!(f, "looked ({limits}oom_kill {after})")
                    }
                }
            }
            OutOfMemory::Elsewhere { directory, kills } => {
                let directory = Printable(directory.as_os_str().as_bytes());
                write!(f, "in the cgroup that it had moved to ({directory})")?;
                self.killed(f, kills)?;
                match kills {
                    0 => f.write_str(" (oom_kill 0)"),
                    _ => write!(f, " since that was made ({limits}oom_kill {kills})"),
                }
            }
        }
    }
}

impl Told<'_> {
    fn killed(&self, f: &mut fmt::Formatter<'_>, count: u64) -> fmt::Result {
        match count {
            0 => f.write_str(" the kernel killed nobody for lack of memory"),
            _ => write!(f, " the kernel killed {} for lack of memory", Count::processes(count)),
        }
    }
}

/// The limit and the peak, with a comma behind each.
struct Limits(Ceiling);

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.limit {
            Some(limit) => write!(f, "limit {}, ", Bytes(limit))?,
            // It may be the limit of a cgroup around this one, or the whole machine.
            None => f.write_str("no limit to be seen from here, ")?,
        }
        match self.0.peak {
            Some(peak) => write!(f, "peak {}, ", About(peak)),
            None => Ok(()),
        }
    }
}

/// The command was killed by a signal that sexton did not send to stop it.
#[derive(Clone, Copy, Debug)]
pub struct Killed<'a> {
    /// The command.
    pub command: Command,
    /// What killed it.
    pub signal: Signal,
    /// The kernel wrote a core file.
    pub core_dumped: bool,
    /// How long it ran.
    pub ran: Duration,
    /// Whether sexton forwarded this signal.
    pub forwarding: Forwarding,
    /// Whether memory ran out.
    pub memory: OutOfMemory<'a>,
    /// It had used all of the processor time that it might, and the kernel sends this signal then.
    pub cpu_limit: Option<CpuLimit>,
    /// What its run cost.
    pub cost: Cost,
}

impl fmt::Display for Killed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was killed by {}", self.command, self.signal)?;
        if self.core_dumped {
            f.write_str(", core dumped")?;
        }
        let by_sigkill = self.signal == Signal::KILL;
        let is_forwarded = !matches!(self.forwarding, Forwarding::Never);
        match self.forwarding {
            Forwarding::Last(sender, ago) => {
                write!(f, "; the last one that sexton forwarded came from {sender}, {} before", Rounded(ago))?;
            }
            Forwarding::Once => f.write_str("; sexton had forwarded one before")?,
            Forwarding::PreStop => {
                f.write_str("; sexton sent it one (--pre-stop-signal), for which it needs a handler")?
            }
            Forwarding::Never if by_sigkill => f.write_str(", which sexton did not send")?,
            Forwarding::Never if !is_own_fault(self.signal) => f.write_str(", which did not come through sexton")?,
            Forwarding::Never => {}
        }
        if let Some(CpuLimit { used, limit }) = self.cpu_limit {
            write!(f, "; it had used {} of CPU, and may use {} (ulimit -t)", Rounded(used), Rounded(limit))?;
        }
        let told = Told { memory: self.memory, ceiling: self.cost.ceiling };
        match self.memory {
            memory if memory.has_killed() => write!(f, "; {told}")?,
            _ if !by_sigkill || is_forwarded => {}
            OutOfMemory::Unknown => f.write_str(
                "; whether the kernel killed it for lack of memory cannot be seen from here (no count of oom_kill)",
            )?,
            _ if self.cpu_limit.is_some() => write!(f, "; {told}")?,
            _ => write!(f, "; {told}, and where it came from cannot be seen")?,
        }
        write!(f, "; it ran for {}", Rounded(self.ran))?;
        match self.cost.held_back(self.ran) {
            Some(held_back) => write!(f, "; {held_back}"),
            None => Ok(()),
        }
    }
}

/// Signals that tell of what the command did, not of what others want it to do (signal(7)).
fn is_own_fault(signal: Signal) -> bool {
    matches!(
        signal.number(),
        libc::SIGILL
            | libc::SIGTRAP
            | libc::SIGABRT
            | libc::SIGBUS
            | libc::SIGFPE
            | libc::SIGSEGV
            | libc::SIGALRM
            | libc::SIGXCPU
            | libc::SIGXFSZ
            | libc::SIGSYS
    )
}

/// The command exited with an error after the kernel had killed a process for lack of memory.
#[derive(Clone, Copy, Debug)]
pub struct FailedOutOfMemory<'a> {
    /// The command.
    pub command: Command,
    /// Its exit status, not 0.
    pub status: u8,
    /// How long it ran.
    pub ran: Duration,
    /// What was counted.
    pub memory: OutOfMemory<'a>,
    /// What its run cost.
    pub cost: Cost,
}

impl fmt::Display for FailedOutOfMemory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedOutOfMemory { command, status, ran, memory, cost } = *self;
        let told = Told { memory, ceiling: cost.ceiling };
        write!(f, "{command} exited with status {status}; {told}; it ran for {}", Rounded(ran))?;
        match cost.held_back(ran) {
            Some(held_back) => write!(f, "; {held_back}"),
            None => Ok(()),
        }
    }
}

/// Some processes: how many, and the first few by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes {
    /// How many.
    pub count: usize,
    first: [Option<Process>; Processes::NAMED],
}

impl Processes {
    /// So many are named.
    const NAMED: usize = 4;

    /// One more.
    pub fn add(&mut self, process: &Process) {
        if let Some(free) = self.first.get_mut(self.count) {
            *free = Some(*process);
        }
        self.count += 1;
    }

    /// Those that are named.
    pub fn first(&self) -> impl Iterator<Item = &Process> {
        self.first.iter().flatten()
    }

    /// The names of the first few, with commas between them.
    pub fn names(&self) -> Names<'_> {
        Names { processes: self, with_state: false }
    }

    /// The same, each with its pid and state.
    pub fn states(&self) -> Names<'_> {
        Names { processes: self, with_state: true }
    }
}

/// The first few processes of [`Processes`].
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    processes: &'a Processes,
    with_state: bool,
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, process) in self.processes.first().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            if self.with_state {
                write!(f, "pid {} ({process}, state {})", process.pid, char::from(process.state))?;
            } else {
                process.fmt(f)?;
            }
        }
        f.write_str(if self.processes.count > Processes::NAMED { ", …" } else { "" })
    }
}

/// What is left of the command and of what it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survivors {
    /// These live.
    pub alive: Processes,
    /// These do not, and cannot be reaped.
    pub held: Option<Held>,
}

/// Dead processes that their parent, sexton, cannot reap: another process traces them (ptrace(2)), as a
/// debugger does, and has to reap them before.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// One of them: the command, if it is one.
    pub process: Process,
    /// Who traces that one.
    pub tracer: Tracer,
    /// How many there are.
    pub count: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { process, tracer, .. } = self;
        let pid = process.pid;
        match self.count.saturating_sub(1) {
            0 => write!(f, "pid {pid} ({process}) is dead, but {tracer} traces it and has not let go of it"),
            more => write!(
                f,
                "pid {pid} ({process}) and {more} more are dead, but traced: {tracer} has not let go of the first"
            ),
        }
    }
}

/// A process that traces another one.
#[derive(Clone, Copy, Debug)]
pub struct Tracer {
    /// Its pid; 0: it is outside of our PID namespace.
    pub pid: i32,
    /// The process, if it can be seen.
    pub process: Option<Process>,
}

impl fmt::Display for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Somebody { pid: self.pid, process: self.process.as_ref() }.fmt(f)
    }
}

/// A process by its pid and, if it can be seen, its name.
struct Somebody<'a> {
    pid: i32,
    process: Option<&'a Process>,
}

impl fmt::Display for Somebody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.process) {
            (0, _) => f.write_str("a process outside the container"),
            (pid, Some(process)) => write!(f, "pid {pid} ({process})"),
            (pid, None) => write!(f, "pid {pid}"),
        }
    }
}

/// The grace period was used up.
#[derive(Clone, Copy, Debug)]
pub struct GraceOver<'a> {
    /// The command.
    pub command: Command,
    /// It was gone: what is killed is what it left.
    pub command_is_gone: bool,
    /// Why it could not be killed.
    pub refused: Option<Errno>,
    /// The grace period.
    pub grace: Duration,
    /// The stop signal.
    pub signal: Signal,
    /// A rewrite dropped it: the command never had one.
    pub is_dropped: bool,
    /// Who sent it; nobody when the command exited by itself.
    pub sender: Option<Sender>,
    /// How long it was held back, and how much time that left.
    pub slept: Option<(Duration, Duration)>,
    /// What was left besides the command; `None` when that cannot be seen.
    pub survivors: Option<&'a Survivors>,
    /// Why it did not stop, as far as that is known.
    pub why: &'a Why,
}

impl GraceOver<'_> {
    /// The command, or whatever it left, if that is dead and held.
    pub fn held(&self) -> Option<&Held> {
        let survivors = self.survivors?;
        let is_all = |held: &&Held| match self.command_is_gone {
            true => survivors.alive.count == 0,
            false => held.process.pid == self.command.pid,
        };
        survivors.held.as_ref().filter(is_all)
    }
}

impl fmt::Display for GraceOver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GraceOver { command, signal, .. } = self;
        let grace = format_duration(self.grace);
        match self.held() {
            Some(held) => held.fmt(f)?,
            None if self.command_is_gone => write!(f, "what {command} left did not stop")?,
            None => write!(f, "{command} did not stop")?,
        }
        write!(f, " within {grace} of {signal}")?;
        if self.is_dropped {
            f.write_str(", which --rewrite drops: nothing told it to stop")?;
        }
        if self.held().is_none() {
            write!(f, "{}", self.why)?;
        }
        match self.refused {
            _ if self.held().is_some() => {}
            None => f.write_str("; killed with SIGKILL")?,
            Some(errno) => {
                let why = errno.desc();
                write!(f, " and cannot be killed: {why}; if it changed its user, sexton needs CAP_KILL; leaving it")?;
            }
        }
        if let Some(alive) = self.survivors.map(|survivors| survivors.alive).filter(|alive| alive.count > 0) {
            let besides = if self.command_is_gone { "" } else { " besides it" };
            write!(f, ", {} left{besides} ({})", Count::processes(alive.count as u64), alive.names())?;
        }
        if let Some(sender) = self.sender {
            write!(f, "; {signal} came from {sender}")?;
        }
        if let Some((slept, left)) = self.slept {
            write!(f, ", was held back for {} and left {} to stop", Rounded(slept), Rounded(left))?;
        }
        Ok(())
    }
}

/// SIGKILL did not end everything.
#[derive(Clone, Copy, Debug)]
pub struct Unkillable<'a> {
    /// The command.
    pub command: Command,
    /// What is still there; `None` when that cannot be seen.
    pub survivors: Option<&'a Survivors>,
}

impl fmt::Display for Unkillable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeout = format_duration(KILL_TIMEOUT);
        let alive = self.survivors.map(|survivors| survivors.alive).filter(|alive| alive.count > 0);
        let held = self.survivors.and_then(|survivors| survivors.held);
        if let Some(alive) = &alive {
            let is_are = if alive.count == 1 { "is" } else { "are" };
            write!(f, "still there {timeout} after SIGKILL {is_are} {}", alive.states())?;
            if alive.first().any(|process| process.state == b'D') {
                f.write_str(
                    ": D is a wait that no signal ends, as for a disk, a network file system or a frozen cgroup",
                )?;
            }
        }
        match held {
            Some(held) if alive.is_some() => write!(f, "; {held}")?,
            Some(held) => held.fmt(f)?,
            None if alive.is_some() => {}
            None => write!(f, "{} or what it started is still there {timeout} after SIGKILL", self.command)?,
        }
        f.write_str("; leaving it")
    }
}

/// Dead processes that are not reaped by whom they are to be reaped by.
#[derive(Clone, Copy, Debug)]
pub struct Zombies {
    /// Their parent, or who traces them and so has to reap them first; 0: it is outside of our PID namespace.
    pub keeper: i32,
    /// The same, if it can be seen.
    pub process: Option<Process>,
    /// It traces them.
    pub is_traced: bool,
    /// How many.
    pub count: usize,
}

impl fmt::Display for Zombies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Somebody { pid: self.keeper, process: self.process.as_ref() }.fmt(f)?;
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, " {} {} zombie{plural}", if self.is_traced { "traces" } else { "leaves" }, self.count)?;
        f.write_str(match (self.keeper, self.is_traced) {
            (0, _) => ", which nobody in here can reap",
            (_, true) => ": it must wait() for what it traces",
            (_, false) => ": it must wait() for its children",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: Command = Command { name: c"/app/server", pid: 7 };

    fn sender(pid: i32, name: Option<&str>) -> Sender {
        let received = Received { signal: Signal::TERM, code: libc::SI_USER, pid, uid: 33, value: 0 };
        Sender { received, process: name.map(|name| Process::imagined(pid, b'S', name)) }
    }

    fn killed<'a>(signal: i32, memory: OutOfMemory<'a>) -> Killed<'a> {
        Killed {
            command: COMMAND,
            signal: Signal::new(signal).unwrap(),
            core_dumped: false,
            ran: Duration::from_millis(3_204),
            forwarding: Forwarding::Never,
            memory,
            cpu_limit: None,
            cost: Cost::imagined(Ceiling { limit: Some(512 << 20), peak: Some(500 << 20) }),
        }
    }

    fn counted<'a>(whose: Whose, before: u64, after: u64) -> OutOfMemory<'a> {
        OutOfMemory::Counted { whose, below: false, before, after, too_late: false }
    }

    #[test]
    fn a_death_is_told_with_its_evidence_and_no_more() {
        let (none, one) = (counted(Whose::Its, 2, 2), counted(Whose::Its, 0, 1));
        let below = |before| OutOfMemory::Counted { whose: Whose::Its, below: true, before, after: 3, too_late: false };
        let too_late =
            OutOfMemory::Counted { whose: Whose::Sextons, below: false, before: 1, after: 1, too_late: true };
        let elsewhere = |kills| OutOfMemory::Elsewhere { directory: Path::new("/sys/fs/cgroup/a\nb"), kills };
        let segfault = Killed { core_dumped: true, ..killed(11, none) };
        let out_of_sight = Killed { cost: Cost::default(), ..killed(9, counted(Whose::Sextons, 3, 5)) };
        let forwarding = Forwarding::Last(sender(12, Some("sh")), Duration::from_millis(2));
        let cpu_limit = Some(CpuLimit { used: Duration::from_millis(1_004), limit: Duration::from_secs(1) });
        for (told, sentence) in [
            (segfault, "SIGSEGV, core dumped"),
            (killed(15, none), "SIGTERM, which did not come through sexton"),
            (
                killed(9, one),
                "SIGKILL, which sexton did not send; in its cgroup the kernel killed 1 process for lack of memory \
                 while it ran (limit 512 MiB, peak 500 MiB, oom_kill 0 → 1)",
            ),
            (
                out_of_sight,
                "SIGKILL, which sexton did not send; in sexton's cgroup the kernel killed 2 processes for lack of \
                 memory while it ran (no limit to be seen from here, oom_kill 3 → 5)",
            ),
            (
                killed(9, none),
                "SIGKILL, which sexton did not send; in its cgroup the kernel killed nobody for lack of memory \
                 (oom_kill still 2), and where it came from cannot be seen",
            ),
            (
                killed(9, below(3)),
                "SIGKILL, which sexton did not send; in its cgroup the kernel killed nobody for lack of memory \
                 (oom_kill still 3), and where it came from cannot be seen",
            ),
            (
                killed(9, below(2)),
                "SIGKILL, which sexton did not send; in its cgroup or one below it the kernel killed 1 process for \
                 lack of memory while it ran (limit 512 MiB, peak 500 MiB, oom_kill 2 → 3)",
            ),
            (
                killed(9, too_late),
                "SIGKILL, which sexton did not send; in sexton's cgroup the kernel killed 1 process for lack of \
                 memory, whether while it ran or before is not known: it was dead when sexton first looked (limit 512 \
                 MiB, peak 500 MiB, oom_kill 1)",
            ),
            (
                killed(9, elsewhere(0)),
                "SIGKILL, which sexton did not send; in the cgroup that it had moved to (/sys/fs/cgroup/a\\nb) the \
                 kernel killed nobody for lack of memory (oom_kill 0), and where it came from cannot be seen",
            ),
            (
                killed(9, elsewhere(1)),
                "SIGKILL, which sexton did not send; in the cgroup that it had moved to (/sys/fs/cgroup/a\\nb) the \
                 kernel killed 1 process for lack of memory since that was made (limit 512 MiB, peak 500 MiB, oom_kill \
                 1)",
            ),
            (
                killed(9, OutOfMemory::Unknown),
                "SIGKILL, which sexton did not send; whether the kernel killed it for lack of memory cannot be seen \
                 from here (no count of oom_kill)",
            ),
            (
                Killed { cpu_limit, ..killed(9, none) },
                "SIGKILL, which sexton did not send; it had used 1s 4ms of CPU, and may use 1s (ulimit -t); in its \
                 cgroup the kernel killed nobody for lack of memory (oom_kill still 2)",
            ),
            (
                Killed { cpu_limit, ..killed(24, none) },
                "SIGXCPU; it had used 1s 4ms of CPU, and may use 1s (ulimit -t)",
            ),
            (
                killed(6, one),
                "SIGABRT; in its cgroup the kernel killed 1 process for lack of memory while it ran (limit 512 MiB, \
                 peak 500 MiB, oom_kill 0 → 1)",
            ),
            (
                Killed { forwarding, ..killed(10, none) },
                "SIGUSR1; the last one that sexton forwarded came from pid 12 (sh, uid 33), 2ms before",
            ),
            (
                Killed { forwarding, ..killed(9, one) },
                "SIGKILL; the last one that sexton forwarded came from pid 12 (sh, uid 33), 2ms before; in its cgroup \
                 the kernel killed 1 process for lack of memory while it ran (limit 512 MiB, peak 500 MiB, oom_kill 0 \
                 → 1)",
            ),
            (
                Killed { forwarding: Forwarding::Once, ..killed(10, OutOfMemory::Unknown) },
                "SIGUSR1; sexton had forwarded one before",
            ),
        ] {
            assert_eq!(told.to_string(), format!("/app/server (pid 7) was killed by {sentence}; it ran for 3s 204ms"));
        }
    }

    #[test]
    fn a_grace_period_that_was_used_up_is_told_with_all_that_is_known() {
        let mut left = Survivors::default();
        let told = GraceOver {
            command: COMMAND,
            command_is_gone: false,
            refused: None,
            grace: Duration::from_secs(25),
            signal: Signal::TERM,
            is_dropped: false,
            sender: Some(sender(0, None)),
            slept: Some((Duration::from_secs(5), Duration::from_millis(20_012))),
            survivors: None,
            why: &Why::default(),
        };
        let beginning = "/app/server (pid 7) did not stop within 25s of SIGTERM; killed with SIGKILL";
        let origin = "; SIGTERM came from outside the container, was held back for 5s and left 20s to stop";
        assert_eq!(told.to_string(), format!("{beginning}{origin}"));
        let dropped = GraceOver { is_dropped: true, sender: None, slept: None, ..told };
        assert_eq!(
            dropped.to_string(),
            "/app/server (pid 7) did not stop within 25s of SIGTERM, which --rewrite drops: nothing told it to stop; \
             killed with SIGKILL"
        );
        assert_eq!(GraceOver { survivors: Some(&left), ..told }.to_string(), format!("{beginning}{origin}"));
        left.alive.add(&Process::imagined(8, b'S', "worker"));
        let shown = format!("{beginning}, 1 process left besides it (worker){origin}");
        assert_eq!(GraceOver { survivors: Some(&left), ..told }.to_string(), shown);
        for pid in 9..13 {
            left.alive.add(&Process::imagined(pid, b'S', "sh"));
        }
        let gone = GraceOver { command_is_gone: true, sender: None, slept: None, ..told };
        let of_what_it_left = "what /app/server (pid 7) left did not stop within 25s of SIGTERM; killed with SIGKILL";
        assert_eq!(
            GraceOver { survivors: Some(&left), ..gone }.to_string(),
            format!("{of_what_it_left}, 5 processes left (worker, sh, sh, sh, …)")
        );
        // Whoever is dead was not killed; but not everybody is.
        left.held = Some(held(8, 9, 1));
        assert!(GraceOver { survivors: Some(&left), ..gone }.to_string().starts_with(of_what_it_left));
        assert!(GraceOver { survivors: Some(&left), ..told }.to_string().starts_with(beginning));
        let dead = " is dead, but pid 9 (gdb) traces it and has not let go of it within 25s of SIGTERM";
        let none = Survivors { alive: Processes::default(), ..left };
        assert_eq!(GraceOver { survivors: Some(&none), ..gone }.to_string(), format!("pid 8 (server){dead}"));
        left.held = Some(held(7, 9, 1));
        let shown = format!("pid 7 (server){dead}, 5 processes left besides it (worker, sh, sh, sh, …){origin}");
        assert_eq!(GraceOver { survivors: Some(&left), ..told }.to_string(), shown);
    }

    fn held(pid: i32, tracer: i32, count: usize) -> Held {
        let tracer = Tracer { pid: tracer, process: (tracer == 9).then(|| Process::imagined(9, b'S', "gdb")) };
        Held { process: Process::imagined(pid, b'Z', "server"), tracer, count }
    }

    #[test]
    fn what_sigkill_cannot_end_is_named() {
        let mut left = Survivors::default();
        let told = |survivors: Option<&Survivors>| Unkillable { command: COMMAND, survivors }.to_string();
        let unknown = "/app/server (pid 7) or what it started is still there 2s after SIGKILL; leaving it";
        assert_eq!((told(None).as_str(), told(Some(&left)).as_str()), (unknown, unknown));
        left.alive.add(&Process::imagined(7, b'D', "server"));
        let alive = "still there 2s after SIGKILL is pid 7 (server, state D): D is a wait that no signal ends, as for a \
                     disk, a network file system or a frozen cgroup";
        assert_eq!(told(Some(&left)), format!("{alive}; leaving it"));
        for (held, sentence) in [
            (held(8, 9, 1), "pid 8 (server) is dead, but pid 9 (gdb) traces it and has not let go of it"),
            (held(8, 10, 1), "pid 8 (server) is dead, but pid 10 traces it and has not let go of it"),
            (
                held(8, 0, 1),
                "pid 8 (server) is dead, but a process outside the container traces it and has not let go of it",
            ),
            (held(8, 9, 3), "pid 8 (server) and 2 more are dead, but traced: pid 9 (gdb) has not let go of the first"),
        ] {
            left.held = Some(held);
            assert_eq!(told(Some(&left)), format!("{alive}; {sentence}; leaving it"));
            let none = Survivors { alive: Processes::default(), ..left };
            assert_eq!(told(Some(&none)), format!("{sentence}; leaving it"));
        }
    }

    #[test]
    fn senders_and_zombies_read_well() {
        assert_eq!(sender(12, Some("a\nb")).to_string(), "pid 12 (a\\nb, uid 33)");
        assert_eq!(sender(12, None).to_string(), "pid 12 (uid 33)");
        let kernel = Received { code: libc::SI_KERNEL, ..sender(0, None).received };
        let told = |received| Sender { received, process: None }.to_string();
        assert_eq!(told(kernel), "the kernel");
        let real_time = |pid, uid, code| {
            let signal = Signal::new(37).unwrap();
            told(Received { signal, code, pid, uid, value: 0 })
        };
        let nameless = "outside the container, or from a sender whom the kernel had no room to note";
        assert_eq!(real_time(0, 0, libc::SI_USER), nameless);
        // With no room there is no uid either, and no value.
        assert_eq!(real_time(0, 33, libc::SI_USER), "outside the container");
        assert_eq!(real_time(0, 0, libc::SI_QUEUE), "outside the container");
        assert_eq!(real_time(12, 0, libc::SI_USER), "pid 12 (uid 0)");
        let process = Some(Process::imagined(34, b'S', "worker"));
        let zombies = Zombies { keeper: 34, process, is_traced: false, count: 12 };
        let outside = Zombies { keeper: 0, process: None, count: 1, ..zombies };
        for (zombies, sentence) in [
            (zombies, "pid 34 (worker) leaves 12 zombies: it must wait() for its children"),
            (
                Zombies { is_traced: true, ..zombies },
                "pid 34 (worker) traces 12 zombies: it must wait() for what it traces",
            ),
            (outside, "a process outside the container leaves 1 zombie, which nobody in here can reap"),
            (
                Zombies { is_traced: true, ..outside },
                "a process outside the container traces 1 zombie, which nobody in here can reap",
            ),
        ] {
            assert_eq!(zombies.to_string(), sentence);
        }
    }
}
