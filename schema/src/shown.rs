//! An entry as somebody is shown it, who may not have been there for all that it is about.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entry::Entry;
use crate::id::{Millis, Seq};

/// An entry of a room's log as one of its readers sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Shown {
    /// Something that happened to a message which the reader may not read.
    Hidden(Hidden),
    /// What happened.
    Entry(Box<Entry>),
}

/// The place of an entry in a room's log, without what happened: it is about a message from before its reader joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hidden {
    /// Its number in the room: a reader's numbers have no gap.
    pub seq: Seq,
    /// When the room's owner took it in.
    pub at: Millis,
    /// Messages posted in the room so far.
    pub posts: u64,
    /// The random id of the append that wrote it.
    pub append: u64,
    /// Always `hidden`.
    pub fact: HiddenFact,
}

/// The one fact of a hidden entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HiddenFact {
    /// It is not shown.
    Hidden,
}

impl Hidden {
    /// What is left of an entry that is not shown.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let (seq, at, posts, append) = (entry.seq, entry.at, entry.posts, entry.append);
        Self { seq, at, posts, append, fact: HiddenFact::Hidden }
    }
}

impl Shown {
    /// Its number in the room.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Shown::Hidden(hidden) => hidden.seq,
            Shown::Entry(entry) => entry.seq,
        }
    }
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Shown::Entry(Box::new(entry))
    }
}
