//! The relays that are open on this node, and how each is reached: whoever asks for a room's opens it.
//!
//! A relay's subscribers hang on its [`RelaySeat`], which outlives it: the next relay finds them there, each with its position,
//! and catches them up from the log.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dashmap::DashMap;
use parlance_schema::{Fault, RoomId, TenantId};
use ractor::{ActorId, ActorRef};

use super::actor::{Args, Msg, Relay, Sub};
use super::gap_checks::GapChecks;
use crate::presence;
use crate::shared::Shared;
use crate::supervise::{self, Supervisor};

/// A room's place among the relays.
pub(super) struct RelaySeat {
    actor: Mutex<ActorRef<Msg>>,
    pub(super) subs: Arc<Mutex<Vec<Sub>>>,
    /// Whose the room is, once its relay has read it.
    pub(super) tenant: Arc<OnceLock<TenantId>>,
}

impl RelaySeat {
    pub(super) fn actor(&self) -> ActorRef<Msg> {
        self.actor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Locks a seat's subscribers. A panic while they were locked left a position that is at most too low for frames that
/// were queued whole; none is ever too high.
pub(super) fn lock(subs: &Mutex<Vec<Sub>>) -> MutexGuard<'_, Vec<Sub>> {
    subs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The relays of this node.
pub(crate) struct Registry {
    pub(super) shared: Arc<Shared>,
    pub(super) presence: Arc<presence::Registry>,
    /// Rooms whose relays may have missed something.
    pub(crate) gap_checks: GapChecks,
    pub(super) seats: DashMap<RoomId, Arc<RelaySeat>>,
    pub(super) supervisor: Supervisor,
}

impl Registry {
    /// A node's relays; none yet.
    pub(crate) fn new(shared: Arc<Shared>, presence: Arc<presence::Registry>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            presence,
            gap_checks: GapChecks::default(),
            seats: DashMap::new(),
            supervisor: Supervisor::default(),
        })
    }

    /// Tells a room's relay something, opening it where there is none.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(super) fn tell(self: &Arc<Self>, room: RoomId, mut msg: Msg) -> Result<(), Fault> {
        for _ in 0..3 {
            let there = self.seats.get(&room).map(|seat| seat.clone());
            let actor = there.map_or_else(|| self.open(room), Ok)?.actor();
            match actor.cast(msg) {
                Err(ractor::MessagingErr::SendErr(back)) => msg = back,
                _ => return Ok(()),
            }
            self.revive(room, actor.get_id())?;
        }
        Err(Fault::busy("the room is being reloaded: send the request again in a moment"))
    }

    /// Tells a room's relay something if there is one.
    pub(super) fn tell_open(&self, room: RoomId, msg: Msg) {
        if let Some(seat) = self.seats.get(&room).map(|seat| seat.clone()) {
            let _ = seat.actor().cast(msg);
        }
    }

    fn open(self: &Arc<Self>, room: RoomId) -> Result<Arc<RelaySeat>, Fault> {
        let supervisor = self.supervisor.get()?;
        let slot = self.seats.entry(room).or_try_insert_with(|| {
            let (subs, tenant) = (Arc::new(Mutex::new(Vec::new())), Arc::new(OnceLock::new()));
            let actor = supervise::spawn(Relay, self.args(room, subs.clone(), tenant.clone()), supervisor)?;
            Ok::<_, Fault>(Arc::new(RelaySeat { actor: Mutex::new(actor), subs, tenant }))
        })?;
        Ok(slot.clone())
    }

    fn args(self: &Arc<Self>, room: RoomId, subs: Arc<Mutex<Vec<Sub>>>, tenant: Arc<OnceLock<TenantId>>) -> Args {
        Args { room, shared: self.shared.clone(), relays: self.clone(), subs, tenant }
    }

    /// Puts a new relay on the seat of one that crashed.
    pub(super) fn reopen(self: &Arc<Self>, room: RoomId, seat: &RelaySeat, dead: ActorId) -> Result<(), Fault> {
        let mut actor = seat.actor.lock().unwrap_or_else(PoisonError::into_inner);
        if actor.get_id() == dead {
            metrics::counter!("parlance_restarts_total", "actor" => "relay").increment(1);
            let args = self.args(room, seat.subs.clone(), seat.tenant.clone());
            *actor = supervise::spawn(Relay, args, self.supervisor.get()?)?;
        }
        Ok(())
    }

    /// Takes a dead relay off the list, or puts a new one on its seat where somebody subscribes. One that dies while it
    /// starts has no supervisor yet who would be told.
    pub(super) fn revive(self: &Arc<Self>, room: RoomId, dead: ActorId) -> Result<(), Fault> {
        self.forget(room, dead);
        let seat = self.seats.get(&room).map(|seat| seat.clone());
        match seat {
            Some(seat) if seat.actor().get_id() == dead => self.reopen(room, &seat, dead),
            _ => Ok(()),
        }
    }

    /// Takes a relay off the list, if it is still this actor's and nobody subscribes.
    pub(super) fn forget(&self, room: RoomId, actor: ActorId) {
        self.seats.remove_if(&room, |_, seat| seat.actor().get_id() == actor && lock(&seat.subs).is_empty());
    }

    /// The actors by room, in an order that doesn't depend on the table's hasher.
    pub(super) fn all(&self) -> Vec<(RoomId, ActorRef<Msg>)> {
        let mut all: Vec<_> = self.seats.iter().map(|slot| (*slot.key(), slot.actor())).collect();
        all.sort_unstable_by_key(|(room, _)| *room);
        all
    }

    pub(super) fn get(&self, room: RoomId) -> Option<ActorRef<Msg>> {
        self.seats.get(&room).map(|seat| seat.actor())
    }
}
