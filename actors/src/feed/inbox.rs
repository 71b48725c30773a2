//! What a Follower is told: for each room how far its log goes. A room that is told again before it was looked at stands there once,
//! so that this is bounded by the rooms with marks. It outlives the Follower, and so knows which calls are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlance_schema::{RoomId, Seq};
use ractor::ActorRef;

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
            let _ = follower.cast(Msg::News);
        }
    }

    /// Takes what waits.
    pub fn take(&self) -> BTreeMap<RoomId, Option<Seq>> {
        std::mem::take(&mut self.lock().rooms)
    }
}

/// The right to call a consumer for a room, which there is once: a call that a Follower began which crashed is not met by another one.
pub(super) struct Turn {
    inbox: Arc<Inbox>,
    room: RoomId,
}

impl Turn {
    /// Takes it; `None` while another call is under way.
    pub fn take(inbox: &Arc<Inbox>, room: RoomId) -> Option<Self> {
        let first = inbox.lock().calls.insert(room);
        first.then(|| Self { inbox: inbox.clone(), room })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.inbox.lock().calls.remove(&self.room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_stands_once_with_what_it_was_told_last() {
        let inbox = Inbox::default();
        let (one, other) = (RoomId::new(1), RoomId::new(2));
        inbox.push(one, 3);
        inbox.push(other, 1);
        inbox.push(one, 5);
        inbox.forget(other);
        assert_eq!(inbox.take(), [(one, Some(5)), (other, None)].into());
        assert!(inbox.take().is_empty());
    }

    #[test]
    fn a_room_has_one_turn_until_its_call_has_ended() {
        let inbox = Arc::new(Inbox::default());
        let (one, other) = (RoomId::new(1), RoomId::new(2));
        let turn = Turn::take(&inbox, one).unwrap();
        assert!(Turn::take(&inbox, one).is_none(), "whoever asks");
        assert!(Turn::take(&inbox, other).is_some(), "another room waits for nobody");
        drop(turn);
        assert!(Turn::take(&inbox, one).is_some());
    }
}
