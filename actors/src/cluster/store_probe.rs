//! StoreProbe: a node that can't reach its store stands aside, and its rooms go to nodes that can.
//!
//! Owns: how often in a row the store was found away. Receives: its own ticks. Emits: what this node is about, to the
//! other nodes. Restarted by [`crate::node`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlance_schema::node::NodeState;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::timeout;

use crate::shared::Shared;

/// Between two looks at the store.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a store that is there may take to say so.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// Looks in a row that must find the store away before that is believed; that it is there, one of them proves.
const LOOKS: u32 = 2;

/// The StoreProbe actor.
pub(crate) struct StoreProbe;

/// What StoreProbe can be told.
pub(crate) enum Msg {
    /// Looks at the store.
    Tick,
}

/// The state of StoreProbe.
pub(crate) struct State {
    shared: Arc<Shared>,
    /// How many looks in a row found the store away.
    away: u32,
}

impl Actor for StoreProbe {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        if !shared.cluster.is_single_node() {
            me.send_after(PERIOD, || Msg::Tick);
        }
        Ok(State { shared, away: 0 })
    }

    async fn handle(&self, me: ActorRef<Msg>, Msg::Tick: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        if !state.shared.draining.load(Ordering::Acquire) {
            state.look().await;
            me.send_after(PERIOD, || Msg::Tick);
        }
        Ok(())
    }
}

impl State {
    async fn look(&mut self) {
        let there = timeout(LOOK_MAX, self.shared.store.health()).await.is_ok_and(|health| health.writable);
        self.away = if there { 0 } else { self.away.saturating_add(1) };
        let cluster = &self.shared.cluster;
        let wanted = match cluster.membership.me().state {
            NodeState::Degraded if there => NodeState::Ready,
            NodeState::Ready if self.away >= LOOKS => NodeState::Degraded,
            _ => return,
        };
        if there {
            tracing::info!("the store can be reached again: rooms come back");
        } else {
            tracing::warn!("the store can't be reached from here: rooms are left to other nodes");
        }
        if let Err(error) = cluster.announce(wanted).await {
            tracing::warn!(%error, state = ?wanted, "the other nodes are not told yet");
        }
    }
}
