//! A room's state, as folding its log gives it.

use std::collections::BTreeMap;

use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{Millis, Seq, TenantId, UserId};
use serde::{Deserialize, Serialize};

use crate::invariants;

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The role.
    pub role: MemberRole,
    /// The number of the entry that made them a member.
    pub joined: Seq,
    /// When that was.
    pub joined_at: Millis,
    /// Set while muted.
    pub muted: Option<Mute>,
    /// Messages that they sent since they joined.
    pub own: u64,
    /// The number of the last of these.
    pub last_own: Seq,
    /// Messages in the room before they joined.
    pub posts_before: u64,
}

impl Member {
    /// Whether they are muted at `now`.
    #[must_use]
    pub fn is_muted(&self, now: Millis) -> bool {
        self.muted.is_some_and(|mute| mute.until.is_none_or(|end| now < end))
    }
}

/// A mute. (Not a bare `Option` in an `Option`: a snapshot could not tell its two kinds of nothing apart.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Its end, if there is one.
    pub until: Option<Millis>,
}

/// A ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The number of the entry that made it.
    pub seq: Seq,
    /// Its end, if there is one.
    pub until: Option<Millis>,
}

/// An open invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Who made it.
    pub by: UserId,
    /// When it expires.
    pub expires_at: Option<Millis>,
    /// How often it can still be used.
    pub left: Option<u32>,
}

/// A room's state after its entry `last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What later members may read.
    pub history: History,
    /// Whether it is closed for writing.
    pub archived: bool,
    /// When it was opened.
    pub created_at: Millis,
    /// When the last entry was written.
    pub updated_at: Millis,
    /// The last number.
    pub last: Seq,
    /// The append id of the last entry.
    pub last_append: u64,
    /// Messages so far.
    pub posts: u64,
    /// The number of the last message; 0 for none.
    pub last_post: Seq,
    /// The members.
    pub members: BTreeMap<UserId, Member>,
    /// Who is kept out.
    pub bans: BTreeMap<UserId, Ban>,
    /// Invites by hash.
    pub invites: BTreeMap<String, Invite>,
    /// Mutes of those who have left, and find them again when they come back, with the number of the entry by which they left.
    pub mutes_kept: BTreeMap<UserId, (Seq, Mute)>,
    /// The number of the first entry whose fact this version didn't know; 0 for none. Such a fact changes nothing.
    pub passed_over: Seq,
}

impl State {
    /// Folds a whole log, or its beginning; `None` when there is no entry.
    ///
    /// # Panics
    /// When the entries are not consecutive from 1, or an invariant breaks.
    #[must_use]
    pub fn folded<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter();
        let mut state = Self::opened(entries.next()?)?;
        for entry in entries {
            state.fold(entry);
        }
        Some(state)
    }

    /// The state after entry 1; `None` when that is not a `created`.
    #[must_use]
    pub fn opened(entry: &Entry) -> Option<Self> {
        let Fact::Created { tenant, kind, name, history, .. } = &entry.fact else { return None };
        let mut state = Self {
            tenant: *tenant,
            kind: *kind,
            name: name.clone(),
            history: *history,
            archived: false,
            created_at: entry.at,
            updated_at: entry.at,
            last: 0,
            last_append: 0,
            posts: 0,
            last_post: 0,
            members: BTreeMap::new(),
            bans: BTreeMap::new(),
            invites: BTreeMap::new(),
            mutes_kept: BTreeMap::new(),
            passed_over: 0,
        };
        entry.joined().for_each(|user| state.admit(user, entry));
        state.advance(entry);
        invariants::check(&state, entry);
        Some(state)
    }

    /// Takes the next entry in.
    ///
    /// # Panics
    /// When its number is not the next one, or an invariant breaks.
    pub fn fold(&mut self, entry: &Entry) {
        assert_eq!(entry.seq, self.last + 1, "a log has no gap");
        match &entry.fact {
            Fact::Created { .. } => debug_assert!(false, "a room is opened once"),
            Fact::Posted { .. } => self.count_post(entry),
            Fact::Edited { .. } | Fact::Deleted { .. } | Fact::Reacted { .. } | Fact::Unreacted { .. } => {}
            Fact::Added { .. } => entry.joined().for_each(|user| self.admit(user, entry)),
            Fact::Joined { hash } => {
                self.use_invite(hash);
                self.admit(entry.by, entry);
            }
            Fact::Left { heir } => self.dismiss(entry.by, *heir, entry),
            Fact::Kicked { user, heir } => self.dismiss(*user, *heir, entry),
            Fact::Banned { user, until, heir, .. } => self.ban(*user, *until, *heir, entry),
            Fact::Unbanned { user } => drop(self.bans.remove(user)),
            Fact::Muted { user, until } => self.mute(*user, *until),
            Fact::Unmuted { user } => self.unmute(*user),
            Fact::Promoted { user, role } => self.promote(*user, *role),
            Fact::Invited { hash, expires_at, uses } => self.add_invite(entry, hash, *expires_at, *uses),
            Fact::Uninvited { hash } => drop(self.invites.remove(hash)),
            Fact::Renamed { name } => self.name.clone_from(name),
            Fact::Configured { history } => self.history = *history,
            Fact::Archived => self.archived = true,
            Fact::Unarchived => self.archived = false,
            Fact::Unknown(_) => self.pass_over(entry),
        }
        self.advance(entry);
        invariants::check(self, entry);
    }

    /// The other member of a direct room.
    #[must_use]
    pub fn peer(&self, user: UserId) -> Option<UserId> {
        let direct = self.kind == Kind::Direct;
        direct.then(|| self.members.keys().copied().find(|m| *m != user)).flatten()
    }

    /// Takes in the number of an entry whose fact isn't known, and nothing else of it.
    fn pass_over(&mut self, entry: &Entry) {
        if self.passed_over == 0 {
            self.passed_over = entry.seq;
        }
        // Entries count messages, whatever else they say.
        self.posts = entry.posts;
    }

    fn advance(&mut self, entry: &Entry) {
        self.last = entry.seq;
        self.last_append = entry.append;
        self.updated_at = entry.at;
    }
}
