//! What the gateway asks of a node: one operation, by one user, one answer.

use std::sync::Arc;

use async_trait::async_trait;
use parlance_schema::Fault;
use parlance_schema::account::Principal;
use parlance_schema::frame::Answer;
use parlance_schema::op::Op;
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

    /// A new connection's id.
    fn next_session(&self) -> u64;

    /// Shows the actor tree, for operators.
    async fn actors(&self) -> Vec<ActorView>;

    /// What works and what does not.
    async fn health(&self) -> Health;
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
    /// `local` where the node is alone.
    pub bus: String,
}
