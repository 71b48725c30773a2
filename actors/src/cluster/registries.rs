//! What a node has that is not one connection's: its registries, as far as clients' operations and other nodes' questions
//! reach them.

use std::sync::Arc;

use parlance_schema::TenantId;
use parlance_schema::view::StatsView;

use super::forwarding::Lanes;
use crate::ports::Consumer;
use crate::shared::Shared;
use crate::{feed, presence, relay};

/// A node's registries, from the lowest up: each knows those before it, none of those after it.
pub(crate) struct Registries {
    pub(crate) shared: Arc<Shared>,
    pub(crate) presence: Arc<presence::Registry>,
    pub(crate) relays: Arc<relay::Registry>,
    pub(crate) feed: Arc<feed::Registry>,
    /// The ways to rooms, those that are at home here among them.
    pub(crate) lanes: Arc<Lanes>,
}

impl Registries {
    /// Those of a node without an actor yet.
    pub(crate) fn new(shared: Arc<Shared>, consumers: Vec<Arc<dyn Consumer>>) -> Arc<Self> {
        let feed = feed::Registry::new(shared.clone(), consumers);
        let presence = Arc::new(presence::Registry::default());
        let relays = relay::Registry::new(shared.clone(), presence.clone());
        let lanes = Lanes::new(shared.clone(), relays.clone(), feed.clone());
        Arc::new(Self { shared, presence, relays, feed, lanes })
    }

    /// Counts a tenant's connections to this node.
    pub(crate) fn connections(&self, tenant: TenantId) -> StatsView {
        let per_room = self.relays.connections(tenant);
        StatsView { connections: self.presence.connections(tenant), open_rooms: per_room.len() as u64, per_room }
    }
}
