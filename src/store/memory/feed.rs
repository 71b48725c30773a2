//! What lets logs be followed, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Begins, Cursor, DeadLetter, DueMark, FeedStore, Filter, LogEnd, MarkOwner, Progress, Registered, StoreError, Thing,
    Walk, WorkMark,
};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{Millis, RoomId, Seq};

use super::{All, Memory};

/// Marks, fences, consumers and how far they have got.
#[derive(Clone, Default)]
pub(super) struct Feed {
    /// By owner and thing: when it was written.
    marks: BTreeMap<(u64, Thing), u64>,
    /// By time, thing and owner: when it was written.
    due: BTreeMap<(Millis, Thing, u64), u64>,
    /// The bucket of each room's log that has a fence, and the fence.
    fences: BTreeMap<RoomId, (u64, u64)>,
    consumers: BTreeMap<String, Kept>,
    cursors: BTreeMap<(RoomId, String, u64), Seq>,
    dead: BTreeMap<(String, RoomId, Seq), DeadLetter>,
    runs: BTreeMap<String, Millis>,
}

/// A consumer, which is kept for its generation once it is dropped.
#[derive(Clone)]
struct Kept {
    registered: Registered,
    dropped: bool,
}

impl Feed {
    /// The fence that holds for an append after a number.
    pub fn fence_after(&self, room: RoomId, last: Seq) -> Option<u64> {
        self.fences.get(&room).filter(|(bucket, _)| *bucket == last / LOG_BUCKET).map(|(_, fence)| *fence)
    }

    /// Writes a mark, unless a later one is there.
    pub fn mark(&mut self, mark: WorkMark) {
        let at = self.marks.entry((mark.owner, mark.thing)).or_insert(mark.at);
        *at = mark.at.max(*at);
    }

    fn unmark(&mut self, mark: &WorkMark) {
        if self.marks.get(&(mark.owner, mark.thing)).is_some_and(|at| *at <= mark.at) {
            self.marks.remove(&(mark.owner, mark.thing));
        }
    }
}

impl All {
    fn raise(&mut self, cursor: Cursor) {
        let kept = self.feed.cursors.entry((cursor.room, cursor.consumer, cursor.generation)).or_insert(cursor.seq);
        *kept = cursor.seq.max(*kept);
    }
}

#[async_trait]
impl FeedStore for Memory {
    fn marks_with_append(&self) -> bool {
        true
    }

    async fn open_owner(&self, _: u64, _: Millis) -> Result<(), StoreError> {
        Ok(())
    }

    async fn owners(&self) -> Result<Vec<MarkOwner>, StoreError> {
        let mut owners: Vec<u64> = self.lock().feed.marks.keys().map(|(owner, _)| *owner).collect();
        owners.dedup();
        Ok(owners.into_iter().map(|owner| MarkOwner { owner, opened_at: 0 }).collect())
    }

    async fn forget_owner(&self, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn put_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let mut all = self.lock();
        marks.iter().for_each(|mark| all.feed.mark(*mark));
        Ok(())
    }

    async fn marks(
        &self,
        owner: u64,
        shard: u8,
        after: Option<Thing>,
        limit: usize,
    ) -> Result<Vec<WorkMark>, StoreError> {
        let all = self.lock();
        let marks =
            all.feed.marks.iter().map(|((owner, thing), at)| WorkMark { owner: *owner, thing: *thing, at: *at });
        let within = |mark: &WorkMark| {
            mark.owner == owner && mark.thing.shard() == shard && after.is_none_or(|after| mark.thing > after)
        };
        Ok(marks.filter(within).take(limit).collect())
    }

    async fn drop_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let mut all = self.lock();
        marks.iter().for_each(|mark| all.feed.unmark(mark));
        Ok(())
    }

    async fn put_due(&self, due: DueMark) -> Result<(), StoreError> {
        let mut all = self.lock();
        let at = all.feed.due.entry((due.due, due.mark.thing, due.mark.owner)).or_insert(due.mark.at);
        *at = due.mark.at.max(*at);
        Ok(())
    }

    async fn due(&self, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError> {
        let all = self.lock();
        let due = all.feed.due.iter().map(|((due, thing, owner), at)| DueMark {
            due: *due,
            mark: WorkMark { owner: *owner, thing: *thing, at: *at },
        });
        Ok(due.filter(|due| due.due <= now && due.mark.thing.shard() == shard).take(limit).collect())
    }

    async fn drop_due(&self, due: &[DueMark]) -> Result<(), StoreError> {
        let mut all = self.lock();
        for DueMark { due, mark } in due {
            let key = (*due, mark.thing, mark.owner);
            if all.feed.due.get(&key).is_some_and(|at| *at <= mark.at) {
                all.feed.due.remove(&key);
            }
        }
        Ok(())
    }

    async fn log_end(&self, room: RoomId) -> Result<LogEnd, StoreError> {
        let all = self.lock();
        let last = all.last(room);
        Ok(LogEnd { last, fence: all.feed.fence_after(room, last) })
    }

    async fn fence(&self, room: RoomId, last: Seq, fence: u64) -> Result<bool, StoreError> {
        let mut all = self.lock();
        let holds = all.last(room) == last;
        if holds {
            all.feed.fences.insert(room, (last / LOG_BUCKET, fence));
        }
        Ok(holds)
    }

    async fn progress(&self, progress: Progress) -> Result<bool, StoreError> {
        let mut all = self.lock();
        progress.cursors.into_iter().for_each(|cursor| all.raise(cursor));
        let Some((mark, last)) = progress.finished else { return Ok(true) };
        let ends = if let Thing::Room(room) = mark.thing { all.last(room) == last } else { true };
        if ends {
            all.feed.unmark(&mark);
        }
        Ok(ends)
    }

    async fn cursors(&self, room: RoomId) -> Result<Vec<Cursor>, StoreError> {
        let all = self.lock();
        let of_room = all.feed.cursors.iter().filter(|((of, _, _), _)| *of == room);
        let cursor = |(key, seq): (&(RoomId, String, u64), &Seq)| {
            let (consumer, generation) = (key.1.clone(), key.2);
            Cursor { room, consumer, generation, seq: *seq }
        };
        Ok(of_room.map(cursor).collect())
    }

    async fn consumers(&self) -> Result<Vec<Registered>, StoreError> {
        let all = self.lock();
        Ok(all.feed.consumers.values().filter(|kept| !kept.dropped).map(|kept| kept.registered.clone()).collect())
    }

    async fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError> {
        let mut all = self.lock();
        let new = |generation| Registered {
            name: name.to_owned(),
            filter: filter.clone(),
            begins,
            generation,
            walk: Some(Walk::default()),
        };
        let kept =
            all.feed.consumers.entry(name.to_owned()).or_insert_with(|| Kept { registered: new(1), dropped: false });
        if kept.dropped {
            *kept = Kept { registered: new(kept.registered.generation + 1), dropped: false };
        }
        kept.registered.filter = filter.clone();
        Ok(kept.registered.clone())
    }

    async fn reset(&self, name: &str) -> Result<Option<Registered>, StoreError> {
        let mut all = self.lock();
        let kept = all.feed.consumers.get_mut(name).filter(|kept| !kept.dropped);
        Ok(kept.map(|kept| {
            kept.registered.generation += 1;
            kept.registered.begins = Begins::Start;
            kept.registered.walk = Some(Walk::default());
            kept.registered.clone()
        }))
    }

    async fn unregister(&self, name: &str) -> Result<bool, StoreError> {
        let mut all = self.lock();
        let kept = all.feed.consumers.get_mut(name).filter(|kept| !kept.dropped);
        Ok(kept.map(|kept| kept.dropped = true).is_some())
    }

    async fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> Result<bool, StoreError> {
        let mut all = self.lock();
        let there = |kept: &&mut Kept| {
            !kept.dropped && kept.registered.generation == generation && kept.registered.walk.as_ref() == Some(from)
        };
        let kept = all.feed.consumers.get_mut(name).filter(there);
        Ok(kept.map(|kept| kept.registered.walk = to.cloned()).is_some())
    }

    async fn walk(&self, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError> {
        let after = after.0.as_slice().try_into().map(u64::from_be_bytes).unwrap_or(0);
        let mut rooms: Vec<RoomId> = self.lock().rooms.keys().copied().filter(|room| room.get() > after).collect();
        rooms.sort_unstable();
        rooms.truncate(limit);
        let next = rooms.last().map(|room| Walk(room.get().to_be_bytes().to_vec()));
        Ok((rooms, next))
    }

    async fn note_run(&self, name: &str, now: Millis) -> Result<(), StoreError> {
        self.lock().feed.runs.insert(name.to_owned(), now);
        Ok(())
    }

    async fn runs(&self) -> Result<Vec<(String, Millis)>, StoreError> {
        Ok(self.lock().feed.runs.clone().into_iter().collect())
    }

    async fn put_dead(&self, dead: &DeadLetter) -> Result<(), StoreError> {
        self.lock().feed.dead.insert((dead.consumer.clone(), dead.room, dead.seq), dead.clone());
        Ok(())
    }

    async fn dead(
        &self,
        consumer: &str,
        after: Option<(RoomId, Seq)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let all = self.lock();
        let of = all.feed.dead.values().filter(|dead| dead.consumer == consumer);
        Ok(of.filter(|dead| after.is_none_or(|after| (dead.room, dead.seq) > after)).take(limit).cloned().collect())
    }

    async fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError> {
        self.lock().feed.dead.remove(&(consumer.to_owned(), room, seq));
        Ok(())
    }
}
