//! Adding to a file that others made, without ever waiting for it.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};

/// A file that is written at its end.
#[derive(Debug)]
pub struct Appended {
    file: OwnedFd,
    size: usize,
    ends_in_a_line: bool,
}

impl Appended {
    /// Opens the file, and makes it if it is not there.
    ///
    /// O_NONBLOCK, because the path is the user's choice: a FIFO that nobody reads answers ENXIO,
    /// and one that is full EAGAIN (fifo(7)). O_NOFOLLOW, because the folder may be one that the
    /// command can write to: a link to a file of somebody else's answers ELOOP.
    ///
    /// # Errors
    ///
    /// All of open(2)'s.
    pub fn open(path: &CStr) -> Result<Appended, Errno> {
        let safely = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | safely;
        let file = open(path, flags, Mode::from_bits_truncate(0o644))?;
        let stat = fstat(&file)?;
        let is_regular = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
        let size = if is_regular { usize::try_from(stat.st_size).unwrap_or(usize::MAX) } else { 0 };
        let ends_in_a_line = size == 0 || last_byte(path, safely, stat.st_size) == Some(b'\n');
        Ok(Appended { file, size, ends_in_a_line })
    }

    /// How many bytes are there already.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether what is added next begins a line.
    pub fn ends_in_a_line(&self) -> bool {
        self.ends_in_a_line
    }

    /// Adds these bytes, in one go where there is room.
    ///
    /// # Errors
    ///
    /// All of write(2)'s, also when a part of them was written: what keeps the rest out it says when it is
    /// asked to write that.
    pub fn write(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let written = nix::unistd::write(&self.file, bytes)?;
            if written == 0 {
                return Err(Errno::EIO);
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The file may be one that we may write and not read.
fn last_byte(path: &CStr, flags: OFlag, size: libc::off_t) -> Option<u8> {
    let file = open(path, OFlag::O_RDONLY | flags, Mode::empty()).ok()?;
    let mut byte = [0];
    let read = nix::sys::uio::pread(&file, &mut byte, size - 1).ok()?;
    (read == 1).then_some(byte[0])
}
