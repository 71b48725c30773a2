//! Looking after this node's own marks: writing cursors, and taking marks away where all is done.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use parlance_domain::feed::Verdict;
use parlance_schema::{Millis, RoomId, Seq};

use super::keeper::State;
use super::table::Step;
use super::{Registry, call};
use crate::ports::store::{Cursor, DueMark, Progress, StoreError, Thing, WorkMark};

/// Rooms that are looked after at the same time.
const AT_ONCE: usize = 16;

impl State {
    /// Does what is to be done about every room with a mark.
    pub(super) async fn settle_all(&self) {
        let rooms = self.registry.table().rooms();
        let due: Vec<RoomId> = rooms.into_iter().filter(|room| self.registry.has_step(*room)).collect();
        for some in due.chunks(AT_ONCE) {
            join_all(some.iter().map(|room| self.settle(*room))).await;
        }
    }

    async fn settle(&self, room: RoomId) {
        match call::settled(self.registry.settle(room)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::info!(%room, %error, "a room's mark is looked after again later");
                self.registry.table().failed(room);
            }
            None => self.registry.table().failed(room),
        }
    }

    /// Leaves other nodes marks of rooms that are awake here, whose consumers this node doesn't run.
    pub(super) async fn leave_notes(&self) -> Result<(), StoreError> {
        let registry = &self.registry;
        if registry.table().others().next().is_none() {
            return Ok(());
        }
        let unleft = registry.table().unleft();
        for (room, end) in unleft {
            if registry.others_seq(room, end).await? < end {
                registry.leave(room).await?;
            }
            if let Some(work) = registry.table().get_mut(room) {
                work.left = work.left.max(end);
            }
        }
        Ok(())
    }
}

impl Registry {
    fn has_step(&self, room: RoomId) -> bool {
        let table = self.table();
        table.step(room) != Step::Wait || !table.unkept(room).is_empty()
    }

    /// Does what is to be done about one room's mark, as far as it goes.
    async fn settle(&self, room: RoomId) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let (mut step, at) = {
            let table = self.table();
            (table.step(room), table.get(room).map_or(0, |work| work.at))
        };
        if step == Step::FindEnd {
            let end = store.log_end(room).await?.last;
            if self.table().found_end(room, at, end) {
                self.tell(room, end);
            }
            step = self.table().step(room);
        }
        if let Step::Fence(end) = step {
            let holds = store.fence(room, end, self.shared.random_id()).await?;
            self.table().fenced(room, at, end, holds);
            step = self.table().step(room);
        }
        match step {
            Step::Finish(end) => self.finish(room, at, end).await,
            _ => self.keep(room, None).await.map(drop),
        }
    }

    /// Writes a room's cursors that the store doesn't have, and takes its mark away.
    async fn keep(&self, room: RoomId, finished: Option<(WorkMark, Seq)>) -> Result<bool, StoreError> {
        let cursors: Vec<Cursor> = self.table().unkept(room);
        if cursors.is_empty() && finished.is_none() {
            return Ok(true);
        }
        let done = self.shared.store.progress(Progress { cursors: cursors.clone(), finished }).await?;
        self.table().kept(&cursors);
        Ok(done)
    }

    async fn finish(&self, room: RoomId, at: u64, end: Seq) -> Result<(), StoreError> {
        let others = self.others_seq(room, end).await?;
        let (verdict, dues) = {
            let table = self.table();
            // Who counts as done because it wants the rest later has a mark written for that, whatever it wants by then.
            (table.verdict(room, others), table.dues(room))
        };
        match verdict {
            Some((Verdict::Remove, last)) if last == end => {}
            Some((Verdict::Leave, last)) if last == end => self.leave(room).await?,
            _ => return Ok(()),
        }
        self.keep_dues(room, dues).await?;
        if !self.keep(room, Some((self.mark(room, at), end))).await? {
            // The log has gone on meanwhile.
            self.table().fenced(room, at, end, false);
            return Ok(());
        }
        let mut table = self.table();
        if table.removed(room, at) {
            self.forget(&table, room);
        }
        Ok(())
    }

    /// Writes marks for the times at which consumers want the rest, anew each time that the room's own is to go: another node may have
    /// taken what was written before, with the log as it was then.
    async fn keep_dues(&self, room: RoomId, dues: BTreeSet<Millis>) -> Result<(), StoreError> {
        for due in dues {
            let due = due.max(self.shared.clock.now());
            self.shared.store.put_due(DueMark { due, mark: self.mark(room, self.next()) }).await?;
        }
        Ok(())
    }

    /// How far those consumers have got, up to `end`, that this node doesn't run.
    pub(super) async fn others_seq(&self, room: RoomId, end: Seq) -> Result<Seq, StoreError> {
        let others: Vec<(String, u64)> =
            self.table().others().map(|other| (other.name.clone(), other.generation)).collect();
        if others.is_empty() {
            return Ok(end);
        }
        let cursors = self.shared.store.cursors(room).await?;
        let of = |(name, generation): &(String, u64)| {
            let own = cursors.iter().find(|cursor| cursor.consumer == *name && cursor.generation == *generation);
            own.map_or(0, |cursor| cursor.seq)
        };
        Ok(others.iter().map(of).min().unwrap_or(end).min(end))
    }

    /// Leaves other nodes a mark of a room. All that it tells of is in the log.
    async fn leave(&self, room: RoomId) -> Result<(), StoreError> {
        let mark = WorkMark { owner: self.left(), thing: Thing::Room(room), at: self.next() };
        self.put(&[mark]).await
    }
}
