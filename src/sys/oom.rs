//! The processes of a cgroup that the kernel killed for lack of memory, and how much there was.

use std::ffi::CStr;
use std::path::Path;

use super::cgroup::{Cgroup, NotSeen, Version, file, read_number};
use super::file::{Opened, read_into};

/// Where the kernel counts the processes of a cgroup that it killed for lack of memory: of this cgroup, of one
/// around it, or of the whole machine.
///
/// All of it is in its place: reading it again allocates nothing, for by then there may be no memory
/// to be had.
#[derive(Debug)]
pub struct Memory {
    /// The one that counts: our own, or one above it that has the memory controller.
    cgroup: Cgroup,
    counter: &'static str,
    /// What was counted when this was looked at.
    pub oom_kills: u64,
}

/// The limit on memory, and what came closest to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// The lowest limit that can be seen, in bytes.
    pub limit: Option<u64>,
    /// The most that was ever used in the cgroup with that limit, or in our own without one, in bytes.
    pub peak: Option<u64>,
}

/// The counter of version 1, and the two of version 2: the second one counts the cgroups below as well.
const COUNTERS: [&str; 3] = ["memory.oom_control", "memory.events.local", "memory.events"];

impl Memory {
    /// Puts into `place` what counts for us, if it can be seen; the root cgroup of version 2 counts nothing.
    // In its place, and nothing of it a part of another one: each path takes a kilobyte of stack.
    #[inline(never)]
    pub fn find_ours(place: &mut Option<Memory>, opened: &mut Opened) {
        /// Of the mounts that would show our cgroup the first mostly does. If it has no counter, another
        /// one may hide it.
        const MOUNTS: usize = 8;
        let memory = place.insert(Memory { cgroup: Cgroup::nowhere(), counter: "", oom_kills: 0 });
        for skipped in 0..MOUNTS {
            if !memory.cgroup.become_nth_of_us(CONTROLLER, skipped, opened) {
                break;
            }
            if memory.find_counter(|counter| opened.find_line(counter, oom_kills)) {
                return;
            }
        }
        *place = None;
    }

    /// What counts for us now, where no mount hides it.
    #[cold]
    pub fn of_us_now() -> Option<Memory> {
        Memory::now(Cgroup::of_us(CONTROLLER)?)
    }

    /// What counted for a process that is dead and not reaped.
    ///
    /// # Errors
    ///
    /// It cannot be said.
    #[cold]
    pub fn of_dead(pid: i32) -> Result<Memory, NotSeen> {
        Memory::now(Cgroup::of_dead(pid, CONTROLLER)?).ok_or(NotSeen::Hidden)
    }

    #[inline(never)]
    fn now(cgroup: Cgroup) -> Option<Memory> {
        let mut memory = Memory { cgroup, counter: "", oom_kills: 0 };
        memory.find_counter(read_oom_kills).then_some(memory)
    }

    /// Goes up to the first of the directories that has a counter. Says whether there is one.
    fn find_counter(&mut self, mut read: impl FnMut(&CStr) -> Option<u64>) -> bool {
        let of_version = match self.cgroup.version() {
            Version::One => COUNTERS.get(..1),
            Version::Two => COUNTERS.get(1..),
        };
        let found = self.cgroup.directories().find_map(|directory| {
            let in_it = |counter: &&'static str| Some((*counter, read(file(directory, counter).as_ref()?.c_str()?)?));
            let (counter, oom_kills) = of_version?.iter().find_map(in_it)?;
            Some((directory.as_os_str().len(), counter, oom_kills))
        });
        let Some((length, counter, oom_kills)) = found else { return false };
        self.cgroup.climb(length);
        (self.counter, self.oom_kills) = (counter, oom_kills);
        true
    }

    /// What is counted by now.
    pub fn oom_kills_now(&self) -> Option<u64> {
        read_oom_kills(file(self.directory(), self.counter).as_ref()?.c_str()?)
    }

    /// The directory of the cgroup that counts.
    pub fn directory(&self) -> &Path {
        self.cgroup.directory()
    }

    /// Whether both are the same counter.
    pub fn is_the_same_as(&self, other: &Memory) -> bool {
        self.counter == other.counter && self.directory().as_os_str() == other.directory().as_os_str()
    }

    /// Whether what is below counts as well: before Linux 5.3 there is no other counter.
    pub fn counts_below(&self) -> bool {
        COUNTERS.get(2) == Some(&self.counter)
    }

    /// The limit, and what came closest to it.
    #[cold]
    pub fn ceiling(&self) -> Ceiling {
        // Version 1 writes "no limit" as the largest number of whole pages.
        const NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;
        let (limit, peak) = match self.cgroup.version() {
            Version::One => ("memory.limit_in_bytes", "memory.max_usage_in_bytes"),
            // The peak is there since Linux 5.19.
            Version::Two => ("memory.max", "memory.peak"),
        };
        let limits = self.cgroup.directories().filter_map(|directory| {
            let bytes = read_number(directory, limit).filter(|bytes| *bytes < NO_LIMIT)?;
            Some((bytes, directory))
        });
        // Of two with the same limit the inner one, whose processes it is about.
        let (limit, directory) = match limits.min_by_key(|(bytes, _)| *bytes) {
            Some((bytes, directory)) => (Some(bytes), directory),
            None => (None, self.directory()),
        };
        Ceiling { limit, peak: read_number(directory, peak) }
    }
}

/// The memory controller.
const CONTROLLER: &str = "memory";

#[inline(never)]
fn read_oom_kills(counter: &CStr) -> Option<u64> {
    read_into(counter, &mut [0; 1024])?.lines().find_map(oom_kills)
}

/// `oom_kill N` (since Linux 4.13; cgroups(7)).
pub fn oom_kills(line: &str) -> Option<u64> {
    line.strip_prefix("oom_kill ")?.trim().parse().ok()
}
