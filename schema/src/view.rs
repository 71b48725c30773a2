//! What is shown of rooms and members, and the answers to commands and resumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::command::{History, Kind, MemberRole};
use crate::id::{MessageId, Millis, RoomId, Seq, UserId};
use crate::message::MessageView;
use crate::user::Status;

/// A room as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomView {
    /// The room.
    pub id: RoomId,
    /// What it is.
    pub kind: Kind,
    /// Its name; empty for a direct room.
    pub name: String,
    /// The other member of a direct room.
    pub peer: Option<UserId>,
    /// The log's epoch.
    pub epoch: u64,
    /// The last number of its log.
    pub last: Seq,
    /// Members.
    pub members: usize,
    /// The caller's role in it; absent for a moderator who is not a member.
    pub role: Option<MemberRole>,
    /// The first number that the caller may read.
    pub first: Seq,
    /// Everything up to this number was read by the caller, or was there before they joined.
    pub read: Seq,
    /// Others' messages after that.
    pub unread: u64,
    /// Messages that the caller may read, deleted ones too.
    pub messages: u64,
    /// What later members may read.
    pub history: History,
    /// Whether it is closed for writing.
    pub archived: bool,
    /// When it was opened.
    pub created_at: Millis,
    /// When its last entry was written.
    pub updated_at: Millis,
    /// Its latest message, also where that was deleted.
    pub last_message: Option<MessageView>,
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Who.
    pub user: UserId,
    /// The role in the room.
    pub role: MemberRole,
    /// When they joined.
    pub joined_at: Millis,
    /// Muted until then; `0` is "until unmuted".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Millis>,
    /// Everything up to this number was read.
    pub read: Seq,
    /// Whether they are there.
    pub status: Status,
}

/// A ban that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanView {
    /// Who is kept out.
    pub user: UserId,
    /// The number of the entry that did it.
    pub seq: Seq,
    /// Until when; absent: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

/// An invite that can be used; its code is not known any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenInvite {
    /// The log's name for it, to withdraw it by.
    pub hash: String,
    /// Who made it.
    pub by: UserId,
    /// When it expires; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// How often it can still be used; absent: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
}

/// A user's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceView {
    /// Who.
    pub user: UserId,
    /// The status now.
    pub status: Status,
    /// When they were last connected; absent while they are, or if never.
    pub last_seen: Option<Millis>,
}

/// The answer to a command that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// The room.
    pub room: RoomId,
    /// The number of the entry that did it.
    pub seq: Seq,
    /// When.
    pub at: Millis,
    /// The message's id, where a message was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// True where an earlier try had done it.
    #[serde(default)]
    pub again: bool,
}

/// Where a room stands after a resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resumed {
    /// The room.
    pub room: RoomId,
    /// The log's epoch.
    pub epoch: u64,
    /// Pushes go on after this number.
    pub from: Seq,
    /// The last number when the resume was answered.
    pub last: Seq,
    /// What the client must do.
    pub outcome: Outcome,
}

/// What a resume came to, in one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything after the client's position follows, then live entries.
    Live,
    /// Too much was missed: live entries follow from `from`; page for what is before.
    TooFar,
    /// The position is ahead of the log or of another epoch: forget the room, then as for `too_far`.
    Reset,
    /// The caller is not a member (any more), or there is no such room.
    Gone,
}

/// How many are connected, as far as the caller's tenant goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsView {
    /// Open connections.
    pub connections: u64,
    /// Rooms that somebody is connected to.
    pub open_rooms: u64,
    /// Connections by room. One that serves all rooms of its user counts in each of them.
    #[serde(deserialize_with = "crate::id::room_keys")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub per_room: BTreeMap<RoomId, u64>,
}

impl StatsView {
    /// Takes in what another node counted: a connection is on one node only.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        for (room, count) in &other.per_room {
            *self.per_room.entry(*room).or_default() += count;
        }
        self.open_rooms = self.per_room.len() as u64;
    }
}
