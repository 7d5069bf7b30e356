//! Sets of pids, without an allocation: a bit for each pid there can be, of which only the pages in
//! use take memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// One more than the largest pid on 64-bit Linux (`PID_MAX_LIMIT`, proc(5)).
const PIDS: usize = 1 << 22;

/// A set of pids.
pub(super) struct PidSet([AtomicU64; PIDS / 64]);

impl PidSet {
    pub(super) const fn none() -> PidSet {
        PidSet([const { AtomicU64::new(0) }; PIDS / 64])
    }

    fn word(&self, pid: i32) -> Option<(&AtomicU64, u64)> {
        let pid = usize::try_from(pid).ok()?;
        Some((self.0.get(pid / 64)?, 1 << (pid % 64)))
    }

    pub(super) fn contains(&self, pid: i32) -> bool {
        self.word(pid).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Returns whether it is new.
    pub(super) fn insert(&self, pid: i32) -> bool {
        self.word(pid).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    pub(super) fn remove(&self, pid: i32) {
        if let Some((word, bit)) = self.word(pid) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Writes only where there is something: a page that was never written takes no memory.
    pub(super) fn clear(&self) {
        for word in self.0.iter().filter(|word| word.load(Ordering::Relaxed) != 0) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_every_pid_there_can_be_and_no_other() {
        static SET: PidSet = PidSet::none();
        for pid in [0, 1, 63, 64, PIDS as i32 - 1] {
            assert!(!SET.contains(pid) && SET.insert(pid) && !SET.insert(pid) && SET.contains(pid), "{pid}");
        }
        for pid in [-1, PIDS as i32, i32::MAX] {
            assert!(!SET.insert(pid) && !SET.contains(pid), "{pid}");
        }
        SET.clear();
        assert!(!SET.contains(64));
    }
}
