//! The order in which commands are decided: as they came, where a later command of a sender waits for the earlier ones.
//!
//! A command that can't be decided yet is passed over, and holds up later ones of the same sender, but nobody else's.

use std::collections::BTreeMap;

use parlance_schema::limits::ROOM_QUEUE_MAX;
use parlance_schema::{Fault, UserId};

use super::deduplication::Before;
use super::{Doubt, Env, Envelope, Writer, store_refused};

/// A command's place in the order of arrival.
pub(super) type Ticket = u64;

/// A command that waits to be decided.
#[derive(Debug)]
pub(super) struct Waiting<R> {
    pub ask: Envelope<R>,
    /// Whether the message that it is about was looked up.
    pub read: bool,
    /// Whether it is known that its client id was done before.
    pub before: Before,
    /// Whether it was passed over for want of an id.
    pub lacks_id: bool,
    pub doubt: Doubt,
}

impl<R> Waiting<R> {
    fn new(ask: Envelope<R>, doubt: Doubt) -> Self {
        Self { ask, read: false, before: Before::Unasked, lacks_id: false, doubt }
    }
}

impl<R> Writer<R> {
    /// Takes a command in, at the end.
    pub(super) fn ask(&mut self, env: &Env<'_>, ask: Envelope<R>) {
        self.active_ms = env.elapsed_ms;
        if self.ending.dismissed {
            return self.reply(ask.reply, Err(store_refused()));
        }
        if self.waiting.len() + self.refusals.len() >= ROOM_QUEUE_MAX {
            return self.reply(
                ask.reply,
                Err(Fault::busy("too many requests are waiting for this room; send this one again later")),
            );
        }
        self.tickets += 1;
        let (ticket, sender, waiting) = (self.tickets, ask.who.user, Waiting::new(ask, None));
        if self.lacks_target(&waiting, self.settled) {
            self.lookups.unread.insert(ticket);
        }
        self.waiting.insert(ticket, waiting);
        match self.held.get_mut(&sender) {
            Some(held) => drop(held.insert(ticket)),
            None => drop(self.ready.insert(ticket)),
        }
    }

    /// Takes the first command out that can be decided; those are held that come after a held one of their sender.
    pub(super) fn next_ready(&mut self) -> Option<(Ticket, Waiting<R>)> {
        while let Some(ticket) = self.ready.pop_first() {
            let Some(waiting) = self.waiting.remove(&ticket) else { continue };
            let Some(held) = self.held.get_mut(&waiting.ask.who.user) else { return Some((ticket, waiting)) };
            held.insert(ticket);
            self.waiting.insert(ticket, waiting);
        }
        None
    }

    /// Passes a command over: it waits for something, and so do later commands of its sender.
    pub(super) fn hold(&mut self, ticket: Ticket, waiting: Waiting<R>) {
        self.held.entry(waiting.ask.who.user).or_default().insert(ticket);
        self.waiting.insert(ticket, waiting);
    }

    /// Has a command that was taken out wait again, as it is and at its place.
    pub(super) fn keep_ready(&mut self, ticket: Ticket, waiting: Waiting<R>) {
        self.waiting.insert(ticket, waiting);
        self.ready.insert(ticket);
    }

    /// Has a command wait again, at its place.
    pub(super) fn put_back(&mut self, ticket: Ticket, ask: Envelope<R>, doubt: Doubt) {
        self.keep_ready(ticket, Waiting::new(ask, doubt));
    }

    /// A sender's commands can be decided again.
    pub(super) fn release(&mut self, sender: UserId) {
        self.ready.extend(self.held.remove(&sender).unwrap_or_default());
    }

    /// All commands can be decided again.
    pub(super) fn release_all(&mut self) {
        self.held.clear();
        self.ready = self.waiting.keys().copied().collect();
        self.waiting.values_mut().for_each(|waiting| {
            waiting.read = false;
            waiting.before = Before::Unasked;
        });
        let unread = self.waiting.iter().filter(|(_, waiting)| self.lacks_target(waiting, self.settled));
        self.lookups.unread = unread.map(|(ticket, _)| *ticket).collect();
    }

    /// All commands that wait to be decided, or to be told that they are refused, in the order in which they came.
    pub(super) fn take_all_that_waits(&mut self) -> impl Iterator<Item = (Envelope<R>, Doubt)> + use<R> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let waiting = waiting.map(|(ticket, waiting)| (ticket, (waiting.ask, waiting.doubt)));
        let all: BTreeMap<Ticket, _> = waiting.chain(self.take_refusals()).collect();
        self.held.clear();
        self.ready.clear();
        self.lookups.unread.clear();
        all.into_values()
    }
}
