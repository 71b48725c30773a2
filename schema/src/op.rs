//! What a client can ask for: the same operations over REST and over a WebSocket.

mod declare;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{InviteView, Opening, PageOf};
use crate::command::{History, Kind, MemberRole};
use crate::content::{Content, Meta};
use crate::id::{ClientId, MessageId, Millis, Position, RoomId, Seq, UserId};
use crate::message::{MessageView, RevisionView};
use crate::shown::Shown;
use crate::user::{Status, UserView};
use crate::view::{BanView, Done, MemberView, OpenInvite, PresenceView, Resumed, RoomView, StatsView};

pub use declare::Operation;

declare::operations! {
    /// Says which positions the client has, and starts the pushes.
    Resume -> Vec<Resumed> {
        /// The client's last position per room. Rooms that it doesn't name start at their present end.
        #[serde(default, deserialize_with = "crate::id::room_keys")]
        positions: BTreeMap<RoomId, Position>,
    },
    /// Renews the token without reconnecting.
    Token -> () {
        /// The new access token, of the same user.
        token: String,
    },
    /// Asks for a sign of life.
    Ping -> () {},

    /// Lists the caller's rooms, latest activity first.
    Rooms -> Vec<RoomView> {},
    /// Shows one room.
    Room -> RoomView {
        /// Which.
        room: RoomId,
    },
    /// Lists a room's members.
    Members -> Vec<MemberView> {
        /// Which.
        room: RoomId,
    },
    /// Lists who is banned; for admins.
    Bans -> Vec<BanView> {
        /// Which.
        room: RoomId,
    },
    /// Lists the open invites; for admins.
    Invites -> Vec<OpenInvite> {
        /// Which.
        room: RoomId,
    },
    /// Opens a group or a conversation. Without a `client_id` each call opens another one.
    Create -> Opening {
        /// `group` or `conversation`.
        kind: Kind,
        /// Its name, 1 to 100 characters.
        name: String,
        /// Members besides the caller.
        #[serde(default)]
        members: Vec<UserId>,
        /// What later members may read.
        #[serde(default)]
        history: History,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Opens the direct room with a user, or finds it.
    Direct -> Opening {
        /// The other one.
        user: UserId,
    },
    /// Sends a message.
    Send -> Done {
        /// Where.
        room: RoomId,
        /// The caller's name for this message.
        #[serde(default)]
        client_id: Option<ClientId>,
        /// What it says.
        content: Content,
        /// The number of the message that it answers.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        reply_to: Option<Seq>,
        /// Members it points out.
        #[serde(default)]
        mentions: Vec<UserId>,
        /// Small facts beside it.
        #[serde(default)]
        meta: Meta,
    },
    /// Replaces what one's own message says.
    Edit -> Done {
        /// Where.
        room: RoomId,
        /// The message's number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
        /// The revision that is replaced; absent: whatever is there.
        #[serde(default)]
        revision: Option<u32>,
        /// What it says now.
        content: Content,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Erases a message's words.
    Delete -> Done {
        /// Where.
        room: RoomId,
        /// The message's number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Adds a reaction.
    React -> Done {
        /// Where.
        room: RoomId,
        /// The message's number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
        /// An emoji, or a short name.
        emoji: String,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Takes a reaction back.
    Unreact -> Done {
        /// Where.
        room: RoomId,
        /// The message's number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
        /// The reaction.
        emoji: String,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Adds users, all or none.
    Add -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        users: Vec<UserId>,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Makes an invite; the answer holds its code, which is shown this once.
    Invite -> InviteView {
        /// Where.
        room: RoomId,
        /// When it expires; absent: never.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        expires_at: Option<Millis>,
        /// How often it can be used; absent: without limit.
        #[serde(default)]
        uses: Option<u32>,
    },
    /// Withdraws an invite.
    Uninvite -> Done {
        /// Where.
        room: RoomId,
        /// The invite's hash, as the log names it.
        hash: String,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Joins with an invite's code.
    Join -> Done {
        /// The code.
        code: String,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Leaves a room.
    Leave -> Done {
        /// Which.
        room: RoomId,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Removes a member.
    Kick -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Removes a user and keeps them out.
    Ban -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// Until when; absent: until unbanned.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        until: Option<Millis>,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Lets a user back in.
    Unban -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Keeps a member from writing.
    Mute -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// Until when; absent: until unmuted.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        until: Option<Millis>,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Lets a member write again.
    Unmute -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Changes a member's role.
    Promote -> Done {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// The new role.
        role: MemberRole,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Gives a room another name.
    Rename -> Done {
        /// Which.
        room: RoomId,
        /// The name, 1 to 100 characters.
        name: String,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Changes what later members may read.
    Configure -> Done {
        /// Which.
        room: RoomId,
        /// The setting.
        history: History,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Closes a room for writing.
    Archive -> Done {
        /// Which.
        room: RoomId,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// Opens it again.
    Unarchive -> Done {
        /// Which.
        room: RoomId,
        /// The caller's name for this command.
        #[serde(default)]
        client_id: Option<ClientId>,
    },

    /// Shows messages as they are now: the latest, or those before or after a number.
    Messages -> PageOf<MessageView> {
        /// Where.
        room: RoomId,
        /// Only below this number.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        before: Option<Seq>,
        /// Only above this number.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        after: Option<Seq>,
        /// At most so many; default 50, at most 200.
        #[serde(default)]
        limit: Option<usize>,
        /// Leaves out so many of the latest first; not together with `after`.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        skip: Option<u64>,
        /// Whether everything counts as read, where the page is the latest one.
        #[serde(default)]
        read: bool,
    },
    /// Finds a message by its id.
    Find -> MessageView {
        /// The message's id.
        message: MessageId,
    },
    /// Shows one message as it is now.
    Message -> MessageView {
        /// Where.
        room: RoomId,
        /// Its number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
    },
    /// Shows a message's wordings.
    Revisions -> Vec<RevisionView> {
        /// Where.
        room: RoomId,
        /// Its number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
    },
    /// Shows lines of the log: the latest, or those before or after a number.
    Entries -> PageOf<Shown> {
        /// Where.
        room: RoomId,
        /// Only below this number.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        before: Option<Seq>,
        /// Only above this number.
        #[serde(default, deserialize_with = "crate::id::whole_number_if_any")]
        after: Option<Seq>,
        /// At most so many; default 50, at most 200.
        #[serde(default)]
        limit: Option<usize>,
    },

    /// Marks everything up to a number as read.
    Read -> () {
        /// Where.
        room: RoomId,
        /// Up to this number.
        #[serde(deserialize_with = "crate::id::whole_number")]
        seq: Seq,
    },
    /// Tells the others that one is writing, or stopped.
    Typing -> () {
        /// Where.
        room: RoomId,
        /// False when one stopped.
        on: bool,
    },
    /// Sets one's own status.
    Presence -> () {
        /// `online`, `away` or `do_not_disturb`.
        status: Status,
    },
    /// Shows users' presence; only of those who share a room with the caller.
    Whereabouts -> Vec<PresenceView> {
        /// Who; at most 100.
        users: Vec<UserId>,
    },
    /// Shows users.
    Users -> Vec<UserView> {
        /// Who; at most 200.
        ids: Vec<UserId>,
    },
    /// Counts connections, in all and per room: per room of the caller's, or of all of the tenant's for those who moderate it.
    Stats -> StatsView {
        /// For a wire that has always told everybody the numbers of all rooms.
        #[serde(skip)]
        all_rooms: bool,
    },
}
