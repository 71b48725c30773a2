//! How much a consumer is given at the same time: many rooms where each has little that is new, so that a destination that takes what
//! comes together in one go (a file's sync, a batch) has few goes; few where they have much, which bounds memory.

use parlance_schema::Seq;
use parlance_schema::limits::FEED_PAGE_ENTRIES_MAX;

/// Calls under way at once.
const CALLS_MAX: usize = 64;
/// Entries of all calls under way.
const ENTRIES_MAX: usize = 8 * FEED_PAGE_ENTRIES_MAX;

/// The calls of one consumer that have not ended.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    calls: usize,
    entries: usize,
}

impl UnderWay {
    /// Whether a call more may begin, whatever it gives.
    pub fn has_room(&self) -> bool {
        self.calls < CALLS_MAX && self.entries + FEED_PAGE_ENTRIES_MAX <= ENTRIES_MAX
    }

    /// Whether no call is under way.
    pub fn is_empty(&self) -> bool {
        self.calls == 0
    }

    /// A call begins for a room whose log goes to `end`, for a consumer that has got to `done`, if that is known. Gives how many entries
    /// it may take.
    pub fn begins(&mut self, done: Option<Seq>, end: Seq) -> usize {
        let new = done.map_or(Seq::MAX, |done| end.saturating_sub(done));
        let entries = usize::try_from(new).unwrap_or(usize::MAX).min(FEED_PAGE_ENTRIES_MAX);
        self.calls += 1;
        self.entries += entries;
        entries
    }

    /// A call has ended that might take so many entries.
    pub fn ends(&mut self, entries: usize) {
        self.calls = self.calls.saturating_sub(1);
        self.entries = self.entries.saturating_sub(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many calls as may begin, of rooms that are all alike.
    fn begun(done: Option<Seq>, end: Seq) -> (UnderWay, usize) {
        let mut under_way = UnderWay::default();
        let calls = std::iter::from_fn(|| under_way.has_room().then(|| under_way.begins(done, end))).count();
        (under_way, calls)
    }

    #[test]
    fn many_rooms_with_little_or_few_with_much() {
        assert_eq!(begun(Some(7), 8).1, CALLS_MAX);
        assert_eq!(begun(Some(0), 1_000_000).1, 8);
        assert_eq!(begun(None, 1).1, 8, "nobody knows how much that is");
        assert_eq!(begun(Some(0), 64).1, (ENTRIES_MAX - FEED_PAGE_ENTRIES_MAX) / 64 + 1);
    }

    #[test]
    fn what_has_ended_makes_room() {
        let (mut under_way, _) = begun(Some(0), 1_000);
        assert!(!under_way.has_room());
        under_way.ends(FEED_PAGE_ENTRIES_MAX);
        assert!(under_way.has_room() && !under_way.is_empty());
        (0..7).for_each(|_| under_way.ends(FEED_PAGE_ENTRIES_MAX));
        assert!(under_way.is_empty() && under_way.entries == 0);
    }
}
