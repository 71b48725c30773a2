//! Commands that were refused, and wait until that can be told.
//!
//! The verdict of a refused command stands, so nothing has to wait for it. But it may be told only when it is known that the same
//! client id was not done before, and that the log was as this writer thought at some time after the command came. The latter
//! follows from an append that succeeds: it would not have, had others written. Where none is under way, the log is looked
//! at, but for a node that is alone. Should the log have gone on, the command is decided anew, at its place.

use std::collections::{BTreeMap, BTreeSet};

use parlance_schema::view::Done;
use parlance_schema::{ClientId, Fault, UserId};

use super::deduplication::Before;
use super::{Doubt, Env, Envelope, LookupId, Phase, Ticket, Waiting, Writer, not_done};
use parlance_schema::limits::ROOM_RECENT_MAX;

/// A command that was refused.
#[derive(Debug)]
struct Refused<R> {
    ask: Envelope<R>,
    fault: Fault,
    before: Before,
    doubt: Doubt,
    /// Whether it is sure that the log was as the writer thought.
    is_sure: bool,
}

/// All of them, by their order of arrival.
#[derive(Debug)]
pub(super) struct Refusals<R> {
    all: BTreeMap<Ticket, Refused<R>>,
    by_sender: BTreeMap<UserId, BTreeSet<Ticket>>,
    /// Whose client ids are to be asked for.
    unasked: BTreeSet<Ticket>,
    /// For which it is to be asked whether the log goes on.
    unlooked: Vec<Ticket>,
    unsure: BTreeSet<Ticket>,
    /// Which may be told now.
    changed: Vec<Ticket>,
}

impl<R> Default for Refusals<R> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            by_sender: BTreeMap::new(),
            unasked: BTreeSet::new(),
            unlooked: Vec::new(),
            unsure: BTreeSet::new(),
            changed: Vec::new(),
        }
    }
}

impl<R> Refusals<R> {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Refused<R>> {
        let refused = self.all.remove(&ticket)?;
        self.unasked.remove(&ticket);
        self.unsure.remove(&ticket);
        let sender = refused.ask.who.user;
        if let Some(theirs) = self.by_sender.get_mut(&sender) {
            theirs.remove(&ticket);
            if theirs.is_empty() {
                self.by_sender.remove(&sender);
            }
        }
        Some(refused)
    }

    /// One whose client id is to be asked for, which `by` now does.
    pub fn next_unasked(&mut self, by: LookupId) -> Option<(Ticket, (UserId, ClientId))> {
        let ticket = self.unasked.pop_first()?;
        let refused = self.all.get_mut(&ticket)?;
        refused.before = Before::Asked(by);
        Some((ticket, (refused.ask.who.user, refused.ask.client_id.clone())))
    }

    /// Those for which it is to be asked whether the log goes on.
    pub fn take_unlooked(&mut self) -> Vec<Ticket> {
        let mut unlooked = std::mem::take(&mut self.unlooked);
        unlooked.retain(|ticket| self.unsure.contains(ticket));
        unlooked
    }

    pub fn before(&self, ticket: Ticket) -> Option<&Before> {
        self.all.get(&ticket).map(|refused| &refused.before)
    }

    pub fn know(&mut self, ticket: Ticket, before: Before) {
        if let Some(refused) = self.all.get_mut(&ticket) {
            refused.before = before;
            self.changed.push(ticket);
        }
    }

    /// The log was as the writer thought, for these.
    pub fn make_sure(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            if let Some(refused) = self.all.get_mut(ticket)
                && self.unsure.remove(ticket)
            {
                refused.is_sure = true;
                self.changed.push(*ticket);
            }
        }
    }

    /// An append succeeded: the log was as the writer thought, for all of them.
    pub fn make_all_sure(&mut self) {
        let unsure: Vec<Ticket> = self.unsure.iter().copied().collect();
        self.make_sure(&unsure);
        self.unlooked.clear();
    }

    /// A command was done: tries of the same that were refused meanwhile get its answer.
    pub fn done(&mut self, by: UserId, client_id: &ClientId, done: &Done) {
        let Some(theirs) = self.by_sender.get(&by) else { return };
        for ticket in theirs {
            if let Some(refused) = self.all.get_mut(ticket)
                && refused.ask.client_id == *client_id
            {
                refused.before = Before::Known(Some(done.clone()), done.seq);
                self.unasked.remove(ticket);
                self.changed.push(*ticket);
            }
        }
    }
}

impl<R> Writer<R> {
    /// Refuses a command. `is_ahead` says that the state which decided that is not in the log yet.
    pub(super) fn refuse(&mut self, env: &Env<'_>, ticket: Ticket, waiting: Waiting<R>, fault: Fault, is_ahead: bool) {
        let Waiting { ask, before, doubt, .. } = waiting;
        let refusals = &mut self.refusals;
        let before = match before {
            // In a room that isn't there nothing was done before.
            _ if self.state.is_none() => Before::Known(None, self.settled),
            // What was done since by this writer, the latest answers tell.
            Before::Known(done, at) if self.settled < at + ROOM_RECENT_MAX as u64 => Before::Known(done, at),
            Before::Known(..) | Before::Unasked | Before::Asked(_) => {
                refusals.unasked.insert(ticket);
                Before::Unasked
            }
        };
        let is_sure = env.single_node && !is_ahead;
        if !is_sure {
            refusals.unsure.insert(ticket);
            if !is_ahead {
                refusals.unlooked.push(ticket);
            }
        }
        refusals.by_sender.entry(ask.who.user).or_default().insert(ticket);
        refusals.all.insert(ticket, Refused { ask, fault, before, doubt, is_sure });
        refusals.changed.push(ticket);
    }

    /// Answers those refused commands of which everything is known.
    pub(super) fn answer_refused(&mut self) {
        for ticket in std::mem::take(&mut self.refusals.changed) {
            let Some(refused) = self.refusals.all.get(&ticket) else { continue };
            // That its client id is not in the log says something once the log is past what is in doubt.
            let doubt = refused.doubt.filter(|at| *at == self.settled);
            let outcome = match &refused.before {
                Before::Known(Some(done), _) => Ok(Done { again: true, ..done.clone() }),
                Before::Known(None, _) if refused.is_sure => Err(not_done(doubt, refused.fault.clone())),
                Before::Known(None, _) | Before::Unasked | Before::Asked(_) => continue,
            };
            if let Some(refused) = self.refusals.remove(ticket) {
                self.reply(refused.ask.reply, outcome);
            }
        }
    }

    /// What must be known to refuse a command can't be read.
    pub(super) fn unreadable(&mut self, ticket: Ticket) {
        if let Some(refused) = self.refusals.remove(ticket) {
            let fault = Fault::store_unavailable(
                "the database can't be read right now, so the server can't check whether it has done this request before; send it again later with the same `client_id` (over REST, the same `Idempotency-Key`)",
            );
            let fault = not_done(refused.doubt, fault);
            self.reply(refused.ask.reply, Err(fault));
        }
    }

    pub(super) fn unreadable_if_unsure(&mut self, ticket: Ticket) {
        if self.refusals.unsure.contains(&ticket) {
            self.unreadable(ticket);
        }
    }

    /// The log has an entry after what was settled when these were refused.
    pub(super) fn log_goes_on(&mut self, tickets: &[Ticket], append: u64) {
        if !tickets.iter().any(|ticket| self.refusals.unsure.contains(ticket)) {
            return;
        }
        // Where an append or a reading is under way, that tells: it is this writer's own, or will come to nothing.
        if let Phase::Idle = self.phase {
            debug_assert_ne!(append, 0, "appends have ids");
            self.went_on();
        }
    }

    /// The log was not as the writer thought: what was refused by that is decided anew.
    pub(super) fn void_refusals(&mut self) {
        for ticket in std::mem::take(&mut self.refusals.unsure) {
            if let Some(refused) = self.refusals.remove(ticket) {
                self.put_back(ticket, refused.ask, refused.doubt);
            }
        }
        self.refusals.unlooked.clear();
    }

    /// All of them, to be handed back or answered otherwise.
    pub(super) fn take_refusals(&mut self) -> impl Iterator<Item = (Ticket, (Envelope<R>, Doubt))> + use<R> {
        let all = std::mem::take(&mut self.refusals).all;
        all.into_iter().map(|(ticket, refused)| (ticket, (refused.ask, refused.doubt)))
    }
}
