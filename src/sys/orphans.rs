//! What is done to orphans, and to whatever else sexton is the last to care for: as PID 1 all other
//! processes of the namespace, also those that an engine's exec started; else all descendants.
//!
//! No allocation: sexton may be doing this because the container is out of memory.

use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::pids::PidSet;
use super::proc::{NoProc, Process, each_process, last_pid, read_process};
use super::process::own_pid;
use super::signals::{SendError, kill, kill_by_pidfd, send};
use crate::signal::{Received, Signal};

// Behind all other data (`.cargo/dist.toml`), which so keeps to the one page that is written anyway.
/// Processes that descend from us.
#[unsafe(link_section = ".bss.~marks")]
static DESCENDANTS: PidSet = PidSet::none();
/// Processes that got the signal of the pass that is going on.
#[unsafe(link_section = ".bss.~marks")]
static SIGNALLED: PidSet = PidSet::none();

/// The process group of the command got the stop signal together with it, at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStop {
    group: i32,
    /// Hundredths of a second since boot.
    at: u64,
    /// The last pid there was, to tell who came later in the same hundredth.
    last_pid: i32,
}

impl GroupStop {
    /// Just now.
    pub fn now(group: i32) -> GroupStop {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        let at = u64::try_from(since_boot.as_millis() / 10).unwrap_or(u64::MAX);
        GroupStop { group, at, last_pid: last_pid().unwrap_or(i32::MAX) }
    }

    /// Whether this process was in the group by then, and no handler of that very signal started it.
    fn reached(&self, process: &Process) -> bool {
        let was_there = process.start < self.at || process.start == self.at && process.pid <= self.last_pid;
        process.group == self.group && was_there
    }
}

/// What became of a signal to all orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// So many got it.
    pub count: usize,
    /// One to which it could not be sent, and why.
    pub refused: Option<(i32, Errno)>,
}

/// So many passes at most are made for processes that appear while we look. Each pass signals all
/// it sees, so only what was forked in between is left for the next; and signals wait meanwhile.
const PASSES: usize = 10;

/// Whether everybody in the namespace is ours.
fn is_init() -> bool {
    own_pid() == 1
}

/// Shows each process that is ours to care for and alive to `visit`.
///
/// # Errors
///
/// Without a usable `/proc` nobody is shown.
pub fn each_living(mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
    forget();
    pass(|process| {
        if !process.is_zombie() {
            visit(process);
        }
    })
}

/// Shows each dead one that its parent does not reap to `visit`; those that we reap are left out.
///
/// # Errors
///
/// Without a usable `/proc` nobody is shown.
pub fn each_zombie(mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
    let ours = own_pid();
    forget();
    pass(|process| {
        if process.is_zombie() && process.parent != ours {
            visit(process);
        }
    })
}

/// Whether there is none, not even a dead one that its parent did not reap. As PID 1 only:
/// elsewhere the kernel's word that we have no child is enough (wait(2), ECHILD).
pub fn none_in_namespace() -> bool {
    // SAFETY: takes integers. Signal 0 to -1 asks whether anybody could be signalled (kill(2)).
    let asked = unsafe { libc::kill(-1, 0) };
    if asked == -1 {
        return is_init() && Errno::last() == Errno::ESRCH;
    }
    // As the first process of a machine we share the namespace with the kernel's threads, which
    // count for kill(2) and never end.
    is_init() && read_process(KTHREADD).is_some_and(|process| process.is_kernel) && sees_nobody()
}

/// Whether `/proc` shows none of them.
fn sees_nobody() -> bool {
    let mut nobody = true;
    forget();
    pass(|_| nobody = false).is_ok() && nobody
}

/// Sends each of them this signal once, those left out that had it with the command's group, and
/// SIGCONT to those that are stopped and could not act on it. Repeats until nobody new is
/// found and nobody is left to whom it could not be sent.
///
/// # Errors
///
/// Without a usable `/proc`: then hardly anybody was.
pub fn signal_orphans(received: &Received, spared: Option<GroupStop>) -> Result<Sent, NoProc> {
    forget();
    let mut all = Sent { count: 0, refused: None };
    for _ in 0..PASSES {
        let mut found = false;
        all.refused = None;
        pass(|process| {
            let had_it = spared.is_some_and(|stop| stop.reached(process));
            if !process.is_zombie() && !had_it && SIGNALLED.insert(process.pid) {
                match send_to(process, received) {
                    Ok(()) => {
                        found = true;
                        all.count += 1;
                    }
                    // It may be gone; if it is not, the next pass tries again.
                    Err(SendError::Refused(errno) | SendError::WithoutValue(errno)) => {
                        SIGNALLED.remove(process.pid);
                        all.refused = Some((process.pid, errno));
                    }
                }
                if process.is_stopped() {
                    let _ = send_to(process, &Received { signal: Signal::CONT, code: libc::SI_USER, ..*received });
                }
            }
        })?;
        if !found && all.refused.is_none() {
            break;
        }
    }
    Ok(all)
}

/// Kills all of them. As PID 1 the kernel does it in one step; elsewhere processes that fork
/// and exit faster than we look may be left, and it is to be called again while there are any.
///
/// # Errors
///
/// Without a usable `/proc`, and then nobody was killed.
pub fn kill_orphans(command: i32) -> Result<(), NoProc> {
    if is_init() {
        // SAFETY: takes integers. All of our namespace but ourselves (kill(2)), and the kernel
        // lets no fork slip through in between.
        unsafe { libc::kill(-1, libc::SIGKILL) };
        return Ok(());
    }
    // What is stopped does not fork, and, unlike what is killed, makes no room for others
    // under a limit on processes. So first all are stopped, then all are killed.
    send_uncatchable(Signal::STOP, command)?;
    send_uncatchable(Signal::KILL, command)
}

/// Whole process groups at a time where that is safe, which lets no fork slip through and
/// reaches what was replaced by a child of its own since we looked.
fn send_uncatchable(signal: Signal, command: i32) -> Result<(), NoProc> {
    let ours = own_pid();
    let our_session = nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw);
    forget();
    for _ in 0..PASSES {
        let mut found = false;
        pass(|process| {
            // A session that a descendant of ours leads has only descendants of ours in it, for
            // no process can enter one. The groups of our own session may have others.
            if process.session != our_session || process.group == command {
                if SIGNALLED.insert(process.group) {
                    found |= kill(-process.group, signal).is_ok();
                }
            } else if !process.is_zombie() && SIGNALLED.insert(process.pid) {
                found = true;
                let _ = send_to(process, &Received::sent_by(ours, signal));
            }
        })?;
        if !found {
            break;
        }
    }
    Ok(())
}

/// Shows each of them, also dead ones, to `visit` in one pass.
///
/// A parent mostly has a lower pid than its children, comes first and is marked, so one pass
/// finds all; where pids have wrapped around, the next pass finds the rest. The marks stay
/// from pass to pass until [`forget`].
fn pass(mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
    let ours = own_pid();
    each_process(|process| {
        let is_ours = is_init() || process.parent == ours || DESCENDANTS.contains(process.parent);
        if process.pid != ours && is_ours {
            DESCENDANTS.insert(process.pid);
            visit(process);
        }
    })
}

/// A pid may be another process by now.
fn forget() {
    DESCENDANTS.clear();
    SIGNALLED.clear();
}

/// A child of ours keeps its pid until we reap it; of all others a pidfd makes sure.
fn send_to(process: &Process, received: &Received) -> Result<(), SendError> {
    let ours = own_pid();
    if process.parent == ours || ours == 1 {
        return send(process.pid, received);
    }
    // If it cannot be seen it is gone, and its pidfd says so, or there is no descriptor left.
    let still_the_same = || read_process(process.pid).is_none_or(|now| now.start == process.start);
    match kill_by_pidfd(process.pid, received, still_the_same) {
        // An old kernel, a seccomp profile, no descriptor left: the pid was there a moment ago.
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL | Errno::EMFILE | Errno::ENFILE) => {
            kill(process.pid, received.signal).map_err(SendError::Refused)
        }
        done => done.map_err(SendError::Refused),
    }
}

/// The pid of the thread that starts all others of the kernel, in the machine's own namespace.
const KTHREADD: i32 = 2;
