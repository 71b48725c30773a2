//! Reading a room for its relay, when that begins and when it could not be read: beside the relay, which doesn't wait for it.

use std::sync::Mutex;

use parlance_domain::ring::Ring;
use parlance_domain::room::State as Folded;
use parlance_schema::limits::RING_BYTES_MAX;
use parlance_schema::{RoomId, Seq, UserId};
use ractor::ActorRef;

use super::actor::{Mode, Msg, State, Sub};
use super::registry::lock;
use super::removed_members::end_strangers;
use crate::ports::store::{ReadMark, StoreError};
use crate::room::guarded;
use crate::shared::Shared;

/// What a relay begins with.
pub(crate) struct Loaded {
    folded: Option<Folded>,
    marks: Vec<(UserId, ReadMark)>,
}

/// Reads a room, and where its removed subscribers' entries end.
pub(super) async fn load(shared: &Shared, room: RoomId, subs: &Mutex<Vec<Sub>>) -> Result<Loaded, StoreError> {
    let folded = shared.read_room(room).await?.map(|(folded, _)| folded);
    let Some(folded) = folded else { return Ok(Loaded { folded: None, marks: Vec::new() }) };
    let marks = shared.store.read_marks(room).await?;
    end_strangers(shared, room, &folded, subs).await;
    Ok(Loaded { folded: Some(folded), marks })
}

impl State {
    /// Reads a room again that could not be read, once at a time.
    pub(super) fn load_again(&mut self, me: &ActorRef<Msg>) {
        if self.broken.is_none() || std::mem::replace(&mut self.loading, true) {
            return;
        }
        let (shared, room, subs, me) = (self.shared.clone(), self.room, self.subs.clone(), me.clone());
        tokio::spawn(async move {
            let loaded = guarded(load(&shared, room, &subs)).await;
            let _ = me.cast(Msg::Loaded(loaded.map(Box::new)));
        });
    }

    /// Takes the room in, and catches up those who were subscribed to the relay before this one.
    pub(super) fn loaded(&mut self, me: &ActorRef<Msg>, loaded: Result<Loaded, StoreError>) {
        self.loading = false;
        match loaded {
            Ok(Loaded { folded, marks }) => {
                self.folded = folded;
                self.know_tenant();
                self.marks = marks.into_iter().collect();
                self.ring = Ring::new(self.last() + 1, RING_BYTES_MAX);
                self.broken = None;
                self.note_readable();
                let sessions: Vec<u64> = {
                    let mut subs = lock(&self.subs);
                    subs.iter_mut().filter(|sub| sub.started()).for_each(|sub| sub.mode = Mode::Lagging);
                    subs.iter().map(|sub| sub.link.id).collect()
                };
                for session in sessions {
                    self.catch_up(me, session);
                }
                // What was published while the room was read is in its log.
                self.heard_last(me, self.missed);
            }
            Err(error) => {
                tracing::warn!(room = %self.room, %error, "relay can't read its room");
                self.broken = Some(error);
            }
        }
    }

    /// Something was published that can't be taken in now.
    pub(super) fn miss(&mut self, last: Seq) {
        self.missed = self.missed.max(last);
    }
}
