//! Members: opening a room, adding, leaving, roles.

use std::cmp::Reverse;

use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::MEMBERS_MAX;
use parlance_schema::user::Principal;
use parlance_schema::{Code, Fault, UserId};

use super::command_rules::CommandRules;
use super::decide::Request;
use super::state::{Member, State};
use crate::content_rules;

pub(super) const CREATE: CommandRules = CommandRules::new("create").in_archive().in_direct();
pub(super) const ADD: CommandRules = CommandRules::new("add");
pub(super) const LEAVE: CommandRules = CommandRules::new("leave").in_archive().by_readonly();
pub(super) const PROMOTE: CommandRules = CommandRules::new("promote");

/// About how many bytes a list of users takes.
pub(super) const fn weight(users: usize) -> usize {
    users * 9
}

/// What somebody is told by whose command a room would have too many members.
#[must_use]
pub fn room_full() -> Fault {
    Fault::new(
        Code::RoomFull,
        format!(
            "a room can have at most {MEMBERS_MAX} members, and this one would have more: add fewer people, or let somebody leave first"
        ),
    )
}

/// Decides the opening of a room whose log is empty.
pub(super) fn create(
    who: &Principal,
    kind: Kind,
    name: &str,
    members: &[UserId],
    history: History,
) -> Result<Fact, Fault> {
    let mut all = vec![who.user];
    for user in members {
        if !all.contains(user) {
            all.push(*user);
        }
    }
    match kind {
        Kind::Direct if all.len() != 2 => {
            return Err(Fault::invalid("a direct room needs exactly one other user besides you"));
        }
        Kind::Direct if !name.is_empty() => return Err(Fault::invalid("a direct room can't have a name")),
        Kind::Direct => {}
        Kind::Group | Kind::Conversation => content_rules::check_room_name(name)?,
    }
    if all.len() > MEMBERS_MAX {
        return Err(room_full());
    }
    Ok(Fact::Created { tenant: who.tenant, kind, name: name.to_owned(), members: all, history })
}

pub(super) fn add(request: &Request<'_>, users: &[UserId]) -> Result<Fact, Fault> {
    request.group()?;
    request.staff()?;
    let members = &request.state.members;
    let mut new = Vec::with_capacity(users.len().min(MEMBERS_MAX));
    for user in users {
        if members.contains_key(user) || new.contains(user) {
            continue;
        }
        if request.state.is_banned(*user, request.ask.now) {
            return Err(Fault::new(Code::Banned, format!("user {user} is banned from this room; lift the ban first")));
        }
        if members.len() + new.len() >= MEMBERS_MAX {
            return Err(room_full());
        }
        new.push(*user);
    }
    if new.is_empty() {
        return Err(Fault::already("all of these users are already members"));
    }
    Ok(Fact::Added { users: new })
}

pub(super) fn leave(request: &Request<'_>) -> Result<Fact, Fault> {
    request.member.ok_or_else(|| Fault::already("you are not a member of this room"))?;
    Ok(Fact::Left { heir: request.state.heir(request.ask.who.user) })
}

pub(super) fn promote(request: &Request<'_>, user: UserId, role: MemberRole) -> Result<Fact, Fault> {
    request.owner()?;
    let other = request.other(user)?;
    if other.role == role {
        return Err(Fault::already("the member already has this role"));
    }
    if other.role == MemberRole::Owner {
        return Err(Fault::forbidden("the owner's role can't be changed; make another member the owner instead"));
    }
    Ok(Fact::Promoted { user, role })
}

impl State {
    /// Who owns the room after `leaver` has gone: the admin, else the member, who has been there longest.
    #[must_use]
    pub fn heir(&self, leaver: UserId) -> Option<UserId> {
        if self.members.get(&leaver)?.role != MemberRole::Owner {
            return None;
        }
        let others = self.members.iter().filter(|(user, _)| **user != leaver);
        others.min_by_key(|(user, m)| (Reverse(m.role), m.joined, **user)).map(|(user, _)| *user)
    }

    pub(super) fn admit(&mut self, user: UserId, entry: &Entry) {
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

    pub(super) fn dismiss(&mut self, user: UserId, heir: Option<UserId>, entry: &Entry) {
        if let Some(member) = self.members.remove(&user) {
            self.keep_mute(user, &member, entry);
        }
        if let Some(heir) = heir {
            self.set_role(heir, MemberRole::Owner);
        }
    }

    pub(super) fn promote(&mut self, user: UserId, role: MemberRole) {
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

    pub(super) fn with(&mut self, user: UserId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(&user) {
            change(member);
        }
    }
}
