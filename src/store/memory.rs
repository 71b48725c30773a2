//! The store in memory, for tests: the same behaviour as the others', gone with the process.

mod accounts;
mod bulk;
mod feed;
mod log;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Account, ClaimKind, ClaimStore, Family, IdKind, MessageState, ReadMark, Store, StoreError, StoreHealth,
};
use parlance_schema::entry::Entry;
use parlance_schema::limits::ID_MAX;
use parlance_schema::{ClientId, MessageId, Millis, RoomId, Seq, TenantId, UserId};

/// A store that keeps everything in maps behind one lock.
#[derive(Default)]
pub struct Memory {
    all: Mutex<All>,
}

/// All that is kept.
#[derive(Clone, Default)]
struct All {
    rooms: HashMap<RoomId, Log>,
    messages: HashMap<MessageId, (RoomId, Seq)>,
    members: BTreeSet<(UserId, RoomId)>,
    claims: HashMap<(TenantId, ClaimKind, String), u64>,
    next_ids: HashMap<IdKind, u64>,
    accounts: BTreeMap<UserId, Account>,
    families: BTreeMap<String, Family>,
    audit: Vec<(Millis, UserId, Option<RoomId>, String)>,
    marks: BTreeMap<(RoomId, UserId), ReadMark>,
    imports: BTreeMap<String, (u64, Vec<u8>)>,
    records: BTreeMap<(String, u8, u64), Vec<u8>>,
    feed: feed::Feed,
}

/// One room's log and what hangs on it.
#[derive(Clone, Default)]
struct Log {
    entries: Vec<Arc<Entry>>,
    dedup: HashMap<(UserId, ClientId), Seq>,
    states: BTreeMap<Seq, MessageState>,
    snapshot: Option<(Seq, Vec<u8>)>,
}

impl Memory {
    /// A store with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many notes moderators left.
    #[must_use]
    pub fn audited(&self) -> usize {
        self.lock().audit.len()
    }

    // Nothing awaits while it holds the lock, and no method leaves the maps half-changed.
    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ClaimStore for Memory {
    async fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, StoreError> {
        Ok(*self.lock().claims.entry((tenant, kind, key.to_owned())).or_insert(target))
    }

    async fn take_ids(&self, kind: IdKind, count: u64) -> Result<u64, StoreError> {
        let mut all = self.lock();
        let next = all.next_ids.entry(kind).or_insert(1);
        let first = *next;
        let after = first.checked_add(count).filter(|after| *after <= ID_MAX + 1);
        *next = after.ok_or_else(|| StoreError::Unavailable(format!("no {count} ids of kind {kind:?} are left")))?;
        Ok(first)
    }
}

#[async_trait]
impl Store for Memory {
    async fn health(&self) -> StoreHealth {
        StoreHealth { backend: "memory", writable: true, durability: "memory" }
    }
}
