//! A Room's side: the mark that it has before it appends, the fence that its appends know, and how its log stands when it ends.

use std::sync::Arc;

use parlance_domain::feed::{Rest, Tenure};
use parlance_schema::entry::Entry;
use parlance_schema::{RoomId, Seq};

use super::Registry;
use crate::ports::store::{LogEnd, StoreError, WorkMark};

/// What a Room holds from when it wakes until it ends. Dropped without [`Tenancy::end`], as by a Room that crashed, it says
/// that what was begun may still come into the log.
pub(crate) struct Tenancy {
    feed: Arc<Registry>,
    room: RoomId,
    /// When the Room woke, by the node's count, and when its mark was written last.
    woke: u64,
    at: u64,
    tenure: Tenure,
    rest: Rest,
}

/// A Room's mark that is to be written before it appends.
pub(crate) struct Marking(Option<(Arc<Registry>, WorkMark)>);

impl Marking {
    /// Writes it, where the store doesn't do that with an append.
    ///
    /// # Errors
    /// When it may not be there: then nothing may be appended.
    pub(crate) async fn write(self) -> Result<(), StoreError> {
        let Some((feed, mark)) = self.0 else { return Ok(()) };
        feed.put(&[mark]).await
    }
}

impl Tenancy {
    /// A Room that wakes.
    pub(crate) fn begin(feed: Arc<Registry>, room: RoomId) -> Self {
        let at = feed.next();
        feed.table().woke(room, at);
        Self { feed, room, woke: at, at, tenure: Tenure::default(), rest: Rest::Open }
    }

    /// The Room's mark, to be written before its first append, and again whenever the log was read again: a node that took this
    /// one for gone has removed the mark, and that is how the Room learns of it.
    pub(crate) fn marking(&mut self) -> Marking {
        self.at = self.feed.next();
        self.feed.table().marked(self.room, self.at);
        let before = !self.feed.shared.store.marks_with_append();
        if before {
            self.feed.table().writes(self.room);
        }
        Marking(before.then(|| (self.feed.clone(), self.feed.mark(self.room, self.at))))
    }

    /// The log was read, when the Room woke, or after an append that was refused or of unknown fate.
    pub(crate) fn read(&mut self, end: LogEnd) {
        self.tenure.read(end.last, end.fence);
        // What was appended meanwhile may be a deletion.
        self.feed.recent().forget(self.room);
        self.feed.appended(self.room, end.last);
    }

    /// The fence that an append after `expected` must know.
    pub(crate) fn fence(&self, expected: Seq) -> Option<u64> {
        self.tenure.fence(expected)
    }

    /// The mark that an append brings with it.
    pub(crate) fn mark(&self) -> Option<WorkMark> {
        let brings = self.tenure.needs_mark() && self.feed.shared.store.marks_with_append();
        brings.then(|| {
            self.feed.table().writes(self.room);
            self.feed.mark(self.room, self.at)
        })
    }

    /// An append is given to the store.
    pub(crate) fn sent(&mut self) {
        self.tenure.sent();
    }

    /// It was acknowledged: the log goes up to the last of these.
    pub(crate) fn acknowledged(&mut self, entries: &[Arc<Entry>]) {
        let Some(last) = entries.last() else { return };
        self.tenure.acknowledged(last.seq);
        self.feed.wrote(self.room, entries);
    }

    /// The Room ends when this is dropped; nothing of it is in flight any more that was not given up.
    pub(crate) fn end(&mut self) {
        self.rest = self.tenure.rest();
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        let now = self.feed.next();
        // Another node may be the one that deletes from now on.
        self.feed.recent().forget(self.room);
        let mut table = self.feed.table();
        let end = table.rested(self.room, self.woke, self.rest, now);
        if table.get(self.room).is_none() {
            self.feed.forget(&table, self.room);
        }
        drop(table);
        if let Some(end) = end {
            self.feed.tell(self.room, end);
        }
    }
}
