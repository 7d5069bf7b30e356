//! sexton itself as a process.

use std::ffi::{CStr, OsStr};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

static PID: AtomicI32 = AtomicI32::new(0);

/// Our pid in our own PID namespace: asked for once, since each signal that comes is compared with
/// it. What becomes the command shares our memory, and so this, until exec.
pub fn own_pid() -> i32 {
    match PID.load(Ordering::Relaxed) {
        0 => ask_own_pid(),
        pid => pid,
    }
}

/// Asks the kernel for [`own_pid`], without a look at it before: a page that is read and then written
/// costs two page faults.
pub(super) fn ask_own_pid() -> i32 {
    // musl knows the id of its first thread, which is the process's, and asks the kernel for getpid(2) alone.
    // SAFETY: takes nothing.
    let pid = if cfg!(target_env = "musl") { unsafe { libc::gettid() } } else { nix::unistd::getpid().as_raw() };
    PID.store(pid, Ordering::Relaxed);
    pid
}

/// How large a pointer of the kernel is, in bytes: one for 64 bits runs programs for 32 (uname(2)).
pub fn size_of_kernels_pointer() -> usize {
    if cfg!(target_pointer_width = "64") {
        return size_of::<usize>();
    }
    // armv8l is how one for 64 bits calls itself to a program for 32 (personality(2)).
    let is_64 = |machine: &OsStr| machine.to_str().is_some_and(|name| name.contains("64") || name == "armv8l");
    if nix::sys::utsname::uname().is_ok_and(|name| is_64(name.machine())) { 8 } else { size_of::<usize>() }
}

/// `CLOCK_MONOTONIC`: time since some moment in the past, which no one can set.
///
/// It cannot fail for this clock (clock_gettime(2)).
pub fn monotonic_now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// The same for who asks once or twice in a life, at its start and its end: without the kernel's shared object (vdso(7)),
/// for whose pages a process pays as long as it lives. glibc has looked at them by then anyway.
pub fn monotonic_now_once() -> Duration {
    // With 32 bits musl knows best which of two system calls there is.
    if cfg!(not(all(target_env = "musl", target_pointer_width = "64"))) {
        return monotonic_now();
    }
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec, which the kernel writes.
    let told = unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now) };
    // A seccomp profile refuses the system call, not the shared object.
    if told == 0 { Duration::from(TimeSpec::from(now)) } else { monotonic_now() }
}

/// `CLOCK_REALTIME`: time since 1970, as somebody has set the clock; zero if that is not told.
pub fn unix_time() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
}

/// Gives us another name, for everybody to see in `/proc/PID/comm`: 15 bytes of it (`PR_SET_NAME`, prctl(2)).
///
/// # Errors
///
/// Only a seccomp profile refuses it.
pub fn set_own_name(name: &CStr) -> Result<(), Errno> {
    nix::sys::prctl::set_name(name)
}

/// Has the orphans among our descendants re-parented to us, as they are to PID 1.
///
/// # Errors
///
/// An old kernel (before 3.4), a seccomp profile or gVisor may refuse
/// (`PR_SET_CHILD_SUBREAPER`, prctl(2)).
pub fn become_subreaper() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// A set from /proc/self/status that is written in hexadecimal digits, like `CapEff`.
pub fn own_status(field: &str) -> Option<u64> {
    let text = super::file::read_text("/proc/self/status")?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// How many processes our uid may have (RLIMIT_NPROC), if there is a limit.
pub fn process_limit() -> Option<u64> {
    limit(Resource::RLIMIT_NPROC)
}

/// The limit on the stack (RLIMIT_STACK), if there is one, in bytes.
pub fn stack_limit() -> Option<u64> {
    limit(Resource::RLIMIT_STACK)
}

fn limit(resource: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then(|| wide(soft))
}

/// With 32 bits glibc has limits of 32 bits.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}
