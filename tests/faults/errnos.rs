//! What each system call can fail with, as sexton calls it: from the "ERRORS" of its page in section
//! 2 of the manual, without what only wrong arguments bring about (EFAULT).

use nix::errno::Errno::{self, *};

use crate::harness::sexton_binary;

/// What a seccomp profile may answer in the place of any call, on top of its own.
const SECCOMP: [Errno; 3] = [EPERM, ENOSYS, EINTR];

/// Whether what `make dist` built is tested: another libc, which makes other calls.
pub fn is_release_file() -> bool {
    sexton_binary().parent().is_some_and(|folder| folder.ends_with("dist"))
}

/// Whether the sexton under test is the one that cargo builds for the tests. In a debug build the standard
/// library asks of each descriptor, before it closes it, whether it is open, and aborts at EBADF.
pub fn is_debug_build() -> bool {
    cfg!(debug_assertions) && std::env::var_os("TEST_BINARY").is_none()
}

const PATH: [Errno; 7] = [EACCES, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR];

/// Each errno that this call may fail with, once.
pub fn of(call: &str) -> Vec<Errno> {
    let system_call = call.split(' ').nth(1).unwrap_or_default();
    let own: &[Errno] = match system_call {
        // They do not return.
        "exit" | "exit_group" => return Vec::new(),
        // brk(2) itself has no errno: the kernel returns the old end. What a seccomp profile would
        // answer libc takes for an end of the data, and no program with a libc survives it.
        // malloc's own; what it makes of a refusal at its start fails an assertion later (glibc 2.36).
        "brk" if call.ends_with("page") => return Vec::new(),
        "brk" if call.ends_with("NULL") => return Vec::new(),
        "brk" => return vec![ENOMEM],
        // musl has no way to say anything before it, and crashes.
        "arch_prctl" if is_release_file() => return Vec::new(),
        "arch_prctl" => &[EINVAL, ENODEV],
        "capget" => &[EINVAL, ESRCH],
        "chdir" => return joined(&PATH, &[]),
        "clone" | "vfork" | "fork" | "clone3" => &[EAGAIN, EINVAL, ENOMEM, ENOSPC, EUSERS],
        // Of another process, and with musl at the start; otherwise our own clocks are no system calls.
        "clock_gettime" => &[EINVAL],
        "close" => &[EBADF, EIO, ENOSPC, EDQUOT],
        "close_range" => &[EINVAL, EMFILE, ENOMEM],
        "dup2" | "dup3" => &[EBADF, EBUSY, EMFILE],
        "execve" => {
            return joined(&PATH, &[E2BIG, EAGAIN, EINVAL, EISDIR, ELIBBAD, EMFILE, ENFILE, ENOEXEC, ETXTBSY]);
        }
        "access" | "faccessat" | "faccessat2" => return joined(&PATH, &[EINVAL, EROFS, ETXTBSY]),
        "fcntl" if is_debug_build() => &[EACCES, EAGAIN, EBUSY, EINVAL, EMFILE],
        "fcntl" => &[EACCES, EAGAIN, EBADF, EBUSY, EINVAL, EMFILE],
        "fstat" | "newfstatat" | "stat" | "lstat" | "statx" => return joined(&PATH, &[EBADF, EINVAL, EOVERFLOW]),
        "getcwd" => return joined(&PATH, &[EINVAL, ERANGE]),
        "getdents64" => &[EBADF, EINVAL, ENOENT, ENOTDIR],
        // "Always successful": libc does not look for an error, and neither does anybody who calls it.
        "getegid" | "geteuid" | "getgid" | "getpgrp" | "getpid" | "getppid" | "gettid" | "getuid" => return Vec::new(),
        "getpgid" | "getsid" if call.ends_with("its own") => return Vec::new(),
        "getpgid" | "getsid" => &[ESRCH],
        "getrandom" => &[EAGAIN, EINVAL],
        "getxattr" => return joined(&PATH, &[ENODATA, EOPNOTSUPP, ERANGE]),
        // The others are no faults, but say that stdin is another session's terminal, or none.
        "ioctl" if call.contains("TIOCSCTTY") || call.contains("TIOCNOTTY") => return vec![EINVAL, EIO, ENOSYS, EINTR],
        "ioctl" => &[EBADF, EINVAL, EIO, ENOTTY, ESRCH],
        "kill" | "tgkill" => &[EAGAIN, EINVAL, ESRCH],
        "lseek" => &[EBADF, EINVAL, ENXIO, EOVERFLOW, ESPIPE],
        "madvise" => &[EAGAIN, EINVAL, ENOMEM],
        "mmap" | "mremap" => &[EACCES, EAGAIN, EINVAL, ENOMEM],
        "mprotect" => &[EACCES, EINVAL, ENOMEM],
        "munmap" => &[EINVAL, ENOMEM],
        "open" | "openat" => {
            let mut errnos = joined(
                &PATH,
                &[
                    EAGAIN, EBUSY, EDQUOT, EEXIST, EINVAL, EISDIR, EMFILE, ENFILE, ENODEV, ENOSPC, ENXIO, EOVERFLOW,
                    EROFS, ETXTBSY,
                ],
            );
            // No fault: there is no controlling terminal (tty(4)).
            errnos.retain(|errno| *errno != ENXIO || !call.ends_with("/dev/tty"));
            return errnos;
        }
        "pidfd_open" => &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ESRCH],
        "pidfd_send_signal" => &[EBADF, EINVAL, ESRCH],
        "poll" | "ppoll" => &[EINVAL, ENOMEM],
        "prctl" => &[EACCES, EINVAL],
        "prlimit64" => &[EINVAL, ESRCH],
        "pread64" | "read" => &[EAGAIN, EBADF, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE],
        "pwritev2" | "write" | "writev" => {
            &[EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFBIG, EINVAL, EIO, ENOSPC, EOPNOTSUPP, EPIPE]
        }
        "readlink" | "readlinkat" => return joined(&PATH, &[EINVAL]),
        "rseq" => &[EBUSY, EINVAL],
        "rt_sigaction" | "rt_sigpending" | "rt_sigprocmask" => &[EINVAL],
        "rt_sigqueueinfo" => &[EAGAIN, EINVAL, ESRCH],
        "rt_sigtimedwait" => &[EAGAIN, EINVAL],
        "sched_yield" => &[],
        "set_robust_list" => &[EINVAL],
        "set_tid_address" => &[],
        "setpgid" => &[EACCES, EINVAL, ESRCH],
        "setsid" => &[],
        "sigaltstack" => &[EINVAL, ENOMEM],
        "statfs" | "fstatfs" => return joined(&PATH, &[EBADF, EOVERFLOW]),
        "unlink" | "unlinkat" => return joined(&PATH, &[EBUSY, EINVAL, EISDIR, EROFS]),
        // Not ECHILD: that there is no child is no fault, and the kernel does not say so while there is one.
        "wait4" | "waitid" => &[EAGAIN, EINVAL, ESRCH],
        other => panic!("sexton calls {other}: what can it fail with? See its page in section 2 of the manual"),
    };
    joined(own, &[])
}

fn joined(some: &[Errno], more: &[Errno]) -> Vec<Errno> {
    let mut all = [some, more, &SECCOMP].concat();
    all.sort_by_key(|errno| *errno as i32);
    all.dedup();
    all
}
