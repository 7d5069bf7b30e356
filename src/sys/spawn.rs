//! Starting the command.
//!
//! With `CLONE_VM | CLONE_VFORK` (clone(2)) sexton's page tables are not copied, sexton does not
//! run before the exec has happened, and an exec that failed says so through the shared memory.
//! By the time [`spawn`] returns the command is in its own process group, so there is no moment
//! at which a signal to the group would find none.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;

use nix::errno::Errno;

use super::entry::{Args, Environment};
use super::process::own_pid;
use super::reap::wait_for_exit;
use super::signals::{Inherited, swallow_terminal_stops};
use super::systemd::NamingCommand;
use super::terminal::Terminal;
use super::unshared::{take_name, wait_for_exec};

/// What to start, and how.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Where the command may be.
    pub candidates: Candidates<'a>,
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

/// The files to try, in their order (execvp(3)): never none.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// The command's name.
    pub name: &'a CStr,
    /// Directories with colons between them, an empty one being the working directory. So the name
    /// itself is the only candidate in an empty list.
    pub path: &'a [u8],
}

impl<'a> Candidates<'a> {
    /// Each of them, in parts.
    pub fn iter(self) -> impl Iterator<Item = [&'a [u8]; 3]> {
        self.path.split(|byte| *byte == b':').map(move |directory| {
            let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
            [directory, separator, self.name.to_bytes()]
        })
    }
}

/// Why the command was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// clone(2) was refused.
    Fork(Errno),
    /// The child could not become what the command has to find, as under a seccomp profile: better
    /// no command than one that blocks every signal.
    Prepare {
        /// Why.
        errno: Errno,
        /// What could not be done.
        what: &'static str,
    },
    /// execve(2) was refused for the last candidate tried, or for the first that is there and
    /// may not be executed.
    Exec {
        /// Why.
        errno: Errno,
        /// Which of the candidates.
        candidate: usize,
    },
}

/// What the child could not do ([`Failure::Prepare`]).
pub(super) const NO_GROUP: &str = "make it a process group of its own";
pub(super) const NO_SIGNAL_STATE: &str = "give it the signal state that sexton was started with";

/// The command that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its pid.
    pub pid: i32,
    /// What was to be done for it and could not be done.
    pub missed: Missed,
}

/// What the command can do without, though it was meant to have it: why it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The foreground of the terminal.
    pub foreground: Option<Errno>,
    /// The kernel kills it when sexton dies.
    pub death_with_sexton: Option<Errno>,
}

/// The stack that the child needs until exec, for a handful of system calls and a path (4 KiB): 8 KiB,
/// aligned as stacks are. Each page of it is touched at the start. What the terminal sends comes
/// elsewhere ([`swallow_terminal_stops`]).
type Stack = [u128; 512];

/// What the child gets from sexton, and what it says of what was refused.
struct Attempt<'a> {
    launch: &'a Launch<'a>,
    environment: &'a NamingCommand,
    sexton: i32,
    /// Set by the child's first step: where it is not, the child has memory of its own.
    shares_memory: Cell<bool>,
    failure: Cell<Option<Failure>>,
    missed: Cell<Missed>,
}

/// Starts the command, and returns once it has been executed.
///
/// # Errors
///
/// Nothing runs then, and the pid of the attempt is reaped.
// Not a part of its caller, whose stack would hold the child's for good.
#[inline(never)]
pub fn spawn(launch: &Launch<'_>) -> Result<Started, Failure> {
    spawn_as(launch, libc::CLONE_VM | libc::CLONE_VFORK)
}

/// `sharing` is for clone(2).
#[inline(always)]
fn spawn_as(launch: &Launch<'_>, sharing: c_int) -> Result<Started, Failure> {
    let environment = NamingCommand::new(launch.environment);
    let attempt = Attempt {
        launch,
        environment: &environment,
        sexton: own_pid(),
        shares_memory: Cell::new(false),
        failure: Cell::new(None),
        missed: Cell::new(Missed::default()),
    };
    // A part of our own, so that there is nothing to allocate. Stacks grow downwards.
    let mut stack = MaybeUninit::<Stack>::uninit();
    let top = stack.as_mut_ptr().wrapping_add(1).cast::<c_void>();
    let argument = (&raw const attempt).cast_mut().cast::<c_void>();
    // SAFETY: while the child runs in our memory we are suspended, so `attempt` and its stack are
    // there; it makes system calls and stores what came of them, and neither allocates, panics nor returns.
    // In memory of its own it has copies of both.
    let pid = Errno::result(unsafe { libc::clone(child, top, sharing | libc::SIGCHLD, argument) });
    let pid = pid.map_err(Failure::Fork)?;
    let failure = if attempt.shares_memory.get() {
        attempt.failure.get()
    } else {
        wait_for_exec(pid, launch.own_group && !launch.new_session)
    };
    match failure {
        None => Ok(Started { pid, missed: attempt.missed.get() }),
        Some(failure) => {
            wait_for_exit(pid);
            Err(failure)
        }
    }
}

/// The child, from its first instruction to its last.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `spawn` gives us its `Attempt`, and does not go on before we are gone.
    let attempt = unsafe { &*argument.cast::<Attempt<'_>>() };
    attempt.shares_memory.set(true);
    let failure = become_command(attempt);
    attempt.failure.set(Some(failure));
    take_name(failure);
    if attempt.launch.new_session {
        give_up_terminal();
    }
    // SAFETY: ends the child at once, without destructors of memory it shares with us.
    unsafe { libc::_exit(127) }
}

/// In the child. Returns only when it fails, and why.
fn become_command(attempt: &Attempt<'_>) -> Failure {
    let Attempt { launch, environment, sexton, missed, .. } = attempt;
    // What sexton remembers as its own pid is not ours.
    // SAFETY: takes nothing.
    let own_pid = || unsafe { libc::getpid() };
    if let Err(errno) = lead(launch, missed) {
        return Failure::Prepare { errno, what: NO_GROUP };
    }
    if let Some(terminal) = launch.terminal {
        // SAFETY: takes integers. SIGTTOU is still blocked, so we are not stopped by it.
        let gave_foreground = Errno::result(unsafe { libc::tcsetpgrp(terminal.raw(), own_pid()) });
        missed.set(Missed { foreground: gave_foreground.err(), ..missed.get() });
    }
    if launch.die_with_sexton {
        // Not inherited by what the command starts, and undone by the exec of a set-user-ID
        // program (PR_SET_PDEATHSIG(2const)).
        // SAFETY: takes integers.
        let asked = Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) });
        missed.set(Missed { death_with_sexton: asked.err(), ..missed.get() });
        // If sexton was killed before that call, the kernel will not tell.
        // SAFETY: takes nothing.
        if unsafe { libc::getppid() } != *sexton {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(128 + libc::SIGKILL) };
        }
    }
    environment.write(own_pid);
    // From here to the exec ^Z would stop us, and sexton with us, which waits for our exec.
    let at_terminal = launch.terminal.is_some() || launch.new_session || !launch.own_group;
    let swallowed = if at_terminal { swallow_terminal_stops() } else { Ok(()) };
    if let Err(errno) = swallowed.and_then(|()| launch.inherited.restore()) {
        return Failure::Prepare { errno, what: NO_SIGNAL_STATE };
    }
    let (errno, candidate) = exec(launch.candidates, launch.args, environment.as_ptr());
    Failure::Exec { errno, candidate }
}

/// Leads a session or a process group, if it is to. The kernel does not refuse it: a fresh child
/// leads neither.
fn lead(launch: &Launch<'_>, missed: &Cell<Missed>) -> Result<(), Errno> {
    if launch.new_session {
        return lead_session(missed);
    }
    if launch.own_group {
        // SAFETY: takes integers.
        Errno::result(unsafe { libc::setpgid(0, 0) })?;
    }
    Ok(())
}

/// A session of our own, and in it a process group of our own; stdin becomes the controlling
/// terminal if it is a terminal and no other session has it (tty_ioctl(4)).
fn lead_session(missed: &Cell<Missed>) -> Result<(), Errno> {
    // SAFETY: takes nothing.
    Errno::result(unsafe { libc::setsid() })?;
    // SAFETY: takes integers.
    let taken = Errno::result(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) });
    let foreground = taken.err().filter(|errno| !matches!(errno, Errno::ENOTTY | Errno::EPERM | Errno::EBADF));
    missed.set(Missed { foreground, ..missed.get() });
    Ok(())
}

/// The end of a session leader hangs up a terminal that is no pseudo-terminal, as a console
/// (credentials(7)), and a second attempt, with the shell, would find a dead one. Giving it up before
/// that sends SIGHUP and SIGCONT to nobody but ourselves, who may as well die of it.
fn give_up_terminal() {
    // SAFETY: takes integers.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) };
}

/// Tries the candidates in the way of execvp(3).
fn exec(candidates: Candidates<'_>, args: Args, environment: *const *const c_char) -> (Errno, usize) {
    let mut refused = (Errno::ENOENT, 0);
    let mut room = [0; libc::PATH_MAX as usize];
    for (index, parts) in candidates.iter().enumerate() {
        let Some(path) = join(parts, &mut room) else { return (Errno::ENAMETOOLONG, index) };
        // SAFETY: a C string and two null-terminated vectors of C strings.
        unsafe { libc::execve(path.as_ptr(), args.as_ptr(), environment) };
        match Errno::last() {
            // There, but not for us: worth telling if no other candidate is better.
            Errno::EACCES if refused.0 != Errno::EACCES => refused = (Errno::EACCES, index),
            // Not there: the next one may be (execvp(3)).
            errno @ (Errno::EACCES
            | Errno::ENOENT
            | Errno::ENOTDIR
            | Errno::ESTALE
            | Errno::ENODEV
            | Errno::ETIMEDOUT) => {
                if refused.0 != Errno::EACCES {
                    refused = (if index == 0 { errno } else { Errno::ENOENT }, index);
                }
            }
            errno => return (errno, index),
        }
    }
    refused
}

/// Puts a path together, if it is not longer than the kernel takes.
fn join<'a>(parts: [&[u8]; 3], room: &'a mut [u8]) -> Option<&'a CStr> {
    let mut length = 0;
    for byte in parts.into_iter().flatten().chain([&0]) {
        *room.get_mut(length)? = *byte;
        length += 1;
    }
    CStr::from_bytes_with_nul(room.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts `name`, with these arguments, in memory that is shared and in two ways in memory that is not:
    /// what came of it, and the status of what runs.
    fn tried(name: &CStr, path: &[u8], args: &[&str]) -> [Result<i32, Failure>; 3] {
        let launch = |own_group| Launch {
            candidates: Candidates { name, path },
            args: Args::from_strings(args.iter().copied()),
            environment: Environment::from_strings(["A=1"]),
            inherited: Inherited::take_over(),
            own_group,
            terminal: None,
            new_session: false,
            die_with_sexton: true,
        };
        [(libc::CLONE_VM | libc::CLONE_VFORK, true), (0, true), (0, false)].map(|(sharing, own_group)| {
            let pid = spawn_as(&launch(own_group), sharing)?.pid;
            let mut status = 0;
            // SAFETY: the status is an int.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            Ok(status)
        })
    }

    /// As under qemu-user and valgrind.
    #[test]
    fn in_memory_of_its_own_the_child_says_just_as_well_what_came_of_its_exec() {
        let refused = |errno, candidate| [Err(Failure::Exec { errno, candidate }); 3];
        assert_eq!(tried(c"/no/such", b"", &["x"]), refused(Errno::ENOENT, 0));
        assert_eq!(tried(c"version", b"/no/such:/bin:/proc:/usr", &["x"]), refused(Errno::EACCES, 2));
        assert_eq!(tried(c"/proc/self/mem", b"", &["x"]), refused(Errno::EACCES, 0));
        let status = |status: i32| [Ok(status << 8); 3];
        assert_eq!(tried(c"sh", b"/no/such:/bin", &["sh", "-c", "exit 7"]), status(7));
        // What the command says counts for nothing: it was executed.
        assert_eq!(tried(c"/bin/sh", b"", &["exec 2 0", "-c", "exit 127"]), status(127));
    }

    /// Nothing is known then that was not before.
    #[test]
    fn a_child_in_memory_of_its_own_that_was_killed_before_its_exec_is_one_that_was_started() {
        // SAFETY: the child sleeps until it is killed.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            loop {
                // SAFETY: takes nothing.
                unsafe { libc::pause() };
            }
        }
        // SAFETY: takes integers; it is our child.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        assert_eq!(wait_for_exec(pid, true), None);
        wait_for_exit(pid);
    }
}
