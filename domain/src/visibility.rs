//! What of an entry its reader may see: nothing about a message from before they may read.
//!
//! Whoever joins a room whose history begins with the joining reads its entries from there on. Some of these are about earlier
//! messages: an edit has the new text, a reaction says that there was something to react to. Such an entry keeps its number, so
//! that a reader's numbers have no gap, and shows nothing else; a reply to an earlier message is shown as one to nothing.

use parlance_schema::Seq;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::shown::{Hidden, Shown};

/// An entry as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible<'a> {
    /// All of it.
    Whole(&'a Entry),
    /// All but the message that it answers.
    Without(Box<Entry>),
    /// Its number alone.
    Hidden(Hidden),
}

/// The earlier message that an entry is about or answers.
#[must_use]
pub fn names(entry: &Entry) -> Option<Seq> {
    match &entry.fact {
        Fact::Posted { reply_to, .. } => *reply_to,
        Fact::Edited { target, .. }
        | Fact::Deleted { target }
        | Fact::Reacted { target, .. }
        | Fact::Unreacted { target, .. } => Some(*target),
        Fact::Created { .. }
        | Fact::Added { .. }
        | Fact::Invited { .. }
        | Fact::Uninvited { .. }
        | Fact::Joined { .. }
        | Fact::Left { .. }
        | Fact::Kicked { .. }
        | Fact::Banned { .. }
        | Fact::Unbanned { .. }
        | Fact::Muted { .. }
        | Fact::Unmuted { .. }
        | Fact::Promoted { .. }
        | Fact::Renamed { .. }
        | Fact::Configured { .. }
        | Fact::Archived
        | Fact::Unarchived
        // Its fields are shown to nobody.
        | Fact::Unknown(_) => None,
    }
}

/// Whether somebody who may read from `first` on sees all of an entry.
#[must_use]
pub fn is_whole(entry: &Entry, first: Seq) -> bool {
    names(entry).is_none_or(|seq| seq >= first)
}

/// An entry as somebody sees it who may read from `first` on.
#[must_use]
pub fn visible(entry: &Entry, first: Seq) -> Visible<'_> {
    if is_whole(entry, first) {
        return Visible::Whole(entry);
    }
    if !matches!(entry.fact, Fact::Posted { .. }) {
        return Visible::Hidden(Hidden::of(entry));
    }
    let mut without = entry.clone();
    if let Fact::Posted { reply_to, .. } = &mut without.fact {
        *reply_to = None;
    }
    Visible::Without(Box::new(without))
}

impl From<Visible<'_>> for Shown {
    fn from(visible: Visible<'_>) -> Self {
        match visible {
            Visible::Whole(entry) => Shown::Entry(Box::new(entry.shown().into_owned())),
            Visible::Without(entry) => Shown::Entry(entry),
            Visible::Hidden(hidden) => Shown::Hidden(hidden),
        }
    }
}
