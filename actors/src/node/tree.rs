//! What hangs together on one node: each registry with those below it.

use std::sync::Arc;

use crate::cluster::registries::Registries;
use crate::session;
use crate::shared::{Options, Ports, Shared};

/// A node's registries, those of its connections among them.
pub(crate) struct Tree {
    pub(super) registries: Arc<Registries>,
    pub(super) sessions: Arc<session::Registry>,
}

impl Tree {
    /// A node without an actor yet.
    pub(super) fn new(ports: Ports, options: Options) -> Arc<Self> {
        let consumers = ports.consumers.clone();
        let registries = Registries::new(Arc::new(Shared::new(ports, options)), consumers);
        let sessions = session::Registry::new(registries.clone());
        Arc::new(Self { registries, sessions })
    }
}
