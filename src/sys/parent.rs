//! Our parent, and the signal that the kernel sends when it dies.

use nix::errno::Errno;
use nix::unistd::{Pid, getppid, getsid};

use super::process::own_pid;
use crate::signal::{Received, Signal};

/// The kernel's parent-death signal, as sexton asks for it.
///
/// The kernel sends it when the *thread* that started us ends, not only when the process does
/// (PR_SET_PDEATHSIG(2const)), and a runner with a pool of threads would kill its own jobs. It
/// looks like a kill(2) by the parent, so sexton asks for 32, which libc keeps to itself and so
/// nobody sends, and when it comes looks whether the parent is still there.
const WAKE_UP: Signal = Signal::new(32).unwrap();

/// The process that started sexton.
#[derive(Clone, Copy, Debug)]
pub struct Parent {
    pid: i32,
    signal: Signal,
    /// Its death has been told.
    told: bool,
}

impl Parent {
    /// Asks for `signal` at the death of our parent.
    ///
    /// `Ok((parent, true))` when the parent is dead already.
    ///
    /// # Errors
    ///
    /// The kernel or a seccomp profile refuses.
    pub fn watch(signal: Signal) -> Result<(Parent, bool), Errno> {
        let pid = getppid().as_raw();
        // SAFETY: takes integers.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, WAKE_UP.number(), 0, 0, 0) })?;
        let told = getppid().as_raw() != pid || was_adopted(pid);
        Ok((Parent { pid, signal, told }, told))
    }

    /// What a received signal means: `None` when it is the kernel's word about a mere thread, or
    /// about one of those that adopted us since.
    ///
    /// Its sender does not tell: it is 0 when the kernel has no room to note it (sigqueue(3)), and
    /// a later parent's when that one dies.
    pub fn interpret(&mut self, received: Received) -> Option<Received> {
        if received.signal != WAKE_UP || received.code != libc::SI_USER {
            return Some(received);
        }
        // A parent outside our PID namespace is 0 before its death and after (getppid(2)): there the
        // kernel's word has to do, and whoever sends the same from inside has a pid.
        let is_gone = self.is_another() || self.pid == 0 && received.pid == 0;
        let news = is_gone && !self.told;
        self.told |= news;
        news.then(|| self.death(received))
    }

    /// The signal that the user asked for, from the parent.
    pub fn death_notice(&self) -> Received {
        Received::sent_by(self.pid, self.signal)
    }

    fn death(&self, received: Received) -> Received {
        received.rewritten(self.signal)
    }

    /// Whether we have been given to another parent, as the children of a dead one are.
    fn is_another(&self) -> bool {
        getppid().as_raw() != self.pid
    }
}

/// Whether `parent` is a reaper that took us over from the parent that started us.
///
/// A child is born into its parent's session and leaves it only as the leader of its own
/// (setsid(2)). So a parent of another session, while we lead none, is not the one that
/// started us.
fn was_adopted(parent: i32) -> bool {
    if parent == 0 {
        return false;
    }
    match (getsid(None), getsid(Some(Pid::from_raw(parent)))) {
        (Ok(ours), Ok(theirs)) => ours != theirs && ours.as_raw() != own_pid(),
        _ => false,
    }
}
