//! Who may do what in a room: members by their roles, muted ones, moderators, read-only accounts, and other tenants.
//!
//! What else must hold of a command, whoever gives it, is in the file of its subject.

use parlance_schema::command::{History, MemberRole};
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Code, Fault, Millis, Seq, UserId};

use super::command_rules::CommandRules;
use super::decide::Request;
use super::state::{Member, State};

/// Says whether somebody may write in a room now; telling others that one is writing is for those who may.
///
/// # Errors
/// The fault that the sender of a message would see, whatever the message.
pub fn may_write(state: Option<&State>, who: &Principal, now: Millis) -> Result<(), Fault> {
    let state = state.filter(|state| is_visible(state, who)).ok_or_else(no_room)?;
    let member = state.members.get(&who.user);
    if member.is_none() && !who.moderates(state.tenant) {
        return Err(no_room());
    }
    may_act(who, CommandRules::about("write", None))?;
    if state.archived {
        return Err(archived());
    }
    writer(member, now).map(|_| ())
}

pub(super) fn is_visible(state: &State, who: &Principal) -> bool {
    state.tenant == who.tenant || who.role == Role::SuperAdmin
}

pub(super) fn may_act(who: &Principal, rules: CommandRules) -> Result<(), Fault> {
    if who.role == Role::Readonly && !rules.by_readonly {
        return Err(Fault::forbidden("your account is read-only; ask an administrator to change its role"));
    }
    Ok(())
}

pub(super) fn archived() -> Fault {
    Fault::new(Code::Archived, "the room is archived; its owner must unarchive it first")
}

/// A room that one is not in, and one that is not there, look the same.
#[must_use]
pub fn no_room() -> Fault {
    Fault::not_found("there is no such room, or you are not a member of it")
}

fn writer(member: Option<&Member>, now: Millis) -> Result<&Member, Fault> {
    let member = member.ok_or_else(|| Fault::forbidden("only members of the room can write in it"))?;
    if member.is_muted(now) {
        Err(Fault::new(Code::Muted, "you are muted in this room, and can't write until the mute ends or is lifted"))
    } else {
        Ok(member)
    }
}

impl<'a> Request<'a> {
    pub fn is_present(&self) -> Result<(), Fault> {
        if self.member.is_some() || self.moderates() { Ok(()) } else { Err(no_room()) }
    }

    /// Whether the sender is a moderator of the room's tenant.
    pub fn moderates(&self) -> bool {
        self.ask.who.moderates(self.state.tenant)
    }

    /// The sender, who must be a member and not muted.
    pub fn writer(&self) -> Result<&'a Member, Fault> {
        writer(self.member, self.ask.now)
    }

    /// Whether the sender has a say over others' things: an admin, the owner, or a moderator.
    pub fn staff(&self) -> Result<(), Fault> {
        let staff = self.state.is_staff(self.ask.who);
        if staff { Ok(()) } else { Err(Fault::forbidden("only the room's owner and admins can do this")) }
    }

    /// Whether the sender is the owner, or a moderator.
    pub fn owner(&self) -> Result<(), Fault> {
        let owner = self.member.is_some_and(|member| member.role == MemberRole::Owner);
        if owner || self.moderates() { Ok(()) } else { Err(Fault::forbidden("only the room's owner can do this")) }
    }

    /// The member `user`, over whom the sender's role must stand.
    pub fn over(&self, user: UserId) -> Result<&'a Member, Fault> {
        self.staff()?;
        let other = self.other(user)?;
        if user == self.ask.who.user {
            return Err(Fault::invalid("you can't do this to yourself"));
        }
        if self.member.is_some_and(|member| member.role > other.role) || self.moderates() {
            Ok(other)
        } else {
            Err(Fault::forbidden("you can do this only to members whose role is lower than yours"))
        }
    }
}

impl State {
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
}
