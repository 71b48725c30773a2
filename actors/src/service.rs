//! What the gateway asks of a node: one operation, by one user, one answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parlance_schema::answer::{Answer, FromAnswer};
use parlance_schema::node::{NodeId, NodeState};
use parlance_schema::op::{Op, Operation};
use parlance_schema::user::Principal;
use parlance_schema::{Fault, MessageId, RoomId};
use serde::Serialize;

use crate::link::{Link, Receiver};

/// A node's operations, for all doors: REST, WebSockets and dialects.
#[async_trait]
pub trait Service: Send + Sync {
    /// Performs an operation and waits for its end. `Resume`, `Token` and `Ping` belong to a connection and are refused.
    ///
    /// # Errors
    /// The fault that the client is to see.
    async fn perform(&self, who: Principal, op: Op) -> Result<Answer, Fault>;

    /// Gives a new connection its Session; what comes from the socket goes to the receiver.
    ///
    /// # Errors
    /// When the node takes no more connections, or is draining.
    async fn connect(&self, link: Arc<Link>) -> Result<Box<dyn Receiver>, Fault>;

    /// Gives a new connection that is for one room (see [`Link::room`]) its Session, and has the room's entries come:
    /// those after a message, or from now on. Where what is after the message can't be told, or is too much, the client is
    /// pushed a fault of the code `reset`, and live entries follow.
    ///
    /// # Errors
    /// As for [`Service::connect`]; `not_found` when the user is not a member.
    async fn enter(&self, link: Arc<Link>, after: Option<After>) -> Result<Box<dyn Receiver>, Fault>;

    /// Whether there is something in somebody's tenant that they may not see: for services that tell what isn't yours from what isn't
    /// there. Of a message in a room of theirs nothing is told.
    ///
    /// # Errors
    /// When the store fails.
    async fn is_there(&self, who: Principal, what: What) -> Result<bool, Fault>;

    /// A new connection's id.
    fn next_session(&self) -> u64;

    /// Shows the actor tree, for operators.
    async fn actors(&self) -> Vec<ActorView>;

    /// What works and what does not.
    async fn health(&self) -> Health;
}

impl dyn Service {
    /// Performs an operation whose answer has a type.
    ///
    /// # Errors
    /// As for [`Service::perform`].
    pub async fn ask<O: Operation>(&self, who: Principal, operation: O) -> Result<O::Answer, Fault> {
        let answer = self.perform(who, operation.into()).await?;
        O::Answer::from_answer(answer).ok_or_else(|| Fault::internal("server error: your request was answered with the result of a different operation; check whether your request was done, and tell the server's operator"))
    }
}

/// Where the entries of a connection that is for one room begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// With the first entry.
    Nothing,
    /// After this message.
    Message(MessageId),
}

/// Something that may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A room.
    Room(RoomId),
    /// A message.
    Message(MessageId),
}

/// An actor as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct ActorView {
    /// Its place in the tree, such as `rooms/17`.
    pub path: String,
    /// Whether it runs.
    pub status: String,
    /// A small picture of its state.
    pub state: serde_json::Value,
}

/// Whether a node can work.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Whether the node takes new work.
    pub ready: bool,
    /// The store's state.
    pub store: crate::ports::store::StoreHealth,
    /// How many ids are left of the kind that has fewest.
    pub ids_left: u64,
    /// `local` where the node is alone.
    pub bus: String,
    /// The other nodes.
    pub cluster: ClusterHealth,
}

/// What a node sees of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterHealth {
    /// This node's name.
    pub node: NodeId,
    /// What it is about.
    pub state: NodeState,
    /// Whether the bus reaches the other nodes. Where it doesn't, rooms that are at home here work, others are refused.
    pub connected: bool,
    /// Whether this node's lease was renewed in time. Where it wasn't, the others may think that it is gone.
    pub renewed: bool,
    /// The nodes in view, this one among them.
    pub nodes: BTreeMap<NodeId, NodeState>,
}
