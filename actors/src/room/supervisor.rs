//! Rooms: has rooms look whether they should sleep or go, and restarts one that crashed.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::actor::Msg as RoomMsg;
use super::registry::Registry;
use crate::supervise;

/// The supervisor of all rooms that are awake here.
pub(crate) struct Rooms;

/// What Rooms can be told.
pub(crate) enum Msg {
    /// Has the rooms look whether they should sleep.
    Tick,
    /// The nodes in view are others: rooms that are not at home here any more go.
    Viewed,
}

impl Actor for Rooms {
    type Msg = Msg;
    type State = Arc<Registry>;
    type Arguments = Arc<Registry>;

    async fn pre_start(&self, me: ActorRef<Msg>, rooms: Arc<Registry>) -> Result<Arc<Registry>, ActorProcessingErr> {
        rooms.rooms.clear();
        rooms.supervisor.set(me.get_cell());
        me.send_interval(Duration::from_millis(1_000), || Msg::Tick);
        let mut view = rooms.shared.cluster.watch();
        tokio::spawn(async move { while view.changed().await.is_ok() && me.cast(Msg::Viewed).is_ok() {} });
        Ok(rooms)
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, rooms: &mut Arc<Registry>) -> Result<(), ActorProcessingErr> {
        let all = rooms.all();
        if let Msg::Viewed = msg {
            for (room, _) in all.into_iter().filter(|(room, _)| rooms.shared.cluster.elsewhere(*room).is_some()) {
                rooms.end_room(room);
            }
            return Ok(());
        }
        metrics::gauge!("parlance_rooms_awake").set(all.len() as f64);
        rooms.shared.cluster.measure();
        for (_, room) in all {
            let _ = room.cast(RoomMsg::Tick);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: SupervisionEvent,
        rooms: &mut Arc<Registry>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(who) = supervise::failed(&event) else { return Ok(()) };
        let found = rooms.rooms.iter().find(|slot| slot.get_id() == who).map(|slot| *slot.key());
        metrics::counter!("parlance_restarts_total", "actor" => "room").increment(1);
        let Some(room) = found else {
            tracing::error!(event = %event, "room ended: a command has woken it already");
            return Ok(());
        };
        tracing::error!(%room, event = %event, "room ended: waking it from the store");
        rooms.forget(room, who);
        if let Err(fault) = rooms.wake(room) {
            tracing::error!(%room, %fault, "room not woken");
        }
        Ok(())
    }
}
