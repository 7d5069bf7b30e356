//! What the run of the command cost, and whether it got what it needed: processor, memory, and what the limits of
//! its cgroup did to it.

use std::fmt;
use std::time::Duration;

use super::amounts::{About, Bytes, Rounded, Seconds, Thousandths, milliseconds};
use super::evidence::Evidence;
use crate::report::Facts;
use crate::sys::{Ceiling, Throttling, Usage, throttling};

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Of the command and of those of its descendants that were waited for.
    usage: Option<Usage>,
    /// Of the cgroup.
    pub ceiling: Ceiling,
    throttling: Option<Throttling>,
}

impl Cost {
    /// Of a command that is dead, or about to be. It reads files: only for what is told.
    #[cold]
    #[inline(never)]
    pub fn of(usage: Option<Usage>, evidence: &Evidence) -> Cost {
        let throttling = throttling().filter(|seen| is_of_run(seen, evidence.ran()));
        Cost { usage, ceiling: evidence.ceiling(), throttling }
    }

    /// Of a command that exited with an error, if it was held back. Who never had to leave the processor to others
    /// was not, nor was it for long who ended within the first period, and nothing is read.
    pub fn of_held_back(usage: Option<Usage>, evidence: &Evidence) -> Option<Cost> {
        /// A limit on the processor is dealt out anew in each period. This is how long one is unless somebody says
        /// something else (`cpu.max`, cgroups(7)).
        const PERIOD: Duration = Duration::from_millis(100);
        let may_be = usage.is_some_and(|usage| usage.preemptions > 0) && evidence.ran() >= PERIOD;
        let cost = Cost { throttling: may_be.then(throttling).flatten(), ..Cost::default() };
        cost.held_back(evidence.ran()).map(|_| Cost::of(usage, evidence))
    }

    /// For a test of a sentence.
    #[cfg(test)]
    pub fn imagined(ceiling: Ceiling) -> Cost {
        Cost { ceiling, ..Cost::default() }
    }

    /// Adds what is known.
    pub fn facts(self, facts: Facts<'_>) -> Facts<'_> {
        let Cost { usage, ceiling, throttling } = self;
        facts
            .and_if("user_ms", usage.map(|usage| milliseconds(usage.user)))
            .and_if("system_ms", usage.map(|usage| milliseconds(usage.system)))
            .and_if("max_rss_bytes", usage.map(|usage| usage.max_rss))
            .and_if("memory_limit_bytes", ceiling.limit)
            .and_if("memory_peak_bytes", ceiling.peak)
            .and_if("throttled_ms", throttling.map(|seen| milliseconds(seen.time)))
            .and_if("throttled_periods", throttling.map(|seen| seen.periods))
    }

    /// The limit on the processor, if it held the cgroup back for more than a quarter of this time.
    pub fn held_back(&self, ran: Duration) -> Option<HeldBack> {
        self.throttling.filter(|seen| seen.time > ran / 4).map(HeldBack)
    }
}

/// The kernel counts since the cgroup was made. Was that long before the command was started, then it is not the
/// command whom the numbers are about; a container that is slow to start was busy for a while before.
fn is_of_run(seen: &Throttling, ran: Duration) -> bool {
    const BEFORE: Duration = Duration::from_secs(2);
    seen.busy.saturating_sub(ran) <= ran.max(BEFORE)
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(usage) = self.usage {
            write!(f, "; {} of CPU", Seconds(usage.user.saturating_add(usage.system)))?;
        }
        let throttled = self.throttling.filter(|seen| seen.periods > 0);
        if throttled.is_none() && self.ceiling.peak.is_none() {
            return match self.usage {
                Some(usage) => write!(f, ", {} of memory at most", About(usage.max_rss)),
                None => Ok(()),
            };
        }
        f.write_str("; this cgroup: ")?;
        if let Some(seen) = throttled {
            write!(f, "throttled for {}", Seconds(seen.time))?;
        }
        if let Some(peak) = self.ceiling.peak {
            f.write_str(if throttled.is_some() { ", " } else { "" })?;
            write!(f, "memory peak {}", Peak { peak, limit: self.ceiling.limit })?;
        }
        Ok(())
    }
}

/// `61 of 64 MiB`, `614 MiB of 1 GiB`, `61 MiB`.
struct Peak {
    peak: u64,
    limit: Option<u64>,
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(limit) = self.limit else { return About(self.peak).fmt(f) };
        let limit = Bytes(limit);
        match About(self.peak).in_unit_of(limit) {
            Some(number) => write!(f, "{number} of {limit}"),
            None => write!(f, "{} of {limit}", About(self.peak)),
        }
    }
}

/// A limit on the processor held the cgroup back.
#[derive(Clone, Copy, Debug)]
pub struct HeldBack(Throttling);

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its CPU limit ")?;
        if let Some(limit) = self.0.limit {
            write!(f, "({} CPU) ", Thousandths(limit))?;
        }
        write!(f, "held this cgroup back for {}", Rounded(self.0.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        user: Duration::from_millis(12_000),
        system: Duration::from_millis(340),
        max_rss: 40 << 20,
        preemptions: 3,
    };

    fn throttled(time: u64, periods: u64) -> Throttling {
        let time = Duration::from_millis(time);
        Throttling { time, periods, busy: Duration::from_secs(9), limit: Some(500) }
    }

    #[test]
    fn a_run_is_told_in_one_line_with_what_is_known_of_it() {
        let ceiling = |limit, peak| Ceiling { limit, peak: Some(peak) };
        let throttling = Some(throttled(3_140, 31));
        for (cost, told) in [
            (Cost::default(), ""),
            (Cost { usage: Some(USAGE), ..Cost::default() }, "; 12.3s of CPU, 40 MiB of memory at most"),
            (
                Cost { usage: Some(USAGE), ceiling: ceiling(Some(64 << 20), 61 << 20), throttling },
                "; 12.3s of CPU; this cgroup: throttled for 3.1s, memory peak 61 of 64 MiB",
            ),
            (
                Cost { usage: None, ceiling: ceiling(Some(1 << 30), 614 << 20), throttling: None },
                "; this cgroup: memory peak 614 MiB of 1 GiB",
            ),
            (
                Cost { usage: Some(USAGE), ceiling: ceiling(None, 7 << 20), throttling: Some(throttled(0, 0)) },
                "; 12.3s of CPU; this cgroup: memory peak 7 MiB",
            ),
            (
                Cost { usage: Some(USAGE), throttling, ..Cost::default() },
                "; 12.3s of CPU; this cgroup: throttled for 3.1s",
            ),
        ] {
            assert_eq!(cost.to_string(), told);
        }
    }

    #[test]
    fn who_was_held_back_for_more_than_a_quarter_of_its_life_is_told_so() {
        let cost =
            |time, limit| Cost { throttling: Some(Throttling { limit, ..throttled(time, 40) }), ..Cost::default() };
        let told = |time, limit| {
            let held_back = cost(time, limit).held_back(Duration::from_secs(8));
            held_back.map(|held_back| held_back.to_string())
        };
        assert_eq!(told(2_000, Some(500)), None);
        assert_eq!(told(2_001, Some(500)).unwrap(), "its CPU limit (0.5 CPU) held this cgroup back for 2s 1ms");
        assert_eq!(told(3_100, Some(1_250)).unwrap(), "its CPU limit (1.25 CPU) held this cgroup back for 3s 100ms");
        assert_eq!(told(3_100, Some(2_000)).unwrap(), "its CPU limit (2 CPU) held this cgroup back for 3s 100ms");
        assert_eq!(told(3_100, Some(333)).unwrap(), "its CPU limit (0.333 CPU) held this cgroup back for 3s 100ms");
        assert_eq!(told(3_100, None).unwrap(), "its CPU limit held this cgroup back for 3s 100ms");
        assert!(Cost::default().held_back(Duration::ZERO).is_none());
    }

    #[test]
    fn the_counts_of_a_cgroup_that_is_older_than_the_command_are_not_the_commands() {
        let of_run = |busy, ran| {
            is_of_run(&Throttling { busy: Duration::from_millis(busy), ..throttled(1, 1) }, Duration::from_millis(ran))
        };
        assert!(of_run(100, 50) && of_run(2_000, 10) && of_run(2_010, 10) && !of_run(2_011, 10));
        assert!(of_run(20_000, 10_000) && !of_run(20_001, 10_000));
    }
}
