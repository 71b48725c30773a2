//! Relays: opens a relay for a room that somebody here looks at, and restarts one that crashed.
//!
//! A relay's subscribers hang on its [`Seat`], which outlives it: the next relay finds them there, each with its position,
//! and catches them up from the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use parlance_schema::{Fault, RoomId, TenantId};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::node::Shared;
use crate::relay::{self, Sub};
use crate::supervise::{self, Supervisor};

/// A room's place among the relays.
pub(crate) struct Seat {
    actor: Mutex<ActorRef<relay::Msg>>,
    subs: Arc<Mutex<Vec<Sub>>>,
    /// Whose the room is, once its relay has read it.
    tenant: Arc<OnceLock<TenantId>>,
}

impl Seat {
    fn actor(&self) -> ActorRef<relay::Msg> {
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
    seats: DashMap<RoomId, Arc<Seat>>,
    supervisor: Supervisor,
}

impl Registry {
    /// Tells a room's relay something, opening it where there is none.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(crate) fn tell(&self, shared: &Arc<Shared>, room: RoomId, mut msg: relay::Msg) -> Result<(), Fault> {
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
            let _ = seat.actor().cast(relay::Msg::CatchUp { session });
        }
    }

    /// Tells a room's relay something if there is one.
    pub(crate) fn tell_open(&self, room: RoomId, msg: relay::Msg) {
        if let Some(seat) = self.seats.get(&room).map(|seat| seat.clone()) {
            let _ = seat.actor().cast(msg);
        }
    }

    fn open(&self, shared: &Arc<Shared>, room: RoomId) -> Result<Arc<Seat>, Fault> {
        let supervisor = self.supervisor.get()?;
        let slot = self.seats.entry(room).or_try_insert_with(|| {
            let (subs, tenant) = (Arc::new(Mutex::new(Vec::new())), Arc::new(OnceLock::new()));
            let args = relay::Args { room, shared: shared.clone(), subs: subs.clone(), tenant: tenant.clone() };
            let actor = supervise::spawn(relay::Relay, args, supervisor)?;
            Ok::<_, Fault>(Arc::new(Seat { actor: Mutex::new(actor), subs, tenant }))
        })?;
        Ok(slot.clone())
    }

    /// Puts a new relay on the seat of one that crashed.
    fn reopen(&self, shared: &Arc<Shared>, room: RoomId, seat: &Seat, dead: ActorId) -> Result<(), Fault> {
        let mut actor = seat.actor.lock().unwrap_or_else(PoisonError::into_inner);
        if actor.get_id() == dead {
            metrics::counter!("parlance_restarts_total", "actor" => "relay").increment(1);
            let (subs, tenant) = (seat.subs.clone(), seat.tenant.clone());
            let args = relay::Args { room, shared: shared.clone(), subs, tenant };
            *actor = supervise::spawn(relay::Relay, args, self.supervisor.get()?)?;
        }
        Ok(())
    }

    /// Takes a dead relay off the list, or puts a new one on its seat where somebody subscribes. One that dies while it
    /// starts has no supervisor yet who would be told.
    fn revive(&self, shared: &Arc<Shared>, room: RoomId, dead: ActorId) -> Result<(), Fault> {
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
    pub(crate) fn all(&self) -> Vec<(RoomId, ActorRef<relay::Msg>)> {
        let mut all: Vec<_> = self.seats.iter().map(|slot| (*slot.key(), slot.actor())).collect();
        all.sort_unstable_by_key(|(room, _)| *room);
        all
    }

    pub(crate) fn get(&self, room: RoomId) -> Option<ActorRef<relay::Msg>> {
        self.seats.get(&room).map(|seat| seat.actor())
    }
}

/// The supervisor of all relays.
pub(crate) struct Relays;

/// What Relays can be told.
pub(crate) enum Msg {
    /// Has the relays look whether they are still needed.
    Tick,
}

impl Actor for Relays {
    type Msg = Msg;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<Arc<Shared>, ActorProcessingErr> {
        shared.relays.supervisor.set(me.get_cell());
        let mut seats: Vec<_> = shared.relays.seats.iter().map(|s| (*s.key(), s.value().clone())).collect();
        seats.sort_unstable_by_key(|(room, _)| *room);
        for (room, seat) in seats {
            let dead = seat.actor().get_id();
            shared.relays.reopen(&shared, room, &seat, dead).map_err(|fault| fault.to_string())?;
        }
        me.send_interval(Duration::from_millis(1_000), || Msg::Tick);
        Ok(shared)
    }

    async fn handle(
        &self,
        _: ActorRef<Msg>,
        Msg::Tick: Msg,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        let all = shared.relays.all();
        metrics::gauge!("parlance_relays_open").set(all.len() as f64);
        for (room, relay) in all {
            if relay.cast(relay::Msg::Tick).is_err()
                && let Err(fault) = shared.relays.revive(shared, room, relay.get_id())
            {
                tracing::error!(%room, %fault, "relay not opened");
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: SupervisionEvent,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let found = shared.relays.seats.iter().find(|slot| slot.actor().get_id() == who);
        let found = found.map(|slot| (*slot.key(), slot.value().clone()));
        if let Some((room, seat)) = found {
            tracing::error!(%room, event = %event, "relay ended: opening it again");
            if let Err(fault) = shared.relays.reopen(shared, room, &seat, who) {
                tracing::error!(%room, %fault, "relay not opened");
            }
        }
        Ok(())
    }
}
