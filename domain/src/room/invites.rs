//! Invites: making, withdrawing, and joining with one.

use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{INVITES_MAX, MEMBERS_MAX};
use parlance_schema::{Code, Fault, Millis};

use super::command_rules::CommandRules;
use super::decide::Request;
use super::state::{Invite, State};
use super::{members, permissions};

pub(super) const INVITE: CommandRules = CommandRules::new("invite");
pub(super) const UNINVITE: CommandRules = CommandRules::new("uninvite").in_archive();
pub(super) const JOIN: CommandRules = CommandRules::new("join").by_readonly();

pub(super) fn invite(
    request: &Request<'_>,
    hash: &str,
    expires_at: Option<Millis>,
    uses: Option<u32>,
) -> Result<Fact, Fault> {
    request.group()?;
    request.staff()?;
    let invites = &request.state.invites;
    if invites.contains_key(hash) {
        return Err(Fault::already(
            "the invite code that the server picked already exists, so no invite was made: send the request again",
        ));
    }
    if invites.values().filter(|invite| invite.is_open(request.ask.now)).count() >= INVITES_MAX {
        return Err(Fault::invalid(format!(
            "this room already has {INVITES_MAX} open invites, which is the limit: withdraw one first"
        )));
    }
    if uses == Some(0) {
        return Err(Fault::invalid("an invite's number of uses must be at least 1"));
    }
    if !request.is_ahead(expires_at) {
        return Err(Fault::invalid("the time at which the invite expires must be in the future"));
    }
    Ok(Fact::Invited { hash: hash.to_owned(), expires_at, uses })
}

pub(super) fn uninvite(request: &Request<'_>, hash: &str) -> Result<Fact, Fault> {
    request.staff()?;
    if !request.state.invites.contains_key(hash) {
        return Err(Fault::not_found("there is no such invite in this room"));
    }
    Ok(Fact::Uninvited { hash: hash.to_owned() })
}

/// A room that is not there, and an invite that is not good, look the same.
pub(super) fn gone() -> Fault {
    Fault::new(Code::InviteGone, "the invite has expired, was withdrawn or is used up; ask for a new one")
}

/// Decides joining with an invite, the one thing that somebody who is not in the room may do.
pub(super) fn join(request: &Request<'_>, hash: &str) -> Result<Fact, Fault> {
    let Request { state, member, ask } = *request;
    // A moderator from elsewhere sees the room, but tenants share no members.
    if state.tenant != ask.who.tenant {
        return Err(gone());
    }
    let invite = state.invites.get(hash).ok_or_else(gone)?;
    if !invite.is_open(ask.now) || invite.left == Some(0) {
        return Err(gone());
    }
    if member.is_some() {
        return Err(Fault::already("you are already a member of this room"));
    }
    if state.is_banned(ask.who.user, ask.now) {
        return Err(Fault::new(Code::Banned, "you are banned from this room"));
    }
    if state.archived {
        return Err(permissions::archived());
    }
    if state.members.len() >= MEMBERS_MAX {
        return Err(members::room_full());
    }
    Ok(Fact::Joined { hash: hash.to_owned() })
}

impl Invite {
    fn is_open(&self, now: Millis) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl State {
    pub(super) fn add_invite(&mut self, entry: &Entry, hash: &str, expires_at: Option<Millis>, uses: Option<u32>) {
        self.invites.insert(hash.to_owned(), Invite { by: entry.by, expires_at, left: uses });
        // Expired ones go where there are too many to keep; of those that are open there never are.
        if self.invites.len() > 2 * INVITES_MAX {
            self.invites.retain(|_, invite| invite.is_open(entry.at));
        }
    }

    pub(super) fn use_invite(&mut self, hash: &str) {
        let Some(invite) = self.invites.get_mut(hash) else { return };
        if let Some(left) = &mut invite.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.invites.remove(hash);
            }
        }
    }
}
