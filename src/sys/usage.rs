//! What a process used: the processor and memory (getrusage(2), proc_pid_stat(5)).

use std::ffi::c_long;
use std::time::Duration;

use super::file::read_into;
use super::proc;

/// What a process had used, and those of its descendants that were waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in its own code.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The most memory that one of these processes had in RAM, in bytes; of a living one its own.
    pub max_rss: u64,
    /// How often one of them had to leave the processor to others, as it has to when its cgroup may not use more.
    pub preemptions: u64,
}

/// `struct rusage` as the kernel hands it over with a dead child (include/uapi/linux/resource.h).
///
/// Not libc's: with 32 bits musl has times of 64 in it, and the libc crate has not.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Rusage {
    /// Seconds and microseconds.
    user: [c_long; 2],
    system: [c_long; 2],
    /// In KiB.
    max_rss: c_long,
    rest: [c_long; 12],
    preemptions: c_long,
}

/// What the kernel counts is not below zero, and has 32 bits on machines for 32.
fn count(number: impl Into<i64>) -> u64 {
    number.into().unsigned_abs()
}

impl Usage {
    /// As the kernel hands it over with a dead child.
    pub(super) fn of_dead(usage: &Rusage) -> Usage {
        let time = |[seconds, microseconds]: [c_long; 2]| {
            Duration::from_secs(count(seconds)).saturating_add(Duration::from_micros(count(microseconds)))
        };
        Usage {
            user: time(usage.user),
            system: time(usage.system),
            max_rss: count(usage.max_rss).saturating_mul(1024),
            preemptions: count(usage.preemptions),
        }
    }

    /// Of a process that is there; none without a usable `/proc`.
    #[cold]
    #[inline(never)]
    pub fn of_living(pid: i32) -> Option<Usage> {
        if !proc::shows_our_namespace() {
            return None;
        }
        let mut room = [0; 4096];
        let mut read = |name: &str, of: fn(&str) -> Option<[u64; 4]>| {
            of(read_into(proc::Path::of(format_args!("/proc/{pid}/{name}"))?.c_str()?, &mut room)?)
        };
        let [user, system, of_children_user, of_children_system] = read("stat", ticks)?;
        let [max_rss, preemptions, ..] = read("status", peaks)?;
        // Hundredths of a second.
        let time = |own: u64, children: u64| Duration::from_millis(own.saturating_add(children).saturating_mul(10));
        Some(Usage {
            user: time(user, of_children_user),
            system: time(system, of_children_system),
            max_rss: max_rss.saturating_mul(1024),
            preemptions,
        })
    }
}

/// Fields 14 to 17 of `/proc/PID/stat`, of which the third is behind the name.
fn ticks(stat: &str) -> Option<[u64; 4]> {
    let name_end = stat.bytes().rposition(|byte| byte == b')')?;
    let mut fields = stat.get(name_end + 1..)?.split_ascii_whitespace().skip(11).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??, fields.next()??])
}

/// `VmHWM` in KiB, which a process without memory of its own has not, and the context switches that it did not want.
fn peaks(status: &str) -> Option<[u64; 4]> {
    let value = |key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Some([value("VmHWM:").unwrap_or_default(), value("nonvoluntary_ctxt_switches:")?, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_use_ourselves_grows() {
        let used = || Usage::of_living(super::super::own_pid()).unwrap();
        let before = used();
        assert!(before.max_rss > 1 << 20, "{before:?}");
        while used().user + used().system == before.user + before.system {}
        assert_eq!(Usage::of_living(i32::MAX), None);
    }

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 10 11 12 13 21 22 23 24 20 0 1 0 99";
        assert_eq!(ticks(stat), Some([21, 22, 23, 24]));
        assert_eq!(ticks("7 (a) S 1"), None);
        let status = "Name:\tVmHWM: 3\nVmPeak:\t 9 kB\nVmHWM:\t  120 kB\nnonvoluntary_ctxt_switches:\t17\n";
        assert_eq!(peaks(status), Some([120, 17, 0, 0]));
    }
}
