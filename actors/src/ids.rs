//! Ids of users, rooms and messages, handed out from blocks that the store gives.
//!
//! A block is taken whole and never given back: what a node doesn't use, or doesn't know whether it got, is forgotten. So
//! ids are unique whatever clocks and leases do, and handing one out costs an atomic step, not a write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parlance_schema::limits::{ID_BLOCK, ID_MAX};
use parlance_schema::{MessageId, RoomId, UserId};
use tokio::sync::Mutex;

use crate::ports::store::{ClaimStore, IdKind, StoreError};

/// The source of a node's ids.
pub struct Ids {
    store: Arc<dyn ClaimStore>,
    block: u64,
    users: Range,
    rooms: Range,
    messages: Range,
}

impl Ids {
    /// A source that takes blocks of the usual size.
    #[must_use]
    pub fn new(store: Arc<dyn ClaimStore>) -> Self {
        Self::with_block(store, ID_BLOCK)
    }

    /// A source that takes blocks of `block` ids, for programs that end after a few.
    #[must_use]
    pub fn with_block(store: Arc<dyn ClaimStore>, block: u64) -> Self {
        Self {
            store,
            block: block.max(1),
            users: Range::default(),
            rooms: Range::default(),
            messages: Range::default(),
        }
    }

    /// The next id of a kind, if one is at hand. Costs an atomic step.
    #[must_use]
    pub fn at_hand(&self, kind: IdKind) -> Option<u64> {
        self.range(kind).take()
    }

    fn range(&self, kind: IdKind) -> &Range {
        match kind {
            IdKind::User => &self.users,
            IdKind::Room => &self.rooms,
            IdKind::Message => &self.messages,
        }
    }

    /// The next id of a kind.
    ///
    /// # Errors
    /// When a new block was needed and the store failed; the next call tries another block.
    pub async fn next(&self, kind: IdKind) -> Result<u64, StoreError> {
        let range = self.range(kind);
        match range.take() {
            Some(id) => Ok(id),
            None => range.refill(&*self.store, kind, self.block).await,
        }
    }

    /// Finds out how many ids are left, without taking any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(&self) -> Result<(), StoreError> {
        for (kind, range) in
            [(IdKind::User, &self.users), (IdKind::Room, &self.rooms), (IdKind::Message, &self.messages)]
        {
            range.know(kind, self.store.take_ids(kind, 0).await?);
        }
        Ok(())
    }

    /// How many ids are left of the kind that has fewest, as far as this node knows.
    #[must_use]
    pub fn left(&self) -> u64 {
        let known = [&self.users, &self.rooms, &self.messages].map(|range| range.known.load(Ordering::Acquire));
        known.into_iter().map(|next| (ID_MAX + 1).saturating_sub(next.max(1))).min().unwrap_or(0)
    }

    /// The next user id.
    ///
    /// # Errors
    /// As for [`Ids::next`].
    pub async fn user(&self) -> Result<UserId, StoreError> {
        self.next(IdKind::User).await.map(UserId::new)
    }

    /// The next room id.
    ///
    /// # Errors
    /// As for [`Ids::next`].
    pub async fn room(&self) -> Result<RoomId, StoreError> {
        self.next(IdKind::Room).await.map(RoomId::new)
    }

    /// The next message id.
    ///
    /// # Errors
    /// As for [`Ids::next`].
    pub async fn message(&self) -> Result<MessageId, StoreError> {
        self.next(IdKind::Message).await.map(MessageId::new)
    }
}

/// What is left of the present block: `next` up to, not including, `end`.
///
/// Blocks only go up, and a refill stores `next` before `end`. So whoever has read an `end` and then reads a smaller `next`
/// has read a number of that very block.
#[derive(Default)]
struct Range {
    next: AtomicU64,
    end: AtomicU64,
    /// The first id that the store had not given to anybody, when it was asked last.
    known: AtomicU64,
    refilling: Mutex<()>,
}

impl Range {
    fn take(&self) -> Option<u64> {
        let end = self.end.load(Ordering::Acquire);
        self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < end).then_some(n + 1)).ok()
    }

    /// Notes the first id that nobody has.
    fn know(&self, kind: IdKind, next: u64) {
        let known = self.known.fetch_max(next, Ordering::AcqRel).max(next);
        metrics::gauge!("parlance_ids_left", "kind" => word(kind)).set((ID_MAX + 1).saturating_sub(known) as f64);
    }

    async fn refill(&self, store: &dyn ClaimStore, kind: IdKind, block: u64) -> Result<u64, StoreError> {
        let _one = self.refilling.lock().await;
        // Whoever held the lock before may have refilled it.
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let first = store.take_ids(kind, block).await?;
        let end = first.saturating_add(block);
        if first == 0 || first < self.end.load(Ordering::Acquire) || end - 1 > ID_MAX {
            return Err(StoreError::Corrupt(format!("a block of {kind:?} ids began at {first}")));
        }
        self.know(kind, end);
        // The first one is ours before anybody else can see the block.
        self.next.store(first + 1, Ordering::Release);
        self.end.store(end, Ordering::Release);
        Ok(first)
    }
}

/// A kind, as the metric names it.
const fn word(kind: IdKind) -> &'static str {
    match kind {
        IdKind::User => "user",
        IdKind::Room => "room",
        IdKind::Message => "message",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::AtomicBool;

    use async_trait::async_trait;
    use parlance_schema::TenantId;

    use super::*;
    use crate::ports::store::ClaimKind;

    /// Gives blocks in order; takes one and says "unknown" while `lossy`.
    #[derive(Default)]
    struct Blocks {
        next: AtomicU64,
        taken: AtomicU64,
        lossy: AtomicBool,
    }

    #[async_trait]
    impl ClaimStore for Blocks {
        async fn claim(&self, _: TenantId, _: ClaimKind, _: &str, target: u64) -> Result<u64, StoreError> {
            Ok(target)
        }

        async fn take_ids(&self, _: IdKind, count: u64) -> Result<u64, StoreError> {
            tokio::task::yield_now().await;
            let first = self.next.fetch_add(count, Ordering::SeqCst) + 1;
            self.taken.fetch_add(1, Ordering::SeqCst);
            if self.lossy.load(Ordering::SeqCst) {
                return Err(StoreError::Unknown("time-out".into()));
            }
            Ok(first)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_ids_differ_and_no_block_is_taken_in_vain() {
        let store = Arc::new(Blocks::default());
        let ids = Arc::new(Ids::with_block(store.clone(), 16));
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let ids = ids.clone();
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    for _ in 0..500 {
                        mine.push(ids.next(IdKind::Message).await.unwrap());
                    }
                    mine
                })
            })
            .collect();
        let mut all = HashSet::new();
        for task in tasks {
            for id in task.await.unwrap() {
                assert!(all.insert(id), "{id} was handed out twice");
            }
        }
        assert_eq!(all.len(), 16_000);
        assert_eq!(all.iter().max(), Some(&16_000));
        assert_eq!(store.taken.load(Ordering::SeqCst), 1_000);
    }

    #[tokio::test]
    async fn kinds_are_counted_apart() {
        let ids = Ids::with_block(Arc::new(Blocks::default()), 10);
        assert_eq!(ids.user().await.unwrap().get(), 1);
        assert_eq!(ids.room().await.unwrap().get(), 11);
        assert_eq!(ids.message().await.unwrap().get(), 21);
        assert_eq!(ids.user().await.unwrap().get(), 2);
    }

    #[tokio::test]
    async fn what_is_left_is_known_before_and_after_taking_some() {
        let store = Arc::new(Blocks::default());
        store.next.store(ID_MAX - 100, Ordering::SeqCst);
        let ids = Ids::with_block(store.clone(), 10);
        ids.look().await.unwrap();
        assert_eq!(ids.left(), 101 - 1);
        ids.message().await.unwrap();
        assert_eq!(ids.left(), 100 - 10);
        ids.look().await.unwrap();
        assert_eq!(ids.left(), 100 - 10, "looking takes none");
    }

    #[tokio::test]
    async fn a_block_whose_fate_is_unknown_is_never_used() {
        let store = Arc::new(Blocks::default());
        let ids = Ids::with_block(store.clone(), 10);
        store.lossy.store(true, Ordering::SeqCst);
        assert!(matches!(ids.user().await, Err(StoreError::Unknown(_))));
        store.lossy.store(false, Ordering::SeqCst);
        assert_eq!(ids.user().await.unwrap().get(), 11);
    }

    #[tokio::test]
    async fn a_store_that_goes_backwards_is_not_believed() {
        let store = Arc::new(Blocks::default());
        let ids = Ids::with_block(store.clone(), 1);
        assert_eq!(ids.user().await.unwrap().get(), 1);
        store.next.store(0, Ordering::SeqCst);
        assert!(matches!(ids.user().await, Err(StoreError::Corrupt(_))));
    }
}
