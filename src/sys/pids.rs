//! Sets of pids, without an allocation: a bit for each pid there can be, of which only the pages in
//! use take memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// One more than the largest pid on 64-bit Linux (`PID_MAX_LIMIT`, proc(5)).
const PIDS: usize = 1 << 22;

/// A page of memory, in words of a set.
const PAGE: usize = 4096 / size_of::<u64>();

/// A set of pids.
///
/// A page in which there is no pid is neither read nor written: even a look at it would be a page fault.
pub(super) struct PidSet {
    words: [AtomicU64; PIDS / 64],
    /// A bit for each page of `words` that has had a pid since the last [`PidSet::clear`].
    pages: [AtomicU64; PIDS / 64 / PAGE / 64],
}

impl PidSet {
    pub(super) const fn none() -> PidSet {
        let (words, pages) = ([const { AtomicU64::new(0) }; _], [const { AtomicU64::new(0) }; _]);
        PidSet { words, pages }
    }

    pub(super) fn contains(&self, pid: i32) -> bool {
        let Ok(pid) = usize::try_from(pid) else { return false };
        has(&self.pages, pid / 64 / PAGE) && has(&self.words, pid)
    }

    /// Returns whether it is new.
    pub(super) fn insert(&self, pid: i32) -> bool {
        let Ok(pid) = usize::try_from(pid) else { return false };
        let Some((word, bit)) = place(&self.words, pid) else { return false };
        if let Some((pages, page)) = place(&self.pages, pid / 64 / PAGE) {
            pages.fetch_or(page, Ordering::Relaxed);
        }
        word.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    pub(super) fn remove(&self, pid: i32) {
        if let (true, Ok(pid)) = (self.contains(pid), usize::try_from(pid))
            && let Some((word, bit)) = place(&self.words, pid)
        {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    pub(super) fn clear(&self) {
        for (page, words) in self.words.chunks(PAGE).enumerate().filter(|(page, _)| has(&self.pages, *page)) {
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            if let Some((pages, page)) = place(&self.pages, page) {
                pages.fetch_and(!page, Ordering::Relaxed);
            }
        }
    }
}

/// The word with this bit, and the bit in it.
fn place(words: &[AtomicU64], bit: usize) -> Option<(&AtomicU64, u64)> {
    Some((words.get(bit / 64)?, 1 << (bit % 64)))
}

fn has(words: &[AtomicU64], bit: usize) -> bool {
    place(words, bit).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_every_pid_there_can_be_and_no_other() {
        static SET: PidSet = PidSet::none();
        let page = 64 * PAGE as i32;
        let pids = [0, 1, 63, 64, page - 1, page, 64 * page - 1, 64 * page, PIDS as i32 - 1];
        for _ in 0..2 {
            for pid in pids {
                assert!(!SET.contains(pid) && SET.insert(pid) && !SET.insert(pid) && SET.contains(pid), "{pid}");
            }
            for pid in [-1, PIDS as i32, i32::MAX, i32::MIN] {
                assert!(!SET.insert(pid) && !SET.contains(pid), "{pid}");
            }
            SET.remove(64);
            SET.remove(page + 1);
            assert!(!SET.contains(64) && SET.contains(63) && SET.contains(page));
            SET.clear();
            assert!(!pids.iter().any(|pid| SET.contains(*pid)));
        }
    }
}
