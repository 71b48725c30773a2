//! Following logs: what this node has marked as unfinished, and who works on it.
//!
//! ```text
//! Feed ── Follower × consumer that this node runs    one destination, its calls, its back-off
//! ```
//! [`table`] is what the node knows of its marks, [`keeper`] the actor that looks after them ([`sweep`] finds those of nodes that
//! are gone), [`follower`] the one that gives entries to a consumer, [`tenancy`] a Room's side.
//! docs/decisions/0023-following-a-log.md has the protocol.

mod call;
mod follower;
mod inbox;
mod keeper;
mod recent;
mod settle;
mod sweep;
mod table;
mod tenancy;
mod under_way;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlance_schema::entry::Entry;
use parlance_schema::{RoomId, Seq};
use tokio::time::Instant;

use crate::ports::Consumer;
use crate::ports::store::{SETTLED_OWNER, StoreError, Thing, WorkMark};
use crate::shared::Shared;
use inbox::Inbox;
pub(crate) use keeper::Feed;
use recent::Recent;
use table::Table;
pub(crate) use tenancy::Tenancy;

/// How long the owner's row counts as written: after that it is written again before the next mark.
const OWNER_FOR: Duration = Duration::from_secs(3_600);

/// What this node follows, and its marks.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    /// Whose the marks are: this start of the node.
    owner: u64,
    /// Counts writes of marks, and whatever else is ordered by them.
    count: AtomicU64,
    /// When this node's two owners were last said to be in use.
    opened: tokio::sync::Mutex<[Option<Instant>; 2]>,
    table: Mutex<Table>,
    consumers: Vec<Arc<dyn Consumer>>,
    inboxes: Vec<Arc<Inbox>>,
    recent: Mutex<Recent>,
}

impl Registry {
    /// A node without marks, which runs these consumers.
    pub(crate) fn new(shared: Arc<Shared>, consumers: Vec<Arc<dyn Consumer>>) -> Arc<Self> {
        let inboxes = consumers.iter().map(|_| Arc::default()).collect();
        let table = Mutex::new(Table::new(consumers.iter().map(|consumer| consumer.name().to_owned()).collect()));
        let (count, opened, owner) = (AtomicU64::new(1), tokio::sync::Mutex::default(), shared.cluster.incarnation());
        Arc::new(Self { shared, owner, count, opened, table, consumers, inboxes, recent: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst)
    }

    /// The owner of marks that this node leaves to others: all they tell of is in the log.
    fn left(&self) -> u64 {
        self.owner | SETTLED_OWNER
    }

    fn mark(&self, room: RoomId, at: u64) -> WorkMark {
        WorkMark { owner: self.owner, thing: Thing::Room(room), at }
    }

    /// Has marks of an owner found by others, once this node is gone.
    async fn open(&self, owner: u64) -> Result<(), StoreError> {
        let mut opened = self.opened.lock().await;
        let opened = &mut opened[usize::from(owner != self.owner)];
        if opened.is_none_or(|at| at.elapsed() >= OWNER_FOR) {
            let begun = Instant::now();
            self.shared.store.open_owner(owner, self.shared.clock.now()).await?;
            *opened = Some(begun);
        }
        Ok(())
    }

    /// Writes marks of one of this node's owners, after it has made certain that others find them once this node is gone.
    async fn put(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let Some(owner) = marks.first().map(|mark| mark.owner) else { return Ok(()) };
        self.open(owner).await?;
        self.shared.store.put_marks(marks).await
    }

    /// The log of a room goes up to `last` now, for certain.
    fn appended(&self, room: RoomId, last: Seq) {
        if self.table().appended(room, last) {
            self.tell(room, last);
        }
    }

    /// A Room of this node has appended these.
    fn wrote(&self, room: RoomId, entries: &[Arc<Entry>]) {
        if !self.consumers.is_empty() {
            self.recent().keep(room, entries);
        }
        if let Some(last) = entries.last() {
            self.appended(room, last.seq);
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room has no mark here any more. The table is held, so that nobody is told of new entries before this.
    fn forget(&self, _: &Table, room: RoomId) {
        self.inboxes.iter().for_each(|inbox| inbox.forget(room));
    }

    /// Tells all followers how far a room's log goes.
    fn tell(&self, room: RoomId, last: Seq) {
        self.inboxes.iter().for_each(|inbox| inbox.push(room, last));
    }
}
