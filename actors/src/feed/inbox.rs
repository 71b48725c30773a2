//! What a Follower is told: for each room how far its log goes. A room that is told again before it was looked at stands there once,
//! so that this is bounded by the rooms with marks. It outlives the Follower, and so knows which calls are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlance_schema::{RoomId, Seq};
use ractor::ActorRef;

use super::Registry;
use super::follower::Msg;

/// What waits for a Follower.
#[derive(Default)]
pub(super) struct Inbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// How far each room's log goes; `None`: the room has no mark here any more.
    rooms: BTreeMap<RoomId, Option<Seq>>,
    follower: Option<ActorRef<Msg>>,
    /// Rooms of which a call is under way, whoever began it.
    calls: BTreeSet<RoomId>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who looks at it from now on.
    pub fn attend(&self, follower: ActorRef<Msg>) {
        self.lock().follower = Some(follower);
    }

    /// A room's log goes so far.
    pub fn push(&self, room: RoomId, last: Seq) {
        self.put(room, Some(last));
    }

    /// A room has no mark here any more.
    pub fn forget(&self, room: RoomId) {
        self.put(room, None);
    }

    fn put(&self, room: RoomId, last: Option<Seq>) {
        let mut waiting = self.lock();
        let first = waiting.rooms.is_empty();
        waiting.rooms.insert(room, last);
        if first && let Some(follower) = &waiting.follower {
            let _ = follower.cast(Msg::Look);
        }
    }

    /// Takes what waits.
    pub fn take(&self) -> BTreeMap<RoomId, Option<Seq>> {
        std::mem::take(&mut self.lock().rooms)
    }
}

/// The right to call a consumer for a room, which there is once: a call that a Follower began which crashed is not met by another one.
pub(super) struct Turn {
    registry: Arc<Registry>,
    consumer: usize,
    room: RoomId,
}

impl Turn {
    /// Takes it; `None` while another call is under way.
    pub fn take(registry: &Arc<Registry>, consumer: usize, room: RoomId) -> Option<Self> {
        let first = registry.inboxes[consumer].lock().calls.insert(room);
        first.then(|| Self { registry: registry.clone(), consumer, room })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.registry.inboxes[self.consumer].lock().calls.remove(&self.room);
    }
}
