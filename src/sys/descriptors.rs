//! Letting go of what would keep something of the command's alive.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::directory::each_number;
use super::file::Opened;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Closes every descriptor but those of the log, those of `opened` among them. The log is stderr, and
/// as PID 1 stdout as well.
///
/// A sexton that keeps the descriptors it was given keeps pipes and sockets from ever reaching end of
/// file: the reader of a job's output would wait for sexton. PID 1's stdout is another matter: the
/// container's end is its end, and until then other processes of the container write their log to
/// `/proc/1/fd/1` (jobs of cron, `ln -s /proc/1/fd/1 /var/log/app.log`).
pub fn close_all_but_log(opened: Opened, is_init: bool) {
    let first_kept = if is_init { STDOUT } else { STDERR };
    let kept = first_kept as i32..=STDERR as i32;
    // Where sexton was given none of these one of its own files got the number.
    opened.leave_all_but(&kept);
    if close_range(0, first_kept - 1).is_ok() && close_range(STDERR + 1, u32::MAX).is_ok() {
        return;
    }
    // Before Linux 5.9, under gVisor or a seccomp profile. Asking /proc beats trying all of what
    // may be a billion numbers, but /proc may be missing.
    let highest = highest_in_proc()
        .unwrap_or_else(|| getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft.min(65536)) as i32);
    for descriptor in (0..=highest).filter(|number| !kept.contains(number)) {
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
    let seen = each_number(c"/proc/self/fd", |number| {
        highest = highest.max(Some(number));
        true
    });
    seen.ok()?;
    highest
}

/// Goes to `/`, so that sexton does not pin the mount it was started in.
pub fn leave_working_directory() {
    // It can fail only where `/` cannot be searched, and then there is no better place.
    let _ = nix::unistd::chdir("/");
}
