//! What the kernel knows about a file that it does not want to execute.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, lstat, stat};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, eaccess};

use super::directory::READ;
use super::proc;

/// Whether we may execute this file: by its mode and its ACL, and its mount's `noexec`.
pub fn may_execute(path: &Path) -> bool {
    eaccess(path, AccessFlags::X_OK).is_ok()
}

/// Whether the file is on a mount on which nothing can be executed.
pub fn is_on_noexec_mount(path: &Path) -> bool {
    statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOEXEC))
}

/// The effective user id: what the kernel goes by.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Opens a regular file for reading, and does not wait for it.
///
/// # Errors
///
/// All of open(2)'s.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Whether something has this path, a symbolic link to nowhere included.
///
/// # Errors
///
/// All of lstat(2)'s but those that say that nothing has.
pub fn exists(path: &CStr) -> Result<bool, Errno> {
    match lstat(path) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a process executes the same file as we do. A process of another user does not tell
/// (proc_pid_exe(5)).
pub fn has_our_file(pid: i32) -> bool {
    let file = |process: &str| stat(Path::new("/proc").join(process).join("exe").as_path()).ok();
    let identity = |file: FileStat| (file.st_dev, file.st_ino);
    file(&pid.to_string()).map(identity).is_some_and(|theirs| file("self").map(identity) == Some(theirs))
}

/// At most so many bytes from this place of a file: fewer at its end, none after an error.
pub fn read_at(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    bytes.truncate(filled);
    bytes
}

/// The beginning of a file, as text: for those of /proc and /sys, which say how long they are
/// only when they are read.
pub fn read_text(path: impl AsRef<Path>) -> Option<String> {
    /// Thousands of mounts.
    const LIMIT: usize = 256 * 1024;
    let bytes = read_at(&open(path.as_ref()).ok()?, 0, LIMIT);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The beginning of a file of /proc or /sys, as much as there is room for, without an allocation.
pub(super) fn read_into<'a>(path: &CStr, room: &'a mut [u8]) -> Option<&'a str> {
    let length = nix::unistd::read(open_to_read(path)?, room).ok()?;
    std::str::from_utf8(room.get(..length)?).ok()
}

/// Whether what has this path is on the mount with this number (proc_pid_mountinfo(5)): what is mounted over
/// a place hides what was there.
pub(super) fn is_on_mount(path: &CStr, mount: &str) -> bool {
    let number = || -> Option<bool> {
        let file = open_to_read(path)?;
        // `mnt_id` is there since Linux 3.15 (proc_pid_fdinfo(5)).
        let path = proc::Path::of(format_args!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
        let mut room = [0; 256];
        let info = read_into(path.c_str()?, &mut room)?;
        Some(info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim() == mount)
    };
    number().unwrap_or(false)
}

fn open_to_read(path: &CStr) -> Option<OwnedFd> {
    nix::fcntl::open(path, READ, Mode::empty()).ok()
}

/// Files that were read and are still open, for [`super::close_all_but_log`] to close along with
/// everything else, which takes no system call of their own. Whoever drops this closes them.
#[derive(Debug, Default)]
pub struct Opened([Option<OwnedFd>; 3]);

impl Opened {
    /// Where the next one goes; once all places are taken the last one's file makes room, and is closed.
    fn place(&mut self) -> &mut Option<OwnedFd> {
        let [first, second, last] = &mut self.0;
        [first, second].into_iter().find(|place| place.is_none()).unwrap_or(last)
    }

    /// Leaves all open but those with these numbers: they are closed.
    pub(super) fn leave_all_but(self, numbers: &RangeInclusive<RawFd>) {
        for file in self.0.into_iter().flatten().filter(|file| !numbers.contains(&file.as_raw_fd())) {
            let _ = file.into_raw_fd();
        }
    }

    /// Shows the lines of a file of /proc or /sys to `see` until it has seen what it was looking for,
    /// without an allocation. Lines that are no text, or longer than a page, are left out.
    // Not a part of its caller, whose stack would hold the page for longer.
    #[inline(never)]
    pub(super) fn find_line<T>(&mut self, path: &CStr, mut see: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let file = &*self.place().insert(open_to_read(path)?);
        let mut room = [0; 4096];
        let mut filled = 0;
        let mut is_too_long = false;
        loop {
            let count = nix::unistd::read(file, room.get_mut(filled..)?).ok().filter(|count| *count > 0)?;
            filled += count;
            let mut rest = room.get(..filled)?;
            while let Some(end) = line_end(rest) {
                let (line, after) = rest.split_at(end);
                rest = after.get(1..)?;
                let line = std::str::from_utf8(line).ok().filter(|_| !is_too_long);
                is_too_long = false;
                if let Some(found) = line.and_then(&mut see) {
                    return Some(found);
                }
            }
            let begun = rest.len();
            room.copy_within(filled - begun..filled, 0);
            is_too_long |= begun == room.len();
            filled = if is_too_long { 0 } else { begun };
        }
    }
}

/// Where the first line of these bytes ends.
fn line_end(bytes: &[u8]) -> Option<usize> {
    // SAFETY: memchr reads `bytes` and no more.
    let end = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(b'\n'), bytes.len()) };
    (!end.is_null()).then(|| end as usize - bytes.as_ptr() as usize)
}

/// The capabilities that the file demands to be executed with (capabilities(7), "File
/// capabilities"): only if it has the effective bit does the kernel refuse it for lack of one.
pub fn demanded_capabilities(path: &Path) -> Option<u64> {
    const EFFECTIVE: u32 = 1;
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // The longest version of `struct vfs_cap_data` (linux/capability.h), little-endian.
    let mut data = [0_u8; 24];
    // SAFETY: two C strings, and a buffer of this size.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), data.as_mut_ptr().cast(), data.len()) };
    let word = |index: usize| {
        let bytes = data.get(4 * index..4 * index + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let demands = length >= 12 && word(0)? & EFFECTIVE != 0;
    // Permitted, inheritable, then the upper halves of both.
    demands.then_some(u64::from(word(1)?) | u64::from(word(3)?) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Folder;

    #[test]
    fn lines_are_whole_wherever_a_read_ends_and_one_that_is_too_long_is_left_out() {
        let folder = Folder::new();
        let path = folder.path("lines");
        let short: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
        let long = "x".repeat(3 * 4096 - 20);
        std::fs::write(&path, format!("{}\n{long}line 7\nlast\n", short.join("\n"))).unwrap();
        let name = CString::new(path).unwrap();
        let mut seen = Vec::new();
        let found = Opened::default().find_line(&name, |line| {
            seen.push(line.to_owned());
            (line == "last").then_some(())
        });
        assert_eq!(found, Some(()));
        assert_eq!(seen.pop().as_deref(), Some("last"));
        assert_eq!(seen, short);
    }

    #[test]
    fn what_is_opened_is_closed_by_whoever_has_it() {
        let folder = Folder::new();
        let path = folder.path("opened");
        std::fs::write(&path, "line\n").unwrap();
        let name = CString::new(path.as_str()).unwrap();
        // Other tests open and close files in other threads: a number says nothing but with its file.
        let has =
            |number| std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|file| file == Path::new(&path));
        let open = || (0..1024).filter(|number| has(*number)).collect::<Vec<RawFd>>();
        let mut opened = Opened::default();
        for count in [1, 2, 3, 3, 3] {
            assert_eq!(opened.find_line(&name, |line| (line == "line").then_some(())), Some(()));
            assert_eq!(open().len(), count);
        }
        drop(opened);
        assert_eq!(open(), []);
        let mut opened = Opened::default();
        for _ in 0..3 {
            opened.find_line(&name, |_| None::<()>);
        }
        let [first, second, last] = open()[..] else { panic!("{:?}", open()) };
        opened.leave_all_but(&(second..=second));
        assert_eq!(open(), [first, last]);
        for number in [first, last] {
            nix::unistd::close(number).unwrap();
        }
    }
}
