//! The controlling terminal and its foreground process group.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{Pid, getpgrp, getsid, tcgetpgrp, tcsetpgrp};

use super::process::own_pid;

/// The controlling terminal.
///
/// Opened for each use: sexton holds no descriptor of it while the command runs, unless its log is one.
#[derive(Debug)]
pub struct Terminal(Handle);

#[derive(Debug)]
enum Handle {
    /// `/dev/tty`, which is the controlling terminal wherever stdin and the like point to.
    Opened(OwnedFd),
    /// One of ours, where there is no `/dev/tty`.
    Inherited(BorrowedFd<'static>),
}

impl Terminal {
    /// Our controlling terminal, if there is one.
    pub fn controlling() -> Option<Terminal> {
        match open(c"/dev/tty", OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(file) => Some(Terminal(Handle::Opened(file))),
            // tty(4): there is no controlling terminal.
            Err(Errno::ENXIO) => None,
            // No /dev, or no descriptor left.
            Err(_) => inherited_descriptors()
                .map(|descriptor| Terminal(Handle::Inherited(descriptor)))
                .find(|terminal| terminal.foreground().is_some()),
        }
    }

    /// Whether sexton's own process group is in the foreground. If the kernel does not say who is, and
    /// sexton leads the session, nobody else can have a claim to it.
    pub fn is_ours(&self) -> bool {
        self.foreground().map_or_else(leads_session, |foreground| foreground == getpgrp())
    }

    /// Whether this process group is in the foreground.
    pub fn is_held_by(&self, group: i32) -> bool {
        self.foreground().is_some_and(|foreground| foreground.as_raw() == group)
    }

    /// Puts the process group of this child into the foreground.
    ///
    /// # Errors
    ///
    /// The group is gone (tcsetpgrp(3)).
    pub fn give_foreground_to(&self, group: i32) -> nix::Result<()> {
        // SIGTTOU is blocked, so this works from the background as well (tcsetpgrp(3)).
        tcsetpgrp(self.descriptor(), Pid::from_raw(group))
    }

    /// Takes the foreground back from the command's group if it runs, or from one that is gone.
    ///
    /// From nobody else: a shell that put us into the background has it by right.
    pub fn take_back(&self, command: Option<i32>) {
        let Some(foreground) = self.foreground() else { return };
        if Some(foreground.as_raw()) == command || kill(Pid::from_raw(-foreground.as_raw()), None) == Err(Errno::ESRCH)
        {
            let _ = tcsetpgrp(self.descriptor(), getpgrp());
        }
    }

    /// For the child, before exec.
    pub(super) fn raw(&self) -> RawFd {
        self.descriptor().as_raw_fd()
    }

    fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(self.descriptor()).ok()
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Handle::Opened(file) => file.as_fd(),
            Handle::Inherited(descriptor) => *descriptor,
        }
    }
}

/// Lets go of the terminal that is our stdin, so that it can be the controlling terminal of
/// another session (TIOCNOTTY, tty_ioctl(4)).
///
/// To a session leader the kernel sends SIGHUP and SIGCONT then, in its own name: they are ours
/// and not forwarded ([`crate::signal::Received::is_our_own`]).
///
/// # Errors
///
/// Not if stdin is no controlling terminal of ours.
pub fn leave_terminal() -> Result<(), Errno> {
    // SAFETY: takes integers.
    match Errno::result(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) }) {
        Err(Errno::ENOTTY | Errno::EBADF) => Ok(()),
        done => done.map(drop),
    }
}

/// Whether others share our process group: we do not lead it, as in a script, or read from or write
/// to a pipe, as in `producer | sexton consumer | pager`.
///
/// Those that a shell is still to start cannot be seen, but their pipe can.
pub fn is_one_of_several() -> bool {
    let is_pipe = |descriptor: BorrowedFd<'_>| {
        fstat(descriptor)
            .is_ok_and(|status| SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO)
    };
    getpgrp().as_raw() != own_pid() || inherited_descriptors().take(2).any(is_pipe)
}

/// Whether we lead our session, as what an engine starts on a terminal does.
pub fn leads_session() -> bool {
    getsid(None).is_ok_and(|session| session.as_raw() == own_pid())
}

fn inherited_descriptors() -> impl Iterator<Item = BorrowedFd<'static>> {
    // SAFETY: only asked whether it is a terminal; a closed one answers EBADF.
    (0..=2).map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}
