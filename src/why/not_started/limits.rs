//! What there is too much of: processes, arguments.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::path::Shown;
use crate::sys::{
    Args, Cgroup, Environment, each_name, effective_uid, own_status, process_limit, read_text, size_of_kernels_pointer,
    stack_limit,
};

/// Why clone(2) answers EAGAIN.
pub fn too_many_processes() -> String {
    if let Some(sentence) = cgroup_limit() {
        return sentence;
    }
    let uid = effective_uid();
    let limit = process_limit().filter(|_| !is_exempt(uid));
    let visible = threads_of(uid);
    if let Some(limit) = limit.filter(|limit| visible >= *limit) {
        return format!(
            "uid {uid} has all the processes that it may have (RLIMIT_NPROC {limit}, {visible} in sight): raise the \
             limit (ulimit -u, --ulimit nproc=N)"
        );
    }
    let mut sentence = String::from("none of the limits on processes that can be seen from here is reached: it may be");
    if let Some(limit) = limit {
        // Counted for the uid on the whole machine: other containers' processes with it, too.
        sentence += &format!(" RLIMIT_NPROC ({limit} for uid {uid}, with {visible} in sight),");
    }
    sentence += " the pids.max of a cgroup around this container";
    for name in ["threads-max", "pid_max"] {
        if let Some(value) = read_text(Path::new("/proc/sys/kernel").join(name)) {
            sentence += &format!(", kernel.{name} ({})", value.trim());
        }
    }
    sentence
}

/// The cgroup, our own or one above it, that has as many processes as it may have.
fn cgroup_limit() -> Option<String> {
    Cgroup::of_us("pids")?.directories().find_map(|cgroup| {
        // `max` where there is no limit.
        let number = |file| read_text(cgroup.join(file))?.trim().parse::<u64>().ok();
        let (current, max) = (number("pids.current")?, number("pids.max")?);
        (current >= max).then(|| {
            format!(
                "its cgroup has all the processes that it may have (pids.current {current}, pids.max {max} in {}): raise \
                 the limit (--pids-limit)",
                Shown(cgroup)
            )
        })
    })
}

/// Whether RLIMIT_NPROC does not count for us (setrlimit(2)): root and who has CAP_SYS_ADMIN or
/// CAP_SYS_RESOURCE, all of them only outside user namespaces.
fn is_exempt(uid: u32) -> bool {
    const CAP_SYS_ADMIN_OR_RESOURCE: u64 = 1 << 21 | 1 << 24;
    let map = read_text("/proc/self/uid_map").unwrap_or_default();
    let is_initial_namespace = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let privileged = || own_status("CapEff").is_some_and(|set| set & CAP_SYS_ADMIN_OR_RESOURCE != 0);
    is_initial_namespace && (uid == 0 || privileged())
}

/// How many threads of this uid can be seen; the limit counts threads.
fn threads_of(uid: u32) -> u64 {
    let mut threads = 0;
    let _ = each_name(c"/proc", |name| {
        if let Ok(pid) = std::str::from_utf8(name).unwrap_or_default().parse::<u32>()
            && let Ok(tasks) = fs::metadata(format!("/proc/{pid}/task"))
            && tasks.uid() == uid
        {
            // A directory has one link more for each directory in it.
            threads += tasks.nlink().saturating_sub(2);
        }
        true
    });
    threads
}

/// Why execve(2) answers E2BIG ("Limits on size of arguments and environment").
///
/// There is a limit for each single string as well, 32 pages; but what is beyond that did not
/// even get as far as sexton.
pub fn too_long(args: Args, environment: Environment) -> String {
    let [args, environment] = [size(args.iter()), size(environment.iter())];
    let (limit, origin) = match stack_limit().map(|limit| limit / 4) {
        Some(quarter @ SMALLEST..LARGEST) => (quarter, ": a quarter of the stack's limit (ulimit -s)"),
        Some(0..SMALLEST) => (SMALLEST, ": raise the stack's limit (ulimit -s)"),
        _ => (LARGEST, ""),
    };
    format!(
        "its arguments ({args} bytes) and environment ({environment} bytes) are too much: the kernel takes \
         {limit} bytes{origin}"
    )
}

/// `ARG_MAX` and three quarters of `_STK_LIM`: between them the limit is kept (bprm_stack_limits
/// in fs/exec.c).
const SMALLEST: u64 = 128 * 1024;
const LARGEST: u64 = 6 * 1024 * 1024;

/// As the kernel counts: with the NUL and with the pointer.
fn size<'a>(strings: impl Iterator<Item = &'a std::ffi::CStr>) -> usize {
    let pointer = size_of_kernels_pointer();
    strings.map(|string| string.count_bytes() + 1 + pointer).sum()
}
