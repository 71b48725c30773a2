//! Typing, presence and read marks: passed on to those who are connected, and stored nowhere on the way.

use bytes::Bytes;
use parlance_schema::Fault;
use parlance_schema::push::Ephemeral;
use parlance_schema::user::Principal;
use ractor::ActorRef;

use super::actor::{Mode, Msg, State};
use super::registry::lock;
use crate::ports::bus::RoomEvent;
use crate::wire::WIRES_MAX;

impl State {
    /// Tells the others that somebody is writing, who may write, or that they stopped.
    pub(super) fn typing(&self, who: &Principal, on: bool) -> Result<(), Fault> {
        parlance_domain::room::may_write(self.folded.as_ref(), who, self.shared.clock.now())?;
        let event = Ephemeral::Typing { room: self.room, user: who.user, on };
        self.shared.bus.publish_room(self.room, RoomEvent::Ephemeral(event));
        Ok(())
    }

    /// Passes typing, presence and read marks on to all who are connected, but not to whom they are about.
    pub(super) fn ephemeral(&mut self, me: &ActorRef<Msg>, event: &Ephemeral) {
        let (user, loud) = match event {
            Ephemeral::Typing { user, .. } | Ephemeral::Entered { user, .. } | Ephemeral::Parted { user, .. } => {
                (*user, false)
            }
            Ephemeral::Read { user, seq, .. } => {
                self.heard_mark(me, *user, *seq);
                (*user, true)
            }
            Ephemeral::Presence { user, .. } => (*user, true),
        };
        if !self.folded.as_ref().is_some_and(|folded| folded.members.contains_key(&user)) {
            return;
        }
        let now = self.shared.clock.now();
        let mut made: [Option<Bytes>; WIRES_MAX] = Default::default();
        for sub in lock(&self.subs).iter() {
            if sub.until.is_some() || sub.mode == Mode::Waiting || (!loud && sub.link.principal.user == user) {
                continue;
            }
            // How far somebody has read of what one may not read is nobody's business.
            if matches!(event, Ephemeral::Read { seq, .. } if *seq < sub.first) {
                continue;
            }
            let wire = &sub.link.wire;
            let frame = made[wire.index()].get_or_insert_with(|| wire.ephemeral(event, now).unwrap_or_default());
            if !frame.is_empty() {
                sub.link.outbox.push_ephemeral(frame);
            }
        }
    }
}
