//! Who is still there when the command is gone, and what is known of whose processes they are.
//!
//! An orphan is a child of ours, whoever left it: the command, what sexton had for a child before it
//! started the command, or, as PID 1, a process that an engine's exec put into the namespace. Its old parent
//! is not told. What tells them apart is the time of their start, and the session, which a process is
//! born into and leaves for one of its own alone (setsid(2)).
//!
//! No allocation: this comes after the command has run.

use std::time::Duration;

use nix::poll::{PollTimeout, poll};

use super::proc::{NoProc, Process, each_process, process, read_process, since_boot};
use super::process::{monotonic_now, own_pid};

/// What tells the processes of the command from others.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    command: i32,
    /// In hundredths of a second since boot: who started before this was there before the command.
    earliest: u64,
    /// Who started until then and has a lower pid was there before the command as well.
    latest: u64,
    is_init: bool,
    /// A session that nobody is in but the command, its descendants, and who was there before it.
    session: Option<i32>,
}

/// So much later than the fork may be the moment that counts as the command's start.
const START: Duration = Duration::from_secs(1);

impl Descent {
    /// Of a command that ran by then (`CLOCK_MONOTONIC`), since no more than a second; `leads_session`:
    /// it was given a session of its own.
    pub fn of(command: i32, ran_by: Duration, leads_session: bool) -> Descent {
        // What the machine slept since its boot counts for the clock of /proc only, and when it did is not known.
        let latest = since_boot().saturating_sub(hundredths(monotonic_now().saturating_sub(ran_by)));
        let own_session = || nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw);
        let session = if leads_session { command } else { own_session() };
        Descent {
            command,
            earliest: latest.min(hundredths(ran_by)).saturating_sub(hundredths(START)),
            latest,
            is_init: own_pid() == 1,
            session: Some(session).filter(|session| *session == command || *session == own_pid()),
        }
    }

    /// Whether this process was there before the command.
    fn is_older(&self, process: &Process) -> bool {
        process.start < self.earliest || (process.start <= self.latest && process.pid < self.command)
    }

    /// `None`: the command did not leave it. `Some(false)`: it may have, or an engine's exec has.
    fn is_known(&self, process: &Process) -> Option<bool> {
        // Nobody but our own descendants is ever given to us as a subreaper (prctl(2)).
        let mut is_known = !self.is_init;
        let mut ancestor = *process;
        for _ in 0..DEPTH {
            if self.is_older(&ancestor) {
                return None;
            }
            is_known |= self.session == Some(ancestor.session);
            if ancestor.parent == own_pid() {
                return Some(is_known);
            }
            // 0 is who was put into the namespace from outside.
            ancestor = Some(ancestor.parent).filter(|parent| *parent > 0).and_then(read_process)?;
        }
        None
    }
}

/// So many generations lie between the command's children and who is looked at; more is a fork bomb.
const DEPTH: usize = 128;

fn hundredths(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / 10).unwrap_or(u64::MAX)
}

/// Shows each process that is alive, goes on living, and is the command's or may be, to `visit`, with whether
/// it is known to be the command's; until that returns `false`.
///
/// # Errors
///
/// Without a usable `/proc` hardly anybody is shown.
pub fn each_left(descent: &Descent, mut visit: impl FnMut(&Process, bool) -> bool) -> Result<(), NoProc> {
    each_process(|process| {
        let is_known = if goes_on(process) { descent.is_known(process) } else { None };
        is_known.is_none_or(|is_known| visit(process, is_known))
    })
}

/// Shows each process of the namespace that is alive and goes on living to `visit`, until that returns `false`.
///
/// When PID 1 has no child any more, an engine's exec put it there, or its parent was started by one: whoever
/// descends from the command descends from PID 1 too, and the last of them was its child.
///
/// # Errors
///
/// Without a usable `/proc` hardly anybody is shown.
pub fn each_other(mut visit: impl FnMut(&Process) -> bool) -> Result<(), NoProc> {
    each_process(|process| !goes_on(process) || visit(process))
}

fn goes_on(process: &Process) -> bool {
    process.pid != own_pid() && !process.is_zombie() && !process.is_ending
}

/// Whether the kernel's own threads are in our namespace: sexton is the first process of a machine.
pub fn is_machine() -> bool {
    own_pid() == 1 && process(KTHREADD).is_some_and(|process| process.is_kernel)
}

/// Whether a process that was seen with this parent descends from us; `None`: it is not known any more.
pub fn is_descendant(process: &Process) -> Option<bool> {
    let mut parent = process.parent;
    for _ in 0..DEPTH {
        match parent {
            0 => return Some(false),
            parent if parent == own_pid() => return Some(true),
            _ => parent = read_process(parent)?.parent,
        }
    }
    None
}

/// Waits for a millisecond.
pub fn pause_a_moment() {
    let _ = poll(&mut [], PollTimeout::from(1_u8));
}

/// The pid of the thread that starts all others of the kernel, in the machine's own namespace.
const KTHREADD: i32 = 2;
