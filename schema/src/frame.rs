//! The native WebSocket's frames (docs/protocol.md): a request from the client, a reply or a push from the server.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Ephemeral;
use crate::fault::Fault;
use crate::id::{Millis, RoomId, Seq, UserId};
#[cfg(doc)]
use crate::limits::ID_MAX;
use crate::op::Op;
use crate::shown::Shown;

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

/// What the server sends by itself, besides [`Ephemeral`]s, which have the same form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "push", rename_all = "snake_case")]
pub enum Push {
    /// The first frame of a connection.
    Hello {
        /// The connection's id, as logs name it.
        session: u64,
        /// Who is connected.
        user: UserId,
        /// The server's clock.
        now: Millis,
        /// Requests that may wait for their replies.
        credits: usize,
        /// Milliseconds of silence after which the server pings.
        heartbeat_ms: u64,
        /// Requests a second that the connection may send, with a burst of as many; 0 where they are not limited.
        requests_per_s: u32,
        /// When the token expires; send a new one before.
        token_expires_at: Millis,
    },
    /// An entry of a room's log.
    Entry {
        /// The room.
        room: RoomId,
        /// The entry.
        entry: Shown,
    },
    /// The caller is a member of a room that was not pushed before; its entries follow after `from`.
    RoomAdded {
        /// The room.
        room: RoomId,
        /// The log's epoch.
        epoch: u64,
        /// Pushes go on after this number.
        from: Seq,
    },
    /// Nothing more will come from this room: the caller is no member any more.
    RoomGone {
        /// The room.
        room: RoomId,
    },
    /// The room's log is another one than it was: forget the room and load it anew.
    Reset {
        /// The room.
        room: RoomId,
        /// The log's epoch.
        epoch: u64,
        /// Pushes go on after this number.
        from: Seq,
    },
    /// The server will close soon: connect again after this time, which differs from client to client.
    Reconnect {
        /// Milliseconds to wait.
        after_ms: u64,
        /// Why.
        reason: String,
    },
    /// A frame could not be attributed to a request.
    Fault {
        /// What was wrong.
        fault: Fault,
    },
    /// Typing, presence and read marks.
    #[serde(untagged)]
    Ephemeral(Ephemeral),
}
