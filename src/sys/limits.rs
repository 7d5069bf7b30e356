//! What the limits of its cgroup do to a process (cgroups(7)): its CPU bandwidth, its memory, and the freezer.
//!
//! The kernel only counts up, so that it takes two looks to know what happened in between.

use std::path::Path;
use std::time::Duration;

use super::cgroup::{Cgroup, Version, read, read_number, value};
use super::throttling::Bandwidth;

/// So many cgroups are looked at: that of the process, and those around it that can be seen.
const LEVELS: usize = 4;

/// What the kernel has counted by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Microseconds in which the CPU limit held processes back.
    throttled: Counts,
    /// How often memory was at its limit.
    memory: Counts,
}

/// A CPU limit held processes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// For so long, on all CPUs together.
    pub time: Duration,
    /// The limit, in thousandths of a CPU, if it can be seen.
    pub limit: Option<u64>,
}

/// Memory was at its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtLimit {
    /// So often.
    pub times: u64,
    /// The limit, in bytes, if it can be seen.
    pub limit: Option<u64>,
}

impl Limits {
    /// Of the cgroups of this process.
    pub fn of(pid: i32) -> Limits {
        let Some(cpu) = Cgroup::of_process(pid, "cpu") else {
            return Limits { throttled: Counts::default(), memory: memory_counts(pid) };
        };
        let throttled = Counts::in_all(&cpu, throttled);
        // In version 2 both are in the same place.
        let memory = if cpu.version() == Version::Two { Counts::in_all(&cpu, at_limit) } else { memory_counts(pid) };
        Limits { throttled, memory }
    }

    /// How long CPU limits held processes back since an earlier look.
    pub fn held_back_since(&self, before: &Limits, pid: i32) -> Option<HeldBack> {
        let (level, microseconds) = self.throttled.most_grown(&before.throttled)?;
        let limit = limit_at(pid, "cpu", level, cpu_limit);
        Some(HeldBack { time: Duration::from_micros(microseconds), limit })
    }

    /// How often memory was at its limit since an earlier look.
    pub fn at_limit_since(&self, before: &Limits, pid: i32) -> Option<AtLimit> {
        let (level, times) = self.memory.most_grown(&before.memory)?;
        Some(AtLimit { times, limit: limit_at(pid, "memory", level, memory_limit) })
    }
}

/// Whether the cgroup of this process is frozen, and nothing in there runs.
#[inline(never)]
pub fn is_frozen(pid: i32) -> bool {
    let frozen = || {
        let cgroup = Cgroup::of_process(pid, "freezer")?;
        let directory = cgroup.directories().next()?;
        let (name, frozen) = match cgroup.version() {
            Version::One => ("freezer.state", "FROZEN"),
            Version::Two => ("cgroup.events", "frozen 1"),
        };
        Some(read(directory, name, &mut [0; 256])?.lines().any(|line| line == frozen))
    };
    frozen().unwrap_or(false)
}

// Not a part of its caller: each path takes a kilobyte of stack.
#[inline(never)]
fn memory_counts(pid: i32) -> Counts {
    Cgroup::of_process(pid, "memory").map_or(Counts::default(), |cgroup| Counts::in_all(&cgroup, at_limit))
}

#[inline(never)]
fn limit_at(pid: i32, controller: &str, level: usize, limit: fn(&Path, Version) -> Option<u64>) -> Option<u64> {
    let cgroup = Cgroup::of_process(pid, controller)?;
    limit(cgroup.directories().nth(level)?, cgroup.version())
}

/// A count in the cgroup of a process and in those around it, the innermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Stands for the path: counts of two places cannot be compared.
    place: u64,
    counts: [u64; LEVELS],
}

impl Counts {
    fn in_all(cgroup: &Cgroup, count: fn(&Path, Version) -> Option<u64>) -> Counts {
        let mut counts = [0; LEVELS];
        let mut place = 0;
        for (to, directory) in counts.iter_mut().zip(cgroup.directories()) {
            place = place.max(hash(directory));
            *to = count(directory, cgroup.version()).unwrap_or_default();
        }
        Counts { place, counts }
    }

    /// Where it grew the most, and by how much.
    fn most_grown(&self, before: &Counts) -> Option<(usize, u64)> {
        let growths = self.counts.iter().zip(before.counts).map(|(after, before)| after.saturating_sub(before));
        let most = growths.enumerate().max_by_key(|(level, growth)| (*growth, LEVELS - level))?;
        Some(most).filter(|(_, growth)| *growth > 0 && self.place == before.place)
    }
}

/// FNV-1a.
fn hash(directory: &Path) -> u64 {
    let bytes = directory.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn throttled(directory: &Path, version: Version) -> Option<u64> {
    let mut room = [0; 1024];
    let text = read(directory, "cpu.stat", &mut room)?;
    match version {
        Version::One => Some(value(text, "throttled_time")?.checked_div(1000)?),
        Version::Two => value(text, "throttled_usec"),
    }
}

/// Thousandths of a CPU.
fn cpu_limit(directory: &Path, version: Version) -> Option<u64> {
    Bandwidth::of(directory, version).limit()
}

fn at_limit(directory: &Path, version: Version) -> Option<u64> {
    match version {
        Version::One => {
            let number = |name| read_number(directory, name);
            // The other one counts where the limit is the same for memory with swap.
            Some(number("memory.failcnt")? + number("memory.memsw.failcnt").unwrap_or_default())
        }
        Version::Two => {
            let mut room = [0; 1024];
            let text = read(directory, "memory.events", &mut room)?;
            Some(value(text, "max").unwrap_or_default() + value(text, "high").unwrap_or_default())
        }
    }
}

/// Bytes.
fn memory_limit(directory: &Path, version: Version) -> Option<u64> {
    // `max` is none.
    let number = |name| read_number(directory, name);
    match version {
        Version::One => number("memory.limit_in_bytes"),
        Version::Two => number("memory.max").into_iter().chain(number("memory.high")).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_the_most_is_found_and_counts_of_another_place_are_not_compared() {
        let before = Counts { place: 7, counts: [1, 5, 100, 0] };
        let grown = |counts| Counts { place: 7, counts }.most_grown(&before);
        assert_eq!(grown([1, 5, 100, 0]), None);
        assert_eq!(grown([3, 5, 101, 0]), Some((0, 2)));
        assert_eq!(grown([3, 9, 104, 0]), Some((1, 4)), "the innermost of those");
        assert_eq!(grown([0, 0, 0, 0]), None, "the counts of a cgroup that was made anew");
        assert_eq!(Counts { place: 8, counts: [9; LEVELS] }.most_grown(&before), None);
    }
}
