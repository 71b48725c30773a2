//! A Relay: one room on this node, for those who look at it.
//!
//! Owns: the folded state as far as it was published, a ring of recent entries, the read marks. Receives: what is published
//! on the room's subject, subscriptions, questions. Emits: shared frames into its subscribers' links, encoded once per wire.
//! It notices a hole by number and reads the log; it folds membership before it delivers later numbers, so that a removed
//! member gets the entry that removes them and nothing after. Stops: when nobody has asked or subscribed for a while.
//! Restarted by [`super::supervisor`]; its subscribers' positions outlive it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parlance_domain::ring::Ring;
use parlance_domain::room::State as Folded;
use parlance_schema::entry::Entry;
use parlance_schema::id::Position;
use parlance_schema::limits::RING_BYTES_MAX;
use parlance_schema::user::Principal;
use parlance_schema::view::{BanView, MemberView, OpenInvite};
use parlance_schema::{Fault, RoomId, Seq, TenantId, UserId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::loading::{self, Loaded};
use super::read_your_writes::Awaited;
use super::registry::{Registry, lock};
use super::repair;
use super::subscribing::{Known, Wish};
use super::views::View;
use crate::link::Link;
use crate::mailbox::Counted;
use crate::ports::bus::{RoomEvent, Subscription};
use crate::ports::store::{ReadMark, StoreError};
use crate::shared::Shared;
use crate::wire::WIRES_MAX;

/// A question's way back.
pub(crate) type Back<T> = oneshot::Sender<Result<T, Fault>>;

/// What a Relay can be told.
pub(crate) enum Msg {
    /// Something was published on the room's subject.
    Event(Counted<RoomEvent>),
    /// A session wants the room's entries; they come after [`Sub::start`].
    Subscribe(Box<Wish>),
    /// Entries that were read for a subscription.
    Pulled(Vec<Arc<Entry>>),
    /// What a subscription needs was read.
    Prepared(Box<(Wish, Known)>),
    /// The room was read again.
    Loaded(Result<Box<Loaded>, StoreError>),
    /// The session's outbox has room again, or it was started.
    CatchUp { session: u64 },
    /// The session has ended.
    Unsubscribe { session: u64 },
    /// Entries that a subscriber missed, read from the log.
    Read { session: u64, from: Seq, log: Result<Passage, StoreError> },
    /// Entries that the relay missed, read from the log.
    Repaired(Result<Vec<Arc<Entry>>, StoreError>),
    /// The room as somebody sees it.
    View { who: Principal, back: Back<Box<View>> },
    /// The members as somebody sees them.
    Members { who: Principal, back: Back<Vec<MemberView>> },
    /// The bans that hold, for those who may lift them.
    Bans { who: Principal, back: Back<Vec<BanView>> },
    /// The open invites, for those who may withdraw them.
    Invites { who: Principal, back: Back<Vec<OpenInvite>> },
    /// The first number that somebody may read, and the last there is.
    Access { who: Principal, back: Back<(Seq, Seq)> },
    /// Tells the others that somebody is writing, or stopped.
    Typing { who: Principal, on: bool, back: Back<()> },
    /// Marks everything up to a number as read.
    Mark { who: Principal, seq: Seq, back: Back<()> },
    /// The counts at a mark were read from the log.
    Counted { user: UserId, mark: Result<ReadMark, StoreError>, back: Option<Back<()>> },
    /// A command from this node came to the entry with this number.
    Expect(Seq),
    /// What was expected should have come by now.
    Overdue,
    /// The log ends at this number, at least.
    Heard(Seq),
    /// The bus has come back: read marks may have been missed.
    Reconnected,
    /// Read marks, as they are stored.
    Marked(Result<Vec<(UserId, ReadMark)>, StoreError>),
    /// Writes read marks down.
    Flush,
    /// Marks as read what was delivered to connections that are for this room alone.
    MarkDelivered,
    /// Looks whether it is still needed.
    Tick,
    /// The last message of a relay that was taken off the list.
    Farewell,
    /// Panics; for tests of supervision.
    Crash,
    /// Shows its state.
    Inspect(oneshot::Sender<serde_json::Value>),
}

/// Entries that were read from the log, with the messages that they change where somebody is to be shown these.
pub(crate) struct Passage {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) originals: BTreeMap<Seq, Arc<Entry>>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// After a position that the client kept; absent: at the end.
    Position(Option<Position>),
    /// At the entry that made the user a member.
    Joining,
}

/// One session that gets the room's entries.
pub(crate) struct Sub {
    pub(crate) link: Arc<Link>,
    /// The last number that was queued for it.
    pub(super) position: Seq,
    pub(super) mode: Mode,
    /// The first number that the user may read; what is about an earlier message is masked.
    pub(super) first: Seq,
    /// Set when the user is no member any more: the last number that they get.
    pub(super) until: Option<Seq>,
    /// Whether the members were told of it, where it is for this room alone.
    pub(super) announced: bool,
}

impl Sub {
    /// Notes that its client was told where it stands: entries may come. A relay that is dead just now finds it so.
    pub(crate) fn start(&mut self) {
        if self.mode == Mode::Waiting {
            self.mode = Mode::Lagging;
        }
    }

    /// Whether its client was told where it stands.
    pub(crate) fn started(&self) -> bool {
        self.mode != Mode::Waiting
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Waits for its go: its client doesn't know yet where it stands.
    Waiting,
    /// Gets entries as they come.
    Live,
    /// Waits for room in its outbox.
    Lagging,
    /// What it missed is being read from the log.
    Reading,
}

/// A recent entry, with its frames by wire as far as they were needed.
pub(super) struct Slot {
    pub(super) entry: Arc<Entry>,
    pub(super) frames: [Option<Bytes>; WIRES_MAX],
    /// The same for those who may not read the message that it is about.
    pub(super) masked: Option<Box<[Option<Bytes>; WIRES_MAX]>>,
}

/// Consecutive entries of the ring, as one wire writes them.
pub(super) struct Piece {
    /// The wire, the first entry, the last one that was asked for, and from where on its reader may read, where that matters.
    pub(super) wanted: (usize, Seq, Seq, Seq),
    /// The last one that is in it.
    pub(super) last: Seq,
    pub(super) frames: Vec<Bytes>,
}

/// The Relay actor.
pub(crate) struct Relay;

/// What a Relay starts with.
pub(crate) struct Args {
    pub(crate) room: RoomId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) relays: Arc<Registry>,
    pub(crate) subs: Arc<Mutex<Vec<Sub>>>,
    pub(crate) tenant: Arc<OnceLock<TenantId>>,
}

/// A Relay's state.
pub(crate) struct State {
    pub(super) room: RoomId,
    pub(super) shared: Arc<Shared>,
    pub(super) relays: Arc<Registry>,
    pub(super) subs: Arc<Mutex<Vec<Sub>>>,
    pub(super) tenant: Arc<OnceLock<TenantId>>,
    pub(super) folded: Option<Folded>,
    /// Why the room could not be read; tried again at each tick.
    pub(super) broken: Option<StoreError>,
    /// Whether it is being read again.
    pub(super) loading: bool,
    /// The highest number that was published while the room could not be read.
    pub(super) missed: Seq,
    /// Sessions whose subscription waits for what must be read, and those that wait behind it.
    pub(super) preparing: BTreeMap<u64, VecDeque<Wish>>,
    pub(super) ring: Ring<Slot>,
    /// What the last one to come back missed; forgotten when something new comes, and at each tick.
    pub(super) piece: Option<Piece>,
    pub(super) marks: BTreeMap<UserId, ReadMark>,
    /// Read marks that were heard before what they mark.
    pub(super) early_marks: BTreeMap<UserId, Seq>,
    pub(super) unsaved: Vec<UserId>,
    /// Whether a look at what was read by delivery is due.
    pub(super) marking_delivered: bool,
    /// Subscribers who couldn't be pushed what came, as something for their wire was not at hand.
    pub(super) late: Vec<u64>,
    /// Set while a hole is being read; the value is the highest number that was published meanwhile.
    pub(super) repairing: Option<Seq>,
    pub(super) repair: repair::Repair,
    pub(super) awaited: Awaited,
    pub(super) active: Instant,
    /// Set once it is off the list: nobody subscribes any more.
    pub(super) off: bool,
    /// Set by the farewell.
    pub(super) leaving: bool,
    pub(super) _bus: Subscription,
}

impl Actor for Relay {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, me: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        let sink = {
            let (me, depth) = (me.clone(), args.shared.meters.relay_mailbox.clone());
            Arc::new(move |event| drop(me.cast(Msg::Event(Counted::new(&depth, event)))))
        };
        // Subscribed before the log is read, so that what is appended in between is published here, or read, or both.
        let bus = args.shared.bus.subscribe_room(args.room, sink);
        if args.shared.cluster.elsewhere(args.room).is_some() {
            args.relays.gap_checks.request(args.room);
        }
        let mut state = State {
            room: args.room,
            shared: args.shared,
            relays: args.relays,
            subs: args.subs,
            tenant: args.tenant,
            folded: None,
            broken: None,
            loading: false,
            missed: 0,
            preparing: BTreeMap::new(),
            ring: Ring::new(1, RING_BYTES_MAX),
            piece: None,
            marks: BTreeMap::new(),
            early_marks: BTreeMap::new(),
            unsaved: Vec::new(),
            marking_delivered: false,
            late: Vec::new(),
            repairing: None,
            repair: repair::Repair::default(),
            awaited: Awaited::default(),
            active: Instant::now(),
            off: false,
            leaving: false,
            _bus: bus,
        };
        let loaded = loading::load(&state.shared, state.room, &state.subs).await;
        state.loaded(&me, loaded);
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        if state.parks(&msg) {
            state.park(msg);
            return Ok(());
        }
        match msg {
            Msg::Event(event) => match event.take() {
                RoomEvent::Appended(entries) => state.published(&me, &entries),
                RoomEvent::Ephemeral(event) => state.ephemeral(&me, &event),
                RoomEvent::Last(last) => state.heard_last(&me, last),
            },
            Msg::Subscribe(wish) => state.subscription(&me, *wish),
            Msg::Pulled(entries) => state.pulled(&me, &entries),
            Msg::Prepared(prepared) => state.prepared(&me, prepared.0, &prepared.1),
            Msg::Loaded(loaded) => state.loaded(&me, loaded.map(|loaded| *loaded)),
            Msg::CatchUp { session } => {
                state.welcome(session);
                state.catch_up(&me, session);
            }
            Msg::Unsubscribe { session } => state.unsubscribe(|sub| sub.link.id == session),
            Msg::Read { session, from, log } => state.read(&me, session, from, log),
            Msg::Repaired(entries) => state.repaired(&me, entries),
            Msg::View { who, back } => {
                state.mark_delivered();
                state.answer(back, |state| state.view(&who));
            }
            Msg::Members { who, back } => {
                state.mark_delivered();
                state.answer(back, |state| state.members(&who));
            }
            Msg::Bans { who, back } => {
                state.mark_delivered();
                state.answer(back, |state| state.bans(&who));
            }
            Msg::Invites { who, back } => {
                state.mark_delivered();
                state.answer(back, |state| state.invites(&who));
            }
            Msg::Access { who, back } => state.answer(back, |state| state.access(&who)),
            Msg::Typing { who, on, back } => state.answer(back, |state| state.typing(&who, on)),
            Msg::Mark { who, seq, back } => state.mark(&me, &who, seq, back),
            Msg::Counted { user, mark, back } => state.counted(&me, user, mark, back),
            Msg::Expect(seq) => state.expect(&me, seq),
            Msg::Overdue => state.overdue(&me),
            Msg::Heard(last) => state.heard_last(&me, last),
            Msg::Reconnected => state.reread_marks(&me),
            Msg::Marked(marks) => state.marked(&me, marks),
            Msg::Flush => state.flush_marks(),
            Msg::MarkDelivered => {
                state.marking_delivered = false;
                state.mark_delivered();
            }
            Msg::Tick => state.tick(&me),
            Msg::Farewell => state.leaving = true,
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Msg::Crash => panic!("a relay was told to crash"),
            Msg::Inspect(reply) => drop(reply.send(state.inspect())),
        }
        state.unpark(&me);
        for session in std::mem::take(&mut state.late) {
            state.catch_up(&me, session);
        }
        if state.leaving && state.preparing.is_empty() && lock(&state.subs).is_empty() {
            state.flush_marks();
            me.stop(None);
        }
        Ok(())
    }
}

impl State {
    pub(super) fn last(&self) -> Seq {
        self.folded.as_ref().map_or(0, |folded| folded.last)
    }

    /// Notes on the seat whose the room is.
    pub(super) fn know_tenant(&self) {
        if let Some(folded) = &self.folded {
            let _ = self.tenant.set(folded.tenant);
        }
    }

    fn answer<T>(&mut self, back: Back<T>, question: impl FnOnce(&Self) -> Result<T, Fault>) {
        self.active = Instant::now();
        let answer = if self.broken.is_some() { Err(unreadable()) } else { question(self) };
        let _ = back.send(answer);
    }

    fn tick(&mut self, me: &ActorRef<Msg>) {
        self.look_once_more(me);
        self.piece = None;
        self.load_again(me);
        self.unsubscribe(|sub| sub.link.outbox.is_closed());
        let empty = lock(&self.subs).is_empty();
        let limit = if self.folded.is_some() { self.shared.options.room_idle_ms } else { 1_000 };
        if empty && self.preparing.is_empty() && !self.off && self.active.elapsed() > Duration::from_millis(limit) {
            // Taken off the list first: what was sent to it until then still comes before the farewell.
            self.off = true;
            self.relays.forget(self.room, me.get_id());
            let _ = me.cast(Msg::Farewell);
        } else if !empty {
            self.active = Instant::now();
        }
    }

    fn inspect(&self) -> serde_json::Value {
        let subs = lock(&self.subs);
        serde_json::json!({
            "last": self.last(),
            "sessions": subs.len(),
            "lagging": subs.iter().filter(|sub| sub.mode != Mode::Live).count(),
            "ring_bytes": self.ring.bytes(),
            "repairing": self.repairing.is_some(),
        })
    }
}

pub(super) fn unreadable() -> Fault {
    Fault::store_unavailable("the room can't be read from the database right now: try again later")
}
