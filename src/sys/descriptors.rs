//! Letting go of what would keep something of the command's alive.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::directory::each_number;
use super::file::Opened;

const STDERR: u32 = 2;

/// Closes every descriptor but stderr, those of `opened` among them.
///
/// A PID 1 that keeps the descriptors it was given keeps pipes and sockets from ever reaching
/// end of file: the reader of the command's stdout would wait for sexton.
pub fn close_all_but_stderr(opened: Opened) {
    // Where sexton was given no stderr one of them got its number.
    opened.leave_all_but(STDERR as i32);
    if close_range(0, STDERR - 1).is_ok() && close_range(STDERR + 1, u32::MAX).is_ok() {
        return;
    }
    // Before Linux 5.9, under gVisor or a seccomp profile. Asking /proc beats trying all of what
    // may be a billion numbers, but /proc may be missing.
    let highest = highest_in_proc()
        .unwrap_or_else(|| getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft.min(65536)) as i32);
    for descriptor in (0..=highest).filter(|number| *number != STDERR as i32) {
        // SAFETY: sexton itself needs no descriptor any more.
        unsafe { libc::close(descriptor) };
    }
}

/// close_range(2), since Linux 5.9.
fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: takes integers; sexton itself needs no descriptor any more.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

fn highest_in_proc() -> Option<i32> {
    let mut highest = None;
    each_number(c"/proc/self/fd", |number| highest = highest.max(Some(number))).ok()?;
    highest
}

/// Goes to `/`, so that sexton does not pin the mount it was started in.
pub fn leave_working_directory() {
    // It can fail only where `/` cannot be searched, and then there is no better place.
    let _ = nix::unistd::chdir("/");
}
