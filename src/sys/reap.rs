//! Collecting the status of children: dead, stopped, continued.

use std::mem::MaybeUninit;

use nix::errno::Errno;

use crate::signal::Signal;

/// Something that happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its pid. After `Exited` and `Killed` it may belong to another process any moment.
    pub pid: i32,
    /// What happened.
    pub kind: ChangeKind,
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
    Dead,
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
#[derive(Clone, Copy, Debug, Default)]
pub struct Reaper {
    announces: bool,
    /// This child is dead, was announced, and is not reaped yet.
    announced: Option<i32>,
}

impl Reaper {
    /// One that, if it `announces`, tells each death twice: as [`ChangeKind::Dead`] while the pid, and
    /// the process group of that number, are still the child's own, then as what it was, when it is reaped.
    pub fn new(announces: bool) -> Reaper {
        Reaper { announces, announced: None }
    }

    /// Takes the next change there is, without waiting for one.
    pub fn look(&mut self) -> Reaping {
        match self.next_change() {
            Ok(Some(change)) => Reaping::Change(change),
            Ok(None) => Reaping::Nothing,
            Err(Errno::ECHILD) => Reaping::NoChildren,
            Err(_) => Reaping::Refused,
        }
    }

    fn next_change(&mut self) -> Result<Option<Change>, Errno> {
        if let Some(pid) = self.announced.take() {
            return next_change(pid, libc::WNOHANG);
        }
        if !self.announces {
            return next_change(-1, libc::WNOHANG);
        }
        match look_at_all(libc::WEXITED | libc::WNOWAIT) {
            Ok(Some(change)) => {
                self.announced = Some(change.pid);
                Ok(Some(change))
            }
            // Not wait4(2), which would reap one that died since without a word.
            Ok(None) => look_at_all(libc::WSTOPPED | libc::WCONTINUED),
            // No children, or no waitid(2) here: better without a word than not at all.
            Err(_) => next_change(-1, libc::WNOHANG),
        }
    }
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

/// The first child with a change of these kinds (waitid(2)).
fn look_at_all(kinds: i32) -> Result<Option<Change>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = kinds | libc::WNOHANG | libc::__WALL;
    // SAFETY: `info` has the size of a siginfo_t.
    Errno::result(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) })?;
    // SAFETY: it was zeroed, which is valid, and then written by the kernel.
    let info = unsafe { info.assume_init() };
    // SAFETY: the kernel filled in the fields of a SIGCHLD, or none and they are zero.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let kind = match info.si_code {
        libc::CLD_STOPPED => ChangeKind::Stopped(Signal::new(status).unwrap_or(Signal::STOP)),
        libc::CLD_CONTINUED => ChangeKind::Continued,
        _ => ChangeKind::Dead,
    };
    Ok((pid != 0).then_some(Change { pid, kind }))
}

/// Waits for a child of ours that is about to exit, as one whose exec failed is.
pub(super) fn wait_for_exit(pid: i32) {
    while let Ok(Some(change)) = next_change(pid, 0) {
        if matches!(change.kind, ChangeKind::Exited(_) | ChangeKind::Killed { .. }) {
            return;
        }
    }
}

/// wait4(2), not nix's waitpid: that one refuses statuses with a real-time signal in them after
/// the kernel has forgotten the child.
fn next_change(pid: i32, flags: i32) -> Result<Option<Change>, Errno> {
    let mut status = 0;
    // __WALL: a process made by clone(2) without SIGCHLD as its exit signal counts as well.
    let flags = flags | libc::WUNTRACED | libc::WCONTINUED | libc::__WALL;
    loop {
        // SAFETY: the status is an int, and rusage may be null.
        match unsafe { libc::wait4(pid, &raw mut status, flags, std::ptr::null_mut()) } {
            0 => return Ok(None),
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return Err(Errno::last()),
            pid => return Ok(Some(Change { pid, kind: decode(status) })),
        }
    }
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
