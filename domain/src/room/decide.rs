//! What a command comes to: one fact, or a refusal.

use parlance_schema::command::{Command, Kind, MemberRole};
use parlance_schema::entry::Fact;
use parlance_schema::limits::ID_MAX;
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Code, Fault, MessageId, Millis, UserId};

use super::command_rules::CommandRules;
use super::state::{Member, State};
use super::{invites, members, messages, moderation, settings};
use crate::message::Target;

/// A command, who gives it, and what can't be derived from the log.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The sender.
    pub who: &'a Principal,
    /// The command.
    pub command: &'a Command,
    /// The time that the entry gets.
    pub now: Millis,
    /// The id that a new message gets.
    pub id: MessageId,
    /// The message that [`super::needs`] named, if there is one.
    pub target: Option<&'a Target>,
}

/// Decides a command. `state` is `None` for a room whose log is empty.
///
/// # Errors
/// The fault that the sender is to see; nothing changes then.
pub fn decide(state: Option<&State>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    let Some(state) = state.filter(|state| is_visible(state, ask.who)) else {
        return outside(state.is_none(), ask);
    };
    let request = Request { state, member: state.members.get(&ask.who.user), ask };
    if let Command::Join { hash } = ask.command {
        return invites::join(&request, hash);
    }
    request.is_present()?;
    let profile = CommandRules::of(ask.command);
    may_act(ask.who, profile)?;
    if state.archived && !profile.in_archive {
        return Err(archived());
    }
    if state.kind == Kind::Direct && !profile.in_direct {
        return Err(Fault::forbidden("the members and settings of a direct room can't be changed"));
    }
    in_room(&request)
}

/// Decides for somebody who sees no room: there is none yet, or it is another tenant's.
fn outside(is_empty: bool, ask: &Ask<'_>) -> Result<Fact, Fault> {
    if let Command::Create { kind, name, members, history } = ask.command
        && is_empty
    {
        may_act(ask.who, members::CREATE)?;
        return members::create(ask.who, *kind, name, members, *history);
    }
    if let Command::Join { .. } = ask.command { Err(invites::gone()) } else { Err(no_room()) }
}

fn in_room(request: &Request<'_>) -> Result<Fact, Fault> {
    match request.ask.command {
        Command::Create { .. } => Err(Fault::already("the room already exists")),
        Command::Post { content, reply_to, mentions, meta } => {
            messages::post(request, content, *reply_to, mentions, meta)
        }
        Command::Edit { seq, revision, content } => messages::edit(request, *seq, *revision, content),
        Command::Delete { seq } => messages::delete(request, *seq),
        Command::React { seq, emoji } => messages::react(request, *seq, emoji),
        Command::Unreact { seq, emoji } => messages::unreact(request, *seq, emoji),
        Command::Add { users } => members::add(request, users),
        Command::Leave => members::leave(request),
        Command::Promote { user, role } => members::promote(request, *user, *role),
        Command::Invite { hash, expires_at, uses } => invites::invite(request, hash, *expires_at, *uses),
        Command::Uninvite { hash } => invites::uninvite(request, hash),
        Command::Join { hash } => invites::join(request, hash),
        Command::Kick { user } => moderation::kick(request, *user),
        Command::Ban { user, until } => moderation::ban(request, *user, *until),
        Command::Unban { user } => moderation::unban(request, *user),
        Command::Mute { user, until } => moderation::mute(request, *user, *until),
        Command::Unmute { user } => moderation::unmute(request, *user),
        Command::Rename { name } => settings::rename(request, name),
        Command::Configure { history } => settings::configure(request, *history),
        Command::Archive => settings::archive(request),
        Command::Unarchive => settings::unarchive(request),
    }
}

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

fn is_visible(state: &State, who: &Principal) -> bool {
    state.tenant == who.tenant || who.role == Role::SuperAdmin
}

fn may_act(who: &Principal, profile: CommandRules) -> Result<(), Fault> {
    if who.role == Role::Readonly && !profile.by_readonly {
        return Err(Fault::forbidden("your account is read-only; ask an administrator to change its role"));
    }
    Ok(())
}

pub(super) fn archived() -> Fault {
    Fault::new(Code::Archived, "the room is archived; its owner must unarchive it first")
}

/// A room that one is not in, and one that is not there, look the same.
fn no_room() -> Fault {
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

/// A command in a room that its sender may see.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub state: &'a State,
    /// The sender as a member.
    pub member: Option<&'a Member>,
    pub ask: &'a Ask<'a>,
}

impl<'a> Request<'a> {
    fn is_present(&self) -> Result<(), Fault> {
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

    /// A member, who must be there.
    pub fn other(&self, user: UserId) -> Result<&'a Member, Fault> {
        self.state.members.get(&user).ok_or_else(|| Fault::not_found("the user is not a member of this room"))
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

    /// Whether the room can take more members.
    pub fn group(&self) -> Result<(), Fault> {
        match self.state.kind {
            Kind::Group => Ok(()),
            Kind::Direct | Kind::Conversation => {
                Err(Fault::forbidden("members can only be added to a group; this room is not a group"))
            }
        }
    }

    /// Whether a time is later than now, and one that clients can hold.
    pub fn is_ahead(&self, end: Option<Millis>) -> bool {
        end.is_none_or(|end| self.ask.now < end && end <= ID_MAX)
    }
}
