//! A file whose being there is all that it says, for whoever looks at it.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::unlink;

/// Makes the file, if it is not there, without ever waiting for it.
///
/// O_NOFOLLOW, because the folder may be one that the command can write to; O_NONBLOCK, because there may
/// be a FIFO, which counts as being there once somebody reads it (fifo(7)).
///
/// # Errors
///
/// All of open(2)'s.
pub fn make_mark(path: &CStr) -> Result<(), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(path, flags | OFlag::O_NOCTTY, Mode::from_bits_truncate(0o644)).map(drop)
}

/// Removes the file, if it is there.
///
/// # Errors
///
/// All of unlink(2)'s but that it is not there.
pub fn remove_mark(path: &CStr) -> Result<(), Errno> {
    match unlink(path) {
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}
