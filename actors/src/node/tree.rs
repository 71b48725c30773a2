//! What hangs together on one node: each registry with those below it.

use std::sync::Arc;

use crate::cluster::forwarding::Lanes;
use crate::cluster::responder::Responder;
use crate::ops::Operations;
use crate::shared::{Options, Ports, Shared};
use crate::{presence, relay, room, session};

/// A node's registries, from the lowest up: each knows those before it, none of those after it.
pub(crate) struct Tree {
    pub(super) shared: Arc<Shared>,
    pub(super) presence: Arc<presence::Registry>,
    pub(super) relays: Arc<relay::Registry>,
    pub(super) rooms: Arc<room::Registry>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) responder: Arc<Responder>,
    pub(super) operations: Arc<Operations>,
    pub(super) sessions: Arc<session::Registry>,
}

impl Tree {
    /// A node without an actor yet.
    pub(super) fn new(ports: Ports, options: Options) -> Arc<Self> {
        let shared = Arc::new(Shared::new(ports, options));
        let presence = Arc::new(presence::Registry::default());
        let relays = relay::Registry::new(shared.clone(), presence.clone());
        let lanes = Lanes::new(shared.clone(), relays.clone());
        let responder = Responder::new(shared.clone(), presence.clone(), relays.clone(), lanes.clone());
        let operations = Operations::new(shared.clone(), presence.clone(), relays.clone(), lanes.clone());
        let sessions = session::Registry::new(shared.clone(), presence.clone(), relays.clone(), operations.clone());
        let rooms = lanes.rooms.clone();
        Arc::new(Self { shared, presence, relays, rooms, lanes, responder, operations, sessions })
    }
}
