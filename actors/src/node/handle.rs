//! A node's handle: what the gateway and tests hold of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parlance_schema::account::Principal;
use parlance_schema::frame::{Answer, Push};
use parlance_schema::limits::CREDITS;
use parlance_schema::op::Op;
use parlance_schema::{Code, Fault, RoomId, TenantId};
use ractor::{ActorRef, Message};
use tokio::sync::oneshot;

use super::actor::Msg;
use super::drain;
use crate::link::{Link, Receiver};
use crate::ports::bus::BusState;
use crate::service::{ActorView, After, ClusterHealth, Health, Service, What};
use crate::shared::Shared;
use crate::{ops, relay, room, session};

/// Actors that one picture shows at most.
const PICTURES_MAX: usize = 1_000;

/// A running node.
pub struct Handle {
    shared: Arc<Shared>,
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
    pub(super) fn new(shared: Arc<Shared>, root: ActorRef<Msg>) -> Self {
        // Session ids of different boots differ, so that logs can be told apart.
        let first = (shared.random_id() >> 20) << 20;
        Self { shared, root, next_session: AtomicU64::new(first | 1) }
    }

    /// Ends an actor: by a panic in its handler, or by killing it. False when there is no such actor.
    pub fn end(&self, victim: Victim, panic: bool) -> bool {
        fn strike<M: Message>(actor: Option<ActorRef<M>>, crash: Option<M>) -> bool {
            let Some(actor) = actor else { return false };
            match crash {
                Some(crash) => actor.cast(crash).is_ok(),
                None => {
                    actor.kill();
                    true
                }
            }
        }
        match victim {
            Victim::Room(room) => strike(self.shared.rooms.get(room), panic.then_some(room::Msg::Crash)),
            Victim::Relay(room) => strike(self.shared.relays.get(room), panic.then_some(relay::Msg::Crash)),
            Victim::Session(id) => strike(self.shared.sessions.get(id), panic.then_some(session::Msg::Crash)),
        }
    }

    /// Connections, and users who have one.
    #[must_use]
    pub fn online(&self) -> (usize, usize) {
        (self.shared.sessions.len(), self.shared.presence.len())
    }

    /// Hands the rooms over where there are other nodes, tells all clients to come back, spread over `spread_ms` or longer so
    /// that no more than [`super::Options::reconnects_per_s`] do at once, closes their connections, and leaves the cluster.
    pub async fn drain(&self, spread_ms: u64) {
        drain::drain(&self.shared, spread_ms).await;
    }

    /// Stops all actors in order.
    pub async fn stop(&self) {
        self.root.stop(None);
        let _ = self.root.wait(Some(Duration::from_secs(5))).await;
    }

    fn check_connections(&self, link: &Link) -> Result<(), Fault> {
        if self.shared.cluster.is_alone() {
            // News that a token is void can't be lost on the way here.
            link.keep_token(None);
        }
        if self.shared.draining.load(Ordering::Acquire) {
            return Err(Fault::new(Code::Restarting, "the node is draining").after(100));
        }
        if self.shared.presence.sessions(link.principal.user) >= self.shared.options.connections_per_user {
            return Err(Fault::new(Code::RateLimited, "too many connections of one user").after(10_000));
        }
        Ok(())
    }

    async fn picture<M: Message>(
        path: String,
        actor: ActorRef<M>,
        ask: impl FnOnce(oneshot::Sender<serde_json::Value>) -> M,
    ) -> ActorView {
        let (back, picture) = oneshot::channel();
        let status = format!("{:?}", actor.get_status());
        let sent = actor.cast(ask(back)).is_ok();
        let wait = tokio::time::timeout(Duration::from_millis(500), picture);
        let state = if sent { wait.await.ok().and_then(Result::ok) } else { None };
        ActorView { path, status, state: state.unwrap_or(serde_json::Value::Null) }
    }
}

#[async_trait]
impl Service for Handle {
    async fn perform(&self, who: Principal, op: Op) -> Result<Answer, Fault> {
        ops::perform(&self.shared, who, op).await
    }

    async fn connect(&self, link: Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        self.check_connections(&link)?;
        let receiver = session::Registry::connect(&self.shared, &link)?;
        link.push(&Push::Hello {
            session: link.id,
            user: link.principal.user,
            now: self.shared.clock.now(),
            credits: CREDITS,
            heartbeat_ms: self.shared.options.heartbeat_ms,
            token_expires_at: link.expires(),
        });
        Ok(receiver)
    }

    async fn enter(&self, link: Arc<Link>, after: Option<After>) -> Result<Box<dyn Receiver>, Fault> {
        self.check_connections(&link)?;
        let position = session::position(&self.shared, &link, after).await?;
        session::enter(&self.shared, &link, position).await?;
        let room = link.room.ok_or_else(|| Fault::internal("the connection is for no room"))?;
        match session::Registry::connect(&self.shared, &link) {
            Ok(receiver) => {
                self.shared.relays.start(room, link.id);
                Ok(receiver)
            }
            Err(fault) => {
                self.shared.relays.tell_open(room, relay::Msg::Unsubscribe { session: link.id });
                Err(fault)
            }
        }
    }

    async fn is_there(&self, tenant: TenantId, what: What) -> Result<bool, Fault> {
        let room = match what {
            What::Room(room) => Some(room),
            What::Message(id) => self.shared.store.locate(id).await.map_err(ops::unavailable)?.map(|(room, _)| room),
        };
        let Some(room) = room else { return Ok(false) };
        let found = self.shared.read_room(room).await.map_err(ops::unavailable)?;
        Ok(found.is_some_and(|(state, _)| state.tenant == tenant))
    }

    fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    async fn actors(&self) -> Vec<ActorView> {
        let mut views = vec![Self::picture("node".into(), self.root.clone(), Msg::Picture).await];
        for (id, actor) in self.shared.rooms.all().into_iter().take(PICTURES_MAX) {
            views.push(Self::picture(format!("rooms/{id}"), actor, room::Msg::Picture).await);
        }
        for (id, actor) in self.shared.relays.all().into_iter().take(PICTURES_MAX) {
            views.push(Self::picture(format!("relays/{id}"), actor, relay::Msg::Picture).await);
        }
        for (link, actor) in self.shared.sessions.all().into_iter().take(PICTURES_MAX) {
            views.push(Self::picture(format!("sessions/{}", link.id), actor, session::Msg::Picture).await);
        }
        views
    }

    async fn health(&self) -> Health {
        let store = self.shared.store.health().await;
        let (bus, cluster) = (self.shared.bus.state(), &self.shared.cluster);
        let connected = *bus.borrow() != BusState::Away;
        let (view, backend) = (cluster.now(), self.shared.bus.backend());
        Health {
            ready: store.writable && !self.shared.draining.load(Ordering::Acquire),
            store,
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
