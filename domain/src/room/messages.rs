//! Messages: sending, editing, deleting, reacting. What became of one message is folded by [`crate::message`].

use parlance_schema::content::{Content, Meta};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{EDITS_MAX, MENTIONS_MAX, REACTIONS_MAX};
use parlance_schema::{Code, Fault, Seq, UserId};

use super::decide::Request;
use super::state::State;
use crate::content_rules;
use crate::message::Target;

/// About how many bytes a message's entry takes besides its fixed part.
pub(super) fn weight(content: &Content, meta: &Meta, mentions: usize) -> usize {
    let meta: usize = meta.iter().map(|(k, v)| k.len() + v.len()).sum();
    content_weight(content) + meta + mentions * 9
}

/// About how many bytes a message's content takes.
pub(super) fn content_weight(content: &Content) -> usize {
    // Parts have short fields besides their text, which `chars` counts; four bytes is the longest character.
    content.text.len() + content.parts.len() * 64 + (content.chars() - content.text.chars().count()) * 4
}

pub(super) fn post(
    request: &Request<'_>,
    content: &Content,
    reply_to: Option<Seq>,
    mentions: &[UserId],
    meta: &Meta,
) -> Result<Fact, Fault> {
    request.writer()?;
    content_rules::check_content(content)?;
    content_rules::check_meta(meta)?;
    if mentions.len() > MENTIONS_MAX {
        return Err(Fault::invalid(format!("a message can mention at most {MENTIONS_MAX} users")));
    }
    if mentions.iter().any(|user| !request.state.members.contains_key(user)) {
        return Err(Fault::invalid("every mentioned user must be a member of the room"));
    }
    if let Some(seq) = reply_to {
        request.readable(seq)?;
    }
    Ok(Fact::Posted {
        id: request.ask.id,
        content: Some(content.clone()),
        reply_to,
        mentions: mentions.to_vec(),
        meta: meta.clone(),
    })
}

pub(super) fn edit(request: &Request<'_>, seq: Seq, revision: Option<u32>, content: &Content) -> Result<Fact, Fault> {
    request.writer()?;
    let target = request.living(seq)?;
    if target.by != Some(request.ask.who.user) {
        return Err(Fault::forbidden("only the sender of a message can edit it"));
    }
    content_rules::check_content(content)?;
    let now = target.state.revision;
    if revision.is_some_and(|named| named != now) {
        let detail =
            format!("the message has changed and is now at revision {now}; load it again, then edit that revision");
        return Err(Fault::new(Code::Stale, detail));
    }
    if target.state.edits.len() >= EDITS_MAX {
        return Err(Fault::invalid(format!(
            "this message has been edited {EDITS_MAX} times, which is the limit: send a new message instead"
        )));
    }
    Ok(Fact::Edited { target: seq, revision: now + 1, content: Some(content.clone()) })
}

pub(super) fn delete(request: &Request<'_>, seq: Seq) -> Result<Fact, Fault> {
    let target = request.living(seq)?;
    if target.by != Some(request.ask.who.user) {
        request.staff()?;
    }
    Ok(Fact::Deleted { target: seq })
}

pub(super) fn react(request: &Request<'_>, seq: Seq, emoji: &str) -> Result<Fact, Fault> {
    request.writer()?;
    let target = request.living(seq)?;
    let emoji = content_rules::reaction(emoji)?;
    let reactions = &target.state.reactions;
    match reactions.get(&emoji) {
        Some(users) if users.contains(&request.ask.who.user) => {
            Err(Fault::already("you have already added this reaction"))
        }
        None if reactions.len() >= REACTIONS_MAX => Err(Fault::invalid(format!(
            "this message already has {REACTIONS_MAX} different reactions, which is the limit: use one of those"
        ))),
        Some(_) | None => Ok(Fact::Reacted { target: seq, emoji }),
    }
}

pub(super) fn unreact(request: &Request<'_>, seq: Seq, emoji: &str) -> Result<Fact, Fault> {
    let target = request.living(seq)?;
    let has =
        |emoji: &str| target.state.reactions.get(emoji).is_some_and(|users| users.contains(&request.ask.who.user));
    // One that the log has in another form is taken back as it stands there.
    let emoji = if has(emoji) { emoji.to_owned() } else { content_rules::reaction(emoji)? };
    if has(&emoji) {
        Ok(Fact::Unreacted { target: seq, emoji })
    } else {
        Err(Fault::already("you have not added this reaction"))
    }
}

impl<'a> Request<'a> {
    /// The message that a command is about, if the sender may read it: what one may not read is not there.
    fn readable(&self, seq: Seq) -> Result<&'a Target, Fault> {
        let first = if self.moderates() { Some(1) } else { self.state.readable_from(self.ask.who) };
        let target = self.ask.target.filter(|_| first.is_some_and(|first| first <= seq));
        target.ok_or_else(|| Fault::not_found("there is no such message, or you may not read it"))
    }

    /// The same, where it is not deleted.
    fn living(&self, seq: Seq) -> Result<&'a Target, Fault> {
        let target = self.readable(seq)?;
        if target.state.deleted_at.is_some() {
            return Err(Fault::new(Code::Deleted, "the message was deleted"));
        }
        Ok(target)
    }
}

impl State {
    pub(super) fn count_post(&mut self, entry: &Entry) {
        self.posts += 1;
        self.last_post = entry.seq;
        self.with(entry.by, |m| {
            m.own += 1;
            m.last_own = entry.seq;
        });
    }
}
