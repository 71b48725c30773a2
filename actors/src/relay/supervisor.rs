//! Relays: has relays look whether they are still needed, and opens again one that crashed.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::actor::Msg as RelayMsg;
use super::registry::Registry;
use crate::supervise;

/// The supervisor of all relays.
pub(crate) struct Relays;

/// What Relays can be told.
pub(crate) enum Msg {
    /// Has the relays look whether they are still needed.
    Tick,
}

impl Actor for Relays {
    type Msg = Msg;
    type State = Arc<Registry>;
    type Arguments = Arc<Registry>;

    async fn pre_start(&self, me: ActorRef<Msg>, relays: Arc<Registry>) -> Result<Arc<Registry>, ActorProcessingErr> {
        relays.supervisor.set(me.get_cell());
        let mut seats: Vec<_> = relays.seats.iter().map(|s| (*s.key(), s.value().clone())).collect();
        seats.sort_unstable_by_key(|(room, _)| *room);
        for (room, seat) in seats {
            let dead = seat.actor().get_id();
            relays.reopen(room, &seat, dead).map_err(|fault| fault.to_string())?;
        }
        me.send_interval(Duration::from_millis(1_000), || Msg::Tick);
        Ok(relays)
    }

    async fn handle(
        &self,
        _: ActorRef<Msg>,
        Msg::Tick: Msg,
        relays: &mut Arc<Registry>,
    ) -> Result<(), ActorProcessingErr> {
        let all = relays.all();
        metrics::gauge!("parlance_relays_open").set(all.len() as f64);
        for (room, relay) in all {
            if relay.cast(RelayMsg::Tick).is_err()
                && let Err(fault) = relays.revive(room, relay.get_id())
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
        relays: &mut Arc<Registry>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let found = relays.seats.iter().find(|slot| slot.actor().get_id() == who);
        let found = found.map(|slot| (*slot.key(), slot.value().clone()));
        if let Some((room, seat)) = found {
            tracing::error!(%room, event = %event, "relay ended: opening it again");
            if let Err(fault) = relays.reopen(room, &seat, who) {
                tracing::error!(%room, %fault, "relay not opened");
            }
        }
        Ok(())
    }
}
