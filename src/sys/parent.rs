//! Our parent, and the signal that the kernel sends when it dies.

use nix::errno::Errno;
use nix::unistd::{Pid, getppid, getsid};

use super::proc::process;
use super::process::own_pid;
use crate::signal::{Received, Signal};

/// The kernel's parent-death signal, as sexton asks for it.
///
/// The kernel sends it when the *thread* that started us ends, not only when the process does
/// (PR_SET_PDEATHSIG(2const)), and a runner with a pool of threads would kill its own jobs. It
/// looks like a kill(2) by the parent, so sexton asks for 32, which libc keeps to itself and so
/// nobody sends, and when it comes looks whether the parent is still there.
const WAKE_UP: Signal = Signal::new(32).unwrap();

/// What stands for SIGKILL and SIGSTOP where there is nothing to look at ([`Parent::asked_for`]).
///
/// The kernel notes the sender of a standard signal even when the queue has no room for others
/// (RLIMIT_SIGPENDING; `sigqueue_alloc` of kernel/signal.c), so nobody inside can look like nobody.
const STAND_IN: Signal = Signal::VTALRM;

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
    /// `Ok((parent, true))` when the parent is dead already, as far as that can be known
    /// ([`was_adopted`]).
    ///
    /// # Errors
    ///
    /// The kernel or a seccomp profile refuses.
    pub fn watch(signal: Signal) -> Result<(Parent, bool), Errno> {
        let mut parent = Parent { pid: getppid().as_raw(), signal, told: false };
        // SAFETY: takes integers.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, parent.asked_for().number(), 0, 0, 0) })?;
        // Of one that is outside nothing can be known.
        parent.told = !parent.is_outside() && (parent.is_another() || was_adopted(parent.pid));
        Ok((parent, parent.told))
    }

    /// What the kernel is asked to send.
    fn asked_for(&self) -> Signal {
        match (self.is_outside(), self.signal.is_uncatchable()) {
            (false, _) => WAKE_UP,
            // Whatever else were asked for, it could not be checked: the kernel has a mere thread's end
            // look the same, and, where the queue is full, everybody's signal 32. What is meant as itself
            // is nothing to be mistaken in.
            (true, false) => self.signal,
            (true, true) => STAND_IN,
        }
    }

    /// What a received signal means: `None` when it is the kernel's word about a mere thread, or
    /// about one of those that adopted us since, or nobody's word at all.
    ///
    /// Its sender does not tell: it is 0 when the kernel has no room to note it (sigqueue(3)), and
    /// a later parent's when that one dies.
    pub fn interpret(&mut self, received: Received) -> Option<Received> {
        let is_gone = match received.signal {
            _ if received.code != libc::SI_USER => return Some(received),
            signal if signal == self.signal && self.is_outside() => return Some(received),
            WAKE_UP => self.is_another(),
            STAND_IN if self.asked_for() == STAND_IN && received.pid == 0 => true,
            _ => return Some(received),
        };
        let news = is_gone && !self.told;
        self.told |= news;
        news.then(|| received.rewritten(self.signal))
    }

    /// The signal that the user asked for, from the parent.
    pub fn death_notice(&self) -> Received {
        Received::sent_by(self.pid, self.signal)
    }

    /// Whether the parent is outside our PID namespace, as PID 1's always is: its pid is 0, and that of
    /// whoever adopts us after its death is too (getppid(2)).
    fn is_outside(&self) -> bool {
        self.pid == 0
    }

    /// Whether we have been given to another parent, as the children of a dead one are.
    fn is_another(&self) -> bool {
        getppid().as_raw() != self.pid
    }
}

/// Whether `parent` is for certain one that adopted us from the parent that started us, and not that
/// one itself, who may have left our session since (setsid(2)).
///
/// A child is born into the session of whoever forks it, and leaves it only as the leader of its own.
/// So who started us was in our session then, unless we lead it. (A child of clone(2) with CLONE_PARENT
/// is nobody's that sexton knows of.)
fn was_adopted(parent: i32) -> bool {
    let session = |pid: i32| getsid(Some(Pid::from_raw(pid))).map(Pid::as_raw);
    let (Ok(ours), Ok(theirs)) = (session(0), session(parent)) else { return false };
    if parent == 0 || ours == theirs || ours == own_pid() {
        return false;
    }
    // It never left the session that it was born into.
    let never_left = theirs != parent;
    // Who leads a session of our namespace is younger than PID 1, and was not there for PID 1 to be born into
    // its session. One that we cannot see (0) may be older.
    let is_first = parent == 1 && ours != 0;
    never_left || is_first || is_younger(ours, parent)
}

/// Whether the leader of a session is younger than a process, which so was never in that session. Unknown
/// when the leader is gone.
fn is_younger(leader: i32, than: i32) -> bool {
    process(leader).zip(process(than)).is_some_and(|(leader, process)| leader.start > process.start)
}
