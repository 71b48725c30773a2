//! The relays that are open on this node, and how each is reached: whoever asks for a room's opens it.
//!
//! A relay's subscribers hang on its [`Seat`], which outlives it: the next relay finds them there, each with its position,
//! and catches them up from the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dashmap::DashMap;
use parlance_schema::{Fault, RoomId, TenantId};
use ractor::{ActorId, ActorRef};

use super::actor::{Args, Msg, Relay, Sub};
use crate::shared::Shared;
use crate::supervise::{self, Supervisor};

/// A room's place among the relays.
pub(crate) struct Seat {
    actor: Mutex<ActorRef<Msg>>,
    subs: Arc<Mutex<Vec<Sub>>>,
    /// Whose the room is, once its relay has read it.
    tenant: Arc<OnceLock<TenantId>>,
}

impl Seat {
    pub(super) fn actor(&self) -> ActorRef<Msg> {
        self.actor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Locks a seat's subscribers. A panic while they were locked left a position that is at most too low for frames that
/// were queued whole; none is ever too high.
pub(crate) fn lock(subs: &Mutex<Vec<Sub>>) -> MutexGuard<'_, Vec<Sub>> {
    subs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The relays of this node.
#[derive(Default)]
pub(crate) struct Registry {
    pub(super) seats: DashMap<RoomId, Arc<Seat>>,
    pub(super) supervisor: Supervisor,
}

impl Registry {
    /// Tells a room's relay something, opening it where there is none.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(crate) fn tell(&self, shared: &Arc<Shared>, room: RoomId, mut msg: Msg) -> Result<(), Fault> {
        for _ in 0..3 {
            let there = self.seats.get(&room).map(|seat| seat.clone());
            let actor = there.map_or_else(|| self.open(shared, room), Ok)?.actor();
            match actor.cast(msg) {
                Err(ractor::MessagingErr::SendErr(back)) => msg = back,
                _ => return Ok(()),
            }
            self.revive(shared, room, actor.get_id())?;
        }
        Err(Fault::busy("the room's relay is restarting"))
    }

    /// Has a session's subscription begin. It is noted on the seat, so that a crash of the relay can't lose it.
    pub(crate) fn start(&self, room: RoomId, session: u64) {
        if let Some(seat) = self.seats.get(&room).map(|seat| seat.clone()) {
            lock(&seat.subs).iter_mut().filter(|sub| sub.link.id == session).for_each(Sub::start);
            let _ = seat.actor().cast(Msg::CatchUp { session });
        }
    }

    /// Tells a room's relay something if there is one.
    pub(crate) fn tell_open(&self, room: RoomId, msg: Msg) {
        if let Some(seat) = self.seats.get(&room).map(|seat| seat.clone()) {
            let _ = seat.actor().cast(msg);
        }
    }

    fn open(&self, shared: &Arc<Shared>, room: RoomId) -> Result<Arc<Seat>, Fault> {
        let supervisor = self.supervisor.get()?;
        let slot = self.seats.entry(room).or_try_insert_with(|| {
            let (subs, tenant) = (Arc::new(Mutex::new(Vec::new())), Arc::new(OnceLock::new()));
            let args = Args { room, shared: shared.clone(), subs: subs.clone(), tenant: tenant.clone() };
            let actor = supervise::spawn(Relay, args, supervisor)?;
            Ok::<_, Fault>(Arc::new(Seat { actor: Mutex::new(actor), subs, tenant }))
        })?;
        Ok(slot.clone())
    }

    /// Puts a new relay on the seat of one that crashed.
    pub(super) fn reopen(&self, shared: &Arc<Shared>, room: RoomId, seat: &Seat, dead: ActorId) -> Result<(), Fault> {
        let mut actor = seat.actor.lock().unwrap_or_else(PoisonError::into_inner);
        if actor.get_id() == dead {
            metrics::counter!("parlance_restarts_total", "actor" => "relay").increment(1);
            let (subs, tenant) = (seat.subs.clone(), seat.tenant.clone());
            let args = Args { room, shared: shared.clone(), subs, tenant };
            *actor = supervise::spawn(Relay, args, self.supervisor.get()?)?;
        }
        Ok(())
    }

    /// Takes a dead relay off the list, or puts a new one on its seat where somebody subscribes. One that dies while it
    /// starts has no supervisor yet who would be told.
    pub(super) fn revive(&self, shared: &Arc<Shared>, room: RoomId, dead: ActorId) -> Result<(), Fault> {
        self.forget(room, dead);
        let seat = self.seats.get(&room).map(|seat| seat.clone());
        match seat {
            Some(seat) if seat.actor().get_id() == dead => self.reopen(shared, room, &seat, dead),
            _ => Ok(()),
        }
    }

    /// Takes a relay off the list, if it is still this actor's and nobody subscribes.
    pub(crate) fn forget(&self, room: RoomId, actor: ActorId) {
        self.seats.remove_if(&room, |_, seat| seat.actor().get_id() == actor && lock(&seat.subs).is_empty());
    }

    /// Ends the subscriptions of a session that wait for its go, where whoever was to give it is dead.
    pub(crate) fn end_waiting(&self, session: u64) {
        for slot in &self.seats {
            lock(&slot.subs).retain(|sub| sub.link.id != session || sub.started());
        }
    }

    /// The rooms that a session is subscribed to; for a Session that takes a crashed one's place.
    pub(crate) fn rooms_of_session(&self, session: u64) -> Vec<RoomId> {
        let has = |seat: &Seat| lock(&seat.subs).iter().any(|sub| sub.link.id == session && sub.started());
        let mut rooms: Vec<_> = self.seats.iter().filter(|slot| has(slot.value())).map(|slot| *slot.key()).collect();
        rooms.sort_unstable();
        rooms
    }

    /// Whether a session gets a room's entries, or is about to.
    pub(crate) fn serves(&self, room: RoomId, session: u64) -> bool {
        self.seats.get(&room).is_some_and(|seat| lock(&seat.subs).iter().any(|sub| sub.link.id == session))
    }

    /// Connections by room, of a tenant's rooms that have any.
    pub(crate) fn connections(&self, tenant: TenantId) -> BTreeMap<RoomId, u64> {
        let theirs = self.seats.iter().filter(|slot| slot.tenant.get() == Some(&tenant));
        let counts =
            theirs.map(|slot| (*slot.key(), lock(&slot.subs).iter().filter(|sub| sub.started()).count() as u64));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The actors by room, in an order that doesn't depend on the table's hasher.
    pub(crate) fn all(&self) -> Vec<(RoomId, ActorRef<Msg>)> {
        let mut all: Vec<_> = self.seats.iter().map(|slot| (*slot.key(), slot.actor())).collect();
        all.sort_unstable_by_key(|(room, _)| *room);
        all
    }

    pub(crate) fn get(&self, room: RoomId) -> Option<ActorRef<Msg>> {
        self.seats.get(&room).map(|seat| seat.actor())
    }
}
