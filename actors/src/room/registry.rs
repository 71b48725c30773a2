//! The rooms that are awake on this node, and how each is reached: a command wakes the one that it is for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use parlance_schema::{Fault, RoomId, Seq};
use ractor::{ActorId, ActorRef};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::actor::{Args, Ask, Handed, Msg, Room, routed};
use super::reply::Routed;
use crate::feed;
use crate::mailbox::Counted;
use crate::ports::bus::Asked;
use crate::service::ActorView;
use crate::shared::Shared;
use crate::supervise::{self, Supervisor};

/// How long a room may take to say its last number.
const LAST_MAX: Duration = Duration::from_millis(500);

/// Where commands go on to that a room here doesn't do: it is at home elsewhere, or ends. What does this stands above the
/// rooms (`cluster/forwarding.rs`).
pub(crate) trait Forward: Send + Sync {
    /// Gives a command to its room, wherever that is at home.
    fn route(&self, room: RoomId, ask: Ask);

    /// Has a room that is awake here end, as it is not at home here any more or is idle; what waits in it goes on to its
    /// home, or wakes it again. Says whether it will be asked to hand over what waits.
    fn end_room(&self, room: RoomId) -> bool;
}

/// The rooms that are awake on this node.
pub(crate) struct Registry {
    pub(super) shared: Arc<Shared>,
    pub(super) feed: Arc<feed::Registry>,
    forward: Weak<dyn Forward>,
    pub(super) rooms: DashMap<RoomId, ActorRef<Msg>>,
    pub(super) supervisor: Supervisor,
}

impl Registry {
    /// A node's rooms; none is awake yet.
    pub(crate) fn new(shared: Arc<Shared>, feed: Arc<feed::Registry>, forward: Weak<dyn Forward>) -> Arc<Self> {
        Arc::new(Self { shared, feed, forward, rooms: DashMap::new(), supervisor: Supervisor::default() })
    }

    /// Gives a command to its room, wherever that is at home. A node that ends answers that nobody knows what became of it.
    pub(super) fn route(&self, room: RoomId, ask: Ask) {
        if let Some(forward) = self.forward.upgrade() {
            forward.route(room, ask);
        }
    }

    /// See [`Forward::end_room`].
    pub(super) fn end_room(&self, room: RoomId) -> bool {
        self.forward.upgrade().is_some_and(|forward| forward.end_room(room))
    }

    /// Gives a command to the room here, waking it where it sleeps. The room answers, or whoever could not reach it.
    pub(crate) fn ask_here(self: &Arc<Self>, room: RoomId, ask: Ask) {
        let mut msg = Msg::Ask(Counted::new(&self.shared.meters.room_mailbox, Box::new(ask)));
        // It may stop between the look and the call: then a new one takes its place.
        for _ in 0..3 {
            let there = self.rooms.get(&room).map(|actor| actor.clone());
            let actor = match there.map_or_else(|| self.wake(room), Ok) {
                Ok(actor) => actor,
                Err(fault) => return answer(msg, fault),
            };
            match actor.cast(msg) {
                Err(ractor::MessagingErr::SendErr(back)) => msg = back,
                _ => return,
            }
            self.forget(room, actor.get_id());
        }
        answer(msg, Fault::busy("the room is moving to another server: send the request again in a moment"));
    }

    /// Gives commands to the room here, in order: if one doesn't reach it, none after it does.
    pub(crate) fn ask_all(self: &Arc<Self>, room: RoomId, asked: impl Iterator<Item = Asked>) -> Vec<Routed> {
        let (mut actor, mut backs) = (None, Vec::new());
        for asked in asked {
            let (ask, back) = routed(asked);
            let mut msg = Msg::Ask(Counted::new(&self.shared.meters.room_mailbox, Box::new(ask)));
            loop {
                let first = actor.is_none();
                let there = self.rooms.get(&room).map(|actor| actor.clone());
                let found = match actor.take() {
                    Some(actor) => Ok(actor),
                    None => there.map_or_else(|| self.wake(room), Ok),
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

    pub(super) fn wake(self: &Arc<Self>, room: RoomId) -> Result<ActorRef<Msg>, Fault> {
        let supervisor = self.supervisor.get()?;
        let slot = self.rooms.entry(room).or_try_insert_with(|| {
            let args = Args { room, shared: self.shared.clone(), rooms: self.clone() };
            supervise::spawn(Room, args, supervisor)
        })?;
        Ok(slot.clone())
    }

    /// Takes a room off the list, if it is still this actor's.
    pub(super) fn forget(&self, room: RoomId, actor: ActorId) {
        self.rooms.remove_if(&room, |_, there| there.get_id() == actor);
    }

    /// The actors by room, in an order that doesn't depend on the table's hasher.
    pub(super) fn all(&self) -> Vec<(RoomId, ActorRef<Msg>)> {
        let mut all: Vec<_> = self.rooms.iter().map(|slot| (*slot.key(), slot.value().clone())).collect();
        all.sort_unstable_by_key(|(room, _)| *room);
        all
    }

    fn get(&self, room: RoomId) -> Option<ActorRef<Msg>> {
        self.rooms.get(&room).map(|slot| slot.clone())
    }

    /// Whether a room's actor is the one that is told what comes for the room.
    pub(super) fn is_listed(&self, room: RoomId, actor: ActorId) -> bool {
        self.rooms.get(&room).is_some_and(|there| there.get_id() == actor)
    }

    /// Has a room that is awake here give back what waits in it, and end; `None` where none is awake.
    pub(crate) fn hand_over(&self, room: RoomId) -> Option<oneshot::Receiver<Vec<Handed>>> {
        let (back, handed) = oneshot::channel();
        self.get(room)?.cast(Msg::HandOver(back)).is_ok().then_some(handed)
    }

    /// The last number of a room's log, as the room knows it that is awake here; `None` where none is, or it doesn't say.
    pub(crate) async fn last(&self, room: RoomId) -> Option<Seq> {
        let (back, last) = oneshot::channel();
        self.get(room)?.cast(Msg::Last(back)).ok()?;
        timeout(LAST_MAX, last).await.ok()?.ok()
    }

    /// The rooms that are awake here, in order.
    pub(crate) fn awake(&self) -> Vec<RoomId> {
        self.all().into_iter().map(|(room, _)| room).collect()
    }

    /// Ends a room, by a panic or by killing it, in tests of supervision. False when it is not awake here.
    pub(crate) fn end(&self, room: RoomId, panic: bool) -> bool {
        supervise::end(self.get(room), panic.then_some(Msg::Crash))
    }

    /// Shows the states of rooms, at most `count`.
    pub(crate) async fn inspect(&self, count: usize) -> Vec<ActorView> {
        let mut views = Vec::new();
        for (room, actor) in self.all().into_iter().take(count) {
            views.push(supervise::inspect(format!("rooms/{room}"), actor, Msg::Inspect).await);
        }
        views
    }
}

fn answer(msg: Msg, fault: Fault) {
    if let Msg::Ask(ask) = msg {
        ask.take().reply.send(Err(fault));
    }
}
