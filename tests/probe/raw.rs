//! System calls with all 64 signals, which libc's own functions do not offer.

use std::mem::MaybeUninit;
use std::time::Duration;

pub fn set_mask(mask: u64) -> u64 {
    let mut old = 0_u64;
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &mask, &mut old, 8) };
    old
}

pub fn mask() -> u64 {
    let mut old = 0_u64;
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, std::ptr::null::<u64>(), &mut old, 8) };
    old
}

pub fn pending() -> u64 {
    let mut set = 0_u64;
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &mut set, 8) };
    set
}

/// The kernel's `struct sigaction`: enough of it for SIG_DFL and SIG_IGN.
#[repr(C)]
struct Action {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: [u32; 2],
}

pub fn is_ignored(signal: i32) -> bool {
    let mut old = Action { handler: 0, flags: 0, restorer: 0, mask: [0; 2] };
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, std::ptr::null::<Action>(), &mut old, 8) };
    old.handler == libc::SIG_IGN
}

pub fn set_ignored(signal: i32, ignored: bool) {
    let handler = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    let new = Action { handler, flags: 0, restorer: 0, mask: [0; 2] };
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &new, std::ptr::null::<Action>(), 8) };
}

/// `si_signo`, `si_code`, `si_pid`, `si_uid`, `si_value`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Info {
    pub signal: i32,
    errno: i32,
    pub code: i32,
    #[cfg(target_pointer_width = "64")]
    padding: i32,
    pub pid: i32,
    pub uid: u32,
    pub value: usize,
    /// As much as the kernel writes, or more.
    rest: [u32; 26],
}

pub fn wait_for_signal() -> Info {
    loop {
        if let Some(info) = wait(std::ptr::null()) {
            return info;
        }
    }
}

/// `None` if none comes within this time.
pub fn wait_for_signal_within(patience: Duration) -> Option<Info> {
    let patience = libc::timespec { tv_sec: patience.as_secs() as libc::time_t, tv_nsec: 0 };
    wait(&patience)
}

fn wait(timeout: *const libc::timespec) -> Option<Info> {
    let mut info = MaybeUninit::<Info>::zeroed();
    let all = u64::MAX;
    let got = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &all, info.as_mut_ptr(), timeout, 8) };
    (got > 0).then(|| unsafe { info.assume_init() })
}
