//! What becomes of a message after it was sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::id::{Millis, Seq, UserId};

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
