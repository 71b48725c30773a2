//! Deciding what waits, one command after the other, and making an append of what it comes to.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlance_schema::command::Command;
use parlance_schema::entry::Entry;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::{APPEND_BYTES_MAX, APPEND_COMMANDS_MAX, APPEND_ENTRIES_MAX, LOG_BUCKET, SNAPSHOT_EVERY};
use parlance_schema::view::Done;
use parlance_schema::{Fault, MessageId, Seq, UserId};

use super::batch::{Batch, Fate, Member};
use super::new_entry::{done, new_entry};
use super::{Append, BatchId, Effect, Env, Phase, State, Ticket, Waiting, Writer, audit, not_done};
use crate::message::{self, Target};
use crate::room::{self, Ask};

/// Messages that are remembered from one append to the next.
pub(super) const TARGETS_MAX: usize = 256;

/// An append that is being made.
struct Draft<R> {
    batch: Batch<R>,
    entries: Vec<Arc<Entry>>,
    append: Append,
    bytes: usize,
    decided: usize,
    /// Entries that still fit the log's bucket.
    room_for: usize,
}

/// What became of a command that was looked at.
enum Outcome<R> {
    /// It was answered, refused, or is in the draft.
    Decided,
    /// It waits for something; so do later commands of its sender.
    PassedOver(Waiting<R>),
    /// It waits for the next append, as this one is full.
    Full(Waiting<R>),
}

impl<R> Writer<R> {
    /// Decides what waits and can be decided, until there is something to append.
    pub(super) fn decide_what_waits(&mut self, env: &mut Env<'_>) {
        while matches!(self.phase, Phase::Idle) && !self.ready.is_empty() {
            self.forget_targets();
            let draft = self.draft(env);
            let decided = draft.decided;
            if !draft.entries.is_empty() {
                return self.append(draft);
            }
            if decided < APPEND_COMMANDS_MAX {
                return;
            }
        }
    }

    fn draft(&mut self, env: &mut Env<'_>) -> Draft<R> {
        let id = self.next_batch_id();
        let mut draft = Draft::new(id, (env.random)(), self.last());
        while draft.decided < APPEND_COMMANDS_MAX {
            let Some((ticket, waiting)) = self.next_ready() else { break };
            match self.decide(env, ticket, waiting, &mut draft) {
                Outcome::Decided => draft.decided += 1,
                Outcome::PassedOver(waiting) => {
                    if self.lacks_target(&waiting, draft.append.expected)
                        && !self.lookups.is_reading(ticket, &waiting.ask.command)
                    {
                        self.lookups.unread.insert(ticket);
                    }
                    self.hold(ticket, waiting);
                }
                Outcome::Full(waiting) => {
                    self.keep_ready(ticket, waiting);
                    break;
                }
            }
        }
        draft
    }

    fn decide(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        mut waiting: Waiting<R>,
        draft: &mut Draft<R>,
    ) -> Outcome<R> {
        if let Some(before) = self.done_before(&waiting) {
            self.reply(waiting.ask.reply, Ok(Done { again: true, ..before }));
            return Outcome::Decided;
        }
        if let Some(first) = draft.batch.same(waiting.ask.who.user, &waiting.ask.client_id) {
            let fate = Fate::Same(first.clone());
            draft.batch.members.push(Member { ticket, ask: waiting.ask, fate, doubt: waiting.doubt });
            return Outcome::Decided;
        }
        if self.lacks_target(&waiting, draft.append.expected) {
            return Outcome::PassedOver(waiting);
        }
        if !draft.fits(room::weight(&waiting.ask.command)) {
            return Outcome::Full(waiting);
        }
        let posts = matches!(waiting.ask.command, Command::Post { .. });
        if posts && self.spare_id.is_none() {
            self.spare_id = (env.message_id)();
            if self.spare_id.is_none() {
                waiting.lacks_id = true;
                self.fetch_ids();
                return Outcome::PassedOver(waiting);
            }
        }
        let id = self.spare_id.unwrap_or(MessageId::new(1));
        let ask = &waiting.ask;
        let target = room::needs(&ask.command).and_then(|seq| self.targets.get(&seq));
        let question = Ask { who: &ask.who, command: &ask.command, now: env.now, id, target };
        match room::decide(self.state.as_ref(), &question) {
            Ok(fact) => {
                if posts {
                    self.spare_id = None;
                }
                let entry = new_entry(self.state.as_ref(), ask, fact, env.now, draft.batch.append);
                self.accept(ticket, waiting, entry, draft);
            }
            Err(fault) => self.refuse(env, ticket, waiting, fault, !draft.entries.is_empty()),
        }
        Outcome::Decided
    }

    /// Takes an entry into the state and the draft.
    fn accept(&mut self, ticket: Ticket, waiting: Waiting<R>, entry: Entry, draft: &mut Draft<R>) {
        let Waiting { ask, doubt, .. } = waiting;
        draft.batch.moderated.extend(audit::recorded(self.state.as_ref(), &ask));
        draft.bytes += room::weight(&ask.command);
        self.take_in(&entry, &mut draft.append);
        let fate = Fate::Entry(draft.entries.len(), done(self.room, &entry));
        draft.batch.members.push(Member { ticket, ask, fate, doubt });
        draft.entries.push(Arc::new(entry));
    }

    /// Whether a command is about a message of the log before `expected` that must be looked up.
    pub(super) fn lacks_target(&self, waiting: &Waiting<R>, expected: Seq) -> bool {
        let about = room::needs(&waiting.ask.command).filter(|seq| (1..=expected).contains(seq));
        about.is_some_and(|seq| !waiting.read && !self.targets.contains_key(&seq))
    }

    /// Folds an entry that is about to be appended, and notes what follows from it.
    fn take_in(&mut self, entry: &Entry, append: &mut Append) {
        append.members.extend(entry.membership());
        match &mut self.state {
            Some(state) => state.fold(entry),
            None => self.state = State::opened(entry),
        }
        let Some(seq) = entry.message() else { return };
        if seq == entry.seq {
            self.targets.insert(seq, Target { by: Some(entry.by), ..Target::default() });
            return;
        }
        let Some(target) = self.targets.get_mut(&seq) else { return };
        message::fold(&mut target.state, entry);
        append.erase.extend(message::erased(&target.state, entry));
        append.messages.retain(|(at, _)| *at != seq);
        append.messages.push((seq, target.state.clone()));
    }

    fn append(&mut self, draft: Draft<R>) {
        let Draft { mut batch, entries, mut append, .. } = draft;
        if let Some(state) = &self.state {
            append.tenant = state.tenant;
            if state.last >= self.snapshot_at + SNAPSHOT_EVERY {
                append.snapshot = Some(Box::new(state.clone()));
                batch.snapshot = true;
            }
        }
        append.entries = entries.into();
        batch.entries = append.entries.clone();
        self.effects.push_back(Effect::Append(batch.id, append));
        self.phase = Phase::Appending(batch);
    }

    /// Where too many messages are remembered, those go that nobody waits for. Nothing is in flight.
    fn forget_targets(&mut self) {
        if self.targets.len() >= self.targets_max {
            let needed: BTreeSet<Seq> =
                self.waiting.values().filter_map(|waiting| room::needs(&waiting.ask.command)).collect();
            self.targets.retain(|seq, _| needed.contains(seq));
            self.targets_max = TARGETS_MAX.max(2 * self.targets.len());
        }
    }

    fn fetch_ids(&mut self) {
        if !std::mem::replace(&mut self.fetching_ids, true) {
            self.effects.push_back(Effect::FetchIds);
        }
    }

    pub(super) fn ids_fetched(&mut self, id: Option<MessageId>) {
        self.fetching_ids = false;
        let there = id.is_some();
        self.spare_id = self.spare_id.or(id);
        let lacking: Vec<Ticket> =
            self.waiting.iter().filter(|(_, waiting)| waiting.lacks_id).map(|(ticket, _)| *ticket).collect();
        for ticket in lacking {
            let Some(mut waiting) = self.waiting.remove(&ticket) else { continue };
            self.release(waiting.ask.who.user);
            if there {
                waiting.lacks_id = false;
                self.waiting.insert(ticket, waiting);
            } else {
                let fault = Fault::store_unavailable(
                    "the server can't assign message ids right now, nothing was done; send the request again later",
                );
                let fault = not_done(waiting.doubt, fault);
                self.reply(waiting.ask.reply, Err(fault));
            }
        }
    }
}

impl<R> Draft<R> {
    fn new(id: BatchId, append_id: u64, expected: Seq) -> Self {
        let left = usize::try_from(LOG_BUCKET - expected % LOG_BUCKET).unwrap_or(APPEND_ENTRIES_MAX);
        let entries: Arc<[Arc<Entry>]> = Arc::new([]);
        Self {
            batch: Batch {
                id,
                append: append_id,
                members: Vec::new(),
                entries: entries.clone(),
                moderated: Vec::<(UserId, &'static str)>::new(),
                snapshot: false,
            },
            entries: Vec::new(),
            append: Append {
                tenant: TENANT_DEFAULT,
                expected,
                entries,
                snapshot: None,
                messages: Vec::new(),
                members: Vec::new(),
                erase: Vec::new(),
            },
            bytes: 0,
            decided: 0,
            room_for: APPEND_ENTRIES_MAX.min(left),
        }
    }

    /// Whether an entry of this weight still fits; the first one always does.
    fn fits(&self, weight: usize) -> bool {
        self.entries.is_empty() || (self.entries.len() < self.room_for && self.bytes + weight <= APPEND_BYTES_MAX)
    }
}
