//! A room whose home is elsewhere, and what those elsewhere are told of one that is at home here.

use std::time::Duration;

use parlance_schema::{Fault, Seq};
use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actor::{Ask, Handed, Msg, State};
use super::doubt;
use crate::ports::bus::RoomEvent;

/// When the last number is told after the last entry, in milliseconds: who missed that one has it then.
const BEATS_MS: [u64; 3] = [1_000, 5_000, 25_000];

/// How long a room that is to go waits for its append to end.
const APPEND_MAX: Duration = Duration::from_secs(1);

/// Appends refused in a row after which a room is left to its home.
const REFUSED_MAX: u32 = 2;

/// Whether the room is on its way to another node, and what was told of its log.
#[derive(Default)]
pub(super) struct Moving {
    /// Set once it is: nothing more is appended here.
    away: bool,
    /// Whether somebody is about to take what waits.
    expected: bool,
    /// Who takes what waits.
    back: Option<oneshot::Sender<Vec<Handed>>>,
    /// What was in an append that took too long.
    doubtful: Vec<Ask>,
    /// When the last entry was written, and how often its number was told since.
    wrote: Option<(Instant, usize)>,
}

impl Moving {
    /// Whether nothing more is appended here.
    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    /// Entries were written: their numbers are told again a little later.
    pub(super) fn wrote(&mut self) {
        self.wrote = Some((Instant::now(), 0));
    }
}

impl State {
    /// Ends here: what waits is given back.
    pub(super) fn hand_over(&mut self, me: &ActorRef<Msg>, back: oneshot::Sender<Vec<Handed>>) {
        self.moving.back = Some(back);
        if self.batch.is_some() {
            me.send_after(APPEND_MAX, || Msg::Overdue);
        }
        if !std::mem::replace(&mut self.moving.away, true) || self.moving.expected {
            self.leave(me);
        }
        self.moving.expected = false;
    }

    /// Waits no longer for the append in flight: whatever becomes of it, its commands can be sent again with their client ids.
    pub(super) fn overdue(&mut self) {
        let Some(batch) = self.batch.take_if(|_| self.moving.away) else { return };
        tracing::info!(room = %self.room, commands = batch.len(), "moving on in the middle of an append");
        if batch.entries().is_empty() {
            self.put_back(batch);
        } else {
            self.moving.doubtful = batch.into_asks();
        }
    }

    /// Leaves the room to its home if that is elsewhere, after it was refused too often.
    pub(super) fn steps_down(&mut self, me: &ActorRef<Msg>) -> bool {
        if self.moving.away {
            return true;
        }
        if self.refused < REFUSED_MAX || self.shared.cluster.elsewhere(self.room).is_none() {
            return false;
        }
        tracing::info!(room = %self.room, refused = self.refused, "another node writes to this room: leaving it to it");
        metrics::counter!("parlance_steps_down_total").increment(1);
        self.moving.away = true;
        self.moving.expected = self.ends(me);
        if !self.moving.expected {
            self.leave(me);
        }
        true
    }

    /// Has somebody ask for what waits here; says whether they will.
    pub(super) fn ends(&self, me: &ActorRef<Msg>) -> bool {
        self.rooms.is_listed(self.room, me.get_id()) && self.rooms.end_room(self.room)
    }

    /// Gives on what waits, once nothing is being appended.
    pub(super) fn give_on(&mut self) {
        if !self.moving.away || self.batch.is_some() {
            return;
        }
        // What came by way of a lane goes back to it.
        let doubtful = self.moving.doubtful.drain(..).filter_map(|mut ask| (!ask.reply.lost()).then_some((ask, true)));
        let waiting = self.waiting.drain(..).filter_map(|mut ask| (!ask.reply.moved()).then_some((ask, false)));
        let own: Vec<Handed> = doubtful.chain(waiting).map(|(ask, unsure)| Handed { ask, unsure }).collect();
        if self.moving.expected {
            self.waiting = own.into_iter().map(|handed| handed.ask).collect();
            return;
        }
        match self.moving.back.take() {
            // Where nobody waits for them any more, later ones have gone on: these must not follow.
            Some(back) => {
                for late in back.send(own).err().unwrap_or_default() {
                    let moved = Fault::busy("the room took too long to move");
                    late.ask.reply.send(Err(if late.unsure { doubt::unknown() } else { moved }));
                }
            }
            None => own.into_iter().for_each(|handed| self.rooms.route(self.room, handed.ask)),
        }
    }

    /// The last number that is certainly in the log: the state runs ahead of it.
    pub(super) fn settled(&self) -> Seq {
        match &self.batch {
            Some(batch) if !batch.entries().is_empty() => batch.first_sent().0 - 1,
            _ => self.last(),
        }
    }

    /// Tells the last number now and then after the last entry, so that a relay which missed that one learns of it.
    pub(super) fn beat(&mut self) {
        let Some((at, count)) = &mut self.moving.wrote else { return };
        if self.batch.is_some() || self.shared.cluster.is_single_node() {
            return;
        }
        let due = BEATS_MS.get(*count).is_some_and(|ms| at.elapsed() >= Duration::from_millis(*ms));
        if due && let Some(folded) = &self.folded {
            *count += 1;
            self.shared.bus.publish_room(self.room, RoomEvent::Last(folded.last));
        }
    }
}
