//! Writing to stdout, and to stderr without ever waiting for whoever reads it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

const STDOUT: i32 = 1;
const STDERR: i32 = 2;

/// The command has a stderr of its own, and ours was not looked at since.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Writes all of it, and waits if it must: for what the user asked to see, before anything runs.
///
/// # Errors
///
/// All of write(2)'s. (The standard library takes a closed stdout for a success.)
pub fn write_stdout(mut bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: only written to; a closed one answers EBADF.
    let stdout = unsafe { BorrowedFd::borrow_raw(STDOUT) };
    while !bytes.is_empty() {
        bytes = bytes.get(nix::unistd::write(stdout, bytes)?..).unwrap_or_default();
    }
    Ok(())
}

/// Writes these bytes in one go, or not at all.
///
/// A stuck log driver lets a pipe fill up, and whoever writes to it next hangs. So sexton writes
/// with RWF_NOWAIT (pwritev2(2); pipes know it since Linux 6.4). Where that is not known it first
/// asks whether there is room; somebody else may fill the pipe in between, a gap of a microsecond.
/// O_NONBLOCK is no way out: it would change the pipe for the command as well.
///
/// # Errors
///
/// `EAGAIN` when there is no room, and all of write(2)'s.
pub fn write_stderr(bytes: &[u8]) -> Result<(), Errno> {
    write_at_once(STDERR, bytes)
}

/// Writes these bytes to stdout in one go, or not at all, as [`write_stderr`] does to stderr. For a sexton that
/// runs no command.
///
/// # Errors
///
/// `EAGAIN` when there is no room, and all of write(2)'s.
pub fn write_stdout_at_once(bytes: &[u8]) -> Result<(), Errno> {
    write_at_once(STDOUT, bytes)
}

fn write_at_once(descriptor: i32, bytes: &[u8]) -> Result<(), Errno> {
    match write_nowait(descriptor, bytes) {
        // EOPNOTSUPP: a terminal, a socket, an old kernel; EAGAIN: a file that cannot tell.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::EPERM | Errno::EAGAIN) => {}
        done => return done,
    }
    if IS_OURS.swap(false, Ordering::Relaxed) {
        reopen_terminal();
    }
    // SAFETY: only polled and written to; a closed one answers EBADF.
    let output = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let mut ready = [PollFd::new(output, PollFlags::POLLOUT)];
    if poll(&mut ready, PollTimeout::ZERO)? == 0 {
        return Err(Errno::EAGAIN);
    }
    nix::unistd::write(output, bytes).map(drop)
}

/// The command runs, and has a stderr of its own: from now on ours may be another one.
pub fn stderr_is_ours() {
    IS_OURS.store(true, Ordering::Relaxed);
}

/// Makes sure that a terminal as stderr does not block us either: it knows no RWF_NOWAIT, and has
/// room, poll(2) says, as soon as there is room for one byte.
///
/// So it is opened once more, without blocking, for sexton alone; the command has its own.
#[cold]
fn reopen_terminal() {
    // SAFETY: only asked whether it is a terminal; a closed one answers EBADF.
    let stderr = unsafe { BorrowedFd::borrow_raw(STDERR) };
    if !nix::unistd::isatty(stderr).unwrap_or(false) {
        return;
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    if let Ok(terminal) = open(c"/proc/self/fd/2", flags, Mode::empty()) {
        // SAFETY: both are ours alone by now.
        unsafe { libc::dup2(terminal.as_raw_fd(), STDERR) };
    }
}

fn write_nowait(descriptor: i32, bytes: &[u8]) -> Result<(), Errno> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    /// At the current position, as write(2).
    const HERE: libc::c_long = -1;
    // SAFETY: one iovec that covers `bytes`, from which the kernel only reads.
    let written =
        unsafe { libc::syscall(libc::SYS_pwritev2, descriptor, &raw const part, 1, HERE, HERE, libc::RWF_NOWAIT) };
    Errno::result(written).map(drop)
}
