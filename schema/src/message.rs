//! A message: what becomes of it after it was sent, and how it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::content::{Content, Meta};
use crate::id::{MessageId, Millis, RoomId, Seq, UserId};

/// A message beyond what its `posted` entry says: edits, deletion, reactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// How often it was edited.
    pub revision: u32,
    /// The wording after the last edit; absent if never edited, or erased.
    pub content: Option<Content>,
    /// When it was edited last.
    pub edited_at: Option<Millis>,
    /// The numbers of the entries that edited it, in order.
    pub edits: Vec<Seq>,
    /// When it was deleted.
    pub deleted_at: Option<Millis>,
    /// Who reacted with what, in order of reacting.
    pub reactions: BTreeMap<String, Vec<UserId>>,
}

/// A message as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// Its room.
    pub room: RoomId,
    /// Its number in the room.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Who sent it.
    pub by: UserId,
    /// When.
    pub at: Millis,
    /// The sender's name for it.
    pub client_id: crate::ClientId,
    /// What it says now; absent once deleted.
    pub content: Option<Content>,
    /// The number of the message that it answers.
    pub reply_to: Option<Seq>,
    /// Members it points out.
    pub mentions: Vec<UserId>,
    /// Small facts beside it.
    pub meta: Meta,
    /// How often it was edited.
    pub revision: u32,
    /// When it was edited last.
    pub edited_at: Option<Millis>,
    /// When it was deleted.
    pub deleted_at: Option<Millis>,
    /// Who reacted with what.
    pub reactions: BTreeMap<String, Vec<UserId>>,
}

/// One earlier or present wording of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// 0 is the message as sent.
    pub revision: u32,
    /// When it was written.
    pub at: Millis,
    /// What it said.
    pub content: Option<Content>,
}
