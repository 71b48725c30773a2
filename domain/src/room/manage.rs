//! Commands about the room and its members.

use parlance_schema::command::{Command, Kind, MemberRole};
use parlance_schema::entry::Fact;
use parlance_schema::limits::{ID_MAX, INVITES_MAX, MEMBERS_MAX};
use parlance_schema::{Code, Fault, Millis, UserId};

use super::decide::{Ask, room_full};
use super::state::{Member, State};
use crate::text;

/// Decides what only members' roles, and moderators, may do.
pub(super) fn decide(state: &State, member: Option<&Member>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    if state.kind == Kind::Direct && !matches!(ask.command, Command::Archive | Command::Unarchive) {
        return Err(Fault::forbidden("a direct room stays as it is"));
    }
    match ask.command {
        Command::Leave => leave(state, member, ask),
        Command::Add { users } => add(state, ask, users),
        Command::Invite { hash, expires_at, uses } => {
            group(state)?;
            staff(state, ask)?;
            if state.invites.contains_key(hash) {
                return Err(Fault::already("there is this invite"));
            }
            let open = state.invites.values().filter(|i| i.expires_at.is_none_or(|end| ask.now < end)).count();
            if open >= INVITES_MAX {
                return Err(Fault::invalid(format!("a room has at most {INVITES_MAX} open invites")));
            }
            if *uses == Some(0) || expires_at.is_some_and(|end| !is_ahead(ask, end)) {
                return Err(Fault::invalid("an invite can be used at least once, and expires later than now"));
            }
            Ok(Fact::Invited { hash: hash.clone(), expires_at: *expires_at, uses: *uses })
        }
        Command::Uninvite { hash } => {
            staff(state, ask)?;
            if !state.invites.contains_key(hash) {
                return Err(Fault::not_found("there is no such invite"));
            }
            Ok(Fact::Uninvited { hash: hash.clone() })
        }
        Command::Kick { user } => {
            over(state, member, ask, *user)?;
            Ok(Fact::Kicked { user: *user, heir: state.heir(*user) })
        }
        Command::Ban { user, until } => ban(state, member, ask, *user, *until),
        Command::Unban { user } => {
            staff(state, ask)?;
            if !state.bans.contains_key(user) {
                return Err(Fault::already("the user is not banned"));
            }
            Ok(Fact::Unbanned { user: *user })
        }
        Command::Mute { user, until } => {
            let target = over(state, member, ask, *user)?;
            if until.is_some_and(|end| !is_ahead(ask, end)) {
                return Err(Fault::invalid("a mute ends later than now"));
            }
            if target.is_muted(ask.now) && target.muted.is_some_and(|mute| mute.until == *until) {
                return Err(Fault::already("the member is muted so"));
            }
            Ok(Fact::Muted { user: *user, until: *until })
        }
        Command::Unmute { user } => {
            let target = over(state, member, ask, *user)?;
            if !target.is_muted(ask.now) {
                return Err(Fault::already("the member is not muted"));
            }
            Ok(Fact::Unmuted { user: *user })
        }
        Command::Promote { user, role } => promote(state, member, ask, *user, *role),
        Command::Rename { name } => {
            staff(state, ask)?;
            text::check_room_name(name)?;
            Ok(Fact::Renamed { name: name.clone() })
        }
        Command::Configure { history } => {
            owner(state, member, ask)?;
            Ok(Fact::Configured { history: *history })
        }
        Command::Archive | Command::Unarchive => archive(state, member, ask),
        _ => Err(Fault::internal("a command was sent to the wrong place")),
    }
}

/// Whether a time is later than now, and one that clients can hold.
fn is_ahead(ask: &Ask<'_>, end: Millis) -> bool {
    ask.now < end && end <= ID_MAX
}

/// A room that is not there, and an invite that is not good, look the same.
pub(super) fn invite_gone() -> Fault {
    Fault::new(Code::InviteGone, "the invite has expired, was withdrawn or used up")
}

/// Decides joining with an invite, the one thing that somebody who is not in the room may do.
pub(super) fn join(state: &State, ask: &Ask<'_>, hash: &str) -> Result<Fact, Fault> {
    // A moderator from elsewhere sees the room, but tenants share no members.
    if state.tenant != ask.who.tenant {
        return Err(invite_gone());
    }
    let invite = state.invites.get(hash).ok_or_else(invite_gone)?;
    if invite.expires_at.is_some_and(|end| end <= ask.now) || invite.left == Some(0) {
        return Err(invite_gone());
    }
    if state.members.contains_key(&ask.who.user) {
        return Err(Fault::already("you are a member"));
    }
    if banned(state, ask, ask.who.user) {
        return Err(Fault::new(Code::Banned, "you are banned from this room"));
    }
    if state.archived {
        return Err(Fault::new(Code::Archived, "the room is archived"));
    }
    if state.members.len() >= MEMBERS_MAX {
        return Err(room_full());
    }
    Ok(Fact::Joined { hash: hash.to_owned() })
}

/// Whether the asker has a say over others' things: an admin, the owner, or a moderator.
pub(super) fn staff(state: &State, ask: &Ask<'_>) -> Result<(), Fault> {
    if state.is_staff(ask.who) { Ok(()) } else { Err(Fault::forbidden("only the room's admins may do this")) }
}

fn owner(state: &State, member: Option<&Member>, ask: &Ask<'_>) -> Result<(), Fault> {
    let role = member.is_some_and(|m| m.role == MemberRole::Owner);
    if role || ask.who.moderates(state.tenant) {
        Ok(())
    } else {
        Err(Fault::forbidden("only the room's owner may do this"))
    }
}

/// The member `user`, over whom the asker's role must stand.
fn over<'s>(state: &'s State, member: Option<&Member>, ask: &Ask<'_>, user: UserId) -> Result<&'s Member, Fault> {
    staff(state, ask)?;
    let target = state.members.get(&user).ok_or_else(|| Fault::not_found("the user is not a member"))?;
    if user == ask.who.user {
        return Err(Fault::invalid("this is for others than oneself"));
    }
    let higher = member.is_some_and(|m| m.role > target.role);
    if higher || ask.who.moderates(state.tenant) {
        Ok(target)
    } else {
        Err(Fault::forbidden("the member's role is as high as yours"))
    }
}

fn group(state: &State) -> Result<(), Fault> {
    match state.kind {
        Kind::Group => Ok(()),
        Kind::Direct | Kind::Conversation => Err(Fault::forbidden("only a group takes more members")),
    }
}

fn banned(state: &State, ask: &Ask<'_>, user: UserId) -> bool {
    state.bans.get(&user).is_some_and(|ban| ban.until.is_none_or(|end| ask.now < end))
}

fn leave(state: &State, member: Option<&Member>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    member.ok_or_else(|| Fault::already("you are not a member"))?;
    Ok(Fact::Left { heir: state.heir(ask.who.user) })
}

fn add(state: &State, ask: &Ask<'_>, users: &[UserId]) -> Result<Fact, Fault> {
    group(state)?;
    staff(state, ask)?;
    let mut new = Vec::with_capacity(users.len().min(MEMBERS_MAX));
    for user in users {
        if state.members.contains_key(user) || new.contains(user) {
            continue;
        }
        if banned(state, ask, *user) {
            return Err(Fault::new(Code::Banned, format!("user {user} is banned from this room")));
        }
        if state.members.len() + new.len() >= MEMBERS_MAX {
            return Err(room_full());
        }
        new.push(*user);
    }
    if new.is_empty() {
        return Err(Fault::already("they are members"));
    }
    Ok(Fact::Added { users: new })
}

fn ban(state: &State, member: Option<&Member>, ask: &Ask<'_>, user: UserId, until: Option<u64>) -> Result<Fact, Fault> {
    group(state)?;
    if state.members.contains_key(&user) {
        over(state, member, ask, user)?;
    } else {
        staff(state, ask)?;
    }
    if until.is_some_and(|end| !is_ahead(ask, end)) {
        return Err(Fault::invalid("a ban ends later than now"));
    }
    if banned(state, ask, user) && state.bans.get(&user).is_some_and(|ban| ban.until == until) {
        return Err(Fault::already("the user is banned so"));
    }
    Ok(Fact::Banned { user, until, heir: state.heir(user) })
}

fn promote(
    state: &State,
    member: Option<&Member>,
    ask: &Ask<'_>,
    user: UserId,
    role: MemberRole,
) -> Result<Fact, Fault> {
    owner(state, member, ask)?;
    let target = state.members.get(&user).ok_or_else(|| Fault::not_found("the user is not a member"))?;
    if target.role == role {
        return Err(Fault::already("the member has this role"));
    }
    if target.role == MemberRole::Owner {
        return Err(Fault::forbidden("an owner hands the room over by making another one"));
    }
    Ok(Fact::Promoted { user, role })
}

fn archive(state: &State, member: Option<&Member>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    if state.kind == Kind::Direct {
        member
            .map(|_| ())
            .or_else(|| ask.who.moderates(state.tenant).then_some(()))
            .ok_or_else(super::decide::no_room)?;
    } else {
        owner(state, member, ask)?;
    }
    let on = matches!(ask.command, Command::Archive);
    match (on, state.archived) {
        (true, false) => Ok(Fact::Archived),
        (false, true) => Ok(Fact::Unarchived),
        (true, true) => Err(Fault::already("the room is archived")),
        (false, false) => Err(Fault::already("the room is open")),
    }
}
