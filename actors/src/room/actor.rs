//! A Room: the only writer of one room's log on this node.
//!
//! Owns: the state that the log folds to, the commands that wait. Receives: commands ([`Ask`]), the outcome of its append.
//! Emits: appended entries on the room's subject, one reply per command. Commands that come while an append is in flight
//! go together in the next one. Stops: when idle, or when the store leaves it in doubt about what the log says; the next
//! command wakes it from the store. Restarted by [`super::supervisor`].
//!
//! The state runs ahead of the log while an append is in flight. Nobody else sees it: what is read of a room comes from
//! its relay, which folds what was appended. When an append comes to nothing the state is thrown away and read again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parlance_domain::message::Target;
use parlance_domain::room::{self, State as Folded};
use parlance_schema::account::Principal;
use parlance_schema::command::Command;
use parlance_schema::entry::Entry;
use parlance_schema::limits::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, LOG_BUCKET, ROOM_QUEUE_MAX};
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Fault, RoomId, Seq, UserId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::batch::{self, Batch, weight};
use super::registry::Registry;
use super::reply::{ReplyTo, Routed};
use super::{doubt, handover};
use crate::feed::Tenancy;
use crate::mailbox::Counted;
use crate::ports::bus::Asked;
use crate::ports::store::{AppendError, LogEnd, StoreError};
use crate::room::guarded;
use crate::shared::Shared;

/// A command on its way to the room.
pub(crate) struct Ask {
    /// Who gives it.
    pub who: Principal,
    /// Their name for it.
    pub client_id: ClientId,
    /// What it is.
    pub command: Command,
    /// Who waits for the outcome.
    pub reply: ReplyTo,
}

impl Ask {
    /// A command that came by way of a lane, here or from another node, and the way back of what it comes to.
    pub(super) fn routed(asked: Asked) -> (Self, Routed) {
        let Asked { who, client_id, command } = asked;
        let (reply, back) = ReplyTo::routed();
        (Self { who, client_id, command, reply }, back)
    }
}

/// What a Room can be told.
pub(crate) enum Msg {
    /// A command.
    Ask(Counted<Box<Ask>>),
    /// The messages that the next batch's commands are about were looked up.
    Looked(Result<Vec<(Seq, Option<Target>)>, StoreError>),
    /// The append in flight came to this.
    Appended(Result<(), AppendError>),
    /// After an append that came to nothing or is in doubt: what the log says now.
    Reread(Box<Result<Reread, StoreError>>),
    /// Goes to sleep if there is no work.
    Tick,
    /// The room is at home elsewhere, or idle: gives back what waits once its append has ended, and stops.
    HandOver(oneshot::Sender<Vec<Handed>>),
    /// It was told so a while ago: gives back what is in the append as well.
    Overdue,
    /// The last number of the log.
    Last(oneshot::Sender<Seq>),
    /// The last message of a room that was taken off the list.
    Farewell,
    /// Panics; for tests of supervision.
    Crash,
    /// Shows its state.
    Inspect(oneshot::Sender<serde_json::Value>),
}

/// What a Room gives back.
pub(crate) struct Handed {
    /// The command.
    pub ask: Ask,
    /// Whether it is in an append of which nobody knows what became.
    pub unsure: bool,
}

/// What a Room finds when it reads its log again.
pub(crate) struct Reread {
    pub(super) folded: Option<Folded>,
    /// Where it ends, and the fence there.
    pub(super) end: LogEnd,
    /// Whether the append in doubt is in the log.
    pub(super) landed: bool,
    /// The entries that have the client ids which the store named.
    pub(super) found: Vec<(usize, Option<Arc<Entry>>)>,
}

/// The Room actor.
pub(crate) struct Room;

/// What a Room starts with.
pub(crate) struct Args {
    /// Which.
    pub room: RoomId,
    /// What the node's actors share.
    pub shared: Arc<Shared>,
    /// The rooms of this node.
    pub rooms: Arc<Registry>,
}

/// A Room's state.
pub(crate) struct State {
    pub(super) room: RoomId,
    pub(super) shared: Arc<Shared>,
    pub(super) rooms: Arc<Registry>,
    pub(super) folded: Option<Folded>,
    pub(super) waiting: VecDeque<Ask>,
    /// The batch that is being looked up or appended.
    pub(super) batch: Option<Batch>,
    /// What was done since the room woke, to answer those who send it again: the newest [`RECENT_MAX`].
    pub(super) recent: HashMap<(UserId, ClientId), Done>,
    pub(super) recent_order: VecDeque<(UserId, ClientId)>,
    /// Messages that commands were about, as they are after the state's last entry.
    pub(super) targets: HashMap<Seq, Target>,
    /// Entries of the batch whose senders were not in the room, to be audited once they are appended.
    pub(super) moderated: Vec<Seq>,
    pub(super) snapshot_at: Seq,
    /// How often in a row the log had gone on without this room.
    pub(super) refused: u32,
    pub(super) active: Instant,
    /// Set by the farewell: stop once there is no work.
    pub(super) leaving: bool,
    /// Set when the store failed: what was on its way here is refused, until the farewell comes.
    pub(super) dismissed: bool,
    pub(super) moving: handover::Moving,
    /// Its mark of unfinished work, and the fence that its appends must know.
    pub(super) tenancy: Tenancy,
    /// Why the room could not be read: everybody is told, and the next one tries again.
    pub(super) broken: Option<StoreError>,
}

const RECENT_MAX: usize = 128;
const TARGETS_MAX: usize = 256;

impl Actor for Room {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, _: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        let started = Instant::now();
        let mut tenancy = Tenancy::begin(args.rooms.feed.clone(), args.room);
        let marking = tenancy.marking();
        let (woken, marked) = tokio::join!(args.shared.read_log(args.room), marking.write());
        let woken = marked.and(woken).map(|(woken, end)| {
            tenancy.read(end);
            woken
        });
        metrics::histogram!("parlance_room_wake_seconds").record(started.elapsed().as_secs_f64());
        if let Ok(Some((folded, _))) = &woken {
            // Whoever wrote this before may have died before it could tell.
            args.shared.announce_last(args.room, folded.last, folded.last_append).await;
        }
        let (woken, broken) = match woken {
            Ok(woken) => (woken, None),
            Err(error) => (None, Some(error)),
        };
        let (folded, snapshot_at) = woken.map_or((None, 0), |(folded, at)| (Some(folded), at));
        Ok(State {
            room: args.room,
            shared: args.shared,
            rooms: args.rooms,
            folded,
            waiting: VecDeque::new(),
            batch: None,
            recent: HashMap::new(),
            recent_order: VecDeque::new(),
            targets: HashMap::new(),
            moderated: Vec::new(),
            snapshot_at,
            refused: 0,
            active: Instant::now(),
            leaving: false,
            dismissed: false,
            moving: handover::Moving::default(),
            tenancy,
            broken,
        })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Ask(ask) => state.ask(*ask.take()),
            Msg::Looked(found) => state.looked(&me, found).await,
            Msg::Appended(outcome) => state.appended(&me, outcome),
            Msg::Reread(found) => state.reread(&me, *found).await,
            Msg::Tick => state.tick(&me),
            Msg::HandOver(back) => state.hand_over(&me, back),
            Msg::Overdue => state.overdue(),
            Msg::Last(back) => drop(back.send(state.settled())),
            Msg::Farewell => state.leaving = true,
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Msg::Crash => panic!("a room was told to crash"),
            Msg::Inspect(reply) => {
                let _ = reply.send(state.inspect());
            }
        }
        if let Some(error) = state.broken.take() {
            state.give_up(&me, &error);
        }
        state.give_on();
        // What came while an append was in flight goes together in the next one.
        while state.batch.is_none() && !state.waiting.is_empty() && !state.moving.is_away() {
            state.next_batch(&me).await;
        }
        if state.leaving && state.batch.is_none() && state.waiting.is_empty() {
            state.tenancy.end();
            me.stop(None);
        }
        Ok(())
    }
}

impl State {
    pub(super) fn last(&self) -> Seq {
        self.folded.as_ref().map_or(0, |folded| folded.last)
    }

    fn ask(&mut self, ask: Ask) {
        self.active = Instant::now();
        if self.dismissed {
            return ask.reply.send(Err(doubt::refused()));
        }
        if self.waiting.len() >= ROOM_QUEUE_MAX {
            return ask.reply.send(Err(Fault::busy("too many commands wait in this room")));
        }
        self.waiting.push_back(ask);
    }

    /// Takes what waits, as much as one append may hold, and looks up what must be known to decide it.
    pub(super) async fn next_batch(&mut self, me: &ActorRef<Msg>) {
        let in_bucket = LOG_BUCKET - self.last() % LOG_BUCKET;
        let count_max = APPEND_ENTRIES_MAX.min(usize::try_from(in_bucket).unwrap_or(APPEND_ENTRIES_MAX));
        let mut asks = Vec::with_capacity(self.waiting.len().min(count_max));
        let mut bytes = 0;
        while let Some(ask) = self.waiting.front() {
            bytes += weight(&ask.command);
            if asks.len() >= count_max || (bytes > APPEND_BYTES_MAX && !asks.is_empty()) {
                break;
            }
            asks.extend(self.waiting.pop_front());
        }
        self.start(me, Batch::new(asks)).await;
    }

    async fn start(&mut self, me: &ActorRef<Msg>, batch: Batch) {
        // Not while a batch is decided: what was looked up for it must stay.
        if self.targets.len() >= TARGETS_MAX {
            self.targets.clear();
        }
        let mut unknown: Vec<Seq> = batch.asks().filter_map(|ask| room::needs(&ask.command)).collect();
        unknown.retain(|seq| !self.targets.contains_key(seq) && (1..=self.last()).contains(seq));
        unknown.sort_unstable();
        unknown.dedup();
        self.batch = Some(batch);
        if unknown.is_empty() {
            return self.append(me).await;
        }
        let (shared, room, me) = (self.shared.clone(), self.room, me.clone());
        tokio::spawn(async move {
            let found = guarded(shared.look_up(room, &unknown)).await;
            let _ = me.cast(Msg::Looked(found));
        });
    }

    async fn looked(&mut self, me: &ActorRef<Msg>, found: Result<Vec<(Seq, Option<Target>)>, StoreError>) {
        match found {
            Ok(found) => {
                self.targets.extend(found.into_iter().filter_map(|(seq, target)| Some((seq, target?))));
                self.append(me).await;
            }
            Err(error) => self.give_up(me, &error),
        }
    }

    fn appended(&mut self, me: &ActorRef<Msg>, outcome: Result<(), AppendError>) {
        let Some(batch) = &self.batch else { return };
        match outcome {
            Ok(()) => {
                self.refused = 0;
                let entries = batch.entries();
                self.tenancy.acknowledged(entries.last().map_or(0, |last| last.seq));
                self.settle(&entries);
            }
            Err(AppendError::Store(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)))) => {
                self.give_up(me, &error);
            }
            Err(AppendError::Duplicate(pairs)) => {
                self.refused += 1;
                self.read_again(me, pairs);
            }
            Err(AppendError::Conflict { last }) => self.went_on(me, last),
            Err(AppendError::Fenced) => self.read_again(me, Vec::new()),
            Err(AppendError::Store(StoreError::Unknown(reason))) => {
                tracing::warn!(room = %self.room, reason, "append in doubt: reading the log");
                self.read_again(me, Vec::new());
            }
        }
    }

    /// Publishes what was appended, and answers the batch.
    pub(super) fn settle(&mut self, entries: &Arc<[Arc<Entry>]>) {
        let Some(batch) = self.batch.take() else { return };
        if !entries.is_empty() {
            self.shared.announce(self.room, entries);
            self.moving.wrote();
        }
        let moderated = std::mem::take(&mut self.moderated);
        for (ask, outcome) in batch.outcomes() {
            if let Ok(done) = &outcome {
                if !done.again {
                    self.remember(ask.who.user, ask.client_id.clone(), done.clone());
                }
                if !done.again && moderated.contains(&done.seq) {
                    self.shared.audit(ask.who.user, self.room, batch::word(&ask.command));
                }
            }
            ask.reply.send(outcome);
        }
    }

    pub(super) fn remember(&mut self, user: UserId, client_id: ClientId, done: Done) {
        let key = (user, client_id);
        if self.recent.insert(key.clone(), done).is_none() {
            self.recent_order.push_back(key);
        }
        while self.recent_order.len() > RECENT_MAX {
            self.recent_order.pop_front().map(|old| self.recent.remove(&old));
        }
    }

    fn tick(&mut self, me: &ActorRef<Msg>) {
        self.beat();
        let idle = self.batch.is_none() && self.waiting.is_empty();
        // A room that does not exist was only asked after: it need not stay.
        let limit = if self.folded.is_some() { self.shared.options.room_idle_ms } else { 1_000 };
        let ending = self.leaving || self.dismissed || self.moving.is_away();
        if idle && !ending && self.active.elapsed() > Duration::from_millis(limit) {
            self.ends(me);
        }
    }

    /// Takes itself off the list first: what was sent to it until then still comes before the farewell.
    pub(super) fn leave(&mut self, me: &ActorRef<Msg>) {
        self.rooms.forget(self.room, me.get_id());
        // While an append is in flight the state runs ahead of the log, which may go on otherwise.
        if self.batch.is_none()
            && let Some(folded) = &self.folded
            && folded.last > self.snapshot_at
            && let Some(bytes) = crate::room::encode_state(folded)
        {
            let (shared, room, last) = (self.shared.clone(), self.room, folded.last);
            tokio::spawn(async move {
                if let Err(error) = shared.store.save_snapshot(room, last, bytes).await {
                    tracing::info!(%room, %error, "snapshot not kept");
                }
            });
        }
        let _ = me.cast(Msg::Farewell);
    }

    fn inspect(&self) -> serde_json::Value {
        serde_json::json!({
            "last": self.last(),
            "members": self.folded.as_ref().map_or(0, |f| f.members.len()),
            "waiting": self.waiting.len(),
            "appending": self.batch.as_ref().map_or(0, Batch::len),
            "snapshot_at": self.snapshot_at,
            "refused": self.refused,
        })
    }
}
