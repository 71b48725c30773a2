//! What the server sends by itself on a native WebSocket (docs/protocol.md): entries, where rooms stand, and what no log keeps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Fault;
use crate::id::{Millis, RoomId, Seq, UserId};
use crate::shown::Shown;
use crate::user::Status;

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

/// Something that members of a room are told and that its log doesn't keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "push", rename_all = "snake_case")]
pub enum Ephemeral {
    /// A member is writing, or stopped.
    Typing {
        /// The room.
        room: RoomId,
        /// Who.
        user: UserId,
        /// False when they stopped.
        on: bool,
    },
    /// A member has read up to a number.
    Read {
        /// The room.
        room: RoomId,
        /// Who.
        user: UserId,
        /// Everything up to this number.
        seq: Seq,
    },
    /// A member came, went or changed status.
    Presence {
        /// The room through which the receiver knows the user.
        room: RoomId,
        /// Who.
        user: UserId,
        /// The status now.
        status: Status,
        /// When they were last connected; absent while they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_seen: Option<Millis>,
    },
    /// A member opened the first of their connections that are for this room alone.
    Entered {
        /// The room.
        room: RoomId,
        /// Who.
        user: UserId,
    },
    /// A member closed the last of their connections that are for this room alone.
    Parted {
        /// The room.
        room: RoomId,
        /// Who.
        user: UserId,
    },
}

impl Ephemeral {
    /// The room whose members are told.
    #[must_use]
    pub fn room(&self) -> RoomId {
        match self {
            Ephemeral::Typing { room, .. }
            | Ephemeral::Read { room, .. }
            | Ephemeral::Presence { room, .. }
            | Ephemeral::Entered { room, .. }
            | Ephemeral::Parted { room, .. } => *room,
        }
    }
}
