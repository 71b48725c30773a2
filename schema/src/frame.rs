//! The native WebSocket's requests and replies (docs/protocol.md); what the server sends by itself is in [`crate::push`].

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
#[cfg(doc)]
use crate::limits::ID_MAX;
use crate::op::Op;

pub use crate::answer::{Answer, InviteView, PageOf};

/// The version that this build speaks.
pub const SUBPROTOCOL_JSON: &str = "parlance.v1.json";
/// The same, in MessagePack with named fields, in binary messages.
pub const SUBPROTOCOL_MSGPACK: &str = "parlance.v1.msgpack";

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client's number for it, at most [`ID_MAX`]; its reply carries it in `re`.
    #[serde(deserialize_with = "crate::id::whole_number")]
    pub n: u64,
    /// What is asked.
    #[serde(flatten)]
    pub op: Op,
}

/// The one reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's `n`.
    pub re: u64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: ReplyOutcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyOutcome {
    /// It was done.
    Ok(Box<Answer>),
    /// It was refused, or failed.
    Fault(Fault),
}
