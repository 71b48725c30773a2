//! What an entry does to who is a member. Everybody who needs to know asks here.

// A new fact doesn't compile until this is answered.
#![deny(clippy::wildcard_enum_match_arm)]

use super::{Entry, Fact};
use crate::id::UserId;

impl Entry {
    /// Users who became members (true) or stopped being ones (false) by this entry, in its order. The entry alone tells.
    pub fn membership(&self) -> impl Iterator<Item = (UserId, bool)> {
        let (users, there): (&[UserId], bool) = match &self.fact {
            Fact::Created { members, .. } => (members, true),
            Fact::Added { users } => (users, true),
            Fact::Joined { .. } => (std::slice::from_ref(&self.by), true),
            Fact::Left { .. } => (std::slice::from_ref(&self.by), false),
            Fact::Kicked { user, .. } | Fact::Banned { user, removed: true, .. } => (std::slice::from_ref(user), false),
            Fact::Banned { removed: false, .. }
            | Fact::Posted { .. }
            | Fact::Edited { .. }
            | Fact::Deleted { .. }
            | Fact::Reacted { .. }
            | Fact::Unreacted { .. }
            | Fact::Invited { .. }
            | Fact::Uninvited { .. }
            | Fact::Unbanned { .. }
            | Fact::Muted { .. }
            | Fact::Unmuted { .. }
            | Fact::Promoted { .. }
            | Fact::Renamed { .. }
            | Fact::Configured { .. }
            | Fact::Archived
            | Fact::Unarchived
            | Fact::Unknown(_) => (&[], false),
        };
        users.iter().map(move |user| (*user, there))
    }

    /// Users who became members by this entry.
    pub fn joined(&self) -> impl Iterator<Item = UserId> {
        self.membership().filter_map(|(user, there)| there.then_some(user))
    }

    /// Users who stopped being members by this entry.
    pub fn removed(&self) -> impl Iterator<Item = UserId> {
        self.membership().filter_map(|(user, there)| (!there).then_some(user))
    }
}
