//! The rooms that are awake on this node, and how each is reached: a command wakes the one that it is for.

use std::sync::Arc;

use dashmap::DashMap;
use parlance_schema::view::Done;
use parlance_schema::{Fault, RoomId};
use ractor::{ActorId, ActorRef};
use tokio::sync::oneshot;

use super::actor::{Args, Ask, Msg, Room};
use crate::cluster::forwarding;
use crate::mailbox::Counted;
use crate::ports::bus::Asked;
use crate::shared::Shared;
use crate::supervise::{self, Supervisor};

/// The way back of a command that came by way of a lane.
type Back = oneshot::Receiver<Option<Result<Done, Fault>>>;

/// The rooms that are awake on this node.
#[derive(Default)]
pub(crate) struct Registry {
    pub(super) rooms: DashMap<RoomId, ActorRef<Msg>>,
    pub(super) supervisor: Supervisor,
}

impl Registry {
    /// Gives a command to the room here, waking it where it sleeps. The room answers, or whoever could not reach it.
    pub(crate) fn ask_here(&self, shared: &Arc<Shared>, room: RoomId, ask: Ask) {
        let mut msg = Msg::Ask(Counted::new(&shared.meters.room_mailbox, Box::new(ask)));
        // It may stop between the look and the call: then a new one takes its place.
        for _ in 0..3 {
            let there = self.rooms.get(&room).map(|actor| actor.clone());
            let actor = match there.map_or_else(|| self.wake(shared, room), Ok) {
                Ok(actor) => actor,
                Err(fault) => return answer(msg, fault),
            };
            match actor.cast(msg) {
                Err(ractor::MessagingErr::SendErr(back)) => msg = back,
                _ => return,
            }
            self.forget(room, actor.get_id());
        }
        answer(msg, Fault::busy("the room is moving"));
    }

    /// Gives commands to the room here, in order: if one doesn't reach it, none after it does.
    pub(crate) fn ask_all(&self, shared: &Arc<Shared>, room: RoomId, asked: impl Iterator<Item = Asked>) -> Vec<Back> {
        let (mut actor, mut backs) = (None, Vec::new());
        for asked in asked {
            let (ask, back) = forwarding::routed(asked);
            let mut msg = Msg::Ask(Counted::new(&shared.meters.room_mailbox, Box::new(ask)));
            loop {
                let first = actor.is_none();
                let there = self.rooms.get(&room).map(|actor| actor.clone());
                let found = match actor.take() {
                    Some(actor) => Ok(actor),
                    None => there.map_or_else(|| self.wake(shared, room), Ok),
                };
                let Ok(found) = found else { return backs };
                match found.cast(msg) {
                    Err(ractor::MessagingErr::SendErr(lost)) => msg = lost,
                    _ => {
                        actor = Some(found);
                        break;
                    }
                }
                self.forget(room, found.get_id());
                if !first || !backs.is_empty() {
                    return backs;
                }
            }
            backs.push(back);
        }
        backs
    }

    pub(super) fn wake(&self, shared: &Arc<Shared>, room: RoomId) -> Result<ActorRef<Msg>, Fault> {
        let supervisor = self.supervisor.get()?;
        let slot = self.rooms.entry(room).or_try_insert_with(|| {
            let args = Args { room, shared: shared.clone() };
            supervise::spawn(Room, args, supervisor)
        })?;
        Ok(slot.clone())
    }

    /// Takes a room off the list, if it is still this actor's.
    pub(crate) fn forget(&self, room: RoomId, actor: ActorId) {
        self.rooms.remove_if(&room, |_, there| there.get_id() == actor);
    }

    /// The actors by room, in an order that doesn't depend on the table's hasher.
    pub(crate) fn all(&self) -> Vec<(RoomId, ActorRef<Msg>)> {
        let mut all: Vec<_> = self.rooms.iter().map(|slot| (*slot.key(), slot.value().clone())).collect();
        all.sort_unstable_by_key(|(room, _)| *room);
        all
    }

    pub(crate) fn get(&self, room: RoomId) -> Option<ActorRef<Msg>> {
        self.rooms.get(&room).map(|slot| slot.clone())
    }
}

fn answer(msg: Msg, fault: Fault) {
    if let Msg::Ask(ask) = msg {
        ask.take().reply.send(Err(fault));
    }
}
