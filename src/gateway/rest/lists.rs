//! The shapes of answers that hold a list, for the documentation; [`parlance_schema::frame::Answer`] is what is written.

use parlance_schema::message::{MessageView, RevisionView};
use parlance_schema::shown::Shown;
use parlance_schema::user::UserView;
use parlance_schema::view::{BanView, MemberView, OpenInvite, PresenceView, RoomView};
use serde::Serialize;
use utoipa::ToSchema;

/// Rooms.
#[derive(Serialize, ToSchema)]
pub struct Rooms {
    /// Latest activity first.
    pub rooms: Vec<RoomView>,
}

/// Members of a room.
#[derive(Serialize, ToSchema)]
pub struct Members {
    /// In order of joining.
    pub members: Vec<MemberView>,
}

/// Who is banned from a room.
#[derive(Serialize, ToSchema)]
pub struct Bans {
    /// The earliest first.
    pub bans: Vec<BanView>,
}

/// A room's open invites.
#[derive(Serialize, ToSchema)]
pub struct Invites {
    /// Those that expire next first.
    pub invites: Vec<OpenInvite>,
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub struct MessagePage {
    /// In the log's order, oldest first.
    pub items: Vec<MessageView>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

/// A page of a room's log.
#[derive(Serialize, ToSchema)]
pub struct EntryPage {
    /// In the log's order, oldest first.
    pub items: Vec<Shown>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

/// A message's wordings.
#[derive(Serialize, ToSchema)]
pub struct Revisions {
    /// The first one first.
    pub revisions: Vec<RevisionView>,
}

/// Users.
#[derive(Serialize, ToSchema)]
pub struct Users {
    /// Those that there are.
    pub users: Vec<UserView>,
}

/// Users' presence.
#[derive(Serialize, ToSchema)]
pub struct Presences {
    /// Those that may be shown.
    pub presence: Vec<PresenceView>,
}

/// Nothing to add.
#[derive(Serialize, ToSchema)]
pub struct Nothing {}
