//! What all actors of one node share: its ports, its settings, its view of the cluster. It knows none of them: each registry
//! (`room/registry.rs`, `relay/registry.rs`…) holds this, and those registries that it needs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parlance_schema::entry::Entry;
use parlance_schema::limits;
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};

use crate::cluster_view::Cluster;
use crate::ids::Ids;
use crate::meters::Meters;
use crate::ports::bus::RoomEvent;
use crate::ports::{Authority, Bus, Clock, Consumer, Membership, Random, Store};
use crate::usernames::Usernames;

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
    /// Who follows logs on this node.
    pub consumers: Vec<Arc<dyn Consumer>>,
}

/// What the actors of one node share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) cluster: Cluster,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) options: Options,
    pub(crate) meters: Meters,
    pub(crate) names: Usernames,
    /// Set once the node takes no more connections.
    pub(crate) draining: AtomicBool,
}

impl Shared {
    pub(crate) fn new(ports: Ports, options: Options) -> Self {
        Self {
            ids: ports.ids,
            store: ports.store,
            bus: ports.bus,
            cluster: Cluster::new(ports.membership),
            clock: ports.clock,
            random: ports.random,
            authority: ports.authority,
            options,
            meters: Meters::default(),
            names: Usernames::default(),
            draining: AtomicBool::new(false),
        }
    }

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
            entry.joined().for_each(tell);
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
