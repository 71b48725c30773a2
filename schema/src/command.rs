//! What a room can be asked to do: one command is done whole, as one entry of its log, or not at all.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::content::{Content, Meta};
use crate::id::{Millis, Seq, UserId};

/// What a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two users, one room per pair.
    Direct,
    /// Up to 100 members, with an owner and admins.
    Group,
    /// One user and assistants.
    Conversation,
}

/// What a member may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Reads, writes, reacts.
    Member,
    /// Also renames, invites, removes, mutes, bans and deletes others' messages.
    Admin,
    /// Also makes admins, archives, and hands the room on. A room has one; a direct room has none.
    Owner,
}

/// What a new member may read of the time before they joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Everything.
    #[default]
    All,
    /// What was sent since they joined.
    SinceJoined,
}

/// A command to a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Opens the room; always entry 1.
    Create {
        /// What it is.
        kind: Kind,
        /// Its name; empty for a direct room.
        name: String,
        /// Members besides the creator.
        members: Vec<UserId>,
        /// What later members may read.
        history: History,
    },
    /// Sends a message.
    Post {
        /// What it says.
        content: Content,
        /// The number of the message that it answers.
        reply_to: Option<Seq>,
        /// Members it points out.
        mentions: Vec<UserId>,
        /// Small facts beside it.
        meta: Meta,
    },
    /// Replaces what one's own message says.
    Edit {
        /// The message's number.
        seq: Seq,
        /// The revision that is replaced; 0 is the message as sent. Absent: whatever is there.
        revision: Option<u32>,
        /// What it says now.
        content: Content,
    },
    /// Erases a message's words; its number stays.
    Delete {
        /// The message's number.
        seq: Seq,
    },
    /// Adds a reaction to a message.
    React {
        /// The message's number.
        seq: Seq,
        /// An emoji, or a short name.
        emoji: String,
    },
    /// Takes a reaction back.
    Unreact {
        /// The message's number.
        seq: Seq,
        /// The reaction.
        emoji: String,
    },
    /// Adds users; all or none.
    Add {
        /// Who.
        users: Vec<UserId>,
    },
    /// Makes an invite.
    Invite {
        /// SHA-256 of the secret, so that the log doesn't hold it; in hexadecimal.
        hash: String,
        /// When it expires.
        expires_at: Option<Millis>,
        /// How often it can be used; absent: without limit.
        uses: Option<u32>,
    },
    /// Withdraws an invite.
    Uninvite {
        /// The invite's hash.
        hash: String,
    },
    /// Joins with an invite.
    Join {
        /// The invite's hash.
        hash: String,
    },
    /// Leaves.
    Leave,
    /// Removes a member.
    Kick {
        /// Who.
        user: UserId,
    },
    /// Removes a user, if a member, and keeps them out.
    Ban {
        /// Who.
        user: UserId,
        /// Until when; absent: until unbanned.
        until: Option<Millis>,
    },
    /// Lets a user back in.
    Unban {
        /// Who.
        user: UserId,
    },
    /// Keeps a member from writing.
    Mute {
        /// Who.
        user: UserId,
        /// Until when; absent: until unmuted.
        until: Option<Millis>,
    },
    /// Lets a member write again.
    Unmute {
        /// Who.
        user: UserId,
    },
    /// Changes a member's role; making an owner hands the room over.
    Promote {
        /// Who.
        user: UserId,
        /// The new role.
        role: MemberRole,
    },
    /// Gives the room another name.
    Rename {
        /// The name.
        name: String,
    },
    /// Changes what later members may read.
    Configure {
        /// The setting.
        history: History,
    },
    /// Closes the room for writing.
    Archive,
    /// Opens it again.
    Unarchive,
}
