//! A Follower: gives rooms' entries to one consumer, and waits where that takes nothing.
//!
//! Owns: which rooms have work for it, and the back-off of its destination, which is one for all rooms. Receives: looks at its
//! [`super::inbox`], what calls came to. Emits: one call at a time for a room, as many for all as [`super::under_way`] lets begin; how
//! far it has got, to [`super::table`]; dead letters. Stops: with its node. Restarted by [`super::keeper`], which tells it all rooms
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlance_schema::limits::DEAD_LETTER_REASON_BYTES_MAX;
use parlance_schema::{Millis, RoomId, Seq};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::Registry;
use super::call::{Call, Outcome};
use super::inbox::Turn;
use super::table::Done;
use super::under_way::UnderWay;
use crate::ports::store::{Begins, DeadLetter};

/// Between two looks at what is new. What comes first is given at once, and what comes soon after it together.
const GATHER: Duration = Duration::from_millis(200);
/// Tries of an entry that is refused, before it is a dead letter.
const TRIES_MAX: u32 = 5;
/// Panics over an entry alone, before it is a dead letter.
const PANICS_MAX: u32 = 2;
/// The first pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a Follower can be told.
pub(super) enum Msg {
    /// Something has come into its inbox that was empty.
    News,
    /// Looks at its inbox, and for rooms whose pause is over.
    Look,
    /// A call came to this: the room, its generation, where the consumer was before, and what came of it.
    Called(RoomId, u64, Seq, Outcome),
    /// A dead letter was kept, or not: the room, its generation, the entry.
    Buried(RoomId, u64, Seq, bool),
}

/// The Follower actor.
pub(super) struct Follower;

/// What a Follower starts with.
pub(super) struct Args {
    /// Which of the node's consumers.
    pub consumer: usize,
    pub registry: Arc<Registry>,
}

/// A room that has work for the consumer.
#[derive(Default)]
struct Room {
    /// How far its log goes.
    end: Seq,
    calling: bool,
    /// How many entries the call may take.
    asked: usize,
    /// The entry that was refused last, and how often in a row.
    refused: Option<(Seq, u32)>,
    /// How often in a row the consumer panicked over one entry alone.
    panics: u32,
    /// How often in a row nothing came of a call for want of the store, or for no reason that the consumer gave.
    stalls: u32,
    single: bool,
    /// Not before.
    wait: Option<Instant>,
}

impl Room {
    /// The consumer has got further.
    fn moves_on(&mut self) {
        (self.refused, self.panics, self.stalls, self.single) = (None, 0, 0, false);
    }

    /// An entry was refused; says how often in a row now. Those before it are done.
    fn refuses(&mut self, seq: Seq) -> u32 {
        let before = self.refused.filter(|(of, _)| *of == seq).map_or(0, |(_, tries)| tries);
        (self.refused, self.stalls) = (Some((seq, before + 1)), 0);
        before + 1
    }
}

/// A Follower's state.
pub(super) struct State {
    consumer: usize,
    registry: Arc<Registry>,
    rooms: BTreeMap<RoomId, Room>,
    /// Rooms that can be called for at once.
    ready: BTreeSet<RoomId>,
    /// Rooms that wait, by when that ends.
    waits: BTreeSet<(Instant, RoomId)>,
    /// The room that was called for last: the next one is after it, so that each has its turn.
    last: Option<RoomId>,
    under_way: UnderWay,
    /// When its inbox was looked at last.
    looked: Instant,
    /// How often in a row the destination took nothing, and until when it is left alone.
    failures: u32,
    closed_until: Option<Instant>,
    label: String,
}

impl Actor for Follower {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, me: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        let Args { consumer, registry } = args;
        registry.inboxes[consumer].attend(me.clone());
        me.cast(Msg::Look)?;
        let label = registry.consumers[consumer].name().to_owned();
        Ok(State {
            consumer,
            registry,
            rooms: BTreeMap::new(),
            ready: BTreeSet::new(),
            waits: BTreeSet::new(),
            last: None,
            under_way: UnderWay::default(),
            looked: Instant::now(),
            failures: 0,
            closed_until: None,
            label,
        })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::News => {
                let gathers = GATHER.saturating_sub(state.looked.elapsed());
                if !gathers.is_zero() {
                    me.send_after(gathers, || Msg::Look);
                    return Ok(());
                }
                state.look();
            }
            Msg::Look => state.look(),
            Msg::Called(room, generation, before, outcome) => state.called(&me, room, (generation, before), outcome),
            Msg::Buried(room, generation, seq, kept) => state.buried(&me, room, generation, (seq, kept)),
        }
        state.call(&me);
        Ok(())
    }
}

impl State {
    /// Takes in what waits in the inbox.
    fn look(&mut self) {
        self.looked = Instant::now();
        for (id, end) in self.registry.inboxes[self.consumer].take() {
            let Some(end) = end else {
                if self.rooms.get(&id).is_some_and(|room| !room.calling) {
                    self.rooms.remove(&id);
                    self.ready.remove(&id);
                }
                continue;
            };
            let room = self.rooms.entry(id).or_default();
            room.end = room.end.max(end);
            if !room.calling && room.wait.is_none() {
                self.ready.insert(id);
            }
        }
    }

    /// Calls for rooms that have work, as many as may be called for.
    fn call(&mut self, me: &ActorRef<Msg>) {
        let now = Instant::now();
        if self.closed_until.is_some_and(|until| until > now) {
            return;
        }
        while let Some((until, id)) = self.waits.first().copied().filter(|(until, _)| *until <= now) {
            self.waits.remove(&(until, id));
            let Some(room) = self.rooms.get_mut(&id).filter(|room| room.wait == Some(until)) else { continue };
            room.wait = None;
            if !room.calling {
                self.ready.insert(id);
            }
        }
        // One that failed before is tried with one call first.
        while (if self.failures > 0 { self.under_way.is_empty() } else { self.under_way.has_room() })
            && let Some(id) = self.next()
        {
            self.ready.remove(&id);
            self.last = Some(id);
            self.begin(me, id);
        }
    }

    fn next(&self) -> Option<RoomId> {
        let after = self.last.and_then(|last| self.ready.range(last..).find(|id| **id > last));
        after.or_else(|| self.ready.first()).copied()
    }

    fn begin(&mut self, me: &ActorRef<Msg>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let (own, done, marked) = {
            let table = self.registry.table();
            (table.own(self.consumer).cloned(), table.done(self.consumer, id), table.get(id).is_some())
        };
        // One that isn't registered, or begins with what comes from now on and doesn't know yet where that is in each
        // room, is told all rooms again once it is.
        let Some(own) = own.filter(|own| own.begins == Begins::Start || own.walk.is_none()) else {
            self.rooms.remove(&id);
            return;
        };
        // One that is not in the table any more is another node's, or nobody has work in it.
        if done.is_some_and(|done| done.seq >= room.end) || !marked {
            self.rooms.remove(&id);
            return;
        }
        let Some(turn) = Turn::take(&self.registry.inboxes[self.consumer], id) else {
            return self.wait(me, id, PAUSE_MIN);
        };
        self.registry.table().is_called(self.consumer, id);
        room.calling = true;
        room.asked = self.under_way.begins(done.map(|done| done.seq), room.end);
        let call = Call {
            registry: self.registry.clone(),
            consumer: self.registry.consumers[self.consumer].clone(),
            filter: own.filter,
            generation: own.generation,
            room: id,
            done: done.map(|done| done.seq),
            end: room.end,
            single: room.single,
        };
        let (me, generation) = (me.clone(), own.generation);
        tokio::spawn(async move {
            let (before, outcome) = super::call::settled(call.run())
                .await
                .unwrap_or_else(|| (0, Outcome::Store("the store panicked".to_owned())));
            drop(turn);
            let _ = me.cast(Msg::Called(id, generation, before, outcome));
        });
    }

    fn called(&mut self, me: &ActorRef<Msg>, id: RoomId, (generation, before): (u64, Seq), outcome: Outcome) {
        // A room stays here while a call for it is under way.
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.calling = false;
        self.under_way.ends(std::mem::take(&mut room.asked));
        let answered = !matches!(outcome, Outcome::Unavailable(_) | Outcome::Store(_));
        if answered && std::mem::take(&mut self.failures) > 0 {
            tracing::info!(consumer = self.label, "the consumer takes entries again");
        }
        match outcome {
            Outcome::UpTo(seq) if seq > before || seq >= room.end => {
                room.moves_on();
                metrics::counter!("parlance_feed_entries_total", "consumer" => self.label.clone())
                    .increment(seq - before);
                self.got(id, generation, (before, seq), None);
                self.ready.insert(id);
            }
            Outcome::Later(seq, pause, due) => {
                room.moves_on();
                self.got(id, generation, (before, seq), Some(due));
                self.wait(me, id, pause);
            }
            Outcome::Refused(seq, reason) => {
                let tries = room.refuses(seq);
                let pause = pause(tries);
                self.got(id, generation, (before, seq - 1), None);
                if tries >= TRIES_MAX { self.bury(me, id, generation, seq, reason) } else { self.wait(me, id, pause) }
            }
            Outcome::Panicked(seq, single) => {
                tracing::error!(consumer = self.label, room = %id, seq, "the consumer panicked");
                room.panics += u32::from(single);
                let (panics, pause) = (room.panics, pause(1));
                room.single = true;
                if panics >= PANICS_MAX {
                    self.bury(me, id, generation, seq, "the consumer panicked".to_owned());
                } else {
                    self.wait(me, id, pause);
                }
            }
            Outcome::Unavailable(reason) => {
                self.ready.insert(id);
                self.close(me, &reason);
            }
            Outcome::UpTo(_) | Outcome::Store(_) => {
                if let Outcome::Store(reason) = outcome {
                    tracing::info!(consumer = self.label, room = %id, reason, "the store has no page for a consumer now");
                }
                room.stalls = room.stalls.saturating_add(1);
                let pause = pause(room.stalls);
                self.wait(me, id, pause);
            }
        }
    }

    /// Leaves the destination alone for a while, whatever the room.
    fn close(&mut self, me: &ActorRef<Msg>, reason: &str) {
        // Calls that were under way together fail together, and count once.
        if self.closed_until.is_none_or(|until| until <= Instant::now()) {
            self.failures = self.failures.saturating_add(1);
        }
        let (pause, failures) = (pause(self.failures), self.failures);
        tracing::warn!(consumer = self.label, reason, failures, "the consumer takes nothing now");
        metrics::counter!("parlance_feed_failures_total", "consumer" => self.label.clone()).increment(1);
        self.closed_until = Some(Instant::now() + pause);
        me.send_after(pause, || Msg::Look);
    }

    fn got(&self, room: RoomId, generation: u64, (before, seq): (Seq, Seq), later: Option<Millis>) {
        let mut table = self.registry.table();
        // The first time, it was the store that said where the consumer was.
        let kept = if table.done(self.consumer, room).is_none() { before } else { 0 };
        table.got(self.consumer, room, Done { generation, seq, kept, later });
    }

    fn wait(&mut self, me: &ActorRef<Msg>, id: RoomId, pause: Duration) {
        if let Some(room) = self.rooms.get_mut(&id) {
            let until = Instant::now() + pause;
            room.wait = Some(until);
            self.waits.insert((until, id));
            me.send_after(pause, || Msg::Look);
        }
    }

    /// Gives an entry up: it is kept with the reason, and then the consumer goes on after it.
    fn bury(&mut self, me: &ActorRef<Msg>, id: RoomId, generation: u64, seq: Seq, mut reason: String) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.calling = true;
        let end = (0..=DEAD_LETTER_REASON_BYTES_MAX).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
        tracing::error!(consumer = self.label, room = %id, seq, reason, "an entry is given up");
        let (shared, consumer, me) = (self.registry.shared.clone(), self.label.clone(), me.clone());
        tokio::spawn(async move {
            let dead = DeadLetter { consumer, room: id, seq, at: shared.clock.now(), reason };
            let kept = super::call::settled(shared.store.put_dead(&dead)).await;
            let _ = me.cast(Msg::Buried(id, generation, seq, matches!(kept, Some(Ok(())))));
        });
    }

    fn buried(&mut self, me: &ActorRef<Msg>, id: RoomId, generation: u64, (seq, kept): (Seq, bool)) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.calling = false;
        if kept {
            room.moves_on();
            metrics::counter!("parlance_feed_dead_letters_total", "consumer" => self.label.clone()).increment(1);
            self.got(id, generation, (0, seq), None);
            self.ready.insert(id);
        } else {
            self.wait(me, id, PAUSE_MIN);
        }
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    (PAUSE_MIN * 2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(PAUSE_MAX)
}
