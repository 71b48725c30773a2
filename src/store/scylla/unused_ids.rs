//! Message ids that nobody can have used: taken by this process, and not yet in an append.
//!
//! An id must be used once. For one that is here nobody needs to be asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Stretches that are remembered; beyond that the oldest ids count as used.
const STRETCHES_MAX: usize = 4_096;

/// Stretches of unused ids, each by its first one with the one after its last.
#[derive(Default)]
pub(super) struct UnusedIds(Mutex<BTreeMap<u64, u64>>);

impl UnusedIds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a block.
    pub fn add(&self, first: u64, count: u64) {
        let mut all = self.lock();
        all.insert(first, first + count);
        while all.len() > STRETCHES_MAX {
            all.pop_first();
        }
    }

    /// Uses an id; says whether it was unused for certain.
    pub fn take(&self, id: u64) -> bool {
        let mut all = self.lock();
        let Some((first, end)) = all.range(..=id).next_back().map(|(first, end)| (*first, *end)) else { return false };
        if id >= end {
            return false;
        }
        all.remove(&first);
        if first < id {
            all.insert(first, id);
        }
        if id + 1 < end {
            all.insert(id + 1, end);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_unused_once() {
        let unused = UnusedIds::default();
        unused.add(10, 5);
        unused.add(100, 1);
        let taken: Vec<u64> = (0..200).filter(|id| unused.take(*id)).collect();
        assert_eq!(taken, [10, 11, 12, 13, 14, 100]);
        assert!((0..200).all(|id| !unused.take(id)));
        unused.add(20, 3);
        assert_eq!([21, 20, 22, 21].map(|id| unused.take(id)), [true, true, true, false]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let unused = UnusedIds::default();
        unused.add(0, 4 * STRETCHES_MAX as u64);
        for id in (0..4 * STRETCHES_MAX as u64).step_by(2) {
            unused.take(id);
        }
        for block in 0..10 {
            unused.add(1_000_000 + block * 10, 1);
        }
        assert!(unused.lock().len() <= STRETCHES_MAX);
        assert!(unused.take(1_000_090));
    }
}
