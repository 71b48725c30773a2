//! What this process knows of a log that it appends to: how far it goes, and which (sender, client id) pairs it holds.
//!
//! Entries up to `floor` have their pairs in the index; those after it, up to `known`, are in memory. So a lookup made here
//! and in the index covers the whole log up to `known`, and an append that is conditional on `known` finds it still true.
//! All of it can be read again: what was thrown away, or is in doubt, costs a read and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use parlance_schema::{ClientId, RoomId, Seq, UserId};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Rooms of which something is known; beyond that, those that nobody is busy with are forgotten.
const SLOTS_MAX: usize = 20_000;
/// Pairs in memory for one room; beyond that, those that the index has are forgotten.
const ROOM_PAIRS_MAX: usize = 65_536;
/// Pairs in memory for all rooms, about 24 bytes each.
const PAIRS_MAX: usize = 4_000_000;
/// Numbers in one generation of the index.
const GENERATION: u64 = 1 << 20;

/// What is known of the logs of all rooms in use.
#[derive(Default)]
pub(super) struct KnownLogs {
    all: DashMap<RoomId, Arc<Mutex<KnownLog>>>,
    pairs: Arc<AtomicUsize>,
}

/// What is known of one room's log.
#[derive(Default)]
pub(super) struct KnownLog {
    /// Whether the rest of this holds, if only for the log's beginning.
    pub loaded: bool,
    /// Whether the log may have gone on since.
    pub stale: bool,
    /// The log's last number, as far as is known here.
    pub known: Seq,
    /// Pairs of entries up to here are in the index, and need not be in memory.
    floor: Seq,
    /// What follows from entries up to here is written, and marked as such.
    pub indexed: Seq,
    pairs: BTreeSet<(i64, Seq)>,
    /// Writes that an append did not wait for, after which entries up to this number are indexed.
    background: Option<(Seq, JoinHandle<bool>)>,
    /// How many pairs there are in all of them.
    total: Arc<AtomicUsize>,
}

impl KnownLogs {
    /// What is known of a room's log.
    pub fn of(&self, room: RoomId) -> Arc<Mutex<KnownLog>> {
        if let Some(slot) = self.all.get(&room) {
            return Arc::clone(&slot);
        }
        if self.all.len() >= SLOTS_MAX {
            self.all.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let new = || {
            let mut slot = KnownLog::default();
            slot.total = Arc::clone(&self.pairs);
            Arc::new(Mutex::new(slot))
        };
        Arc::clone(&self.all.entry(room).or_insert_with(new))
    }

    /// The entries that may have a pair, all up to `upto` among them: those in memory, and the generations of the index that have the
    /// others. `None` where so much is not known here.
    pub async fn pairs_upto(&self, room: RoomId, hash: i64, upto: Seq) -> Option<(Vec<Seq>, std::ops::Range<u64>)> {
        let held = self.get(room)?;
        let slot = held.lock().await;
        (slot.loaded && slot.known >= upto).then(|| (slot.find(hash).collect(), slot.generations()))
    }

    /// A room's known_log, if there is one.
    pub fn get(&self, room: RoomId) -> Option<Arc<Mutex<KnownLog>>> {
        self.all.get(&room).map(|slot| Arc::clone(&slot))
    }
}

impl KnownLog {
    /// Begins to know: nothing in memory, all up to `indexed` in the index.
    pub fn begin(&mut self, indexed: Seq) {
        self.forget();
        (self.loaded, self.stale) = (true, true);
        (self.known, self.floor, self.indexed) = (indexed, indexed, indexed);
    }

    /// Knows nothing any more.
    pub fn forget(&mut self) {
        self.total.fetch_sub(self.pairs.len(), Ordering::Relaxed);
        self.pairs.clear();
        self.loaded = false;
    }

    /// Takes in the next entry's pair.
    pub fn push(&mut self, hash: i64, seq: Seq) {
        self.pairs.insert((hash, seq));
        self.total.fetch_add(1, Ordering::Relaxed);
        self.known = seq;
    }

    /// The entries that may have a pair, of those in memory.
    pub fn find(&self, hash: i64) -> impl Iterator<Item = Seq> {
        self.pairs.range((hash, 0)..=(hash, Seq::MAX)).map(|(_, seq)| *seq)
    }

    /// The generations of the index that have pairs which are not in memory.
    pub fn generations(&self) -> std::ops::Range<u64> {
        0..self.floor.div_ceil(GENERATION)
    }

    /// Pairs that are not in the index yet, each with its generation.
    pub fn unindexed(&self) -> Vec<(u64, i64, Seq)> {
        let new = self.pairs.iter().filter(|(_, seq)| *seq > self.indexed);
        new.map(|(hash, seq)| (generation(*seq), *hash, *seq)).collect()
    }

    /// Notes that the index has all pairs up to `upto`, and forgets those where too many are in memory.
    pub fn indexed_upto(&mut self, upto: Seq) {
        self.indexed = self.indexed.max(upto);
        if self.pairs.len() > ROOM_PAIRS_MAX || self.total.load(Ordering::Relaxed) > PAIRS_MAX {
            let before = self.pairs.len();
            self.pairs.retain(|(_, seq)| *seq > self.indexed);
            self.total.fetch_sub(before - self.pairs.len(), Ordering::Relaxed);
            self.floor = self.indexed;
        }
    }

    /// Leaves writes to a task, after which entries up to `upto` are indexed.
    pub async fn leave(&mut self, upto: Seq, work: JoinHandle<bool>) {
        self.await_background().await;
        self.background = Some((upto, work));
    }

    /// Whether there are writes under way that an append did not wait for.
    pub async fn busy(&mut self) -> bool {
        if self.background.as_ref().is_some_and(|(_, work)| work.is_finished()) {
            self.await_background().await;
        }
        self.background.is_some()
    }

    /// Waits for what an append did not wait for.
    pub async fn await_background(&mut self) {
        if let Some((upto, work)) = self.background.take()
            && work.await.unwrap_or(false)
        {
            self.indexed_upto(upto);
        }
    }
}

impl Drop for KnownLog {
    fn drop(&mut self) {
        self.total.fetch_sub(self.pairs.len(), Ordering::Relaxed);
    }
}

/// The generation of the index that an entry's pair is in.
pub(super) fn generation(seq: Seq) -> u64 {
    (seq - 1) / GENERATION
}

/// A pair's hash in the index. Two pairs may share one: the log's row says which it is.
pub(super) fn hash(by: UserId, client_id: &ClientId) -> i64 {
    let digest = Sha256::new().chain_update(by.get().to_be_bytes()).chain_update(client_id.as_str()).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(slots: &KnownLogs) -> Arc<Mutex<KnownLog>> {
        slots.of(RoomId::new(1))
    }

    #[tokio::test]
    async fn what_the_index_has_is_forgotten_where_memory_is_short() {
        let slots = KnownLogs::default();
        let held = slot(&slots);
        let mut slot = held.lock().await;
        slot.begin(0);
        for seq in 1..=ROOM_PAIRS_MAX as u64 {
            slot.push(seq as i64 % 7, seq);
        }
        slot.indexed_upto(1_000);
        assert!(slot.generations().is_empty(), "all of it is in memory");
        assert_eq!(slot.find(1).next(), Some(1));
        let last = ROOM_PAIRS_MAX as u64 + 1;
        slot.push(1, last);
        slot.indexed_upto(2_000);
        assert_eq!(slot.generations(), 0..1);
        assert!(slot.find(1).next().unwrap() > 2_000);
        assert_eq!(slot.unindexed().len() as u64, last - 2_000);
        assert_eq!(slots.pairs.load(Ordering::Relaxed) as u64, last - 2_000);
        slot.forget();
        assert_eq!(slots.pairs.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn senders_and_names_are_told_apart() {
        let client = |text: &str| ClientId::new(text).unwrap();
        let all = [(1, "a"), (1, "b"), (2, "a")].map(|(by, text)| hash(UserId::new(by), &client(text)));
        assert!(all[0] != all[1] && all[0] != all[2]);
        // Rows on disk depend on it.
        assert_eq!(all[0], 4_258_557_881_403_305_461);
    }
}
