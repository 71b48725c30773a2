//! Rooms: has rooms look whether they should sleep or go, and restarts one that crashed.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::actor::Msg as RoomMsg;
use crate::cluster::forwarding;
use crate::shared::Shared;
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
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<Arc<Shared>, ActorProcessingErr> {
        shared.rooms.rooms.clear();
        shared.rooms.supervisor.set(me.get_cell());
        me.send_interval(Duration::from_millis(1_000), || Msg::Tick);
        let mut view = shared.cluster.watch();
        tokio::spawn(async move { while view.changed().await.is_ok() && me.cast(Msg::Viewed).is_ok() {} });
        Ok(shared)
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, shared: &mut Arc<Shared>) -> Result<(), ActorProcessingErr> {
        let all = shared.rooms.all();
        if let Msg::Viewed = msg {
            for (room, _) in all.into_iter().filter(|(room, _)| shared.cluster.elsewhere(*room).is_some()) {
                forwarding::end(shared, room);
            }
            return Ok(());
        }
        metrics::gauge!("parlance_rooms_awake").set(all.len() as f64);
        shared.cluster.measure();
        for (_, room) in all {
            let _ = room.cast(RoomMsg::Tick);
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
        let found = shared.rooms.rooms.iter().find(|slot| slot.get_id() == who).map(|slot| *slot.key());
        metrics::counter!("parlance_restarts_total", "actor" => "room").increment(1);
        let Some(room) = found else {
            tracing::error!(event = %event, "room ended: a command has woken it already");
            return Ok(());
        };
        tracing::error!(%room, event = %event, "room ended: waking it from the store");
        shared.rooms.forget(room, who);
        if let Err(fault) = shared.rooms.wake(shared, room) {
            tracing::error!(%room, %fault, "room not woken");
        }
        Ok(())
    }
}
