//! The processor time of a process, and the limit on it (RLIMIT_CPU, setrlimit(2)).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::file::read_into;
use super::proc;
use crate::signal::Signal;

/// A limit that a process reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuLimit {
    /// What it had used, its threads together and without its children.
    pub used: Duration,
    /// What it might use.
    pub limit: Duration,
}

/// The limit on its processor time for which the kernel sent this signal to a process that died of it and is not
/// reaped.
#[cold]
pub fn reached_cpu_limit(pid: i32, signal: Signal) -> Option<CpuLimit> {
    if signal != Signal::KILL && signal != Signal::XCPU || !proc::shows_our_namespace() {
        return None;
    }
    let used = time_by_which_the_limit_is_checked(pid)?;
    // Who may not ask prlimit(2) may read this: a command that changed its user is a stranger's.
    let path = proc::Path::of(format_args!("/proc/{pid}/limits"))?;
    let mut room = [0; 2048];
    limit_in(read_into(path.c_str()?, &mut room)?, signal)
        .filter(|limit| is_reached(used, *limit, signal))
        .map(|limit| CpuLimit { used, limit })
}

/// What the kernel compares with the limit: ticks, which differ by some hundredths from what it tells elsewhere,
/// where it goes by its exact count. Works for dead processes too.
fn time_by_which_the_limit_is_checked(pid: i32) -> Option<Duration> {
    /// The clock of a process by ticks (`CPUCLOCK_PROF`, include/linux/posix-timers_types.h); that of
    /// clock_getcpuclockid(3) is 2.
    const PROF: libc::clockid_t = 0;
    clock_gettime(ClockId::from_raw((!pid << 3) | PROF)).ok().map(Duration::from)
}

/// `Max cpu time   SOFT   HARD   seconds` of /proc/PID/limits: at the soft limit comes SIGXCPU, at the hard one
/// SIGKILL.
fn limit_in(limits: &str, signal: Signal) -> Option<Duration> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max cpu time"))?;
    let mut seconds = line.split_ascii_whitespace().map(|word| word.parse().ok().map(Duration::from_secs));
    let (soft, hard) = (seconds.next()?, seconds.next()?);
    // With the signal the kernel raises the limit, to send the next one a second later.
    if signal == Signal::KILL { hard } else { soft?.checked_sub(Duration::from_secs(1)) }
}

/// Who dies of SIGXCPU dies at once, but for the time that a core file takes.
fn is_reached(used: Duration, limit: Duration, signal: Signal) -> bool {
    const AT_ONCE: Duration = Duration::from_millis(200);
    used >= limit && (signal == Signal::KILL || used.saturating_sub(limit) < AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_signal_is_read_from_its_column() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max cpu time              3                    7                    seconds   \n\
                      Max file size             unlimited            unlimited            bytes     \n";
        assert_eq!(limit_in(limits, Signal::KILL), Some(Duration::from_secs(7)));
        assert_eq!(limit_in(limits, Signal::XCPU), Some(Duration::from_secs(2)));
        let unlimited = limits.replace(['3', '7'], "unlimited");
        for signal in [Signal::KILL, Signal::XCPU] {
            assert_eq!(limit_in(&unlimited, signal), None);
            assert_eq!(limit_in("", signal), None);
            assert_eq!(limit_in("Max cpu time  0", signal), None);
        }
    }

    #[test]
    fn a_limit_is_reached_when_all_of_it_is_used_and_by_sigxcpu_no_more() {
        let reached = |used, signal| is_reached(Duration::from_millis(used), Duration::from_secs(1), signal);
        for signal in [Signal::KILL, Signal::XCPU] {
            assert!(!reached(999, signal) && reached(1000, signal) && reached(1199, signal));
        }
        assert!(reached(1200, Signal::KILL) && !reached(1200, Signal::XCPU));
    }

    #[test]
    fn the_time_of_a_process_grows() {
        let used = || time_by_which_the_limit_is_checked(super::super::own_pid()).unwrap();
        let before = used();
        while used() == before {}
        // No process has it (PID_MAX_LIMIT), and shifted it is no other clock.
        assert_eq!(time_by_which_the_limit_is_checked(1 << 22), None);
    }
}
