//! A sexton behind a sexton: the engine's init and the image's own, who both have the same settings.
//!
//! One stop is to be one sleep and one grace period. So the one in front tells the one behind how it held
//! the stop signal back ([`super::signals::send_held_back`]), and tells nobody else: the command of any
//! other kind gets a plain signal. It knows a sexton by what that catches.
//!
//! Names and files would not do: a name is anybody's, the file of a process of another user is not to be read,
//! and a file system that hangs would hold up the stop. What a process catches is to be read by everyone
//! and without a wait (proc_pid_status(5), `SigCgt`).

use std::ffi::CStr;
use std::io::Write;

use super::file::read_into;
use super::proc::shows_our_namespace;
use super::signals::catch_blocked;
use crate::signal::SignalSet;

/// What a sexton that has times shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge {
    /// It sends SIGKILL when a grace period is over.
    pub kills: bool,
    /// It sends further signals in turn after the stop signal.
    pub escalates: bool,
}

impl Badge {
    /// Puts it on: from now on this process, and no other one, catches just these signals. All are blocked, so that
    /// nothing changes by it.
    ///
    /// To be called when the command runs, which would else be born with it. Where it is refused the sexton
    /// in front takes us for any other command.
    pub fn put_on(self) {
        for signal in self.caught().iter() {
            catch_blocked(signal);
        }
    }

    /// That of a child, if it wears one. Nobody does without a `/proc` that shows our own namespace.
    // Not a part of its caller, whose stack would hold the page for longer.
    #[inline(never)]
    pub fn of(pid: i32) -> Option<Badge> {
        let mut path = [0; 32];
        write!(&mut path[..], "/proc/{pid}/status\0").ok()?;
        let mut room = [0; 4096];
        let status = read_into(CStr::from_bytes_until_nul(&path).ok()?, &mut room)?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
        let caught = SignalSet::from_bits(u64::from_str_radix(caught, 16).ok()?);
        Badge::all().find(|badge| badge.caught() == caught).filter(|_| shows_our_namespace())
    }

    fn all() -> impl Iterator<Item = Badge> {
        let both = [false, true];
        both.into_iter().flat_map(move |kills| both.map(|escalates| Badge { kills, escalates }))
    }

    /// Two signals without a name of their own, which nobody catches together and without any other. Each one takes a
    /// system call, so there are no more.
    fn caught(self) -> SignalSet {
        /// 61.
        const ALWAYS: u64 = 1 << 60;
        /// 56, and up to 59.
        const FIRST: u64 = 1 << 55;
        let kind = u32::from(self.kills) + 2 * u32::from(self.escalates);
        SignalSet::from_bits(ALWAYS | FIRST << kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;
    use crate::sys::own_pid;

    #[test]
    fn a_process_without_a_badge_wears_none() {
        assert_eq!(Badge::of(own_pid()), None);
        assert_eq!(Badge::of(-1), None);
    }

    #[test]
    fn each_badge_is_another_set_of_signals_that_nobody_else_catches() {
        let shown: Vec<Vec<i32>> =
            Badge::all().map(|badge| badge.caught().iter().map(Signal::number).collect()).collect();
        assert_eq!(shown, [[56, 61], [58, 61], [57, 61], [59, 61]]);
    }
}
