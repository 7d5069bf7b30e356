//! Starting the command.
//!
//! With `CLONE_VM | CLONE_VFORK` (clone(2)) sexton's page tables are not copied, sexton does not
//! run before the exec has happened, and an exec that failed says so through the shared memory.
//! By the time [`spawn`] returns the command is in its own process group, so there is no moment
//! at which a signal to the group would find none.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone};

use super::entry::{Args, Environment};
use super::process::own_pid;
use super::reap::wait_for_exit;
use super::signals::{Inherited, hold_signals};
use super::terminal::Terminal;

/// What to start, and how.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Where the command may be, in the order to try.
    pub candidates: &'a [CString],
    /// Its arguments, the first of them its name.
    pub args: Args,
    /// Its environment.
    pub environment: Environment,
    /// The signal state it gets.
    pub inherited: Inherited,
    /// It leads a process group of its own.
    pub own_group: bool,
    /// The terminal of which its group gets the foreground.
    pub terminal: Option<&'a Terminal>,
    /// It leads a session of its own, with its stdin as the controlling terminal if that is one.
    pub new_session: bool,
    /// Have the kernel kill it when sexton dies.
    pub die_with_sexton: bool,
}

/// Why the command was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// clone(2) was refused.
    Fork(Errno),
    /// execve(2) was refused for the last candidate tried, or for the first that is there and
    /// may not be executed.
    Exec {
        /// Why.
        errno: Errno,
        /// Which of the candidates.
        candidate: usize,
    },
}

/// The stack that the child needs until exec: a handful of system calls, no buffers.
const STACK_SIZE: usize = 16 * 1024;

/// Starts the command and returns its pid, once it has been executed.
///
/// # Errors
///
/// Nothing runs then, and the pid of the attempt is reaped.
pub fn spawn(launch: &Launch<'_>) -> Result<i32, Failure> {
    let environment = WithListenPid::new(launch.environment);
    let errno = AtomicI32::new(0);
    let candidate = AtomicUsize::new(0);
    let mut stack = vec![0; STACK_SIZE];
    let sexton = own_pid();
    let child = || -> isize {
        let refused = become_command(launch, &environment, sexton);
        errno.store(refused.0 as i32, Ordering::Relaxed);
        candidate.store(refused.1, Ordering::Relaxed);
        if launch.new_session {
            give_up_terminal();
        }
        // SAFETY: ends the child at once, without destructors of memory it shares with us.
        unsafe { libc::_exit(127) }
    };
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: while the child runs in our memory we are suspended; it makes system calls and
    // stores two integers, and neither allocates, panics nor returns.
    let pid = unsafe { clone(Box::new(child), &mut stack, flags, Some(libc::SIGCHLD)) }.map_err(Failure::Fork)?;
    match errno.load(Ordering::Relaxed) {
        0 => Ok(pid.as_raw()),
        refused => {
            wait_for_exit(pid.as_raw());
            let candidate = candidate.load(Ordering::Relaxed);
            Err(Failure::Exec { errno: Errno::from_raw(refused), candidate })
        }
    }
}

/// In the child. Returns only when exec is refused: why, and for which candidate.
fn become_command(launch: &Launch<'_>, environment: &WithListenPid, sexton: i32) -> (Errno, usize) {
    if launch.new_session {
        lead_session();
    } else if launch.own_group {
        // SAFETY: takes integers. A fresh child leads no session, so it cannot be refused.
        unsafe { libc::setpgid(0, 0) };
    }
    if let Some(terminal) = launch.terminal {
        // SAFETY: takes integers. SIGTTOU is still blocked, so we are not stopped by it.
        unsafe { libc::tcsetpgrp(terminal.raw(), own_pid()) };
    }
    if launch.die_with_sexton {
        // Not inherited by what the command starts, and undone by the exec of a set-user-ID
        // program (PR_SET_PDEATHSIG(2const)).
        // SAFETY: takes integers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        // If sexton was killed before that call, the kernel will not tell.
        // SAFETY: takes nothing.
        if unsafe { libc::getppid() } != sexton {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(128 + libc::SIGKILL) };
        }
    }
    environment.write(own_pid());
    launch.inherited.hand_on();
    exec(launch.candidates, launch.args, environment.as_ptr())
}

/// A session of our own, and in it a process group of our own; stdin becomes the controlling
/// terminal if it is a terminal and no other session has it (tty_ioctl(4)).
fn lead_session() {
    // SAFETY: takes nothing. A fresh child leads no process group, so it cannot be refused.
    unsafe { libc::setsid() };
    // SAFETY: takes integers.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) };
}

/// The end of a session leader hangs up a terminal that is no pseudo-terminal, as a console
/// (credentials(7)), and a second attempt, with the shell, would find a dead one. Giving it up before
/// that sends SIGHUP and SIGCONT to nobody but ourselves.
fn give_up_terminal() {
    hold_signals();
    // SAFETY: takes integers.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) };
}

/// Tries the candidates in the way of execvp(3).
fn exec(candidates: &[CString], args: Args, environment: *const *const c_char) -> (Errno, usize) {
    let mut refused = (Errno::ENOENT, candidates.len().saturating_sub(1));
    for (index, path) in candidates.iter().enumerate() {
        // SAFETY: a C string and two null-terminated vectors of C strings.
        unsafe { libc::execve(path.as_ptr(), args.as_ptr(), environment) };
        match Errno::last() {
            // There, but not for us: worth telling if no other candidate is better.
            Errno::EACCES if refused.0 != Errno::EACCES => refused = (Errno::EACCES, index),
            // Not there: the next one may be (execvp(3)).
            Errno::EACCES | Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {
                if refused.0 != Errno::EACCES && candidates.len() == 1 {
                    refused = (Errno::last(), index);
                }
            }
            errno => return (errno, index),
        }
    }
    refused
}

/// The environment, with `LISTEN_PID` naming the command if it named sexton.
///
/// systemd's socket activation gives its descriptors to the process that `LISTEN_PID` names
/// (sd_listen_fds(3)). That is sexton, but meant is the command.
struct WithListenPid {
    original: Environment,
    /// The vector with one entry exchanged, and that entry. Written by the child, who alone
    /// knows its pid before exec.
    changed: Option<(Vec<*const c_char>, Vec<AtomicU8>)>,
}

const LISTEN_PID: &[u8] = b"LISTEN_PID=";

impl WithListenPid {
    fn new(original: Environment) -> WithListenPid {
        let names_us = |entry: &CStr| {
            let pid = entry.to_bytes().strip_prefix(LISTEN_PID)?;
            (std::str::from_utf8(pid).ok()?.parse() == Ok(own_pid())).then_some(())
        };
        let index = original.iter().position(|entry| names_us(entry).is_some());
        let changed = index.map(|index| {
            // Eleven more bytes: the longest pid and a NUL.
            let entry: Vec<_> = LISTEN_PID.iter().copied().chain([0; 11]).map(AtomicU8::new).collect();
            let mut pointers = original.pointers().to_vec();
            pointers[index] = entry.as_ptr().cast();
            (pointers, entry)
        });
        WithListenPid { original, changed }
    }

    /// Writes the pid in decimal digits. In the child, so without the help of `format!`.
    fn write(&self, pid: c_int) {
        let Some((_, entry)) = &self.changed else { return };
        let mut divisor = 1;
        while pid / divisor >= 10 {
            divisor *= 10;
        }
        for byte in entry.iter().skip(LISTEN_PID.len()) {
            if divisor == 0 {
                break;
            }
            byte.store(b'0' + (pid / divisor % 10) as u8, Ordering::Relaxed);
            divisor /= 10;
        }
    }

    fn as_ptr(&self) -> *const *const c_char {
        match &self.changed {
            Some((pointers, _)) => pointers.as_ptr(),
            None => self.original.pointers().as_ptr(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(environment: &WithListenPid) -> Vec<String> {
        let pointers = match &environment.changed {
            Some((pointers, _)) => pointers.as_slice(),
            None => environment.original.pointers(),
        };
        let strings = pointers.iter().take_while(|pointer| !pointer.is_null());
        // SAFETY: all but the last are C strings that live as long as `environment`.
        strings.map(|pointer| unsafe { CStr::from_ptr(*pointer) }.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn listen_pid_is_rewritten_when_it_names_sexton_and_left_alone_when_it_does_not() {
        let own = format!("LISTEN_PID={}", own_pid());
        for (given, pid, expected) in [
            (own.as_str(), 7, "LISTEN_PID=7"),
            (own.as_str(), 10, "LISTEN_PID=10"),
            (own.as_str(), 4_194_304, "LISTEN_PID=4194304"),
            (own.as_str(), i32::MAX, "LISTEN_PID=2147483647"),
            ("LISTEN_PID=999999999", 7, "LISTEN_PID=999999999"),
            ("LISTEN_PID=", 7, "LISTEN_PID="),
        ] {
            let environment = WithListenPid::new(Environment::from_strings(["A=1", given, "LISTEN_FDS=1"]));
            environment.write(pid);
            assert_eq!(entries(&environment), ["A=1", expected, "LISTEN_FDS=1"]);
        }
    }
}
