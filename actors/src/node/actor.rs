//! The Node: root of the tree.
//!
//! Owns: nothing but its children. Restarts a plural supervisor that fails; a singular worker is its plural's business.

use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::tree::Tree;
use crate::cluster::gap_probe::GapProbe;
use crate::cluster::store_probe::StoreProbe;
use crate::feed::Feed;
use crate::janitor::Janitor;
use crate::ports::bus::Subscription;
use crate::presence::Presence;
use crate::relay::Relays;
use crate::room::Rooms;
use crate::session::Sessions;

/// The root actor.
pub(crate) struct Node;

/// What the Node can be told; its work is supervision.
pub enum Msg {
    /// Shows how often its children were restarted.
    Inspect(tokio::sync::oneshot::Sender<serde_json::Value>),
}

/// The Node's children by name, and how often each was restarted.
pub(crate) struct State {
    tree: Arc<Tree>,
    children: Vec<(&'static str, ActorCell, u64)>,
    /// What other nodes are answered, from when the children are there.
    responding: Option<Subscription>,
}

const CHILDREN: [&str; 8] = ["feed", "rooms", "relays", "presence", "gap_probe", "sessions", "store_probe", "janitor"];

impl State {
    async fn start(&self, name: &'static str, me: &ActorRef<Msg>) -> Result<ActorCell, ActorProcessingErr> {
        let (tree, me) = (&*self.tree, me.get_cell());
        Ok(match name {
            "feed" => Actor::spawn_linked(None, Feed, tree.registries.feed.clone(), me).await?.0.get_cell(),
            "rooms" => Actor::spawn_linked(None, Rooms, tree.registries.lanes.rooms.clone(), me).await?.0.get_cell(),
            "relays" => Actor::spawn_linked(None, Relays, tree.registries.relays.clone(), me).await?.0.get_cell(),
            "presence" => {
                let args = (tree.registries.shared.clone(), tree.registries.presence.clone());
                Actor::spawn_linked(None, Presence, args, me).await?.0.get_cell()
            }
            "gap_probe" => Actor::spawn_linked(None, GapProbe, tree.registries.clone(), me).await?.0.get_cell(),
            "sessions" => Actor::spawn_linked(None, Sessions, tree.sessions.clone(), me).await?.0.get_cell(),
            "store_probe" => {
                Actor::spawn_linked(None, StoreProbe, tree.registries.shared.clone(), me).await?.0.get_cell()
            }
            _ => Actor::spawn_linked(None, Janitor, tree.registries.shared.clone(), me).await?.0.get_cell(),
        })
    }
}

impl Actor for Node {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Tree>;

    async fn pre_start(&self, me: ActorRef<Msg>, tree: Arc<Tree>) -> Result<State, ActorProcessingErr> {
        let mut state = State { tree, children: Vec::new(), responding: None };
        for name in CHILDREN {
            let cell = state.start(name, &me).await?;
            state.children.push((name, cell, 0));
        }
        state.responding = Some(state.tree.registries.shared.bus.respond(state.tree.registries.respond()));
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let Msg::Inspect(reply) = msg;
        let children: Vec<_> = state
            .children
            .iter()
            .map(|(name, cell, restarts)| {
                serde_json::json!({"name": name, "status": format!("{:?}", cell.get_status()), "restarts": restarts})
            })
            .collect();
        let _ = reply.send(serde_json::json!(children));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (SupervisionEvent::ActorFailed(who, _) | SupervisionEvent::ActorTerminated(who, _, _)) = event else {
            return Ok(());
        };
        let Some(at) = state.children.iter().position(|(_, cell, _)| cell.get_id() == who.get_id()) else {
            return Ok(());
        };
        let name = state.children[at].0;
        tracing::error!(name, "supervisor ended: starting it again");
        metrics::counter!("parlance_restarts_total", "actor" => name).increment(1);
        let cell = state.start(name, &me).await?;
        state.children[at].1 = cell;
        state.children[at].2 += 1;
        Ok(())
    }
}
