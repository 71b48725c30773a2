//! A room's state, as folding its log gives it.

use std::collections::BTreeMap;

use parlance_schema::account::Principal;
use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{BANS_MAX, INVITES_MAX, MUTES_KEPT_MAX};
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
    /// Snapshots of earlier versions don't have them.
    #[serde(default)]
    pub mutes_kept: BTreeMap<UserId, (Seq, Mute)>,
}

impl State {
    /// Folds a whole log, or its beginning; `None` when there is no entry.
    ///
    /// # Panics
    /// In debug builds, when the entries are not consecutive from 1.
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
        let Fact::Created { tenant, kind, name, members, history } = &entry.fact else { return None };
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
        };
        for user in members {
            state.admit(*user, entry);
        }
        state.advance(entry);
        invariants::check(&state, entry);
        Some(state)
    }

    /// Takes the next entry in.
    ///
    /// # Panics
    /// In debug builds, when its number is not the next one, or an invariant breaks.
    pub fn fold(&mut self, entry: &Entry) {
        debug_assert_eq!(entry.seq, self.last + 1, "a log has no gap");
        match &entry.fact {
            Fact::Created { .. } => debug_assert!(false, "a room is opened once"),
            Fact::Posted { .. } => self.count_post(entry),
            Fact::Edited { .. } | Fact::Deleted { .. } | Fact::Reacted { .. } | Fact::Unreacted { .. } => {}
            Fact::Added { users } => users.iter().for_each(|user| self.admit(*user, entry)),
            Fact::Joined { hash } => {
                self.use_invite(hash);
                self.admit(entry.by, entry);
            }
            Fact::Left { heir } => self.dismiss(entry.by, *heir, entry),
            Fact::Kicked { user, heir } => self.dismiss(*user, *heir, entry),
            Fact::Banned { user, until, heir } => {
                self.dismiss(*user, *heir, entry);
                self.bans.insert(*user, Ban { seq: entry.seq, until: *until });
                self.forget_bans(entry.at);
            }
            Fact::Unbanned { user } => {
                self.bans.remove(user);
            }
            Fact::Muted { user, until } => self.with(*user, |m| m.muted = Some(Mute { until: *until })),
            Fact::Unmuted { user } => self.with(*user, |m| m.muted = None),
            Fact::Promoted { user, role } => self.promote(*user, *role),
            Fact::Invited { hash, expires_at, uses } => {
                let invite = Invite { by: entry.by, expires_at: *expires_at, left: *uses };
                self.invites.insert(hash.clone(), invite);
                self.forget_invites(entry.at);
            }
            Fact::Uninvited { hash } => {
                self.invites.remove(hash);
            }
            Fact::Renamed { name } => self.name.clone_from(name),
            Fact::Configured { history } => self.history = *history,
            Fact::Archived => self.archived = true,
            Fact::Unarchived => self.archived = false,
        }
        self.advance(entry);
        invariants::check(self, entry);
    }

    /// Users who became members (true) or stopped being ones (false) by the next `entry`, as folding it would do.
    #[must_use]
    pub fn changes(&self, entry: &Entry) -> Vec<(UserId, bool)> {
        let gone = |user: &UserId| self.members.contains_key(user).then_some((*user, false)).into_iter().collect();
        match &entry.fact {
            Fact::Added { users } => users.iter().map(|user| (*user, true)).collect(),
            Fact::Joined { .. } => vec![(entry.by, true)],
            Fact::Left { .. } => gone(&entry.by),
            Fact::Kicked { user, .. } | Fact::Banned { user, .. } => gone(user),
            Fact::Created { members, .. } => members.iter().map(|user| (*user, true)).collect(),
            _ => Vec::new(),
        }
    }

    /// The first number that a user may read; `None` for none at all. Moderators read everything.
    #[must_use]
    pub fn readable_from(&self, who: &Principal) -> Option<Seq> {
        match (self.members.get(&who.user), self.history) {
            (Some(member), History::SinceJoined) => Some(member.joined),
            (Some(_), History::All) => Some(1),
            (None, _) => who.moderates(self.tenant).then_some(1),
        }
    }

    /// Whether somebody has a say over others' things: an admin, the owner, or a moderator.
    #[must_use]
    pub fn is_staff(&self, who: &Principal) -> bool {
        let role = self.members.get(&who.user).is_some_and(|member| member.role >= MemberRole::Admin);
        role || who.moderates(self.tenant)
    }

    /// The other member of a direct room.
    #[must_use]
    pub fn peer(&self, user: UserId) -> Option<UserId> {
        let direct = self.kind == Kind::Direct;
        direct.then(|| self.members.keys().copied().find(|m| *m != user)).flatten()
    }

    /// Who owns the room after `leaver` has gone: the admin, else the member, who has been there longest.
    #[must_use]
    pub fn heir(&self, leaver: UserId) -> Option<UserId> {
        if self.members.get(&leaver)?.role != MemberRole::Owner {
            return None;
        }
        let others = self.members.iter().filter(|(user, _)| **user != leaver);
        others.min_by_key(|(user, m)| (std::cmp::Reverse(m.role), m.joined, **user)).map(|(user, _)| *user)
    }

    fn advance(&mut self, entry: &Entry) {
        self.last = entry.seq;
        self.last_append = entry.append;
        self.updated_at = entry.at;
    }

    fn count_post(&mut self, entry: &Entry) {
        self.posts += 1;
        self.last_post = entry.seq;
        self.with(entry.by, |m| {
            m.own += 1;
            m.last_own = entry.seq;
        });
    }

    fn admit(&mut self, user: UserId, entry: &Entry) {
        if self.members.contains_key(&user) {
            return;
        }
        // Whoever comes first into an empty group owns it.
        let first = self.kind != Kind::Direct && self.members.is_empty();
        let member = Member {
            role: if first { MemberRole::Owner } else { MemberRole::Member },
            joined: entry.seq,
            joined_at: entry.at,
            muted: self.mutes_kept.remove(&user).map(|(_, mute)| mute),
            own: 0,
            last_own: 0,
            posts_before: self.posts,
        };
        self.members.insert(user, member);
    }

    fn dismiss(&mut self, user: UserId, heir: Option<UserId>, entry: &Entry) {
        // Leaving and coming back is no way out of a mute.
        if let Some(member) = self.members.remove(&user)
            && let Some(mute) = member.muted.filter(|_| member.is_muted(entry.at))
        {
            self.mutes_kept.insert(user, (entry.seq, mute));
            self.forget_mutes(entry.at);
        }
        if let Some(heir) = heir {
            self.set_role(heir, MemberRole::Owner);
        }
    }

    fn promote(&mut self, user: UserId, role: MemberRole) {
        if role == MemberRole::Owner {
            for member in self.members.values_mut().filter(|m| m.role == MemberRole::Owner) {
                member.role = MemberRole::Admin;
            }
        }
        self.set_role(user, role);
    }

    fn set_role(&mut self, user: UserId, role: MemberRole) {
        self.with(user, |m| m.role = role);
    }

    fn with(&mut self, user: UserId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(&user) {
            change(member);
        }
    }

    fn use_invite(&mut self, hash: &str) {
        let Some(invite) = self.invites.get_mut(hash) else { return };
        if let Some(left) = &mut invite.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.invites.remove(hash);
            }
        }
    }

    /// Lets expired invites go where there are too many to keep; of those that are open there never are.
    fn forget_invites(&mut self, now: Millis) {
        if self.invites.len() > 2 * INVITES_MAX {
            self.invites.retain(|_, invite| invite.expires_at.is_none_or(|end| now < end));
        }
    }

    /// Lets mutes of those who have left go where there are too many to keep: expired ones, then the oldest.
    fn forget_mutes(&mut self, now: Millis) {
        if self.mutes_kept.len() > MUTES_KEPT_MAX {
            self.mutes_kept.retain(|_, (_, mute)| mute.until.is_none_or(|end| now < end));
        }
        while self.mutes_kept.len() > MUTES_KEPT_MAX {
            let oldest = self.mutes_kept.iter().min_by_key(|(_, (seq, _))| *seq).map(|(user, _)| *user);
            oldest.map(|user| self.mutes_kept.remove(&user));
        }
    }

    /// Lets expired bans go where there are too many to keep.
    fn forget_bans(&mut self, now: Millis) {
        if self.bans.len() > BANS_MAX {
            self.bans.retain(|_, ban| ban.until.is_none_or(|end| now < end));
        }
        while self.bans.len() > BANS_MAX {
            let oldest = self.bans.iter().min_by_key(|(_, ban)| ban.seq).map(|(user, _)| *user);
            oldest.map(|user| self.bans.remove(&user));
        }
    }
}
