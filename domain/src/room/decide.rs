//! What a command comes to: one fact, or a refusal.

use parlance_schema::command::{Command, Kind};
use parlance_schema::entry::Fact;
use parlance_schema::limits::ID_MAX;
use parlance_schema::user::Principal;
use parlance_schema::{Fault, MessageId, Millis, UserId};

use super::command_rules::CommandRules;
use super::permissions::{archived, is_visible, may_act, no_room};
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
    let rules = CommandRules::of(ask.command);
    may_act(ask.who, rules)?;
    if state.archived && !rules.in_archive {
        return Err(archived());
    }
    if state.kind == Kind::Direct && !rules.in_direct {
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
        Command::Create { .. } => {
            Err(Fault::already("an earlier request already made this room: look for it in your list of rooms"))
        }
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

/// A command in a room that its sender may see.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub state: &'a State,
    /// The sender as a member.
    pub member: Option<&'a Member>,
    pub ask: &'a Ask<'a>,
}

impl<'a> Request<'a> {
    /// A member, who must be there.
    pub fn other(&self, user: UserId) -> Result<&'a Member, Fault> {
        self.state.members.get(&user).ok_or_else(|| Fault::not_found("the user is not a member of this room"))
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
