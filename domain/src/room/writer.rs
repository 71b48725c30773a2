//! The writer of one room's log, as a machine: what comes in goes to [`Writer::step`], which says what is to be done.
//!
//! It decides commands in their order and groups what they come to into appends, one at a time. It never waits: whoever runs
//! it carries the [`Effect`]s out, and gives it what became of them as [`Input`]s. Time, random numbers and ids come
//! with each step, so that the same steps give the same effects.
//!
//! The state runs ahead of the log while an append is in flight. When an append comes to nothing, the log is read again, and
//! what waits is decided anew, in its order.
//!
//! **Nothing waits behind somebody else's reads.** A command about a message that must be looked up first is passed over until that
//! is known; so are later commands of the same sender, as a sender's commands are done in their order, but nobody else's. A
//! command that is refused is answered only after two questions: whether the same client id was done before, and whether the log is
//! as this writer thinks. It waits for both beside the appends (`writer/refusals.rs`); its verdict stands, so that nothing waits for it.

mod audit;
mod batch;
mod command_order;
mod deciding;
mod deduplication;
mod ending;
mod io;
mod lookups;
mod new_entry;
mod outcome;
mod refusals;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlance_schema::view::Done;
use parlance_schema::{Code, Fault, MessageId, RoomId, Seq, UserId};

use super::State;
use crate::message::Target;
use batch::Batch;
use command_order::{Ticket, Waiting};
use deduplication::RecentAnswers;
use ending::Ending;
pub use io::{Append, Appended, BatchId, Effect, Env, Envelope, Found, Input, LookupId, Reread, Unread, Wanted};
use lookups::Lookups;
pub use new_entry::done;
use refusals::Refusals;

/// The log's last number before an append that had the command in it, and of which nobody knows what became: it may come into the
/// log late, for as long as that ends there.
type Doubt = Option<Seq>;

/// What is in flight, other than look-ups.
#[derive(Debug)]
enum Phase<R> {
    Idle,
    /// An append.
    Appending(Batch<R>),
    /// The log is read again: after an append in doubt or in vain, or because others wrote.
    Rereading(BatchId, Option<Batch<R>>),
}

/// The writer of one room's log. `R` is the way back of a command.
pub struct Writer<R> {
    room: RoomId,
    /// What the log says, and what is in flight.
    state: Option<State>,
    /// The last number that is certainly in the log.
    settled: Seq,
    /// All commands that are not decided yet. Of these, some can be; some are held as an earlier one of their sender can't be.
    waiting: BTreeMap<Ticket, Waiting<R>>,
    ready: BTreeSet<Ticket>,
    held: BTreeMap<UserId, BTreeSet<Ticket>>,
    tickets: Ticket,
    phase: Phase<R>,
    batches: u64,
    lookups: Lookups,
    refusals: Refusals<R>,
    recent: RecentAnswers,
    /// Messages that commands were about, as they are after the state's last entry.
    targets: BTreeMap<Seq, Target>,
    targets_max: usize,
    /// An id that was taken for a message that was refused.
    spare_id: Option<MessageId>,
    fetching_ids: bool,
    snapshot_at: Seq,
    /// How often in a row the log had gone on without this writer.
    conflicts: u32,
    active_ms: u64,
    ending: Ending<R>,
    effects: VecDeque<Effect<R>>,
}

impl<R> Writer<R> {
    /// A writer that has read its room: the state, if there is one, and the number that its snapshot is at.
    #[must_use]
    pub fn new(room: RoomId, state: Option<State>, snapshot_at: Seq, elapsed_ms: u64) -> Self {
        Self {
            room,
            settled: state.as_ref().map_or(0, |state| state.last),
            state,
            waiting: BTreeMap::new(),
            ready: BTreeSet::new(),
            held: BTreeMap::new(),
            tickets: 0,
            phase: Phase::Idle,
            batches: 0,
            lookups: Lookups::default(),
            refusals: Refusals::default(),
            recent: RecentAnswers::default(),
            targets: BTreeMap::new(),
            targets_max: deciding::TARGETS_MAX,
            spare_id: None,
            fetching_ids: false,
            snapshot_at,
            conflicts: 0,
            active_ms: elapsed_ms,
            ending: Ending::default(),
            effects: VecDeque::new(),
        }
    }

    /// Takes one input in, and says what is to be done, in this order.
    pub fn step(&mut self, env: &mut Env<'_>, input: Input<R>) -> impl Iterator<Item = Effect<R>> + use<R> {
        match input {
            Input::Ask(ask) => self.ask(env, *ask),
            Input::Found(id, found) => self.found(id, *found),
            Input::Appended(id, outcome) => self.appended(env, id, outcome),
            Input::Reread(id, found) => self.reread(env, id, found.map(|found| *found)),
            Input::Ids(id) => self.ids_fetched(id),
            Input::Tick => self.tick(env),
            Input::HandOver => self.hand_over(),
            Input::NobodyComes => self.nobody_comes(),
            Input::Overdue => self.overdue(),
            Input::Farewell => self.ending.farewell = true,
            Input::Unreadable => self.give_up(),
        }
        self.answer_refused();
        if self.ending.away {
            self.hand_back();
        } else if !self.ending.dismissed {
            self.decide_and_look_up(env);
        }
        if self.ending.farewell && !self.is_in_flight() && self.waiting.is_empty() && self.refusals.is_empty() {
            self.effects.push_back(Effect::Stop);
        }
        std::mem::take(&mut self.effects).into_iter()
    }

    fn decide_and_look_up(&mut self, env: &mut Env<'_>) {
        loop {
            self.decide_what_waits(env);
            self.answer_refused();
            self.look_up();
            if !matches!(self.phase, Phase::Idle) || self.ready.is_empty() {
                return;
            }
        }
    }

    fn reply(&mut self, reply: R, outcome: Result<Done, Fault>) {
        self.effects.push_back(Effect::Reply(reply, outcome));
    }

    fn last(&self) -> Seq {
        self.state.as_ref().map_or(0, |state| state.last)
    }

    /// The append in flight, or in doubt.
    fn batch(&self) -> Option<&Batch<R>> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Appending(batch) => Some(batch),
            Phase::Rereading(_, batch) => batch.as_ref(),
        }
    }

    fn is_in_flight(&self) -> bool {
        self.batch().is_some()
    }

    fn next_batch_id(&mut self) -> BatchId {
        self.batches += 1;
        BatchId(self.batches)
    }

    /// The last number that is certainly in the log: the state runs ahead of it.
    #[must_use]
    pub fn settled(&self) -> Seq {
        self.settled
    }

    /// The state, which runs ahead of the log while an append is in flight.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// What there is to see of it.
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        let phase = match &self.phase {
            _ if self.ending.is_begun() => "leaving",
            Phase::Appending(_) => "appending",
            Phase::Rereading(..) => "rereading",
            Phase::Idle if self.lookups.is_empty() => "idle",
            Phase::Idle => "looking up",
        };
        Inspection {
            phase,
            last: self.last(),
            members: self.state.as_ref().map_or(0, |state| state.members.len()),
            waiting: self.waiting.len(),
            appending: self.batch().map_or(0, |batch| batch.entries.len()),
            in_append: self.batch().map_or(0, Batch::len),
            refusing: self.refusals.len(),
            looking_up: self.lookups.len(),
            snapshot_at: self.snapshot_at,
            conflicts: self.conflicts,
        }
    }
}

/// What there is to see of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Inspection {
    /// What is in flight.
    pub phase: &'static str,
    /// The last number, with what is being appended.
    pub last: Seq,
    /// Members.
    pub members: usize,
    /// Commands that are not decided yet.
    pub waiting: usize,
    /// Entries in the append in flight.
    pub appending: usize,
    /// Commands that it answers: those that came to its entries, and the same ones again.
    pub in_append: usize,
    /// Refused commands that are not answered yet.
    pub refusing: usize,
    /// Look-ups in flight.
    pub looking_up: usize,
    /// The number that the last snapshot is at.
    pub snapshot_at: Seq,
    /// How often in a row the log had gone on without this writer.
    pub conflicts: u32,
}

/// What those are told whose commands can't be done now, but may have been done by an append in doubt.
fn not_done(doubt: Doubt, fault: Fault) -> Fault {
    if doubt.is_some() { outcome_unknown() } else { fault }
}

/// What those are told of whose commands the store certainly did not do.
fn store_refused() -> Fault {
    Fault::store_unavailable(
        "the database can't save this right now, nothing was done; send the same request again later",
    )
}

/// What those are told of whose commands may have been done.
fn outcome_unknown() -> Fault {
    let detail = "it is not known whether this was done; send it again with the same `client_id` (over REST, the same `Idempotency-Key`) to find out";
    Fault::new(Code::OutcomeUnknown, detail)
}
