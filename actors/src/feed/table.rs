//! What a node knows of the rooms that it has marked as unfinished: who may still append, where the log ends, how far its
//! consumers have got. It can be lost: the marks are in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parlance_domain::feed::{Rest, Unfinished, Verdict, judge};
use parlance_schema::{Millis, RoomId, Seq};
use tokio::time::Instant;

use crate::ports::store::{Cursor, Registered};

/// Rooms that a node takes on; marks beyond that stay in the store until there is room.
pub(super) const WORKS_MAX: usize = 65_536;
/// The longest pause before a room's mark is looked at again after that failed.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A room with a mark of this node's.
#[derive(Debug)]
pub(super) struct Work {
    /// When the mark was written, by this node's count.
    pub at: u64,
    /// Whether the mark may be in the store. A Room that only refused has written none.
    written: bool,
    /// The Rooms that are awake here, by when they woke; for a moment there may be two, of which one ends.
    awake: BTreeSet<u64>,
    /// The last number that the log has for certain; absent until that is read.
    pub end: Option<Seq>,
    /// Whether the log may go further than that, by what others have appended.
    stale: bool,
    /// When it was last learned that something begun earlier may still come into the log.
    open: Option<u64>,
    /// The reading of the list of consumers that had begun when the log last went on.
    stamp: u64,
    /// How far this node's consumers have got.
    done: BTreeMap<usize, Done>,
    /// Other nodes have been left a mark for entries up to here.
    pub left: Seq,
    /// Looking after the mark failed so often in a row, and is tried again then.
    failed: u32,
    retry: Option<Instant>,
    /// Since when it has been here.
    since: Instant,
}

/// How far a consumer has got in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// In which generation.
    pub generation: u64,
    /// Up to this number.
    pub seq: Seq,
    /// Up to this number the store has it too.
    pub kept: Seq,
    /// When the rest is to come, if that is later: a mark for that time is written before the room's own goes.
    pub later: Option<Millis>,
}

/// What is to be done about a room's mark, as the table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, for now.
    Wait,
    /// Read where the log ends.
    FindEnd,
    /// Fence it there.
    Fence(Seq),
    /// Read how far other nodes' consumers have got, and finish.
    Finish(Seq),
}

/// The rooms with marks, and the consumers that stand in the store.
#[derive(Debug)]
pub(super) struct Table {
    works: BTreeMap<RoomId, Work>,
    /// The names of the consumers that this node runs.
    own: Vec<String>,
    pub consumers: Vec<Registered>,
    /// Readings of that list that were begun, and the latest one that it is from; 0: none.
    begun: u64,
    read: u64,
}

impl Table {
    pub fn new(own: Vec<String>) -> Self {
        Self { works: BTreeMap::new(), own, consumers: Vec::new(), begun: 0, read: 0 }
    }

    fn enter(&mut self, room: RoomId, at: u64) -> &mut Work {
        let stamp = self.begun;
        let new = || Work {
            at,
            written: false,
            awake: BTreeSet::new(),
            end: None,
            stale: false,
            open: None,
            stamp,
            done: BTreeMap::new(),
            left: 0,
            failed: 0,
            retry: None,
            since: Instant::now(),
        };
        let work = self.works.entry(room).or_insert_with(new);
        (work.at, work.stamp, work.retry) = (at.max(work.at), stamp, None);
        work
    }

    /// A Room wakes.
    pub fn woke(&mut self, room: RoomId, at: u64) {
        self.enter(room, at).awake.insert(at);
    }

    /// The mark of a Room that is awake counts as of `at`.
    pub fn marked(&mut self, room: RoomId, at: u64) {
        self.enter(room, at);
    }

    /// A room's mark is given to the store.
    pub fn writes(&mut self, room: RoomId) {
        if let Some(work) = self.works.get_mut(&room) {
            work.written = true;
        }
    }

    /// A Room has ended that woke at `at`; the count is at `now`. Gives the log's last number, where that is certain. A room
    /// whose mark was never written is forgotten.
    pub fn rested(&mut self, room: RoomId, at: u64, rest: Rest, now: u64) -> Option<Seq> {
        let stamp = self.begun;
        let work = self.works.get_mut(&room)?;
        work.awake.remove(&at);
        if work.awake.is_empty() && !work.written {
            self.works.remove(&room);
            return None;
        }
        work.stamp = stamp;
        match rest {
            Rest::Settled(last) => {
                work.end = Some(last.max(work.end.unwrap_or(0)));
                // What was open before this Room read the log can't come any more: the log has gone on since.
                work.open = work.open.filter(|open| *open > at);
            }
            Rest::Untouched(last) => work.end = work.end.or(last),
            Rest::Open => (work.open, work.stale) = (Some(now), true),
        }
        work.end
    }

    /// A mark of somebody who is gone, or for whom it was time, was made this node's own. `open`: what its writer had begun
    /// may still come.
    pub fn adopted(&mut self, room: RoomId, at: u64, open: bool) {
        let work = self.enter(room, at);
        (work.written, work.stale) = (true, true);
        if open {
            work.open = Some(at);
        }
    }

    /// The time has come for what consumers left for later.
    pub fn is_due(&mut self, room: RoomId) {
        let done = self.works.get_mut(&room).into_iter().flat_map(|work| work.done.values_mut());
        done.for_each(|done| done.later = None);
    }

    /// A consumer is called for a room: what it wanted later, it is given now.
    pub fn is_called(&mut self, consumer: usize, room: RoomId) {
        let done = self.works.get_mut(&room).and_then(|work| work.done.get_mut(&consumer));
        done.into_iter().for_each(|done| done.later = None);
    }

    /// When this node's consumers want the rest of a room.
    pub fn dues(&self, room: RoomId) -> BTreeSet<Millis> {
        (0..self.own.len()).filter_map(|consumer| self.done(consumer, room)?.later).collect()
    }

    /// The log goes so far; says whether that is of use to anybody.
    pub fn appended(&mut self, room: RoomId, last: Seq) -> bool {
        let stamp = self.begun;
        let Some(work) = self.works.get_mut(&room) else { return false };
        work.stamp = stamp;
        work.end = Some(last.max(work.end.unwrap_or(0)));
        !self.own.is_empty()
    }

    /// What is known of a room's end, where its mark is still the one from `at` and nobody may append.
    pub fn found_end(&mut self, room: RoomId, at: u64, end: Seq) -> bool {
        let Some(work) = self.works.get_mut(&room).filter(|work| work.at == at && work.awake.is_empty()) else {
            return false;
        };
        (work.end, work.stale) = (Some(end.max(work.end.unwrap_or(0))), false);
        true
    }

    /// The log was fenced at `end`, or could not be as it has gone on.
    pub fn fenced(&mut self, room: RoomId, at: u64, end: Seq, holds: bool) {
        let Some(work) = self.works.get_mut(&room).filter(|work| work.at == at && work.awake.is_empty()) else {
            return;
        };
        if holds && work.end == Some(end) {
            (work.open, work.failed) = (None, 0);
        } else {
            work.stale = true;
            work.fails();
        }
    }

    /// Looking after a room's mark failed: it is tried again later.
    pub fn failed(&mut self, room: RoomId) {
        if let Some(work) = self.works.get_mut(&room) {
            work.fails();
        }
    }

    /// The mark from `at` is gone from the store; says whether nobody has marked the room since.
    pub fn removed(&mut self, room: RoomId, at: u64) -> bool {
        let gone = self.works.get(&room).is_some_and(|work| work.at == at && work.awake.is_empty());
        if gone {
            self.works.remove(&room);
        }
        gone
    }

    /// A reading of the list of consumers begins.
    pub fn begin_list(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// It has ended; gives the own consumers for which something is new.
    pub fn list(&mut self, reading: u64, consumers: Vec<Registered>) -> Vec<usize> {
        if reading < self.read {
            return Vec::new();
        }
        self.read = reading;
        let before = std::mem::replace(&mut self.consumers, consumers);
        let find = |all: &[Registered], name: &str| all.iter().find(|consumer| consumer.name == *name).cloned();
        let news = |(_, name): &(usize, &String)| {
            let (was, is) = (find(&before, name), find(&self.consumers, name));
            let key = |of: &Registered| (of.generation, of.walk.is_some(), of.filter.clone());
            is.is_some() && was.as_ref().map(key) != is.as_ref().map(key)
        };
        self.own.iter().enumerate().filter(news).map(|(at, _)| at).collect()
    }

    /// Whether a list is needed that was begun to be read from now on.
    pub fn needs_list(&self) -> bool {
        self.read == 0 || self.works.values().any(|work| work.awake.is_empty() && work.stamp >= self.read)
    }

    /// A consumer of this node's, as it stands in the store.
    pub fn own(&self, consumer: usize) -> Option<&Registered> {
        let name = self.own.get(consumer)?;
        self.consumers.iter().find(|registered| registered.name == *name)
    }

    /// The consumers that stand in the store and that this node doesn't run.
    pub fn others(&self) -> impl Iterator<Item = &Registered> {
        self.consumers.iter().filter(|registered| !self.own.contains(&registered.name))
    }

    /// How far a consumer has got in a room; `None` until that was read.
    pub fn done(&self, consumer: usize, room: RoomId) -> Option<Done> {
        let generation = self.own(consumer)?.generation;
        self.works.get(&room)?.done.get(&consumer).copied().filter(|done| done.generation == generation)
    }

    /// A consumer has got so far in a room.
    pub fn got(&mut self, consumer: usize, room: RoomId, got: Done) {
        if self.own(consumer).is_none_or(|own| own.generation != got.generation) {
            return;
        }
        let Some(work) = self.works.get_mut(&room) else { return };
        let done = work.done.entry(consumer).or_default();
        if done.generation != got.generation {
            *done = Done::default();
        }
        let (seq, kept) = (done.seq.max(got.seq), done.kept.max(got.kept));
        *done = Done { seq, kept, ..got };
    }

    /// How far all of this node's consumers have got in a room, as far as its mark is concerned.
    fn own_seq(&self, room: RoomId) -> Seq {
        let one = |(at, _): (usize, &String)| {
            self.own(at)?;
            let done = self.done(at, room).unwrap_or_default();
            Some(if done.later.is_some() { Seq::MAX } else { done.seq })
        };
        self.own.iter().enumerate().filter_map(one).min().unwrap_or(Seq::MAX)
    }

    /// What is to be done about a room's mark now; `others`: how far other nodes' consumers have got, where that is known.
    pub fn verdict(&self, room: RoomId, others: Seq) -> Option<(Verdict, Seq)> {
        let work = self.works.get(&room)?;
        let end = work.end.filter(|_| !work.stale)?;
        let what = Unfinished {
            awake: !work.awake.is_empty(),
            consumers_are_known: self.read > work.stamp,
            end,
            open: work.open.is_some(),
            own: self.own_seq(room),
            others,
        };
        Some((judge(&what), end))
    }

    /// What is to be done about a room's mark next.
    pub fn step(&self, room: RoomId) -> Step {
        let Some(work) = self.works.get(&room) else { return Step::Wait };
        if !work.awake.is_empty() || work.retry.is_some_and(|at| at > Instant::now()) {
            return Step::Wait;
        }
        match self.verdict(room, Seq::MAX) {
            None => Step::FindEnd,
            Some((Verdict::Keep | Verdict::Leave, _)) => Step::Wait,
            Some((Verdict::Fence, end)) => Step::Fence(end),
            Some((Verdict::Remove, end)) => Step::Finish(end),
        }
    }

    /// Cursors of a room that the store doesn't have yet.
    pub fn unkept(&self, room: RoomId) -> Vec<Cursor> {
        let Some(work) = self.works.get(&room) else { return Vec::new() };
        let unkept = work.done.iter().filter(|(_, done)| done.seq > done.kept);
        let cursor = |(at, done): (&usize, &Done)| {
            let Done { generation, seq, .. } = *done;
            Some(Cursor { room, consumer: self.own.get(*at)?.clone(), generation, seq })
        };
        unkept.filter_map(cursor).collect()
    }

    /// The store has these cursors now.
    pub fn kept(&mut self, cursors: &[Cursor]) {
        for cursor in cursors {
            let Some(at) = self.own.iter().position(|name| *name == cursor.consumer) else { continue };
            let done = self.works.get_mut(&cursor.room).and_then(|work| work.done.get_mut(&at));
            if let Some(done) = done.filter(|done| done.generation == cursor.generation) {
                done.kept = done.kept.max(cursor.seq);
            }
        }
    }

    /// All rooms with marks, in order.
    pub fn rooms(&self) -> Vec<RoomId> {
        self.works.keys().copied().collect()
    }

    /// The rooms whose log's end is known, with it.
    pub fn ends(&self) -> Vec<(RoomId, Seq)> {
        self.works.iter().filter_map(|(room, work)| Some((*room, work.end?))).collect()
    }

    /// The rooms that are awake and have entries of which other nodes have not been left a mark.
    pub fn unleft(&self) -> Vec<(RoomId, Seq)> {
        let unleft = self.works.iter().filter(|(_, work)| !work.awake.is_empty());
        unleft.filter_map(|(room, work)| Some((*room, work.end.filter(|end| *end > work.left)?))).collect()
    }

    pub fn get_mut(&mut self, room: RoomId) -> Option<&mut Work> {
        self.works.get_mut(&room)
    }

    pub fn get(&self, room: RoomId) -> Option<&Work> {
        self.works.get(&room)
    }

    pub fn len(&self) -> usize {
        self.works.len()
    }

    /// Seconds for which the room has been here that has been longest, of those that a consumer has work in.
    pub fn oldest_s(&self, consumer: usize) -> f64 {
        let behind = |(room, work): &(&RoomId, &Work)| {
            let done = self.done(consumer, **room).unwrap_or_default();
            done.later.is_none() && work.end.is_some_and(|end| done.seq < end)
        };
        let oldest = self.works.iter().filter(behind).map(|(_, work)| work.since).min();
        oldest.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }
}

impl Work {
    fn fails(&mut self) {
        self.failed = self.failed.saturating_add(1);
        let pause = Duration::from_secs(1 << self.failed.min(6)).min(PAUSE_MAX);
        self.retry = Some(Instant::now() + pause);
    }
}

#[cfg(test)]
mod model;
