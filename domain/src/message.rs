//! What entries make of a message: edits, deletion, reactions.

use parlance_schema::entry::{Entry, Fact};
use parlance_schema::message::MessageState;
use parlance_schema::{Seq, UserId};

/// A message that a command is about, as the owner of the room knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Who sent it.
    pub by: Option<UserId>,
    /// What became of it.
    pub state: MessageState,
}

/// Folds an entry into the state of the message that it is about.
pub fn fold(state: &mut MessageState, entry: &Entry) {
    match &entry.fact {
        Fact::Edited { revision, content, .. } => {
            state.revision = *revision;
            state.content = content.clone();
            state.edited_at = Some(entry.at);
            state.edits.push(entry.seq);
        }
        Fact::Deleted { .. } => {
            state.content = None;
            state.deleted_at = Some(entry.at);
            state.reactions.clear();
        }
        Fact::Reacted { emoji, .. } => {
            let users = state.reactions.entry(emoji.clone()).or_default();
            if !users.contains(&entry.by) {
                users.push(entry.by);
            }
        }
        Fact::Unreacted { emoji, .. } => {
            if let Some(users) = state.reactions.get_mut(emoji) {
                users.retain(|user| *user != entry.by);
                if users.is_empty() {
                    state.reactions.remove(emoji);
                }
            }
        }
        Fact::Posted { .. }
        | Fact::Created { .. }
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
        | Fact::Unknown(_) => {}
    }
}

/// The numbers whose words go when `entry` is folded into a message in `state`: the message's own and its edits'.
#[must_use]
pub fn erased(state: &MessageState, entry: &Entry) -> Vec<Seq> {
    let Fact::Deleted { target } = &entry.fact else { return Vec::new() };
    std::iter::once(*target).chain(state.edits.iter().copied()).collect()
}
