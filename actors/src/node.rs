//! The Node: root of the tree, and what its actors share.
//!
//! Owns: nothing but its children. Restarts a plural supervisor that fails; a singular worker is its plural's business.

mod drain;
mod fill;
mod handle;
mod knowledge;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parlance_schema::UserId;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::event::Notice;
use parlance_schema::limits;
use parlance_schema::node::NodeState;
use parlance_schema::{Fault, RoomId};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::cluster::Cluster;
use crate::forward::Lanes;
use crate::ids::Ids;
use crate::meters::Meters;
use crate::names::Names;
use crate::ports::bus::{RoomEvent, Subscription};
use crate::ports::{Authority, Bus, Clock, Membership, Random, Store};
use crate::{answers, aside, janitor, lookout, presence, relays, rooms, sessions};
pub(crate) use knowledge::guarded;

pub use fill::{FillError, fill};
pub use handle::{Handle, Victim};
pub use knowledge::{encode_state, read_room};

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Milliseconds without a byte after which a client is pinged.
    pub heartbeat_ms: u64,
    /// Milliseconds without a byte after which a connection is closed.
    pub silence_ms: u64,
    /// Milliseconds without reading, while behind, after which a connection is closed.
    pub slow_close_ms: u64,
    /// Milliseconds after which a user without a connection is offline.
    pub offline_after_ms: u64,
    /// Commands a second that one session may give, with a burst of the same size; 0 is without limit.
    pub commands_per_s: u32,
    /// Milliseconds after which a room without work sleeps.
    pub room_idle_ms: u64,
    /// Connections that one user may have at once.
    pub connections_per_user: usize,
    /// Clients a second that are asked to come back when the node drains.
    pub reconnects_per_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_ms: limits::HEARTBEAT_MS,
            silence_ms: limits::SILENCE_MS,
            slow_close_ms: limits::SLOW_CLOSE_MS,
            offline_after_ms: 3_000,
            commands_per_s: limits::COMMANDS_PER_S,
            room_idle_ms: limits::ROOM_IDLE_MS,
            connections_per_user: limits::CONNECTIONS_PER_USER,
            reconnects_per_s: limits::RECONNECTS_PER_S,
        }
    }
}

/// The ports of a node.
#[derive(Clone)]
pub struct Ports {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// What goes between nodes.
    pub bus: Arc<dyn Bus>,
    /// Who else is there.
    pub membership: Arc<dyn Membership>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Who checks tokens.
    pub authority: Arc<dyn Authority>,
    /// Where ids come from.
    pub ids: Arc<Ids>,
}

/// What the actors of one node share.
pub struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) cluster: Cluster,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) options: Options,
    pub(crate) meters: Meters,
    pub(crate) lanes: Lanes,
    pub(crate) rooms: rooms::Registry,
    pub(crate) relays: relays::Registry,
    pub(crate) sessions: sessions::Registry,
    pub(crate) looks: lookout::Looks,
    pub(crate) presence: presence::Table,
    pub(crate) names: Names,
    /// Set once the node takes no more connections.
    pub(crate) draining: AtomicBool,
}

impl Shared {
    /// A random number below 2^53.
    pub(crate) fn random_id(&self) -> u64 {
        (self.random.bits() & limits::ID_MAX).max(1)
    }

    /// Publishes what was appended to a room's log, and tells those who became members by it.
    pub(crate) fn announce(&self, room: RoomId, entries: &Arc<[Arc<Entry>]>) {
        self.bus.publish_room(room, RoomEvent::Appended(entries.clone()));
        self.tell_new_members(room, entries);
    }

    /// Tells users who became members, on whatever node they are connected.
    fn tell_new_members(&self, room: RoomId, entries: &[Arc<Entry>]) {
        let tell = |user: UserId| self.bus.publish_user(user, Notice::RoomAdded { room });
        for entry in entries {
            match &entry.fact {
                Fact::Created { members, .. } => members.iter().copied().for_each(tell),
                Fact::Added { users } => users.iter().copied().for_each(tell),
                Fact::Joined { .. } => tell(entry.by),
                _ => {}
            }
        }
    }

    /// Notes what a moderator did in a room that they are not in.
    pub(crate) fn audit(&self, by: UserId, room: RoomId, what: &'static str) {
        let (store, at) = (self.store.clone(), self.clock.now());
        tracing::info!(%by, %room, what, "moderator acted");
        tokio::spawn(async move {
            if let Err(error) = store.audit(at, by, Some(room), what).await {
                tracing::error!(%by, %room, what, %error, "audit not written");
            }
        });
    }
}

/// Starts a node.
///
/// # Errors
/// When an actor can't be started.
pub async fn start(ports: Ports, options: Options) -> Result<Handle, Fault> {
    let shared = Arc::new(Shared {
        ids: ports.ids,
        store: ports.store,
        bus: ports.bus,
        cluster: Cluster::new(ports.membership),
        clock: ports.clock,
        random: ports.random,
        authority: ports.authority,
        options,
        meters: Meters::default(),
        lanes: Lanes::default(),
        rooms: rooms::Registry::default(),
        relays: relays::Registry::default(),
        sessions: sessions::Registry::default(),
        looks: lookout::Looks::default(),
        presence: presence::Table::default(),
        names: Names::default(),
        draining: AtomicBool::new(false),
    });
    let (root, _) = Actor::spawn(None, Node, shared.clone())
        .await
        .map_err(|error| Fault::internal(format!("the node's actors did not start: {error}")))?;
    if let Err(error) = shared.cluster.announce(NodeState::Ready).await {
        tracing::warn!(%error, "the other nodes don't know yet that this one is ready");
    }
    Ok(Handle::new(shared, root))
}

/// The root actor.
pub(crate) struct Node;

/// What the Node can be told; its work is supervision.
pub enum Msg {
    /// Shows how often its children were restarted.
    Picture(tokio::sync::oneshot::Sender<serde_json::Value>),
}

/// The Node's children by name, and how often each was restarted.
pub(crate) struct State {
    shared: Arc<Shared>,
    children: Vec<(&'static str, ActorCell, u64)>,
    /// What other nodes are answered, from when the children are there.
    answers: Option<Subscription>,
}

const CHILDREN: [&str; 7] = ["rooms", "relays", "presence", "lookout", "sessions", "aside", "janitor"];

impl State {
    async fn start(&self, name: &'static str, me: &ActorRef<Msg>) -> Result<ActorCell, ActorProcessingErr> {
        let (shared, me) = (self.shared.clone(), me.get_cell());
        Ok(match name {
            "rooms" => Actor::spawn_linked(None, rooms::Rooms, shared, me).await?.0.get_cell(),
            "relays" => Actor::spawn_linked(None, relays::Relays, shared, me).await?.0.get_cell(),
            "presence" => Actor::spawn_linked(None, presence::Presence, shared, me).await?.0.get_cell(),
            "lookout" => Actor::spawn_linked(None, lookout::Lookout, shared, me).await?.0.get_cell(),
            "sessions" => Actor::spawn_linked(None, sessions::Sessions, shared, me).await?.0.get_cell(),
            "aside" => Actor::spawn_linked(None, aside::Aside, shared, me).await?.0.get_cell(),
            _ => Actor::spawn_linked(None, janitor::Janitor, shared, me).await?.0.get_cell(),
        })
    }
}

impl Actor for Node {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        let mut state = State { shared, children: Vec::new(), answers: None };
        for name in CHILDREN {
            let cell = state.start(name, &me).await?;
            state.children.push((name, cell, 0));
        }
        state.answers = Some(state.shared.bus.respond(answers::responder(&state.shared)));
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let Msg::Picture(reply) = msg;
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
