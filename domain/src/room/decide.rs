//! What a command comes to: one fact, or a refusal.

use parlance_schema::account::{Principal, Role};
use parlance_schema::command::{Command, Kind};
use parlance_schema::entry::Fact;
use parlance_schema::limits::{EDITS_MAX, MEMBERS_MAX, MENTIONS_MAX, REACTIONS_MAX};
use parlance_schema::{Code, Fault, MessageId, Millis, Seq, UserId};

use super::manage;
use super::state::{Member, State};
use crate::message::Target;
use crate::text;

/// A command, who gives it, and what can't be derived from the log.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who.
    pub who: &'a Principal,
    /// What.
    pub command: &'a Command,
    /// The time that the entry gets.
    pub now: Millis,
    /// The id that a new message gets.
    pub id: MessageId,
    /// The message that [`needs`] named, if there is one.
    pub target: Option<&'a Target>,
}

/// The number of the message that must be looked up before the command can be decided.
#[must_use]
pub fn needs(command: &Command) -> Option<Seq> {
    match command {
        Command::Post { reply_to, .. } => *reply_to,
        Command::Edit { seq, .. }
        | Command::Delete { seq }
        | Command::React { seq, .. }
        | Command::Unreact { seq, .. } => Some(*seq),
        _ => None,
    }
}

/// Decides a command. `state` is `None` for a room whose log is empty.
///
/// # Errors
/// The fault that the sender is to see; nothing changes then.
pub fn decide(state: Option<&State>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    let Some(room) = state.filter(|state| is_visible(state, ask.who)) else {
        return match ask.command {
            Command::Create { .. } if state.is_none() => create(ask),
            Command::Join { .. } => Err(manage::invite_gone()),
            _ => Err(no_room()),
        };
    };
    in_room(room, ask)
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
    writes_at_all(who)?;
    open(state)?;
    writer(member, now).map(|_| ())
}

fn is_visible(state: &State, who: &Principal) -> bool {
    state.tenant == who.tenant || who.role == Role::SuperAdmin
}

fn writes_at_all(who: &Principal) -> Result<(), Fault> {
    if who.role == Role::Readonly { Err(Fault::forbidden("a readonly user only reads")) } else { Ok(()) }
}

fn open(state: &State) -> Result<(), Fault> {
    if state.archived { Err(Fault::new(Code::Archived, "the room is archived")) } else { Ok(()) }
}

fn in_room(state: &State, ask: &Ask<'_>) -> Result<Fact, Fault> {
    if let Command::Join { hash } = ask.command {
        return manage::join(state, ask, hash);
    }
    let member = state.members.get(&ask.who.user);
    if member.is_none() && !ask.who.moderates(state.tenant) {
        return Err(no_room());
    }
    if !matches!(ask.command, Command::Leave) {
        writes_at_all(ask.who)?;
    }
    if !works_in_archive(ask.command) {
        open(state)?;
    }
    match ask.command {
        Command::Create { .. } => Err(Fault::already("the room is open")),
        Command::Post { .. } => post(state, member, ask),
        Command::Edit { .. } => edit(state, member, ask),
        Command::Delete { seq } => delete(state, ask, *seq),
        Command::React { seq, emoji } => react(state, member, ask, *seq, emoji),
        Command::Unreact { seq, emoji } => unreact(state, ask, *seq, emoji),
        _ => manage::decide(state, member, ask),
    }
}

fn works_in_archive(command: &Command) -> bool {
    matches!(
        command,
        Command::Create { .. }
            | Command::Delete { .. }
            | Command::Unarchive
            | Command::Archive
            | Command::Leave
            | Command::Kick { .. }
            | Command::Ban { .. }
            | Command::Uninvite { .. }
    )
}

/// A room that one is not in, and one that is not there, look the same.
pub(super) fn no_room() -> Fault {
    Fault::not_found("there is no such room, or you are not in it")
}

fn create(ask: &Ask<'_>) -> Result<Fact, Fault> {
    let Command::Create { kind, name, members, history } = ask.command else { return Err(no_room()) };
    writes_at_all(ask.who)?;
    let mut all = vec![ask.who.user];
    for user in members {
        if !all.contains(user) {
            all.push(*user);
        }
    }
    match kind {
        Kind::Direct if all.len() != 2 => return Err(Fault::invalid("a direct room is for two different users")),
        Kind::Direct if !name.is_empty() => return Err(Fault::invalid("a direct room has no name")),
        Kind::Direct => {}
        Kind::Group | Kind::Conversation => text::check_room_name(name)?,
    }
    if all.len() > MEMBERS_MAX {
        return Err(room_full());
    }
    Ok(Fact::Created { tenant: ask.who.tenant, kind: *kind, name: name.clone(), members: all, history: *history })
}

pub(super) fn room_full() -> Fault {
    Fault::new(Code::RoomFull, format!("a room has at most {MEMBERS_MAX} members"))
}

fn writer(member: Option<&Member>, now: Millis) -> Result<&Member, Fault> {
    let member = member.ok_or_else(|| Fault::forbidden("only members write"))?;
    if member.is_muted(now) { Err(Fault::new(Code::Muted, "you are muted in this room")) } else { Ok(member) }
}

fn post(state: &State, member: Option<&Member>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    let Command::Post { content, reply_to, mentions, meta } = ask.command else { return Err(no_room()) };
    writer(member, ask.now)?;
    text::check_content(content)?;
    text::check_meta(meta)?;
    if mentions.len() > MENTIONS_MAX {
        return Err(Fault::invalid(format!("a message mentions at most {MENTIONS_MAX} users")));
    }
    let stranger = |user: &UserId| !state.members.contains_key(user);
    if mentions.iter().any(stranger) {
        return Err(Fault::invalid("a mentioned user is not a member"));
    }
    if let Some(seq) = reply_to {
        seen(state, ask, *seq)?;
    }
    Ok(Fact::Posted {
        id: ask.id,
        content: Some(content.clone()),
        reply_to: *reply_to,
        mentions: mentions.clone(),
        meta: meta.clone(),
    })
}

fn no_message() -> Fault {
    Fault::not_found("there is no such message")
}

/// The message that a command is about, if the asker may read it: what one may not read is not there.
fn seen<'t>(state: &State, ask: &Ask<'t>, seq: Seq) -> Result<&'t Target, Fault> {
    let first = if ask.who.moderates(state.tenant) { Some(1) } else { state.readable_from(ask.who) };
    ask.target.filter(|_| first.is_some_and(|first| first <= seq)).ok_or_else(no_message)
}

fn living<'t>(state: &State, ask: &Ask<'t>, seq: Seq) -> Result<&'t Target, Fault> {
    let target = seen(state, ask, seq)?;
    if target.state.deleted_at.is_some() {
        return Err(Fault::new(Code::Deleted, "the message was deleted"));
    }
    Ok(target)
}

fn edit(state: &State, member: Option<&Member>, ask: &Ask<'_>) -> Result<Fact, Fault> {
    let Command::Edit { seq, revision, content } = ask.command else { return Err(no_room()) };
    writer(member, ask.now)?;
    let target = living(state, ask, *seq)?;
    if target.by != Some(ask.who.user) {
        return Err(Fault::forbidden("only its sender edits a message"));
    }
    text::check_content(content)?;
    if revision.is_some_and(|named| named != target.state.revision) {
        return Err(Fault::new(Code::Stale, format!("the message is at revision {}", target.state.revision)));
    }
    if target.state.edits.len() >= EDITS_MAX {
        return Err(Fault::invalid(format!("a message is edited at most {EDITS_MAX} times")));
    }
    Ok(Fact::Edited { target: *seq, revision: target.state.revision + 1, content: Some(content.clone()) })
}

fn delete(state: &State, ask: &Ask<'_>, seq: Seq) -> Result<Fact, Fault> {
    let target = living(state, ask, seq)?;
    let own = target.by == Some(ask.who.user);
    if !own {
        manage::staff(state, ask)?;
    }
    Ok(Fact::Deleted { target: seq })
}

fn react(state: &State, member: Option<&Member>, ask: &Ask<'_>, seq: Seq, emoji: &str) -> Result<Fact, Fault> {
    writer(member, ask.now)?;
    let target = living(state, ask, seq)?;
    text::check_reaction(emoji)?;
    let reactions = &target.state.reactions;
    match reactions.get(emoji) {
        Some(users) if users.contains(&ask.who.user) => Err(Fault::already("you reacted so")),
        None if reactions.len() >= REACTIONS_MAX => {
            Err(Fault::invalid(format!("a message has at most {REACTIONS_MAX} different reactions")))
        }
        _ => Ok(Fact::Reacted { target: seq, emoji: emoji.to_owned() }),
    }
}

fn unreact(state: &State, ask: &Ask<'_>, seq: Seq, emoji: &str) -> Result<Fact, Fault> {
    let target = living(state, ask, seq)?;
    text::check_reaction(emoji)?;
    let there = target.state.reactions.get(emoji).is_some_and(|users| users.contains(&ask.who.user));
    if there {
        Ok(Fact::Unreacted { target: seq, emoji: emoji.to_owned() })
    } else {
        Err(Fault::already("you did not react so"))
    }
}
