//! The names in a directory.
//!
//! Not by way of `std::fs::read_dir`: that allocates, and panics when the directory cannot be closed,
//! while this is needed when there may be no memory and when the command runs already.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// To look at what the kernel tells. Without waiting: a command that may mount can put FIFOs in the place of `/proc`.
/// Without O_CLOEXEC: nothing is executed while it is open, and musl makes a system call of its own for that flag.
pub(super) const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK);

/// Room for some names at a time, aligned as `struct linux_dirent64` wants it.
#[repr(align(8))]
struct Entries([u8; 2048]);

/// Calls `visit` for each name in the directory, in its order, until it returns `false`.
///
/// # Errors
///
/// All of open(2)'s and getdents64(2)'s; some names may have been visited by then.
pub fn each_name(directory: &CStr, mut visit: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
    let directory = open(directory, READ | OFlag::O_DIRECTORY, Mode::empty())?;
    let mut entries = Entries([0; 2048]);
    loop {
        let length = read_entries(&directory, &mut entries)?;
        if length == 0 {
            return Ok(());
        }
        // ino (8 bytes), off (8), reclen (2), type (1), name, NUL (getdents64(2)).
        let mut rest = entries.0.get(..length).unwrap_or_default();
        while let Some([low, high, _]) = rest.get(16..19) {
            let size = usize::from(u16::from_ne_bytes([*low, *high]));
            let name = rest.get(19..size).unwrap_or_default();
            if !visit(name.split(|byte| *byte == 0).next().unwrap_or_default()) {
                return Ok(());
            }
            rest = rest.get(size.max(20)..).unwrap_or_default();
        }
    }
}

/// Calls `visit` for each name in the directory that is a number, until it returns `false`.
///
/// # Errors
///
/// As [`each_name`].
pub(super) fn each_number(directory: &CStr, mut visit: impl FnMut(i32) -> bool) -> Result<(), Errno> {
    each_name(directory, |name| {
        std::str::from_utf8(name).ok().and_then(|digits| digits.parse().ok()).is_none_or(&mut visit)
    })
}

/// Fills the buffer with directory entries and returns how many bytes; 0 at the end.
fn read_entries(directory: &OwnedFd, entries: &mut Entries) -> Result<usize, Errno> {
    let (descriptor, buffer, size) = (directory.as_raw_fd(), entries.0.as_mut_ptr(), entries.0.len());
    // SAFETY: the buffer is `size` bytes, aligned for the entries.
    let length = Errno::result(unsafe { libc::syscall(libc::SYS_getdents64, descriptor, buffer, size) })?;
    Ok(usize::try_from(length).unwrap_or(0))
}
