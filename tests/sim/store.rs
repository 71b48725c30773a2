//! The store as one node reaches it: late, not at all, or leaving open what it did.

mod feed;
mod rest;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Append, AppendError, LogStore, Range, ReadMark, StoreError, StoredMessage, Waking,
};
use parlance_schema::entry::Entry;
use parlance_schema::{ClientId, MessageId, RoomId, Seq, UserId};
use tokio::time::sleep;

use super::disk::{Disk, Visibility};
use super::gate::Gate;
use super::rng::Rng;

/// How the store misbehaves, in cases of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFaults {
    /// An append of which nobody says whether it was done: it was.
    pub unknown_done: u64,
    /// The same: it wasn't.
    pub unknown_lost: u64,
    /// The same: it will be tried later, when nobody waits for it any more.
    pub unknown_late: u64,
    /// An append that is certainly not done.
    pub unavailable: u64,
    /// A read that fails.
    pub unread: u64,
    /// A read that decides nothing, and doesn't see the latest.
    pub blind: u64,
    /// A call that takes up to two seconds.
    pub slow: u64,
}

pub struct Store {
    pub disk: Arc<Disk>,
    pub gate: Arc<Gate>,
    pub rng: Arc<Rng>,
    /// Shared with whoever lets the store_faults pass.
    pub store_faults: Arc<Mutex<StoreFaults>>,
    /// The consumers that the node's own settings name.
    pub runs: Vec<String>,
}

impl Store {
    pub fn store_faults(&self) -> StoreFaults {
        *self.store_faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One way between node and store.
    async fn travel(&self) {
        let slow = if self.rng.chance(self.store_faults().slow) { self.rng.between(100, 2_000) } else { 0 };
        let ms = self.rng.below(4) + slow + self.gate.store_slow_ms.load(SeqCst);
        if ms > 0 {
            sleep(Duration::from_millis(ms)).await;
        }
        self.gate.goes();
        self.gate.pass().await;
    }

    /// Gets to the store, for a call that can be repeated.
    pub async fn reach(&self) -> Result<(), StoreError> {
        self.gate.pass().await;
        self.travel().await;
        if self.gate.store_away.load(SeqCst) {
            return Err(StoreError::Unavailable("it can't be reached".into()));
        }
        if self.rng.chance(self.store_faults().unread) {
            return Err(StoreError::Unavailable("it timed out".into()));
        }
        Ok(())
    }

    /// Brings an answer back.
    pub async fn back<T>(&self, answer: T) -> Result<T, StoreError> {
        self.travel().await;
        Ok(answer)
    }

    pub fn visibility(&self) -> Visibility {
        if self.rng.chance(self.store_faults().blind) {
            Visibility::Blind(Duration::from_millis(self.rng.below(600)))
        } else {
            Visibility::Sharp
        }
    }

    fn unknown() -> AppendError {
        StoreError::Unknown("it timed out".into()).into()
    }

    /// Applies an append when nobody waits for it any more, if its condition still holds.
    fn apply_late(&self, append: Append) {
        let (disk, wait) = (self.disk.clone(), self.rng.between(5, 4_000));
        let wait = if disk.is_late(append.room) { 4 * wait } else { wait };
        disk.to_come.fetch_add(1, SeqCst);
        tokio::spawn(async move {
            sleep(Duration::from_millis(wait)).await;
            let _ = disk.append(&append);
            disk.to_come.fetch_sub(1, SeqCst);
        });
    }
}

#[async_trait]
impl LogStore for Store {
    fn epoch(&self) -> u64 {
        1
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        self.gate.pass().await;
        self.travel().await;
        if self.gate.store_away.load(SeqCst) || self.rng.chance(self.store_faults().unavailable) {
            return Err(StoreError::Unavailable("it can't be reached".into()).into());
        }
        let fate = self.rng.below(1_000);
        let StoreFaults { unknown_done, unknown_lost, mut unknown_late, .. } = self.store_faults();
        if unknown_late > 0 && self.disk.is_late(append.room) {
            unknown_late = 400;
        }
        if fate < unknown_lost {
            self.travel().await;
            return Err(Self::unknown());
        }
        if fate < unknown_lost + unknown_late {
            self.apply_late(append);
            self.travel().await;
            return Err(Self::unknown());
        }
        let outcome = self.disk.append(&append);
        self.travel().await;
        // The way back may be cut meanwhile.
        if fate < unknown_lost + unknown_late + unknown_done || self.gate.store_away.load(SeqCst) {
            return Err(Self::unknown());
        }
        if outcome.is_ok() {
            self.disk.settle(append.room);
        }
        outcome
    }

    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError> {
        self.reach().await?;
        let woken = self.disk.wake(room);
        self.back(woken).await
    }

    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError> {
        self.reach().await?;
        self.disk.keep(room, seq, state);
        self.back(()).await
    }

    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError> {
        self.reach().await?;
        // Who asks for all there is after a number has noticed a hole.
        if !self.disk.switches.repair && range.to >= Seq::MAX >> 1 {
            return self.back(Vec::new()).await;
        }
        let entries = self.disk.entries(room, range, self.visibility());
        self.back(entries).await
    }

    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError> {
        self.reach().await?;
        let messages = self.disk.messages(room, range, self.visibility());
        self.back(messages).await
    }

    async fn messages_at(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Option<StoredMessage>>, StoreError> {
        self.reach().await?;
        let one = |(room, seq): &(RoomId, Seq)| {
            let range = Range { from: *seq, to: *seq, limit: 1, backwards: false };
            self.disk.messages(*room, range, self.visibility()).pop()
        };
        let messages = places.iter().map(one).collect();
        self.back(messages).await
    }

    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError> {
        self.reach().await?;
        let all = Range { from: after + 1, to: Seq::MAX, limit: usize::MAX, backwards: false };
        let posts = self.disk.messages(room, all, self.visibility());
        self.back(posts.iter().filter(|message| message.entry.by == by).count() as u64).await
    }

    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError> {
        self.reach().await?;
        let found = self.disk.locate(message, self.visibility());
        self.back(found).await
    }

    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId, upto: Seq) -> Result<Option<Seq>, StoreError> {
        self.reach().await?;
        // No more is found than was asked for.
        let found = self.disk.find(room, by, client_id).filter(|seq| *seq <= upto);
        self.back(found).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        self.reach().await?;
        let rooms = self.disk.rooms_of(user, self.visibility());
        self.back(rooms).await
    }

    async fn rooms_of_each(&self, users: &[UserId]) -> Result<Vec<Vec<RoomId>>, StoreError> {
        self.reach().await?;
        let rooms = users.iter().map(|user| self.disk.rooms_of(*user, self.visibility())).collect();
        self.back(rooms).await
    }

    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError> {
        self.reach().await?;
        marks.into_iter().for_each(|(user, mark)| self.disk.mark(room, user, mark));
        self.back(()).await
    }

    async fn read_marks(&self, room: RoomId) -> Result<Vec<(UserId, ReadMark)>, StoreError> {
        self.reach().await?;
        let marks = self.disk.marks(room);
        self.back(marks).await
    }
}
