//! What nodes and sessions are told besides entries: it is not stored, and may be lost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{Millis, RoomId, Seq, UserId};

/// Whether a user is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No connection.
    #[default]
    Offline,
    /// Connected, but not at the keyboard.
    Away,
    /// Connected.
    Online,
    /// Connected, and wants no notifications.
    DoNotDisturb,
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

/// Something that all of one user's sessions are told, on whatever node they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// The user is a member of this room now.
    RoomAdded {
        /// The room.
        room: RoomId,
    },
    /// The user chose a status for all connections.
    Status {
        /// The status.
        status: Status,
    },
    /// The account was disabled, its role changed, or tokens issued before `before` were revoked.
    Revoked {
        /// Tokens issued earlier are void.
        before: Millis,
    },
}
