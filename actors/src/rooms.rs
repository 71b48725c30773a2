//! Rooms: wakes a room when a command comes for it, and restarts one that crashed.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parlance_schema::view::Done;
use parlance_schema::{Fault, RoomId};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use crate::forward;
use crate::mailbox::Counted;
use crate::node::Shared;
use crate::ports::bus::Asked;
use crate::room::{self, Ask};
use crate::supervise::{self, Supervisor};

/// The way back of a command that came by way of a lane.
type Back = oneshot::Receiver<Option<Result<Done, Fault>>>;

/// The rooms that are awake on this node.
#[derive(Default)]
pub(crate) struct Registry {
    rooms: DashMap<RoomId, ActorRef<room::Msg>>,
    supervisor: Supervisor,
}

impl Registry {
    /// Gives a command to the room here, waking it where it sleeps. The room answers, or whoever could not reach it.
    pub(crate) fn ask_here(&self, shared: &Arc<Shared>, room: RoomId, ask: Ask) {
        let mut msg = room::Msg::Ask(Counted::new(&shared.meters.room_mailbox, Box::new(ask)));
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
            let (ask, back) = forward::routed(asked);
            let mut msg = room::Msg::Ask(Counted::new(&shared.meters.room_mailbox, Box::new(ask)));
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

    fn wake(&self, shared: &Arc<Shared>, room: RoomId) -> Result<ActorRef<room::Msg>, Fault> {
        let supervisor = self.supervisor.get()?;
        let slot = self.rooms.entry(room).or_try_insert_with(|| {
            let args = room::Args { room, shared: shared.clone() };
            supervise::spawn(room::Room, args, supervisor)
        })?;
        Ok(slot.clone())
    }

    /// Takes a room off the list, if it is still this actor's.
    pub(crate) fn forget(&self, room: RoomId, actor: ActorId) {
        self.rooms.remove_if(&room, |_, there| there.get_id() == actor);
    }

    /// The actors by room, in an order that doesn't depend on the table's hasher.
    pub(crate) fn all(&self) -> Vec<(RoomId, ActorRef<room::Msg>)> {
        let mut all: Vec<_> = self.rooms.iter().map(|slot| (*slot.key(), slot.value().clone())).collect();
        all.sort_unstable_by_key(|(room, _)| *room);
        all
    }

    pub(crate) fn get(&self, room: RoomId) -> Option<ActorRef<room::Msg>> {
        self.rooms.get(&room).map(|slot| slot.clone())
    }
}

fn answer(msg: room::Msg, fault: Fault) {
    if let room::Msg::Ask(ask) = msg {
        ask.take().reply.send(Err(fault));
    }
}

/// The supervisor of all rooms that are awake here.
pub(crate) struct Rooms;

/// What Rooms can be told.
pub(crate) enum Msg {
    /// Has the rooms look whether they should sleep.
    Tick,
    /// The nodes in view are others: rooms that are not at home here any more go.
    Viewed,
}

impl Actor for Rooms {
    type Msg = Msg;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<Arc<Shared>, ActorProcessingErr> {
        shared.rooms.rooms.clear();
        shared.rooms.supervisor.set(me.get_cell());
        me.send_interval(Duration::from_millis(1_000), || Msg::Tick);
        let mut view = shared.cluster.watch();
        tokio::spawn(async move { while view.changed().await.is_ok() && me.cast(Msg::Viewed).is_ok() {} });
        Ok(shared)
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, shared: &mut Arc<Shared>) -> Result<(), ActorProcessingErr> {
        let all = shared.rooms.all();
        if let Msg::Viewed = msg {
            for (room, _) in all.into_iter().filter(|(room, _)| shared.cluster.elsewhere(*room).is_some()) {
                forward::end(shared, room);
            }
            return Ok(());
        }
        metrics::gauge!("parlance_rooms_awake").set(all.len() as f64);
        shared.cluster.measure();
        for (_, room) in all {
            let _ = room.cast(room::Msg::Tick);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: SupervisionEvent,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let found = shared.rooms.rooms.iter().find(|slot| slot.get_id() == who).map(|slot| *slot.key());
        metrics::counter!("parlance_restarts_total", "actor" => "room").increment(1);
        let Some(room) = found else {
            tracing::error!(event = %event, "room ended: a command has woken it already");
            return Ok(());
        };
        tracing::error!(%room, event = %event, "room ended: waking it from the store");
        shared.rooms.forget(room, who);
        if let Err(fault) = shared.rooms.wake(shared, room) {
            tracing::error!(%room, %fault, "room not woken");
        }
        Ok(())
    }
}
