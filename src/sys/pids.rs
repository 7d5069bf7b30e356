//! Sets of pids, without an allocation: a bit for each pid there can be, of which only the pages in
//! use take memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// One more than the largest pid on 64-bit Linux (`PID_MAX_LIMIT`, proc(5)).
const PIDS: usize = 1 << 22;

/// A set of pids.
pub(super) struct Marks([AtomicU64; PIDS / 64]);

impl Marks {
    pub(super) const fn none() -> Marks {
        Marks([const { AtomicU64::new(0) }; PIDS / 64])
    }

    fn word(&self, pid: i32) -> Option<(&AtomicU64, u64)> {
        let pid = usize::try_from(pid).ok()?;
        Some((self.0.get(pid / 64)?, 1 << (pid % 64)))
    }

    pub(super) fn has(&self, pid: i32) -> bool {
        self.word(pid).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Returns whether it is new.
    pub(super) fn add(&self, pid: i32) -> bool {
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
    fn marks_hold_every_pid_there_can_be_and_no_other() {
        static MARKS: Marks = Marks::none();
        for pid in [0, 1, 63, 64, PIDS as i32 - 1] {
            assert!(!MARKS.has(pid) && MARKS.add(pid) && !MARKS.add(pid) && MARKS.has(pid), "{pid}");
        }
        for pid in [-1, PIDS as i32, i32::MAX] {
            assert!(!MARKS.add(pid) && !MARKS.has(pid), "{pid}");
        }
        MARKS.clear();
        assert!(!MARKS.has(64));
    }
}
