//! A child that does not share our memory until its exec, though it was asked for.
//!
//! qemu-user, with which a container of another machine runs, and valgrind make a plain fork(2) of
//! `CLONE_VM | CLONE_VFORK`: what the child writes for us is lost, and we run on before its exec. So
//! what a child whose exec failed says is also its own name, which the kernel keeps until it is reaped
//! (PR_SET_NAME(2const)), and that it was never executed is a flag of the kernel's: the word of a command
//! cannot be mistaken for it, whatever name and status it ends with.

use std::io::Write;
use std::time::Duration;

use nix::errno::Errno;

use super::proc::process;
use super::spawn::{Failure, NO_GROUP, NO_SIGNAL_STATE};

/// How often we look what has become of the child: the kernel tells of no exec. Most take less.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A process's name has 15 bytes, and a NUL behind them.
const LONGEST: usize = 15;

/// In the child: takes a name that says why it is about to exit.
pub(super) fn take_name(failure: Failure) {
    let name = name(failure);
    // SAFETY: a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Waits until the command has been executed, or will not be: why not. Nothing where `/proc` does not show it.
///
/// `leads_group` is whether the child makes a process group of its own, and no session.
#[cold]
#[inline(never)]
pub(super) fn wait_for_exec(pid: i32, leads_group: bool) -> Option<Failure> {
    std::thread::sleep(LOOK_AGAIN);
    // What the child does as well; refused, with this errno, once it has been executed (setpgid(2)). The cheap
    // way to know of most: benches/guard.txt counts under valgrind.
    // SAFETY: takes integers.
    if leads_group && Errno::result(unsafe { libc::setpgid(pid, pid) }) == Err(Errno::EACCES) {
        return None;
    }
    loop {
        let child = process(pid)?;
        if child.was_executed {
            return None;
        }
        if child.is_zombie() {
            return failure(child.name());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// `exec ERRNO CANDIDATE`, or what could not be done and its errno.
fn name(failure: Failure) -> [u8; LONGEST + 1] {
    let mut name = [0; LONGEST + 1];
    let (what, errno, candidate) = match failure {
        Failure::Fork(errno) => ("fork", errno, 0),
        Failure::Prepare { errno, what } if what == NO_GROUP => ("group", errno, 0),
        Failure::Prepare { errno, .. } => ("state", errno, 0),
        // No more digits than there is room for.
        Failure::Exec { errno, candidate } => ("exec", errno, candidate.min(99_999)),
    };
    let (room, _) = name.split_at_mut(LONGEST);
    let _ = (&mut &mut *room).write_fmt(format_args!("{what} {} {candidate}", errno as i32));
    name
}

/// What such a name says; nothing of another one, as of a child that was killed.
fn failure(name: &[u8]) -> Option<Failure> {
    let mut words = std::str::from_utf8(name).ok()?.split(' ');
    let what = words.next()?;
    let errno = Errno::from_raw(words.next()?.parse().ok()?);
    let candidate = words.next()?.parse().ok()?;
    match what {
        "exec" => Some(Failure::Exec { errno, candidate }),
        "group" => Some(Failure::Prepare { errno, what: NO_GROUP }),
        "state" => Some(Failure::Prepare { errno, what: NO_SIGNAL_STATE }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_read_back_from_the_name_that_it_gives() {
        let errno = Errno::EHWPOISON;
        for given in [
            Failure::Exec { errno: Errno::ENOENT, candidate: 0 },
            Failure::Exec { errno, candidate: 99_999 },
            Failure::Prepare { errno, what: NO_GROUP },
            Failure::Prepare { errno, what: NO_SIGNAL_STATE },
        ] {
            let name = name(given);
            let shown = name.split(|byte| *byte == 0).next().unwrap();
            assert_eq!(failure(shown), Some(given));
        }
        for other in ["", "sexton", "exec", "exec 2", "exec two 1", "exec 2 ", "qemu-aarch64-st"] {
            assert_eq!(failure(other.as_bytes()), None, "{other}");
        }
    }
}
