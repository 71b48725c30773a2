//! What is read from the store before a command can be decided, or refused: messages, client ids, and whether the log goes on.
//!
//! What is wanted while look-ups are under way is asked for together by the next one.

use std::collections::{BTreeMap, BTreeSet};

use parlance_schema::command::Command;
use parlance_schema::{Fault, Seq};

use super::deduplication::Before;
use super::{Effect, Found, LookupId, Ticket, Unread, Wanted, Writer, not_done};
use crate::room;

/// Look-ups under way at a time.
const LOOKUPS_MAX: usize = 4;
/// Messages, and client ids, that one look-up asks for.
const ITEMS_MAX: usize = 64;

/// The look-ups under way, and who waits for what.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    last: u64,
    open: BTreeMap<LookupId, Lookup>,
    /// Commands about messages that must be read.
    pub unread: BTreeSet<Ticket>,
    /// Messages that are being read, and the commands that wait for them.
    reading: BTreeMap<Seq, Vec<Ticket>>,
    /// Raised when the log was read again: messages that were asked for before say nothing of the state after.
    generation: u64,
}

#[derive(Debug, Default)]
struct Lookup {
    generation: u64,
    /// Whose client ids are asked for, in the order of asking.
    asking: Vec<Ticket>,
    /// Refused commands for which it is asked whether the log goes on.
    looking: Vec<Ticket>,
    /// The last settled number when it began.
    settled: Seq,
}

impl Lookups {
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the message that a command is about is being read for it.
    pub fn is_reading(&self, ticket: Ticket, command: &Command) -> bool {
        let readers = room::needs(command).and_then(|seq| self.reading.get(&seq));
        readers.is_some_and(|readers| readers.contains(&ticket))
    }

    /// Forgets what is being read: it is asked for again.
    pub fn restart(&mut self) {
        self.generation += 1;
        self.reading.clear();
        self.unread.clear();
    }
}

/// What one look-up asks for, while it is put together.
#[derive(Default)]
struct Question {
    lookup: Lookup,
    wanted: Wanted,
}

impl<R> Writer<R> {
    /// Asks for what is wanted and not asked for yet.
    pub(super) fn look_up(&mut self) {
        while self.lookups.open.len() < LOOKUPS_MAX {
            let id = LookupId(self.lookups.last + 1);
            let mut question = Question::default();
            self.want_targets(id, &mut question);
            self.want_refused(id, &mut question);
            let Question { mut lookup, mut wanted } = question;
            if wanted.targets.is_empty() && wanted.client_ids.is_empty() && wanted.beyond.is_none() {
                return;
            }
            (lookup.generation, lookup.settled) = (self.lookups.generation, self.settled);
            wanted.settled = self.settled;
            self.lookups.last = id.0;
            self.lookups.open.insert(id, lookup);
            self.effects.push_back(Effect::LookUp(id, wanted));
        }
    }

    /// Messages that commands are about, and the client ids of these, as they may come to be refused.
    fn want_targets(&mut self, id: LookupId, question: &mut Question) {
        while question.wanted.targets.len() < ITEMS_MAX && question.wanted.client_ids.len() < ITEMS_MAX {
            let Some(ticket) = self.lookups.unread.pop_first() else { return };
            let settled = self.settled;
            let Some(waiting) = self.waiting.get(&ticket) else { continue };
            if !self.lacks_target(waiting, settled) {
                // It was read for somebody else.
                self.release(waiting.ask.who.user);
                continue;
            }
            let key = (waiting.ask.who.user, waiting.ask.client_id.clone());
            let Some(seq) = room::needs(&waiting.ask.command) else { continue };
            let readers = self.lookups.reading.entry(seq).or_insert_with(|| {
                question.wanted.targets.push(seq);
                Vec::new()
            });
            readers.push(ticket);
            if let Some(waiting) = self.waiting.get_mut(&ticket)
                && matches!(waiting.before, Before::Unasked)
            {
                waiting.before = Before::Asked(id);
                question.wanted.client_ids.push(key);
                question.lookup.asking.push(ticket);
            }
        }
    }

    /// What refused commands wait for.
    fn want_refused(&mut self, id: LookupId, question: &mut Question) {
        while question.wanted.client_ids.len() < ITEMS_MAX {
            let Some((ticket, key)) = self.refusals.next_unasked(id) else { break };
            question.wanted.client_ids.push(key);
            question.lookup.asking.push(ticket);
        }
        question.lookup.looking = self.refusals.take_unlooked();
        if !question.lookup.looking.is_empty() {
            question.wanted.beyond = Some(self.settled + 1);
        }
    }

    pub(super) fn found(&mut self, id: LookupId, found: Found) {
        let Some(lookup) = self.lookups.open.remove(&id) else { return };
        let is_current = lookup.generation == self.lookups.generation;
        if is_current {
            for (seq, target) in found.targets {
                let readers = self.lookups.reading.remove(&seq).unwrap_or_default();
                if let Ok(Some(target)) = &target {
                    self.targets.entry(seq).or_insert_with(|| target.clone());
                }
                readers.into_iter().for_each(|ticket| self.target_read(ticket, target.is_ok()));
            }
        }
        for (ticket, (_, done)) in lookup.asking.into_iter().zip(found.done) {
            let asked = |before: &Before| matches!(before, Before::Asked(by) if *by == id);
            if let Some(waiting) = self.waiting.get_mut(&ticket).filter(|waiting| asked(&waiting.before)) {
                waiting.before = done.map_or(Before::Unasked, |done| Before::Known(done, lookup.settled));
            } else if self.refusals.before(ticket).is_some_and(asked) {
                match done {
                    Ok(done) => self.refusals.know(ticket, Before::Known(done, lookup.settled)),
                    Err(Unread) => self.unreadable(ticket),
                }
            }
        }
        // What was seen of the log's end before it was read again says nothing of those that were refused since.
        match found.beyond.filter(|_| is_current) {
            Some(Ok(None)) => self.refusals.make_sure(&lookup.looking),
            Some(Ok(Some(append))) => self.log_goes_on(&lookup.looking, append),
            Some(Err(Unread)) => lookup.looking.into_iter().for_each(|ticket| self.unreadable_if_unsure(ticket)),
            None => {}
        }
    }

    /// The message that a command is about was looked up.
    fn target_read(&mut self, ticket: Ticket, is_known: bool) {
        let Some(waiting) = self.waiting.get_mut(&ticket) else { return };
        waiting.read = true;
        let sender = waiting.ask.who.user;
        if !is_known && let Some(waiting) = self.waiting.remove(&ticket) {
            let detail =
                "the message can't be read from the database right now, nothing was done; send the request again later";
            let fault = not_done(waiting.doubt, Fault::store_unavailable(detail));
            self.reply(waiting.ask.reply, Err(fault));
        }
        self.release(sender);
    }
}
