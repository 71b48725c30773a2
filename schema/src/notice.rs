//! What all sessions of one user are told, on whatever node they are: it is not stored, and may be lost.

use serde::{Deserialize, Serialize};

use crate::id::{Millis, RoomId};
use crate::user::Status;

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
