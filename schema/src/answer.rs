//! What operations are answered with: each has one shape, which its type names.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{RoomId, Seq};
use crate::message::{MessageView, RevisionView};
use crate::shown::Shown;
use crate::user::UserView;
use crate::view::{BanView, Done, MemberView, OpenInvite, PresenceView, Resumed, RoomView, StatsView};

/// The content of a good reply; its fields are those of the one shape that the operation has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Answer {
    // Reading takes the first shape that fits, so a message stands before `Done`, whose fields it has too.
    /// One message.
    Message(Box<MessageView>),
    /// A command was done.
    Done(Done),
    /// An invite was made.
    Invited(InviteView),
    /// One room.
    Room(Box<RoomView>),
    /// One room, which this operation opened; written as [`Answer::Room`] is.
    #[serde(skip_deserializing)]
    Opened(Box<RoomView>),
    /// The caller's rooms.
    Rooms {
        /// Latest activity first.
        rooms: Vec<RoomView>,
    },
    /// A room's members.
    Members {
        /// In order of joining.
        members: Vec<MemberView>,
    },
    /// Who is banned from a room.
    Bans {
        /// The earliest first.
        bans: Vec<BanView>,
    },
    /// A room's open invites.
    Invites {
        /// Those that expire next first.
        invites: Vec<OpenInvite>,
    },
    /// Where each room stands.
    Resumed {
        /// All rooms of the caller, and those that the client named.
        resumed: Vec<Resumed>,
    },
    /// A page of messages.
    Messages(PageOf<MessageView>),
    /// A message's wordings.
    Revisions {
        /// The first one first.
        revisions: Vec<RevisionView>,
    },
    /// Users' presence.
    Whereabouts {
        /// Those that may be shown.
        presence: Vec<PresenceView>,
    },
    /// Users.
    Users {
        /// Those that there are.
        users: Vec<UserView>,
    },
    /// A page of the log.
    Entries(PageOf<Shown>),
    /// How many are connected.
    Stats(StatsView),
    /// Nothing to add.
    Empty {},
}

/// A room that an operation opened, or found open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The room.
    pub room: RoomView,
    /// Whether this operation opened it.
    pub is_new: bool,
}

/// What an operation can be answered with.
pub trait FromAnswer: Sized {
    /// Takes it out of an answer; `None` where the answer is another operation's.
    fn from_answer(answer: Answer) -> Option<Self>;
}

macro_rules! from_answer {
    ($($kind:ty: $pattern:pat => $value:expr;)*) => {
        $(
            impl FromAnswer for $kind {
                fn from_answer(answer: Answer) -> Option<Self> {
                    if let $pattern = answer { Some($value) } else { None }
                }
            }
        )*
    };
}

from_answer! {
    (): Answer::Empty {} => ();
    Done: Answer::Done(done) => done;
    InviteView: Answer::Invited(invite) => invite;
    MessageView: Answer::Message(message) => *message;
    RoomView: Answer::Room(room) | Answer::Opened(room) => *room;
    StatsView: Answer::Stats(stats) => stats;
    Vec<RoomView>: Answer::Rooms { rooms } => rooms;
    Vec<MemberView>: Answer::Members { members } => members;
    Vec<BanView>: Answer::Bans { bans } => bans;
    Vec<OpenInvite>: Answer::Invites { invites } => invites;
    Vec<Resumed>: Answer::Resumed { resumed } => resumed;
    Vec<RevisionView>: Answer::Revisions { revisions } => revisions;
    Vec<PresenceView>: Answer::Whereabouts { presence } => presence;
    Vec<UserView>: Answer::Users { users } => users;
    PageOf<MessageView>: Answer::Messages(page) => page;
    PageOf<Shown>: Answer::Entries(page) => page;
}

impl FromAnswer for Answer {
    fn from_answer(answer: Answer) -> Option<Self> {
        Some(answer)
    }
}

impl FromAnswer for Opening {
    fn from_answer(answer: Answer) -> Option<Self> {
        match answer {
            Answer::Opened(room) => Some(Self { room: *room, is_new: true }),
            Answer::Room(room) => Some(Self { room: *room, is_new: false }),
            _ => None,
        }
    }
}

/// A page, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageOf<T> {
    /// In the log's order, oldest first.
    pub items: Vec<T>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

/// A new invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteView {
    /// The room.
    pub room: RoomId,
    /// The number of the entry that made it.
    pub seq: Seq,
    /// What to pass on; shown this once.
    pub code: String,
    /// The log's name for it, to withdraw it by.
    pub hash: String,
}
