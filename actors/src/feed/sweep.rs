//! Finding what is unfinished and nobody's: marks of nodes that are gone, of imports, those left by nodes that don't run a
//! consumer, those whose time has come, and the rooms that there were when a consumer was registered.

use std::time::Duration;

use parlance_schema::RoomId;
use parlance_schema::limits::FEED_SHARDS;
use tokio::time::Instant;

use super::keeper::State;
use super::table::WORKS_MAX;
use crate::ports::store::{
    Begins, Cursor, DueMark, Progress, Registered, SETTLED_OWNER, StoreError, Thing, Walk, WorkMark,
};

/// Marks that are read at a time.
const PAGE: usize = 64;
/// Pages of one shard that are read in one sweep.
const PAGES_MAX: usize = 4;
/// How long a mark is left to the node that the room is at home on.
const HOME_FIRST: Duration = Duration::from_secs(20);
/// How long a mark is left alone whose consumers this node doesn't run.
const LEFT_FOR: Duration = Duration::from_secs(20);
/// Marks that are remembered as others'.
const SEEN_MAX: usize = 65_536;
/// Milliseconds after which an owner without marks is taken off the list.
const FORGET_MS: u64 = 3 * 24 * 3_600_000;
/// Rooms with marks here, up to which a walk goes on.
const WALK_UPTO: usize = 1_024;
/// Rooms of one step of a walk.
const WALK_ROOMS: usize = 64;

impl State {
    /// Looks at the marks of owners that are no node in view, and takes over those that are for this node.
    pub(super) async fn sweep(&mut self) -> Result<(), StoreError> {
        let registry = self.registry.clone();
        let view = registry.shared.cluster.now();
        let live = |owner: u64| view.nodes().iter().any(|node| node.incarnation == owner) || owner == registry.owner;
        for owner in registry.shared.store.owners().await? {
            if live(owner.owner) {
                // Should it go again, it is looked at soon.
                self.empty.remove(&owner.owner);
                continue;
            }
            if self.is_resting(owner.owner) {
                continue;
            }
            let mut count = 0;
            for shard in 0..FEED_SHARDS {
                count += self.sweep_shard(owner.owner, shard).await?;
            }
            self.note_empty(owner.owner, count > 0);
            let age = registry.shared.clock.now().saturating_sub(owner.opened_at);
            if count == 0 && age > FORGET_MS && owner.opened_at > 0 && owner.owner != registry.left() {
                registry.shared.store.forget_owner(owner.owner).await?;
            }
        }
        let kept = HOME_FIRST.max(LEFT_FOR) * 3;
        self.seen.retain(|_, at| at.elapsed() < kept);
        Ok(())
    }

    /// Whether an owner was found without marks so often that it is looked at less.
    fn is_resting(&self, owner: u64) -> bool {
        let pause = |times: u32| Duration::from_secs(5 << times.min(9));
        self.empty.get(&owner).is_some_and(|(times, at)| at.elapsed() < pause(times.saturating_sub(3)))
    }

    fn note_empty(&mut self, owner: u64, has_marks: bool) {
        let view = self.registry.shared.cluster.now();
        let writes = view.nodes().iter().any(|node| node.incarnation | SETTLED_OWNER == owner);
        if has_marks || writes {
            self.empty.remove(&owner);
        } else {
            let times = self.empty.get(&owner).map_or(0, |(times, _)| *times);
            self.empty.insert(owner, (times + 1, Instant::now()));
        }
    }

    async fn sweep_shard(&mut self, owner: u64, shard: u8) -> Result<usize, StoreError> {
        let (mut after, mut count) = (None, 0);
        for _ in 0..PAGES_MAX {
            let page = self.registry.shared.store.marks(owner, shard, after, PAGE).await?;
            count += page.len();
            after = page.last().map(|mark| mark.thing);
            let mut own = Vec::new();
            for mark in &page {
                let has_room = self.registry.table().len() + own.len() < WORKS_MAX;
                if has_room && self.is_for_me(mark).await? {
                    own.push(*mark);
                }
            }
            self.adopt(&own).await?;
            if page.len() < PAGE {
                break;
            }
        }
        Ok(count)
    }

    /// Whether this node takes a mark over: the room is at home here, or nobody has for a while; and there is something for
    /// it to do.
    async fn is_for_me(&mut self, mark: &WorkMark) -> Result<bool, StoreError> {
        let Thing::Room(room) = mark.thing else { return Ok(false) };
        let key = (mark.owner, room, mark.at);
        let seen = self.seen.get(&key).map(Instant::elapsed);
        let home = self.registry.shared.cluster.elsewhere(room).is_none();
        if seen.is_none() && self.seen.len() < SEEN_MAX {
            self.seen.insert(key, Instant::now());
        }
        if !home && seen.is_none_or(|seen| seen < HOME_FIRST) {
            return Ok(false);
        }
        // Where only other nodes' consumers have work, one of those takes it, after a look now and then.
        if self.registry.table().others().next().is_none() {
            return Ok(true);
        }
        if home && seen.is_some_and(|seen| seen < LEFT_FOR) {
            return Ok(false);
        }
        let useful = self.is_useful(room).await?;
        if !useful {
            self.seen.insert(key, Instant::now());
        }
        Ok(useful)
    }

    /// Whether a consumer that this node runs has work in a room, or none at all has.
    async fn is_useful(&self, room: RoomId) -> Result<bool, StoreError> {
        let store = &self.registry.shared.store;
        let end = store.log_end(room).await?.last;
        let cursors = store.cursors(room).await?;
        let table = self.registry.table();
        let own: Vec<&str> = self.registry.consumers.iter().map(|consumer| consumer.name()).collect();
        let behind = |registered: &&Registered| {
            let of =
                |cursor: &&Cursor| cursor.consumer == registered.name && cursor.generation == registered.generation;
            cursors.iter().find(of).map_or(0, |cursor| cursor.seq) < end
        };
        let mut behind = table.consumers.iter().filter(behind).peekable();
        Ok(behind.peek().is_none() || behind.any(|registered| own.contains(&registered.name.as_str())))
    }

    /// Makes marks this node's own: its own are there before the others go.
    async fn adopt(&mut self, marks: &[WorkMark]) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        let own = self.take_on(marks.iter().filter_map(|mark| match mark.thing {
            Thing::Room(room) => Some((room, mark.owner & SETTLED_OWNER == 0)),
            _ => None,
        }));
        self.registry.put(&own).await?;
        self.registry.shared.store.drop_marks(marks).await?;
        marks.iter().for_each(|mark| {
            if let Thing::Room(room) = mark.thing {
                self.seen.remove(&(mark.owner, room, mark.at));
            }
        });
        metrics::counter!("parlance_feed_adopted_total").increment(marks.len() as u64);
        Ok(())
    }

    /// Takes rooms on, each with whether something begun earlier may still come into its log; gives the marks to write.
    fn take_on(&self, rooms: impl Iterator<Item = (RoomId, bool)>) -> Vec<WorkMark> {
        let registry = &self.registry;
        let take = |(room, open)| {
            let at = registry.next();
            registry.table().adopted(room, at, open);
            registry.mark(room, at)
        };
        rooms.map(take).collect()
    }

    /// Takes over the marks whose time has come.
    pub(super) async fn take_due(&mut self) -> Result<(), StoreError> {
        let registry = self.registry.clone();
        for shard in 0..FEED_SHARDS {
            let now = registry.shared.clock.now();
            let due: Vec<DueMark> = registry.shared.store.due(shard, now, PAGE).await?;
            let mine = |due: &DueMark| match due.mark.thing {
                Thing::Room(room) => {
                    let late = now.saturating_sub(due.due) > HOME_FIRST.as_millis() as u64;
                    late || registry.shared.cluster.elsewhere(room).is_none()
                }
                _ => false,
            };
            let due: Vec<DueMark> = due.into_iter().filter(mine).collect();
            if due.is_empty() || registry.table().len() >= WORKS_MAX {
                continue;
            }
            let rooms =
                due.iter().filter_map(|due| if let Thing::Room(room) = due.mark.thing { Some(room) } else { None });
            for room in rooms.clone() {
                registry.table().is_due(room);
            }
            let own = self.take_on(rooms.map(|room| (room, false)));
            registry.put(&own).await?;
            registry.shared.store.drop_due(&due).await?;
        }
        Ok(())
    }

    /// Goes on with the walks through all rooms of consumers that this node runs.
    pub(super) async fn walk(&mut self) -> Result<(), StoreError> {
        for at in 0..self.registry.consumers.len() {
            let own = self.registry.table().own(at).cloned();
            let Some(own) = own else { continue };
            let Some(from) = own.walk.clone() else { continue };
            let has_room = self.registry.table().len() < WALK_UPTO;
            if has_room && self.walk_on(&own, &from).await? {
                // What is noted is read before the next step.
                self.read_consumers().await?;
            }
        }
        Ok(())
    }

    async fn walk_on(&mut self, own: &Registered, from: &Walk) -> Result<bool, StoreError> {
        let registry = self.registry.clone();
        let store = &registry.shared.store;
        let (rooms, next) = store.walk(from, WALK_ROOMS).await?;
        match own.begins {
            Begins::Start => {
                let marks = self.take_on(rooms.into_iter().map(|room| (room, false)));
                if !marks.is_empty() {
                    registry.put(&marks).await?;
                }
            }
            Begins::Now => {
                let mut cursors = Vec::with_capacity(rooms.len());
                for room in rooms {
                    let seq = store.log_end(room).await?.last;
                    cursors.push(Cursor { room, consumer: own.name.clone(), generation: own.generation, seq });
                }
                store.progress(Progress { cursors, finished: None }).await?;
            }
        }
        store.note_walk(&own.name, own.generation, from, next.as_ref()).await
    }
}
