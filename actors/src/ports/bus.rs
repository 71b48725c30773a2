//! Between nodes, and between a room and the relays of its members: events by subject, questions by request.
//!
//! Delivery of events is at most once and in order per publisher; receivers notice holes by number. A node hears its own
//! events at once and once. An answer may be lost after the question was acted upon: who asks for a command names it with a
//! client id, so that asking again is harmless.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use parlance_schema::command::Command;
use parlance_schema::entry::Entry;
use parlance_schema::node::NodeId;
use parlance_schema::notice::Notice;
use parlance_schema::push::Ephemeral;
use parlance_schema::user::{Principal, Status};
use parlance_schema::view::{Done, StatsView};
use parlance_schema::{ClientId, Fault, RoomId, Seq, TenantId, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What is published on a room's subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RoomEvent {
    /// Entries that were appended, consecutive and in order.
    Appended(Arc<[Arc<Entry>]>),
    /// Something that the log doesn't keep.
    Ephemeral(Ephemeral),
    /// The log ends at this number: who has less has missed something.
    Last(Seq),
}

/// What all nodes are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NodeEvent {
    /// Users came, went or changed status on a node.
    Presence(PresenceNews),
}

/// What changed in who is connected to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceNews {
    /// The incarnation of the node whose users these are.
    pub incarnation: u64,
    /// Counts this node's news: 1, 2, 3… A gap is healed by asking for a snapshot.
    pub number: u64,
    /// Users, their status there, and how many connections they have there; offline: they have gone.
    pub users: Vec<(UserId, Status, u32)>,
}

/// A command on its way to its room's home.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Who gives it. The node that asks has checked that.
    pub who: Principal,
    /// Their name for it.
    pub client_id: ClientId,
    /// What it is.
    pub command: Command,
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// To have commands done, in this order, by a room that is thought to be at home there.
    Commands {
        /// The room.
        room: RoomId,
        /// At least one, and no more than one append may hold.
        commands: Arc<[Asked]>,
    },
    /// The last numbers of some rooms' logs.
    Last {
        /// The rooms.
        rooms: Vec<RoomId>,
    },
    /// Everybody who is connected there.
    Presence,
    /// How many connections of a tenant there are.
    Stats {
        /// The tenant.
        tenant: TenantId,
    },
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// What the commands came to, in order. Those that are missing at the end were certainly not done, as the room moved.
    Done(Vec<Result<Done, Fault>>),
    /// The last numbers of the logs that could be read.
    Last(Vec<(RoomId, Seq)>),
    /// All users who are connected there; the number is that of the last news it holds.
    Presence(PresenceNews),
    /// The connections.
    Stats(StatsView),
    /// The room is not at home there: nothing was done. The home as the answering node sees it, where it sees one.
    NotMine(Option<NodeId>),
    /// It can't be answered now: nothing was done.
    Refused(Fault),
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody heard it: certainly nothing was done.
    #[error("the node can't be reached")]
    Unreachable,
    /// It was sent, and no answer came in time: something may have been done.
    #[error("the node did not answer")]
    Unanswered,
}

/// Receives what is published on a subject; must not block.
pub type Sink<E> = Arc<dyn Fn(E) + Send + Sync>;

/// Answers questions; the node is the one that asks. What must keep the order in which the questions came is done in the call
/// itself, which doesn't block; the future only waits for the answer. The bus calls it in that order, and waits for none of the
/// futures before the next call.
pub type Responder = Arc<dyn Fn(NodeId, Question) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A subscription; dropping it ends it.
pub type Subscription = Box<dyn Send + Sync>;

/// Whether the bus reaches the other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum BusState {
    /// It does. Counts the connections: with each new number, whatever was published in between may be lost.
    Connected(u64),
    /// It doesn't: what is published reaches this node alone.
    Away,
}

/// The bus between nodes. On one node it is the process itself, and what is about other nodes is as provided here.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes on a room's subject, to every node with a relay of it, this one included.
    fn publish_room(&self, room: RoomId, event: RoomEvent);

    /// Publishes to all sessions of a user.
    fn publish_user(&self, user: UserId, notice: Notice);

    /// Subscribes to a room's subject.
    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription;

    /// Subscribes to a user's subject.
    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription;

    /// Publishes to all nodes but this one.
    fn publish_nodes(&self, event: NodeEvent) {
        drop(event);
    }

    /// Subscribes to what the other nodes tell all; the node is the one that tells.
    fn subscribe_nodes(&self, sink: Sink<(NodeId, NodeEvent)>) -> Subscription {
        Box::new(sink)
    }

    /// Answers what other nodes ask this one.
    fn respond(&self, responder: Responder) -> Subscription {
        Box::new(responder)
    }

    /// Asks another node, and waits for the answer no longer than `within`.
    ///
    /// # Errors
    /// When there is no answer; only [`AskError::Unanswered`] leaves open whether something was done.
    async fn ask(&self, node: &NodeId, question: Question, within: Duration) -> Result<Reply, AskError> {
        let _ = (node, question, within);
        Err(AskError::Unreachable)
    }

    /// Whether the other nodes are reached, now and whenever that changes; it never does where the sender is gone.
    fn state(&self) -> watch::Receiver<BusState> {
        watch::channel(BusState::Connected(1)).1
    }

    /// What stands behind it: `local`, `nats`.
    fn backend(&self) -> &'static str {
        "local"
    }
}
