//! Entries that this node has just appended: a consumer that keeps up is given them from here, and they need not be read again.
//!
//! The words of a deleted message are not given. So all of a room is let go where a deletion may have come into its log: with an
//! appended one, when the log is read again, when the Room ends. Another node can delete without this one knowing, which may be cut off:
//! so nothing is given from here that is not new.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::FEED_PAGE_ENTRIES_MAX;
use parlance_schema::{RoomId, Seq};
use tokio::time::Instant;

/// How long an entry is given from here; after that it is read as it stands in the log.
const NEW_FOR: Duration = Duration::from_secs(2);
/// Entries that are kept of one room.
const ENTRIES_MAX: usize = FEED_PAGE_ENTRIES_MAX;
/// Bytes that are kept of all rooms; beyond that, all is let go and read from the store.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// The latest entries of rooms, each room's without a gap.
#[derive(Default)]
pub(super) struct Recent {
    rooms: BTreeMap<RoomId, VecDeque<Kept>>,
    bytes: usize,
}

/// An entry, since when it is kept, and how many bytes it holds.
struct Kept {
    since: Instant,
    bytes: usize,
    entry: Arc<Entry>,
}

impl Recent {
    /// Keeps what was appended to a room, for certain.
    pub fn keep(&mut self, room: RoomId, entries: &[Arc<Entry>]) {
        let Some(first) = entries.first() else { return };
        let last = self.rooms.get(&room).and_then(|kept| kept.back()).map(|kept| kept.entry.seq);
        if last.is_some_and(|last| last + 1 != first.seq) {
            self.forget(room);
        }
        let now = Instant::now();
        for entry in entries {
            // The words of the message must not be given any more: what is before is read as it stands in the log now.
            if matches!(entry.fact, Fact::Deleted { .. }) {
                self.forget(room);
            }
            let bytes = entry.held_bytes();
            self.bytes += bytes;
            let kept = self.rooms.entry(room).or_default();
            kept.push_back(Kept { since: now, bytes, entry: entry.clone() });
            if kept.len() > ENTRIES_MAX {
                let gone = kept.pop_front();
                self.bytes -= gone.map_or(0, |kept| kept.bytes);
            }
        }
        if self.bytes > BYTES_MAX {
            *self = Self::default();
        }
    }

    /// The entries from a number to another, as many as may be given at a time; `None` where the first one is not here, or not new.
    pub fn page(&self, room: RoomId, (from, to): (Seq, Seq), limit: usize) -> Option<Vec<Arc<Entry>>> {
        let kept = self.rooms.get(&room)?;
        let at = usize::try_from(from.checked_sub(kept.front()?.entry.seq)?).ok()?;
        kept.get(at).filter(|first| first.since.elapsed() < NEW_FOR && first.entry.seq <= to)?;
        let page = kept.iter().skip(at).take(limit).map(|kept| &kept.entry).take_while(|entry| entry.seq <= to);
        Some(page.cloned().collect())
    }

    /// Lets go of a room's entries.
    pub fn forget(&mut self, room: RoomId) {
        let gone = self.rooms.remove(&room).unwrap_or_default();
        self.bytes -= gone.iter().map(|kept| kept.bytes).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use parlance_schema::content::Content;
    use parlance_schema::{ClientId, MessageId, UserId};

    use super::*;

    const ROOM: RoomId = RoomId::new(1);

    fn entries(seqs: std::ops::RangeInclusive<Seq>, text: &str) -> Vec<Arc<Entry>> {
        let entry = |seq| {
            let (id, content) = (MessageId::new(seq), Some(Content::text(text)));
            let fact = Fact::Posted { id, content, reply_to: None, mentions: Vec::new(), meta: [].into() };
            let client_id = ClientId::new(format!("c{seq}")).unwrap();
            Arc::new(Entry { seq, at: 1, by: UserId::new(1), client_id, posts: seq, append: 1, fact })
        };
        seqs.map(entry).collect()
    }

    fn deletion(seq: Seq, target: Seq) -> Arc<Entry> {
        let mut entry = (*entries(seq..=seq, "")[0]).clone();
        entry.fact = Fact::Deleted { target };
        Arc::new(entry)
    }

    fn seqs(recent: &Recent, from: Seq, to: Seq, limit: usize) -> Option<Vec<Seq>> {
        Some(recent.page(ROOM, (from, to), limit)?.iter().map(|entry| entry.seq).collect())
    }

    #[test]
    fn what_follows_is_kept_and_given_from_any_number_of_it() {
        let mut recent = Recent::default();
        recent.keep(ROOM, &entries(5..=7, "a"));
        recent.keep(ROOM, &entries(8..=9, "b"));
        assert_eq!(seqs(&recent, 6, 8, 10), Some(vec![6, 7, 8]));
        assert_eq!(seqs(&recent, 6, 9, 2), Some(vec![6, 7]));
        assert_eq!((seqs(&recent, 4, 9, 10), seqs(&recent, 10, 12, 10)), (None, None));
    }

    #[test]
    fn after_a_gap_only_what_is_new_is_there() {
        let mut recent = Recent::default();
        recent.keep(ROOM, &entries(1..=3, "a"));
        recent.keep(ROOM, &entries(5..=6, "a"));
        assert_eq!((seqs(&recent, 3, 9, 10), seqs(&recent, 5, 9, 10)), (None, Some(vec![5, 6])));
    }

    #[test]
    fn nothing_from_before_a_deletion_is_given() {
        let mut recent = Recent::default();
        recent.keep(ROOM, &entries(1..=3, "secret"));
        recent.keep(ROOM, &[deletion(4, 2), entries(5..=5, "later")[0].clone()]);
        assert_eq!((seqs(&recent, 2, 9, 10), seqs(&recent, 4, 9, 10)), (None, Some(vec![4, 5])));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_new_any_more_is_not_given() {
        let mut recent = Recent::default();
        recent.keep(ROOM, &entries(1..=2, "a"));
        tokio::time::advance(NEW_FOR).await;
        recent.keep(ROOM, &entries(3..=3, "a"));
        assert_eq!((seqs(&recent, 1, 9, 10), seqs(&recent, 3, 9, 10)), (None, Some(vec![3])));
    }

    #[test]
    fn what_is_kept_is_bounded_by_entries_and_by_bytes() {
        let mut recent = Recent::default();
        recent.keep(ROOM, &entries(1..=600, "a"));
        assert_eq!(recent.rooms[&ROOM].len(), ENTRIES_MAX);
        let held: usize = recent.rooms[&ROOM].iter().map(|kept| kept.entry.held_bytes()).sum();
        assert_eq!(recent.bytes, held);
        let long = "x".repeat(10_000);
        for room in 2..100 {
            recent.keep(RoomId::new(room), &entries(1..=64, &long));
            assert!(recent.bytes <= BYTES_MAX);
        }
        recent.forget(ROOM);
        recent.rooms.keys().copied().collect::<Vec<_>>().into_iter().for_each(|room| recent.forget(room));
        assert_eq!(recent.bytes, 0);
    }
}
