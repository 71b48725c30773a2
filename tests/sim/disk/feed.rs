//! What the simulated store holds for following logs: cells with timestamps, as a CQL server keeps them, where the later
//! one wins and a removal wins over a write of the same time, in whatever order they come.

use std::collections::BTreeMap;

use parlance_actors::ports::store::{
    Begins, Cursor, DeadLetter, DueMark, Filter, LogEnd, MarkOwner, Registered, Thing, Walk, WorkMark,
};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{Millis, RoomId, Seq};

use super::Disk;

/// A cell: when it was written or removed last, and whether it is there.
#[derive(Clone, Copy, Default)]
struct Cell {
    at: u64,
    there: bool,
}

impl Cell {
    fn put(&mut self, at: u64) {
        if at > self.at {
            *self = Self { at, there: true };
        }
    }

    fn drop(&mut self, at: u64) {
        if at >= self.at {
            *self = Self { at, there: false };
        }
    }
}

struct Kept {
    registered: Registered,
    dropped: bool,
}

#[derive(Default)]
pub(super) struct Feed {
    owners: BTreeMap<u64, Millis>,
    marks: BTreeMap<(u64, Thing), Cell>,
    due: BTreeMap<(Millis, Thing, u64), Cell>,
    fences: BTreeMap<(RoomId, u64), u64>,
    consumers: BTreeMap<String, Kept>,
    runs: BTreeMap<String, Millis>,
    cursors: BTreeMap<(RoomId, String, u64), Seq>,
    dead: BTreeMap<(String, RoomId, Seq), DeadLetter>,
}

impl Feed {
    /// The fence that an append after a number must know.
    pub fn fence_after(&self, room: RoomId, last: Seq) -> Option<u64> {
        self.fences.get(&(room, last / LOG_BUCKET)).copied()
    }
}

impl Disk {
    pub fn open_owner(&self, owner: u64, now: Millis) {
        self.lock().feed.owners.insert(owner, now);
    }

    pub fn owners(&self) -> Vec<MarkOwner> {
        let all = self.lock();
        let owners = all.feed.owners.iter().filter(|_| self.switches.sweep);
        owners.map(|(owner, at)| MarkOwner { owner: *owner, opened_at: *at }).collect()
    }

    pub fn forget_owner(&self, owner: u64) {
        self.lock().feed.owners.remove(&owner);
    }

    pub fn put_mark(&self, mark: WorkMark) {
        if self.switches.mark {
            self.lock().feed.marks.entry((mark.owner, mark.thing)).or_default().put(mark.at);
        }
    }

    pub fn drop_mark(&self, mark: WorkMark) {
        self.lock().feed.marks.entry((mark.owner, mark.thing)).or_default().drop(mark.at);
    }

    pub fn work(&self, owner: u64, shard: u8, after: Option<Thing>, limit: usize) -> Vec<WorkMark> {
        let all = self.lock();
        let there = all.feed.marks.iter().filter(|(_, cell)| cell.there);
        let marks = there.map(|((owner, thing), cell)| WorkMark { owner: *owner, thing: *thing, at: cell.at });
        let within = |mark: &WorkMark| {
            mark.owner == owner && mark.thing.shard() == shard && after.is_none_or(|after| mark.thing > after)
        };
        marks.filter(within).take(limit).collect()
    }

    pub fn put_due(&self, due: DueMark) {
        if self.switches.due {
            let DueMark { due, mark } = due;
            self.lock().feed.due.entry((due, mark.thing, mark.owner)).or_default().put(mark.at);
        }
    }

    pub fn drop_due(&self, due: DueMark) {
        let DueMark { due, mark } = due;
        self.lock().feed.due.entry((due, mark.thing, mark.owner)).or_default().drop(mark.at);
    }

    pub fn due(&self, shard: u8, now: Millis, limit: usize) -> Vec<DueMark> {
        let all = self.lock();
        let there = all.feed.due.iter().filter(|(_, cell)| cell.there);
        let due = there.map(|((due, thing, owner), cell)| DueMark {
            due: *due,
            mark: WorkMark { owner: *owner, thing: *thing, at: cell.at },
        });
        due.filter(|due| due.due <= now && due.mark.thing.shard() == shard).take(limit).collect()
    }

    /// When the last of a room's marks for later is to be looked at; 0 where there is none.
    pub fn last_due(&self, room: RoomId) -> Millis {
        let all = self.lock();
        let there = all.feed.due.iter().filter(|((_, thing, _), cell)| cell.there && *thing == Thing::Room(room));
        there.map(|((due, ..), _)| *due).max().unwrap_or(0)
    }

    /// Where a log ends, in earnest.
    pub fn log_end(&self, room: RoomId) -> LogEnd {
        let mut all = self.lock();
        let log = all.logs.get_mut(&room);
        let last = log.map_or(0, |log| {
            log.settle();
            log.rows.len() as Seq
        });
        LogEnd { last, fence: all.feed.fence_after(room, last) }
    }

    pub fn fence(&self, room: RoomId, last: Seq, fence: u64) -> bool {
        let mut all = self.lock();
        let log = all.logs.get_mut(&room);
        let there = log.map_or(0, |log| {
            log.settle();
            log.rows.len() as Seq
        });
        if there == last && self.switches.fence {
            let after = if self.switches.fence_bucket { last } else { last.saturating_sub(1) };
            all.feed.fences.insert((room, after / LOG_BUCKET), fence);
        }
        there == last
    }

    pub fn raise(&self, cursor: Cursor) {
        let mut all = self.lock();
        let kept = all.feed.cursors.entry((cursor.room, cursor.consumer, cursor.generation)).or_default();
        *kept = cursor.seq.max(*kept);
    }

    pub fn cursors(&self, room: RoomId) -> Vec<Cursor> {
        let all = self.lock();
        let of_room = all.feed.cursors.iter().filter(|((of, _, _), _)| *of == room);
        let cursor = |(key, seq): (&(RoomId, String, u64), &Seq)| {
            let (consumer, generation) = (key.1.clone(), key.2);
            Cursor { room, consumer, generation, seq: *seq }
        };
        of_room.map(cursor).collect()
    }

    pub fn consumers(&self) -> Vec<Registered> {
        let all = self.lock();
        all.feed.consumers.values().filter(|kept| !kept.dropped).map(|kept| kept.registered.clone()).collect()
    }

    pub fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Registered {
        let mut all = self.lock();
        let (walk, name) = (Some(Walk::default()), name.to_owned());
        let new = Registered { name: name.clone(), filter: filter.clone(), begins, generation: 1, walk };
        let kept = all.feed.consumers.entry(name).or_insert(Kept { registered: new, dropped: false });
        if std::mem::take(&mut kept.dropped) {
            kept.registered.generation += 1;
            (kept.registered.begins, kept.registered.walk) = (begins, Some(Walk::default()));
        }
        kept.registered.filter = filter.clone();
        kept.registered.clone()
    }

    pub fn reset(&self, name: &str) -> Option<Registered> {
        let mut all = self.lock();
        let kept = all.feed.consumers.get_mut(name).filter(|kept| !kept.dropped)?;
        kept.registered.generation += 1;
        (kept.registered.begins, kept.registered.walk) = (Begins::Start, Some(Walk::default()));
        Some(kept.registered.clone())
    }

    pub fn unregister(&self, name: &str) -> bool {
        let mut all = self.lock();
        let kept = all.feed.consumers.get_mut(name).filter(|kept| !kept.dropped);
        kept.map(|kept| kept.dropped = true).is_some()
    }

    pub fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> bool {
        let mut all = self.lock();
        let Some(kept) = all.feed.consumers.get_mut(name) else { return false };
        let there = !kept.dropped && kept.registered.generation == generation;
        let holds = there && kept.registered.walk.as_ref() == Some(from);
        if holds {
            kept.registered.walk = to.cloned();
        }
        holds
    }

    pub fn walk(&self, after: &Walk, limit: usize) -> (Vec<RoomId>, Option<Walk>) {
        let after = after.0.as_slice().try_into().map_or(0, u64::from_be_bytes);
        let all = self.lock();
        let there = all.logs.iter().filter(|(room, log)| room.get() > after && !log.rows.is_empty());
        let rooms: Vec<RoomId> = there.map(|(room, _)| *room).take(limit).collect();
        let next = rooms.last().map(|room| Walk(room.get().to_be_bytes().to_vec()));
        (rooms, next)
    }

    pub fn note_run(&self, name: &str, now: Millis) {
        self.lock().feed.runs.insert(name.to_owned(), now);
    }

    pub fn runs(&self) -> Vec<(String, Millis)> {
        self.lock().feed.runs.clone().into_iter().collect()
    }

    pub fn put_dead(&self, dead: &DeadLetter) {
        self.lock().feed.dead.insert((dead.consumer.clone(), dead.room, dead.seq), dead.clone());
    }

    pub fn dead(&self, consumer: &str, after: Option<(RoomId, Seq)>, limit: usize) -> Vec<DeadLetter> {
        let all = self.lock();
        let of = all.feed.dead.values().filter(|dead| dead.consumer == consumer);
        of.filter(|dead| after.is_none_or(|after| (dead.room, dead.seq) > after)).take(limit).cloned().collect()
    }

    pub fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) {
        self.lock().feed.dead.remove(&(consumer.to_owned(), room, seq));
    }
}
