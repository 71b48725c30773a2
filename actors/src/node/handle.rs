//! A node's handle: what the gateway and tests hold of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parlance_schema::fault::Limit;
use parlance_schema::frame::Answer;
use parlance_schema::limits::CREDITS;
use parlance_schema::op::Op;
use parlance_schema::push::Push;
use parlance_schema::user::Principal;
use parlance_schema::{Code, Fault, RoomId};
use ractor::ActorRef;

use super::actor::Msg;
use super::drain;
use super::tree::Tree;
use crate::link::{Link, Receiver};
use crate::ports::bus::BusState;
use crate::service::{ActorView, After, ClusterHealth, Health, Service, What};
use crate::{ops, session, supervise};

/// Actors of a kind that are shown at most.
const INSPECTED_MAX: usize = 1_000;

/// A running node.
pub struct Handle {
    tree: Arc<Tree>,
    root: ActorRef<Msg>,
    next_session: AtomicU64,
}

/// An actor to be ended, in tests of supervision.
#[derive(Clone, Copy, Debug)]
pub enum Victim {
    /// The room's writer.
    Room(RoomId),
    /// The room's relay.
    Relay(RoomId),
    /// A connection's Session.
    Session(u64),
}

impl Handle {
    pub(super) fn new(tree: Arc<Tree>, root: ActorRef<Msg>) -> Self {
        // Session ids of different boots differ, so that logs can be told apart.
        let first = (tree.registries.shared.random_id() >> 20) << 20;
        Self { tree, root, next_session: AtomicU64::new(first | 1) }
    }

    /// Ends an actor: by a panic in its handler, or by killing it. False when there is no such actor.
    pub fn end(&self, victim: Victim, panic: bool) -> bool {
        match victim {
            Victim::Room(room) => self.tree.registries.lanes.rooms.end(room, panic),
            Victim::Relay(room) => self.tree.registries.relays.end(room, panic),
            Victim::Session(id) => self.tree.sessions.end(id, panic),
        }
    }

    /// Connections, and users who have one.
    #[must_use]
    pub fn online(&self) -> (usize, usize) {
        (self.tree.sessions.len(), self.tree.registries.presence.len())
    }

    /// Hands the rooms over where there are other nodes, tells all clients to come back, spread over `spread_ms` or longer so
    /// that no more than [`super::Options::reconnects_per_s`] do at once, closes their connections, and leaves the cluster.
    pub async fn drain(&self, spread_ms: u64) {
        drain::drain(&self.tree, spread_ms).await;
    }

    /// Stops all actors in order.
    pub async fn stop(&self) {
        self.root.stop(None);
        let _ = self.root.wait(Some(Duration::from_secs(5))).await;
    }

    fn check_connections(&self, link: &Link) -> Result<(), Fault> {
        if self.tree.registries.shared.draining.load(Ordering::Acquire) {
            return Err(Fault::new(Code::Restarting, "the server is restarting: reconnect and resume").after(100));
        }
        if self.tree.registries.presence.sessions(link.principal.user)
            >= self.tree.registries.shared.options.connections_per_user
        {
            let detail = "your user has too many connections: close one, or try again in 10 s";
            return Err(Fault::rate_limited(Limit::UserConnections, detail, 10_000));
        }
        Ok(())
    }
}

#[async_trait]
impl Service for Handle {
    async fn perform(&self, who: Principal, op: Op) -> Result<Answer, Fault> {
        ops::perform(&self.tree.registries, who, op).await
    }

    async fn connect(&self, link: Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        self.check_connections(&link)?;
        let receiver = self.tree.sessions.connect(&link)?;
        link.push(&Push::Hello {
            session: link.id,
            user: link.principal.user,
            now: self.tree.registries.shared.clock.now(),
            credits: CREDITS,
            heartbeat_ms: self.tree.registries.shared.options.heartbeat_ms,
            requests_per_s: self.tree.registries.shared.options.commands_per_s,
            token_expires_at: link.liveness.expires(),
        });
        Ok(receiver)
    }

    async fn enter(&self, link: Arc<Link>, after: Option<After>) -> Result<Box<dyn Receiver>, Fault> {
        self.check_connections(&link)?;
        let position =
            session::position(&self.tree.registries.shared, &self.tree.registries.relays, &link, after).await?;
        session::enter(&self.tree.registries.relays, &link, position).await?;
        let room =
            link.room.ok_or_else(|| Fault::internal("server error: this connection's room is not known; reconnect"))?;
        match self.tree.sessions.connect(&link) {
            Ok(receiver) => {
                self.tree.registries.relays.start(room, link.id);
                Ok(receiver)
            }
            Err(fault) => {
                self.tree.registries.relays.unsubscribe(room, link.id);
                Err(fault)
            }
        }
    }

    async fn is_there(&self, who: Principal, what: What) -> Result<bool, Fault> {
        let room = match what {
            What::Room(room) => Some(room),
            What::Message(id) => {
                self.tree.registries.shared.store.locate(id).await.map_err(ops::unavailable)?.map(|(room, _)| room)
            }
        };
        let Some(room) = room else { return Ok(false) };
        let found = self.tree.registries.shared.read_room(room).await.map_err(ops::unavailable)?;
        let Some((state, _)) = found.filter(|(state, _)| state.tenant == who.tenant) else { return Ok(false) };
        // Of a message that is hidden from somebody who is in the room nothing is told.
        Ok(matches!(what, What::Room(_)) || state.readable_from(&who).is_none())
    }

    fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    async fn actors(&self) -> Vec<ActorView> {
        let mut views = vec![supervise::inspect("node".into(), self.root.clone(), Msg::Inspect).await];
        views.extend(self.tree.registries.lanes.rooms.inspect(INSPECTED_MAX).await);
        views.extend(self.tree.registries.relays.inspect(INSPECTED_MAX).await);
        views.extend(self.tree.sessions.inspect(INSPECTED_MAX).await);
        views
    }

    async fn health(&self) -> Health {
        let store = self.tree.registries.shared.store.health().await;
        let (bus, cluster) = (self.tree.registries.shared.bus.state(), &self.tree.registries.shared.cluster);
        let connected = *bus.borrow() != BusState::Away;
        let (view, backend) = (cluster.now(), self.tree.registries.shared.bus.backend());
        Health {
            ready: store.writable && !self.tree.registries.shared.draining.load(Ordering::Acquire),
            store,
            ids_left: self.tree.registries.shared.ids.left(),
            bus: if connected { backend.to_owned() } else { format!("{backend}: away") },
            cluster: ClusterHealth {
                node: cluster.me().clone(),
                connected,
                renewed: cluster.membership.is_renewed(),
                state: cluster.membership.me().state,
                nodes: view.nodes().iter().map(|node| (node.id.clone(), node.state)).collect(),
            },
        }
    }
}
