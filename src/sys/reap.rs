//! Collecting the status of children: dead, stopped, continued.

use std::ffi::c_long;
use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;

use super::usage::{Rusage, Usage};
use crate::exit_status;
use crate::signal::{Received, Signal};

/// Something that happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its pid. After `Exited` and `Killed` it may belong to another process any moment.
    pub pid: i32,
    /// What happened.
    pub kind: ChangeKind,
    /// What it had used, when it is the command that is reaped.
    pub usage: Option<Usage>,
}

impl Change {
    fn of(pid: i32, kind: ChangeKind) -> Change {
        Change { pid, kind, usage: None }
    }
}

/// What happened to a child (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It exited with this status, and is reaped.
    Exited(u8),
    /// It was killed by this signal, and is reaped.
    Killed {
        /// The signal.
        signal: Signal,
        /// The kernel wrote a core file.
        core_dumped: bool,
    },
    /// It was stopped by this signal.
    Stopped(Signal),
    /// It goes on after a stop.
    Continued,
    /// It is dead and not reaped yet: told only if asked for ([`Reaper::new`]).
    Dead(Death),
}

/// How a child that is not reaped yet came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It exited with this status.
    Exited(u8),
    /// This signal killed it.
    Killed(Signal),
}

impl Death {
    /// Its exit status, or 128 + N for signal N, as shells have it.
    pub fn status(self) -> u8 {
        match self {
            Death::Exited(status) => status,
            Death::Killed(signal) => exit_status::KILLED_BASE + signal.number() as u8,
        }
    }
}

/// What a look for a change found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaping {
    /// This child changed.
    Change(Change),
    /// No child changed since.
    Nothing,
    /// There is no child left.
    NoChildren,
    /// The kernel, or a seccomp profile, does not say.
    Refused,
}

/// Takes the changes of all children, one after the other.
///
/// Of the command it is told that it is dead before it is reaped, unless it exited with status 0: what there is
/// to be seen of a dead process goes with the reaping. The kernel's SIGCHLD mostly says whose it is
/// ([`Reaper::notice`]), so that this takes no system call more. Where that notice merged with another child's,
/// and the command dies while others are reaped, it may be reaped without a word before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reaper {
    /// The command, until it is reaped; 0 is nobody.
    command: i32,
    announces_all: bool,
    /// To be told next.
    announcement: Option<Change>,
    /// To be asked for by its pid: a child that was announced, or that the kernel's notice names.
    named: Option<i32>,
    /// The last one was not the last: there may be more without a look whether the command is among them.
    goes_on: bool,
}

impl Reaper {
    /// One that, if it `announces_all`, tells of each child what is told of the command alone else: first
    /// [`ChangeKind::Dead`], while the pid, and the process group of that number, are still the child's
    /// own, then as what it died, when it is reaped.
    pub fn new(command: i32, announces_all: bool) -> Reaper {
        Reaper { command, announces_all, ..Reaper::default() }
    }

    /// The kernel says that a child changed.
    pub fn notice(&mut self, received: &Received) {
        let Some(pid) = received.child().filter(|_| self.command != 0 && !self.announces_all) else { return };
        self.named = Some(pid);
        self.goes_on = false;
        if pid == self.command {
            let change = Change::of(pid, kind_of(received.code, received.child_status()));
            self.announcement = Some(change).filter(is_bad_end);
        }
    }

    /// Takes the next change there is, without waiting for one.
    pub fn look(&mut self) -> Reaping {
        match self.next_change() {
            Ok(Some(change)) => {
                if change.pid == self.command
                    && matches!(change.kind, ChangeKind::Exited(_) | ChangeKind::Killed { .. })
                {
                    self.command = 0;
                }
                Reaping::Change(change)
            }
            Ok(None) => Reaping::Nothing,
            Err(Errno::ECHILD) => Reaping::NoChildren,
            Err(_) => Reaping::Refused,
        }
    }

    fn next_change(&mut self) -> Result<Option<Change>, Errno> {
        if let Some(change) = self.announcement.take() {
            return Ok(Some(change));
        }
        if let Some(pid) = self.named.take() {
            match self.wait_for(pid) {
                // It was reaped since, and somebody else may have its pid, or nobody.
                Ok(None) | Err(Errno::ECHILD) => {}
                taken => return taken,
            }
        }
        if self.announces_all {
            return self.announce_next();
        }
        if self.command != 0 && !self.goes_on {
            match look_at_all(libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED | libc::WNOWAIT) {
                Ok(Some(change)) if change.pid == self.command && is_bad_end(&change) => {
                    self.named = Some(change.pid);
                    return Ok(Some(change));
                }
                Ok(Some(change)) if change.pid == self.command => return self.wait_for(change.pid),
                Ok(None) => return Ok(None),
                Err(Errno::ECHILD) => return Err(Errno::ECHILD),
                // Another child, or no waitid(2) here.
                Ok(Some(_)) | Err(_) => {}
            }
        }
        let change = next_change(-1, libc::WNOHANG, None);
        self.goes_on = matches!(change, Ok(Some(_)));
        change
    }

    fn announce_next(&mut self) -> Result<Option<Change>, Errno> {
        match look_at_all(libc::WEXITED | libc::WNOWAIT) {
            Ok(Some(change)) => {
                self.named = Some(change.pid);
                Ok(Some(change))
            }
            // Not wait4(2), which would reap one that died since without a word.
            Ok(None) => look_at_all(libc::WSTOPPED | libc::WCONTINUED),
            // No children, or no waitid(2) here: better without a word than not at all.
            Err(_) => next_change(-1, libc::WNOHANG, None),
        }
    }

    fn wait_for(&self, pid: i32) -> Result<Option<Change>, Errno> {
        if pid != self.command {
            return next_change(pid, libc::WNOHANG, None);
        }
        let mut usage = Rusage::default();
        let change = next_change(pid, libc::WNOHANG, Some(&mut usage))?;
        Ok(change.map(|change| Change { usage: Some(Usage::of_dead(&usage)), ..change }))
    }
}

/// Whether it is a death that somebody may want to have explained.
fn is_bad_end(change: &Change) -> bool {
    matches!(change.kind, ChangeKind::Dead(Death::Killed(_) | Death::Exited(1..)))
}

/// Whether we have children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// There is none, alive or dead, and so nobody who descends from us.
    None,
    /// There are, and none of them is dead.
    Alive,
    /// There are dead ones, or the kernel, or a seccomp profile, does not say.
    Perhaps,
}

/// Asks for children without reaping any: one system call.
pub fn children() -> Children {
    match look_at_all(libc::WEXITED | libc::WNOWAIT) {
        Err(Errno::ECHILD) => Children::None,
        Ok(None) => Children::Alive,
        Ok(Some(_)) | Err(_) => Children::Perhaps,
    }
}

/// Whether this child of ours is dead and not reaped yet.
pub fn is_dead(pid: i32) -> bool {
    matches!(look_at_one(pid), Ok(Some(_)))
}

/// Whether the kernel lets us reap this dead child of ours: not while another process traces it (ptrace(2)).
pub fn can_be_reaped(pid: i32) -> bool {
    look_at_one(pid) != Ok(None)
}

fn look_at_one(pid: i32) -> Result<Option<Change>, Errno> {
    look_at(libc::P_PID, pid.cast_unsigned(), libc::WEXITED | libc::WNOWAIT)
}

/// The first child with a change of these kinds.
fn look_at_all(kinds: i32) -> Result<Option<Change>, Errno> {
    look_at(libc::P_ALL, 0, kinds)
}

/// waitid(2), without waiting.
fn look_at(which: libc::idtype_t, id: libc::id_t, kinds: i32) -> Result<Option<Change>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = kinds | libc::WNOHANG | libc::__WALL;
    // SAFETY: `info` has the size of a siginfo_t.
    Errno::result(unsafe { libc::waitid(which, id, info.as_mut_ptr(), flags) })?;
    // SAFETY: it was zeroed, which is valid, and then written by the kernel.
    let info = unsafe { info.assume_init() };
    // SAFETY: the kernel filled in the fields of a SIGCHLD, or none and they are zero.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok((pid != 0).then(|| Change::of(pid, kind_of(info.si_code, status))))
}

/// What `si_code` and `si_status` of a SIGCHLD say (sigaction(2)).
fn kind_of(code: i32, status: i32) -> ChangeKind {
    match code {
        libc::CLD_STOPPED => ChangeKind::Stopped(Signal::new(status).unwrap_or(Signal::STOP)),
        libc::CLD_CONTINUED => ChangeKind::Continued,
        libc::CLD_EXITED => ChangeKind::Dead(Death::Exited(status as u8)),
        _ => ChangeKind::Dead(Death::Killed(Signal::new(status).unwrap_or(Signal::KILL))),
    }
}

/// Waits for a child of ours that is about to exit, as one whose exec failed is.
pub(super) fn wait_for_exit(pid: i32) {
    while let Ok(Some(change)) = next_change(pid, 0, None) {
        if matches!(change.kind, ChangeKind::Exited(_) | ChangeKind::Killed { .. }) {
            return;
        }
    }
}

/// wait4(2), not nix's waitpid: that one refuses statuses with a real-time signal in them after
/// the kernel has forgotten the child. To fill in the usage takes its time, so only who is asked for has one.
fn next_change(pid: i32, flags: i32, usage: Option<&mut Rusage>) -> Result<Option<Change>, Errno> {
    let mut status = 0;
    let usage = usage.map_or(ptr::null_mut(), ptr::from_mut);
    // __WALL: a process made by clone(2) without SIGCHLD as its exit signal counts as well.
    let flags = flags | libc::WUNTRACED | libc::WCONTINUED | libc::__WALL;
    loop {
        match wait4(pid, &mut status, flags, usage) {
            0 => return Ok(None),
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return Err(Errno::last()),
            pid => return Ok(Some(Change::of(pid as i32, decode(status)))),
        }
    }
}

/// The system call. With 64 bits glibc's function is nothing else, and a shorter way to it; musl's moves what it got.
fn wait4(pid: i32, status: &mut i32, flags: i32, usage: *mut Rusage) -> c_long {
    #[cfg(all(target_env = "gnu", target_pointer_width = "64"))]
    // SAFETY: the status is an int, and the usage the kernel's rusage or null.
    let pid = unsafe { libc::wait4(pid, status, flags, usage.cast()) }.into();
    #[cfg(not(all(target_env = "gnu", target_pointer_width = "64")))]
    // SAFETY: the same.
    let pid = unsafe { libc::syscall(libc::SYS_wait4, pid, ptr::from_mut(status), flags, usage) };
    pid
}

fn decode(status: i32) -> ChangeKind {
    if libc::WIFSTOPPED(status) {
        ChangeKind::Stopped(Signal::new(libc::WSTOPSIG(status)).unwrap_or(Signal::STOP))
    } else if libc::WIFCONTINUED(status) {
        ChangeKind::Continued
    } else if libc::WIFSIGNALED(status) {
        let signal = Signal::new(libc::WTERMSIG(status)).unwrap_or(Signal::KILL);
        ChangeKind::Killed { signal, core_dumped: libc::WCOREDUMP(status) }
    } else {
        ChangeKind::Exited(libc::WEXITSTATUS(status) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_decoded_for_every_exit_status_and_every_signal() {
        for status in 0..=255 {
            assert_eq!(decode(i32::from(status) << 8), ChangeKind::Exited(status));
        }
        for signal in Signal::all() {
            for (bit, core_dumped) in [(0, false), (0x80, true)] {
                assert_eq!(decode(signal.number() | bit), ChangeKind::Killed { signal, core_dumped });
            }
            assert_eq!(decode(signal.number() << 8 | 0x7f), ChangeKind::Stopped(signal));
        }
        assert_eq!(decode(0xffff), ChangeKind::Continued);
    }
}
