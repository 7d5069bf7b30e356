//! What a limit on the processor did to a cgroup (cgroups(7), `cpu.stat`).

use std::path::Path;
use std::time::Duration;

use super::cgroup::{Cgroup, Version, read, read_number, value};

/// What the kernel counted since the cgroup was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// How long processes had to wait, though they could have run.
    ///
    /// The kernel adds up the times of all processors, which is more than anybody waited. So this is no more
    /// than all of the periods in which somebody did.
    pub time: Duration,
    /// In so many periods somebody had to.
    pub periods: u64,
    /// How long somebody ran, or had to wait: whole periods.
    pub busy: Duration,
    /// The limit in thousandths of a processor, if it is still there.
    pub limit: Option<u64>,
}

/// Of our own cgroup, or the nearest one above it that has a limit; none where there is no limit to be seen.
#[cold]
#[inline(never)]
pub fn throttling() -> Option<Throttling> {
    let cgroup = Cgroup::of_us("cpu")?;
    cgroup.directories().find_map(|directory| {
        let counts = counts_in(read(directory, "cpu.stat", &mut [0; 1024])?)?;
        let bandwidth = Bandwidth::of(directory, cgroup.version());
        let all_of = |periods: u64| Duration::from_micros(bandwidth.period.saturating_mul(periods));
        Some(Throttling {
            time: counts.time.min(all_of(counts.throttled)),
            periods: counts.throttled,
            busy: all_of(counts.periods),
            limit: bandwidth.limit(),
        })
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    periods: u64,
    throttled: u64,
    time: Duration,
}

/// Without a limit there are no periods.
fn counts_in(text: &str) -> Option<Counts> {
    let periods = value(text, "nr_periods").filter(|periods| *periods > 0)?;
    // Version 2 counts microseconds, version 1 nanoseconds.
    let time = value(text, "throttled_usec").map(Duration::from_micros);
    let time = time.or_else(|| value(text, "throttled_time").map(Duration::from_nanos))?;
    Some(Counts { periods, throttled: value(text, "nr_throttled")?, time })
}

/// How much of the processor a cgroup may use, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bandwidth {
    quota: Option<u64>,
    period: u64,
}

impl Bandwidth {
    pub(super) fn of(directory: &Path, version: Version) -> Bandwidth {
        /// What it is unless somebody says something else.
        const PERIOD: u64 = 100_000;
        let (quota, period) = match version {
            // -1 is no quota.
            Version::One => (read_number(directory, "cpu.cfs_quota_us"), read_number(directory, "cpu.cfs_period_us")),
            // `max` is none.
            Version::Two => {
                let mut room = [0; 64];
                let text = read(directory, "cpu.max", &mut room).unwrap_or_default();
                let mut numbers = text.split_ascii_whitespace().map(|word| word.parse().ok());
                (numbers.next().flatten(), numbers.next().flatten())
            }
        };
        Bandwidth { quota, period: period.unwrap_or(PERIOD) }
    }

    /// Thousandths of a processor, if there is a limit.
    pub(super) fn limit(self) -> Option<u64> {
        self.quota?.checked_mul(1000)?.checked_div(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_both_versions_are_read_and_none_where_there_is_no_limit() {
        let second =
            "usage_usec 900\nuser_usec 800\nsystem_usec 100\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1500\n";
        let first = "nr_periods 7\nnr_throttled 3\nthrottled_time 1500000\n";
        let counts = Some(Counts { periods: 7, throttled: 3, time: Duration::from_micros(1500) });
        assert_eq!(counts_in(second), counts);
        assert_eq!(counts_in(first), counts);
        assert_eq!(counts_in(&first.replace("nr_periods 7", "nr_periods 0")), None);
        assert_eq!(counts_in("usage_usec 900\nuser_usec 800\nsystem_usec 100\n"), None);
        assert_eq!(counts_in("nr_periods 7\nnr_throttled x\nthrottled_usec 1\n"), None);
    }
}
