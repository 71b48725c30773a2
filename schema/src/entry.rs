//! One numbered line of a room's log: a fact, in the past tense.

mod membership;
mod unknown;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::command::{History, Kind, MemberRole};
use crate::content::{Content, Meta};
use crate::id::{ClientId, MessageId, Millis, Seq, TenantId, UserId};
pub use unknown::UnknownFact;

/// One line of a room's log. Every member sees the same ones in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its number in the room: 1, 2, 3… without a gap.
    pub seq: Seq,
    /// When the room's owner took it in, by its clock. Order is the number's business, not the clock's.
    pub at: Millis,
    /// Who did it.
    pub by: UserId,
    /// The sender's name for the command.
    pub client_id: ClientId,
    /// Messages posted in the room so far, this one included, so that unread counts are a difference.
    pub posts: u64,
    /// The random id of the append that wrote it, below 2^53.
    pub append: u64,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The room was opened; always entry 1.
    Created {
        /// The tenant that it belongs to.
        tenant: TenantId,
        /// What it is.
        kind: Kind,
        /// Its name; empty for a direct room.
        name: String,
        /// All first members, the creator among them.
        members: Vec<UserId>,
        /// What later members may read.
        history: History,
    },
    /// A message was sent.
    Posted {
        /// Its id.
        id: MessageId,
        /// What it says; absent once it was erased.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Content>,
        /// The number of the message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
        /// Members it points out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<UserId>,
        /// Small facts beside it.
        #[serde(default, skip_serializing_if = "Meta::is_empty")]
        meta: Meta,
    },
    /// A message says something else now.
    Edited {
        /// The message's number.
        target: Seq,
        /// Its revision now: 1 after the first edit.
        revision: u32,
        /// What it says; absent once it was erased.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Content>,
    },
    /// A message's words were erased.
    Deleted {
        /// The message's number.
        target: Seq,
    },
    /// A reaction was added.
    Reacted {
        /// The message's number.
        target: Seq,
        /// The reaction.
        emoji: String,
    },
    /// A reaction was taken back.
    Unreacted {
        /// The message's number.
        target: Seq,
        /// The reaction.
        emoji: String,
    },
    /// Users were added by a member.
    Added {
        /// Who.
        users: Vec<UserId>,
    },
    /// An invite was made.
    Invited {
        /// SHA-256 of its secret, in hexadecimal.
        hash: String,
        /// When it expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Millis>,
        /// How often it can be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uses: Option<u32>,
    },
    /// An invite was withdrawn.
    Uninvited {
        /// The invite's hash.
        hash: String,
    },
    /// The user joined with an invite.
    Joined {
        /// The invite's hash.
        hash: String,
    },
    /// The user left. Where an owner left, `heir` is the new one.
    Left {
        /// The new owner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heir: Option<UserId>,
    },
    /// A member was removed.
    Kicked {
        /// Who.
        user: UserId,
        /// The new owner, where the owner was removed by a moderator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heir: Option<UserId>,
    },
    /// A user was banned, and removed if a member.
    Banned {
        /// Who.
        user: UserId,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Millis>,
        /// Whether they were a member, and so were removed.
        #[serde(default = "was_member")]
        removed: bool,
        /// The new owner, where the owner was removed by a moderator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heir: Option<UserId>,
    },
    /// A ban was lifted.
    Unbanned {
        /// Who.
        user: UserId,
    },
    /// A member was muted.
    Muted {
        /// Who.
        user: UserId,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Millis>,
    },
    /// A mute was lifted.
    Unmuted {
        /// Who.
        user: UserId,
    },
    /// A member's role changed. Where it is `owner`, the old owner is an admin now.
    Promoted {
        /// Who.
        user: UserId,
        /// The new role.
        role: MemberRole,
    },
    /// The room has another name.
    Renamed {
        /// The name.
        name: String,
    },
    /// What later members may read was changed.
    Configured {
        /// The setting.
        history: History,
    },
    /// The room was closed for writing.
    Archived,
    /// The room was opened again.
    Unarchived,
    /// Something that this version doesn't know: a newer node wrote it.
    #[serde(untagged)]
    Unknown(UnknownFact),
}

/// The names of all facts that this version knows.
pub const FACTS: [&str; 21] = [
    "created",
    "posted",
    "edited",
    "deleted",
    "reacted",
    "unreacted",
    "added",
    "invited",
    "uninvited",
    "joined",
    "left",
    "kicked",
    "banned",
    "unbanned",
    "muted",
    "unmuted",
    "promoted",
    "renamed",
    "configured",
    "archived",
    "unarchived",
];

/// What entries of before bans told it say: to remove somebody who is no member changes nothing.
const fn was_member() -> bool {
    true
}

impl Entry {
    /// About how many bytes it holds in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let content = |content: &Content| content.text.len() + content.parts.len() * 256;
        let beside = match &self.fact {
            Fact::Posted { content: said, mentions, meta, .. } => {
                let meta: usize = meta.iter().map(|(key, value)| 64 + key.len() + value.len()).sum();
                said.as_ref().map_or(0, content) + mentions.len() * size_of::<UserId>() + meta
            }
            Fact::Edited { content: Some(said), .. } => content(said),
            _ => 0,
        };
        size_of::<Self>() + self.client_id.as_str().len() + beside
    }

    /// The entry as clients are shown it: of a fact that this version doesn't know, its name alone.
    #[must_use]
    pub fn shown(&self) -> Cow<'_, Self> {
        match &self.fact {
            Fact::Unknown(fact) => Cow::Owned(Self { fact: Fact::Unknown(fact.shown()), ..self.clone() }),
            _ => Cow::Borrowed(self),
        }
    }

    /// The message that this entry is about: itself when it is one, else the one that it changes.
    #[must_use]
    pub fn message(&self) -> Option<Seq> {
        match &self.fact {
            Fact::Posted { .. } => Some(self.seq),
            Fact::Edited { target, .. }
            | Fact::Deleted { target }
            | Fact::Reacted { target, .. }
            | Fact::Unreacted { target, .. } => Some(*target),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile until a new fact is here, and so in [`FACTS`].
    fn name(fact: &Fact) -> &str {
        match fact {
            Fact::Created { .. } => "created",
            Fact::Posted { .. } => "posted",
            Fact::Edited { .. } => "edited",
            Fact::Deleted { .. } => "deleted",
            Fact::Reacted { .. } => "reacted",
            Fact::Unreacted { .. } => "unreacted",
            Fact::Added { .. } => "added",
            Fact::Invited { .. } => "invited",
            Fact::Uninvited { .. } => "uninvited",
            Fact::Joined { .. } => "joined",
            Fact::Left { .. } => "left",
            Fact::Kicked { .. } => "kicked",
            Fact::Banned { .. } => "banned",
            Fact::Unbanned { .. } => "unbanned",
            Fact::Muted { .. } => "muted",
            Fact::Unmuted { .. } => "unmuted",
            Fact::Promoted { .. } => "promoted",
            Fact::Renamed { .. } => "renamed",
            Fact::Configured { .. } => "configured",
            Fact::Archived => "archived",
            Fact::Unarchived => "unarchived",
            Fact::Unknown(fact) => fact.name(),
        }
    }

    #[test]
    fn the_names_of_all_facts_are_listed() {
        for listed in FACTS {
            let fields = serde_json::json!({
                "fact": listed, "tenant": 1, "kind": "group", "name": "Tea", "members": [1], "history": "all", "id": 1, "target": 1,
                "revision": 1, "emoji": "e", "users": [1], "hash": "h", "user": 1, "role": "member",
            });
            let fact: Fact = serde_json::from_value(fields).unwrap();
            assert!(!matches!(fact, Fact::Unknown(_)), "{listed}");
            assert_eq!(name(&fact), listed);
            assert_eq!(serde_json::to_value(&fact).unwrap()["fact"], listed);
        }
    }

    #[test]
    fn bans_of_before_removed_somebody() {
        let fact: Fact = serde_json::from_value(serde_json::json!({"fact": "banned", "user": 1})).unwrap();
        assert_eq!(fact, Fact::Banned { user: UserId::new(1), until: None, removed: true, heir: None });
    }
}
