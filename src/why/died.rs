//! Why the command died, as sentences over facts; [`super::evidence`] gathers these.
//!
//! No sentence says more than its facts do: that the kernel killed *a* process for lack of memory
//! is known, that no process of the container killed another mostly is not.

use std::ffi::CStr;
use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use nix::errno::Errno;

use super::amounts::{Bytes, Count, Rounded};
use crate::report::{Facts, Name, Printable};
use crate::shutdown::KILL_TIMEOUT;
use crate::signal::{Received, Signal};
use crate::sys::Process;

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
            (Received { pid: 0, .. }, _) => f.write_str("outside the container"),
            (Received { pid, uid, .. }, Some(process)) => {
                write!(f, "pid {pid} ({process}, uid {uid})")
            }
            (Received { pid, uid, .. }, None) => write!(f, "pid {pid} (uid {uid})"),
        }
    }
}

/// What the kernel's counter of processes killed for lack of memory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfMemory {
    /// There is no counter that can be seen from here.
    Unknown,
    /// It is what it was when the command was started.
    No {
        /// So much.
        kills: u64,
    },
    /// It rose.
    Yes {
        /// What it was when the command was started.
        before: u64,
        /// What it was when the command had died.
        after: u64,
        /// The lowest limit on memory that can be seen from here, in bytes.
        limit: Option<u64>,
    },
}

impl OutOfMemory {
    /// What was counted before and after.
    pub fn of(before: Option<u64>, after: Option<u64>, limit: impl FnOnce() -> Option<u64>) -> OutOfMemory {
        match (before, after) {
            (Some(before), Some(after)) if after > before => OutOfMemory::Yes { before, after, limit: limit() },
            (Some(_), Some(kills)) => OutOfMemory::No { kills },
            _ => OutOfMemory::Unknown,
        }
    }
}

impl OutOfMemory {
    /// Adds what is known.
    pub fn facts(self, facts: Facts<'_>) -> Facts<'_> {
        match self {
            OutOfMemory::Unknown => facts,
            OutOfMemory::No { kills } => facts.and("oom_kills_before", kills).and("oom_kills", kills),
            OutOfMemory::Yes { before, after, limit } => {
                facts.and("oom_kills_before", before).and("oom_kills", after).and_if("memory_limit_bytes", limit)
            }
        }
    }
}

/// The numbers, in parentheses.
struct Counted {
    before: u64,
    after: u64,
    limit: Option<u64>,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "(limit {}, ", Bytes(limit))?,
            // It may be the limit of a cgroup around this one, or the whole machine.
            None => f.write_str("(no limit to be seen from here, ")?,
        }
        write!(f, "oom_kill {} → {})", self.before, self.after)
    }
}

/// The command was killed by a signal that sexton did not send to stop it.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    /// The command.
    pub command: Command,
    /// What killed it.
    pub signal: Signal,
    /// The kernel wrote a core file.
    pub core_dumped: bool,
    /// How long it ran.
    pub ran: Duration,
    /// The last such signal that sexton forwarded: whose, and how long before.
    pub forwarded: Option<(Sender, Duration)>,
    /// Whether memory ran out.
    pub memory: OutOfMemory,
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was killed by {}", self.command, self.signal)?;
        if self.core_dumped {
            f.write_str(", core dumped")?;
        }
        match (self.forwarded, self.memory) {
            (Some((sender, ago)), _) => {
                write!(f, ", which came from {sender} and was forwarded {} before", Rounded(ago))?;
            }
            (None, OutOfMemory::Yes { before, after, limit }) => {
                let counted = Counted { before, after, limit };
                if self.signal == Signal::KILL {
                    write!(f, ": the kernel ran out of memory for this container {counted}")?;
                } else {
                    write!(f, "; {MEMORY_BEFORE} {counted}")?;
                }
            }
            (None, OutOfMemory::No { kills }) if self.signal == Signal::KILL => write!(
                f,
                ", which sexton did not send; nor did the kernel for lack of memory (oom_kill still {kills}): the \
                 engine, the host or another process did"
            )?,
            (None, OutOfMemory::Unknown) if self.signal == Signal::KILL => f.write_str(
                ", which sexton did not send; whether the kernel ran out of memory or somebody else did it cannot be \
                 seen from here (no memory cgroup with a count of oom_kill)",
            )?,
            _ if !is_own_fault(self.signal) => f.write_str(", which did not come through sexton")?,
            _ => {}
        }
        write!(f, "; it ran for {}", Rounded(self.ran))
    }
}

const MEMORY_BEFORE: &str = "before that the kernel ran out of memory for this container and killed a process";

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
pub struct FailedOutOfMemory {
    /// The command.
    pub command: Command,
    /// Its exit status, not 0.
    pub status: u8,
    /// How long it ran.
    pub ran: Duration,
    /// `oom_kill` when it was started.
    pub before: u64,
    /// `oom_kill` when it had exited.
    pub after: u64,
    /// The limit, if it can be seen.
    pub limit: Option<u64>,
}

impl fmt::Display for FailedOutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedOutOfMemory { command, status, ran, before, after, limit } = *self;
        let counted = Counted { before, after, limit };
        write!(f, "{command} exited with status {status}; {MEMORY_BEFORE} {counted}; it ran for {}", Rounded(ran))
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
    /// Who sent it; nobody when the command exited by itself.
    pub sender: Option<Sender>,
    /// How long it was held back, and how much time that left.
    pub slept: Option<(Duration, Duration)>,
    /// What was left besides the command; `None` when that cannot be seen.
    pub survivors: Option<&'a Processes>,
}

impl fmt::Display for GraceOver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GraceOver { command, signal, .. } = self;
        if self.command_is_gone {
            write!(f, "what {command} left")?;
        } else {
            command.fmt(f)?;
        }
        let grace = format_duration(self.grace);
        write!(f, " did not stop within {grace} of {signal}")?;
        match self.refused {
            None => f.write_str("; killed with SIGKILL")?,
            Some(errno) => {
                let why = errno.desc();
                write!(f, " and cannot be killed: {why}; if it changed its user, sexton needs CAP_KILL; leaving it")?;
            }
        }
        if let Some(survivors) = self.survivors.filter(|survivors| survivors.count > 0) {
            let besides = if self.command_is_gone { "" } else { " besides it" };
            write!(f, ", {} left{besides} ({})", Count::processes(survivors.count), survivors.names())?;
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
    pub processes: Option<&'a Processes>,
}

impl fmt::Display for Unkillable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeout = format_duration(KILL_TIMEOUT);
        let Some(processes) = self.processes.filter(|processes| processes.count > 0) else {
            return write!(f, "{} or what it started is still there {timeout} after SIGKILL; leaving it", self.command);
        };
        let is_are = if processes.count == 1 { "is" } else { "are" };
        write!(f, "still there {timeout} after SIGKILL {is_are} {}", processes.states())?;
        if processes.first().any(|process| process.state == b'D') {
            f.write_str(": D is a wait that no signal ends, as for a disk, a network file system or a frozen cgroup")?;
        }
        f.write_str("; leaving it")
    }
}

/// Dead processes that their own parent does not reap.
#[derive(Clone, Copy, Debug)]
pub struct Zombies {
    /// The parent.
    pub parent: i32,
    /// The parent, if it can be seen.
    pub process: Option<Process>,
    /// How many.
    pub count: usize,
}

impl fmt::Display for Zombies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.parent)?;
        if let Some(process) = &self.process {
            write!(f, " ({process})")?;
        }
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, " leaves {} zombie{plural}: it must wait() for its children", self.count)
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

    fn killed(signal: i32, memory: OutOfMemory) -> Killed {
        let signal = Signal::new(signal).unwrap();
        let ran = Duration::from_millis(3_204);
        Killed { command: COMMAND, signal, core_dumped: false, ran, forwarded: None, memory }
    }

    #[test]
    fn a_death_is_told_with_its_evidence_and_no_more() {
        let no = OutOfMemory::No { kills: 2 };
        let yes = OutOfMemory::Yes { before: 0, after: 1, limit: Some(512 << 20) };
        let beyond = OutOfMemory::Yes { before: 3, after: 5, limit: None };
        let segfault = Killed { core_dumped: true, ..killed(11, no) };
        let forwarded =
            Killed { forwarded: Some((sender(12, Some("sh")), Duration::from_millis(2))), ..killed(10, yes) };
        for (told, sentence) in [
            (segfault, "SIGSEGV, core dumped; it ran for 3s 204ms"),
            (killed(15, no), "SIGTERM, which did not come through sexton; it ran for 3s 204ms"),
            (
                killed(9, yes),
                "SIGKILL: the kernel ran out of memory for this container (limit 512 MiB, oom_kill 0 → 1); it ran for \
                 3s 204ms",
            ),
            (
                killed(9, beyond),
                "SIGKILL: the kernel ran out of memory for this container (no limit to be seen from here, oom_kill 3 \
                 → 5); it ran for 3s 204ms",
            ),
            (
                killed(9, no),
                "SIGKILL, which sexton did not send; nor did the kernel for lack of memory (oom_kill still 2): the \
                 engine, the host or another process did; it ran for 3s 204ms",
            ),
            (
                killed(9, OutOfMemory::Unknown),
                "SIGKILL, which sexton did not send; whether the kernel ran out of memory or somebody else did it \
                 cannot be seen from here (no memory cgroup with a count of oom_kill); it ran for 3s 204ms",
            ),
            (
                killed(6, yes),
                "SIGABRT; before that the kernel ran out of memory for this container and killed a process (limit 512 \
                 MiB, oom_kill 0 → 1); it ran for 3s 204ms",
            ),
            (
                forwarded,
                "SIGUSR1, which came from pid 12 (sh, uid 33) and was forwarded 2ms before; it ran for 3s 204ms",
            ),
        ] {
            assert_eq!(told.to_string(), format!("/app/server (pid 7) was killed by {sentence}"));
        }
    }

    #[test]
    fn the_counter_counts_only_when_it_was_seen_twice() {
        let of = |before, after| OutOfMemory::of(before, after, || Some(1));
        assert_eq!(of(Some(1), Some(3)), OutOfMemory::Yes { before: 1, after: 3, limit: Some(1) });
        assert_eq!(of(Some(3), Some(3)), OutOfMemory::No { kills: 3 });
        for (before, after) in [(None, None), (None, Some(1)), (Some(1), None)] {
            assert_eq!(of(before, after), OutOfMemory::Unknown);
        }
    }

    #[test]
    fn a_grace_period_that_was_used_up_is_told_with_all_that_is_known() {
        let mut left = Processes::default();
        let told = GraceOver {
            command: COMMAND,
            command_is_gone: false,
            refused: None,
            grace: Duration::from_secs(25),
            signal: Signal::TERM,
            sender: Some(sender(0, None)),
            slept: Some((Duration::from_secs(5), Duration::from_millis(20_012))),
            survivors: None,
        };
        let beginning = "/app/server (pid 7) did not stop within 25s of SIGTERM; killed with SIGKILL";
        let origin = "; SIGTERM came from outside the container, was held back for 5s and left 20s to stop";
        assert_eq!(told.to_string(), format!("{beginning}{origin}"));
        assert_eq!(GraceOver { survivors: Some(&left), ..told }.to_string(), format!("{beginning}{origin}"));
        left.add(&Process::imagined(8, b'S', "worker"));
        let shown = format!("{beginning}, 1 process left besides it (worker){origin}");
        assert_eq!(GraceOver { survivors: Some(&left), ..told }.to_string(), shown);
        for pid in 9..13 {
            left.add(&Process::imagined(pid, b'S', "sh"));
        }
        let gone = GraceOver { command_is_gone: true, sender: None, slept: None, survivors: Some(&left), ..told };
        assert_eq!(
            gone.to_string(),
            "what /app/server (pid 7) left did not stop within 25s of SIGTERM; killed with SIGKILL, 5 processes left \
             (worker, sh, sh, sh, …)"
        );
    }

    #[test]
    fn what_sigkill_cannot_end_is_named() {
        let mut left = Processes::default();
        let told = |left| Unkillable { command: COMMAND, processes: left }.to_string();
        assert!(told(None).starts_with("/app/server (pid 7) or what it started is still there 2s after SIGKILL"));
        left.add(&Process::imagined(7, b'D', "server"));
        assert_eq!(
            told(Some(&left)),
            "still there 2s after SIGKILL is pid 7 (server, state D): D is a wait that no signal ends, as for a disk, \
             a network file system or a frozen cgroup; leaving it"
        );
    }

    #[test]
    fn senders_and_zombies_read_well() {
        assert_eq!(sender(12, Some("a\nb")).to_string(), "pid 12 (a\\nb, uid 33)");
        assert_eq!(sender(12, None).to_string(), "pid 12 (uid 33)");
        let kernel = Received { code: libc::SI_KERNEL, ..sender(0, None).received };
        assert_eq!(Sender { received: kernel, process: None }.to_string(), "the kernel");
        let process = Some(Process::imagined(34, b'S', "worker"));
        let zombies = Zombies { parent: 34, process, count: 12 };
        assert_eq!(zombies.to_string(), "pid 34 (worker) leaves 12 zombies: it must wait() for its children");
    }
}
