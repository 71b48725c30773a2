//! A Room: the only writer of one room's log on this node.
//!
//! Owns: the room's [`Writer`], which decides everything, its [`Tenancy`] (the mark of unfinished work, and the fence that its appends
//! know), and who takes what is handed back. Receives: commands ([`Ask`]), and what
//! became of what the writer wanted done. Emits: the writer's effects (`effects.rs`): appended entries on the room's subject, one
//! reply per command. Its handler never waits for the store: what is to be read or written is done beside, and comes back as a
//! message. Stops: when idle, or when the store leaves it in doubt about what the log says; the next command wakes it from the
//! store. Restarted by [`super::supervisor`].

use std::sync::Arc;

use parlance_domain::room::Writer;
use parlance_domain::room::writer::{Appended, BatchId, Env, Envelope, Input, Reread};
use parlance_schema::entry::Entry;
use parlance_schema::{MessageId, RoomId, Seq};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::registry::Registry;
use super::reply::{ReplyTo, Routed};
use crate::feed::Tenancy;
use crate::mailbox::Counted;
use crate::ports::bus::Asked;
use crate::ports::store::{IdKind, LogEnd, StoreError};
use crate::shared::Shared;

/// A command on its way to the room, and who waits for the outcome.
pub(crate) type Ask = Envelope<ReplyTo>;

/// A command that came by way of a lane, here or from another node, and the way back of what it comes to.
pub(super) fn routed(asked: Asked) -> (Ask, Routed) {
    let Asked { who, client_id, command } = asked;
    let (reply, back) = ReplyTo::routed();
    (Ask { who, client_id, command, reply }, back)
}

/// What a Room can be told.
pub(crate) enum Msg {
    /// A command.
    Ask(Counted<Box<Ask>>),
    /// What became of something that the writer wanted done.
    Came(Box<Input<ReplyTo>>),
    /// What the log says when it is read again, and where it ends.
    Reread(BatchId, Box<(Reread, LogEnd)>),
    /// Goes to sleep if there is no work.
    Tick,
    /// The room is at home elsewhere, or idle: gives back what waits once its append has ended, and stops.
    HandOver(oneshot::Sender<Vec<Handed>>),
    /// The last number of the log.
    Last(oneshot::Sender<Seq>),
    /// Panics; for tests of supervision.
    Crash,
    /// Shows its state.
    Inspect(oneshot::Sender<serde_json::Value>),
}

/// What a Room gives back.
pub(crate) struct Handed {
    /// The command.
    pub ask: Ask,
    /// Whether nobody knows what became of it.
    pub unsure: bool,
}

/// The Room actor.
pub(crate) struct Room;

/// What a Room starts with.
pub(crate) struct Args {
    /// Which.
    pub room: RoomId,
    /// What the node's actors share.
    pub shared: Arc<Shared>,
    /// The rooms of this node.
    pub rooms: Arc<Registry>,
}

/// A Room's state.
pub(crate) struct State {
    pub(super) room: RoomId,
    pub(super) shared: Arc<Shared>,
    pub(super) rooms: Arc<Registry>,
    writer: Writer<ReplyTo>,
    pub(super) tenancy: Tenancy,
    /// The append that the store has, and its entries.
    pub(super) sent: Option<(BatchId, Arc<[Arc<Entry>]>)>,
    woke: Instant,
    /// Who takes what is handed back.
    pub(super) back: Option<oneshot::Sender<Vec<Handed>>>,
    /// Why the room could not be read: everybody is told, and the next one tries again.
    broken: Option<StoreError>,
}

impl Actor for Room {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, _: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        let Args { room, shared, rooms } = args;
        let woke = Instant::now();
        let mut tenancy = Tenancy::begin(rooms.feed.clone(), room);
        let marking = tenancy.marking();
        let (woken, marked) = tokio::join!(shared.read_log(room), marking.write());
        let woken = marked.and(woken).map(|(woken, end)| {
            tenancy.read(end);
            woken
        });
        metrics::histogram!("parlance_room_wake_seconds").record(woke.elapsed().as_secs_f64());
        if let Ok(Some((folded, _))) = &woken {
            // Whoever wrote this before may have died before it could tell.
            shared.announce_last(room, folded.last, folded.last_append).await;
        }
        let (woken, broken) = match woken {
            Ok(woken) => (woken, None),
            Err(error) => (None, Some(error)),
        };
        let (folded, snapshot_at) = woken.map_or((None, 0), |(folded, at)| (Some(folded), at));
        let woke = Instant::now();
        let writer = Writer::new(room, folded, snapshot_at, 0);
        Ok(State { room, shared, rooms, writer, tenancy, sent: None, woke, back: None, broken })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some(error) = state.broken.take() {
            tracing::warn!(room = %state.room, %error, "the room can't be read");
            state.step(&me, Input::Unreadable);
        }
        match msg {
            Msg::Ask(ask) => state.step(&me, Input::Ask(ask.take())),
            Msg::Came(input) => {
                if let Input::Appended(id, Appended::Done) = &*input {
                    state.acknowledged(*id);
                }
                state.step(&me, *input);
            }
            Msg::Reread(id, found) => {
                let (found, end) = *found;
                state.tenancy.read(end);
                state.step(&me, Input::Reread(id, Some(Box::new(found))));
            }
            Msg::Tick => state.step(&me, Input::Tick),
            Msg::HandOver(back) => {
                state.back = Some(back);
                state.step(&me, Input::HandOver);
            }
            Msg::Last(back) => drop(back.send(state.writer.settled())),
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Msg::Crash => panic!("a room was told to crash"),
            Msg::Inspect(reply) => drop(reply.send(serde_json::json!(state.writer.inspect()))),
        }
        Ok(())
    }
}

impl State {
    /// The store has an append for good.
    fn acknowledged(&mut self, id: BatchId) {
        if let Some((_, entries)) = self.sent.take_if(|(sent, _)| *sent == id) {
            self.tenancy.acknowledged(&entries);
        }
    }

    /// Has the writer take a step, and does what it wants done.
    pub(super) fn step(&mut self, me: &ActorRef<Msg>, input: Input<ReplyTo>) {
        let shared = &self.shared;
        let mut env = Env {
            now: shared.clock.now(),
            elapsed_ms: u64::try_from(self.woke.elapsed().as_millis()).unwrap_or(u64::MAX),
            random: &mut || shared.random_id(),
            message_id: &mut || shared.ids.at_hand(IdKind::Message).map(MessageId::new),
            single_node: shared.cluster.is_single_node(),
            at_home: shared.cluster.elsewhere(self.room).is_none(),
            idle_ms: shared.options.room_idle_ms,
        };
        for effect in self.writer.step(&mut env, input) {
            self.perform(me, effect);
        }
    }
}
