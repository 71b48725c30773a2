//! Moderation: removing, banning and muting.

use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{BANS_MAX, MUTES_KEPT_MAX};
use parlance_schema::{Fault, Millis, UserId};

use super::command_rules::CommandRules;
use super::decide::Request;
use super::state::{Ban, Member, Mute, State};

pub(super) const KICK: CommandRules = CommandRules::new("kick").in_archive();
pub(super) const BAN: CommandRules = CommandRules::new("ban").in_archive();
pub(super) const UNBAN: CommandRules = CommandRules::new("unban");
pub(super) const MUTE: CommandRules = CommandRules::new("mute");
pub(super) const UNMUTE: CommandRules = CommandRules::new("unmute");

pub(super) fn kick(request: &Request<'_>, user: UserId) -> Result<Fact, Fault> {
    request.over(user)?;
    Ok(Fact::Kicked { user, heir: request.state.heir(user) })
}

pub(super) fn ban(request: &Request<'_>, user: UserId, until: Option<Millis>) -> Result<Fact, Fault> {
    request.group()?;
    let removed = request.state.members.contains_key(&user);
    if removed {
        request.over(user)?;
    } else {
        request.staff()?;
    }
    if !request.is_ahead(until) {
        return Err(Fault::invalid("the time at which the ban ends must be in the future"));
    }
    let same = request.state.bans.get(&user).is_some_and(|ban| ban.until == until);
    if same && request.state.is_banned(user, request.ask.now) {
        return Err(Fault::already("the user is already banned until that time"));
    }
    Ok(Fact::Banned { user, until, removed, heir: request.state.heir(user) })
}

pub(super) fn unban(request: &Request<'_>, user: UserId) -> Result<Fact, Fault> {
    request.staff()?;
    if !request.state.bans.contains_key(&user) {
        return Err(Fault::already("the user is not banned from this room"));
    }
    Ok(Fact::Unbanned { user })
}

pub(super) fn mute(request: &Request<'_>, user: UserId, until: Option<Millis>) -> Result<Fact, Fault> {
    let other = request.over(user)?;
    if !request.is_ahead(until) {
        return Err(Fault::invalid("the time at which the mute ends must be in the future"));
    }
    if other.is_muted(request.ask.now) && other.muted.is_some_and(|mute| mute.until == until) {
        return Err(Fault::already("the member is already muted until that time"));
    }
    Ok(Fact::Muted { user, until })
}

pub(super) fn unmute(request: &Request<'_>, user: UserId) -> Result<Fact, Fault> {
    if !request.over(user)?.is_muted(request.ask.now) {
        return Err(Fault::already("the member is not muted"));
    }
    Ok(Fact::Unmuted { user })
}

impl State {
    pub(super) fn is_banned(&self, user: UserId, now: Millis) -> bool {
        self.bans.get(&user).is_some_and(|ban| ban.until.is_none_or(|end| now < end))
    }

    /// Leaving and coming back is no way out of a mute.
    pub(super) fn keep_mute(&mut self, user: UserId, member: &Member, entry: &Entry) {
        let Some(mute) = member.muted.filter(|_| member.is_muted(entry.at)) else { return };
        self.mutes_kept.insert(user, (entry.seq, mute));
        // Where there are too many to keep, expired ones go, then the oldest.
        if self.mutes_kept.len() > MUTES_KEPT_MAX {
            self.mutes_kept.retain(|_, (_, mute)| mute.until.is_none_or(|end| entry.at < end));
        }
        while self.mutes_kept.len() > MUTES_KEPT_MAX {
            let oldest = self.mutes_kept.iter().min_by_key(|(_, (seq, _))| *seq).map(|(user, _)| *user);
            oldest.map(|user| self.mutes_kept.remove(&user));
        }
    }

    pub(super) fn ban(&mut self, user: UserId, until: Option<Millis>, heir: Option<UserId>, entry: &Entry) {
        self.dismiss(user, heir, entry);
        self.bans.insert(user, Ban { seq: entry.seq, until });
        // Where there are too many to keep, expired ones go, then the oldest.
        if self.bans.len() > BANS_MAX {
            self.bans.retain(|_, ban| ban.until.is_none_or(|end| entry.at < end));
        }
        while self.bans.len() > BANS_MAX {
            let oldest = self.bans.iter().min_by_key(|(_, ban)| ban.seq).map(|(user, _)| *user);
            oldest.map(|user| self.bans.remove(&user));
        }
    }

    pub(super) fn mute(&mut self, user: UserId, until: Option<Millis>) {
        self.with(user, |member| member.muted = Some(Mute { until }));
    }

    pub(super) fn unmute(&mut self, user: UserId) {
        self.with(user, |member| member.muted = None);
    }
}
