//! Who is at home where, as this node sees it. A hint, like the membership that it comes from: it decides who is asked.

use std::sync::Arc;

use parlance_domain::placement;
use parlance_schema::node::{NodeId, NodeState, View};
use parlance_schema::{RoomId, UserId};
use tokio::sync::{Mutex, watch};

use crate::ports::Membership;
use crate::ports::membership::MembershipError;

/// The cluster, as the membership's latest view has it.
pub(crate) struct Cluster {
    pub(crate) membership: Arc<dyn Membership>,
    me: NodeId,
    /// Whoever announces waits for those before.
    announcing: Mutex<()>,
    view: watch::Receiver<Arc<View>>,
}

impl Cluster {
    pub(crate) fn new(membership: Arc<dyn Membership>) -> Self {
        Self { me: membership.me().id, announcing: Mutex::new(()), view: membership.view(), membership }
    }

    /// This node's name.
    pub(crate) fn me(&self) -> &NodeId {
        &self.me
    }

    /// The random number of this start.
    pub(crate) fn incarnation(&self) -> u64 {
        self.membership.me().incarnation
    }

    /// Tells the other nodes what this one is about. One that drains stays at that, whatever comes later.
    ///
    /// # Errors
    /// When nobody could be told; it is tried again with the next renewal.
    pub(crate) async fn announce(&self, state: NodeState) -> Result<(), MembershipError> {
        let _turn = self.announcing.lock().await;
        if self.membership.me().state == NodeState::Draining {
            return Ok(());
        }
        self.membership.announce(state).await
    }

    /// Whether there is no other node, whatever leases do. A view without others tells nothing of the kind.
    pub(crate) fn is_single_node(&self) -> bool {
        self.membership.is_single_node()
    }

    /// Sets the metrics of the cluster's state.
    pub(crate) fn measure(&self) {
        metrics::gauge!("parlance_lease_renewed").set(f64::from(u8::from(self.membership.is_renewed())));
        metrics::gauge!("parlance_degraded")
            .set(f64::from(u8::from(self.membership.me().state == NodeState::Degraded)));
        metrics::gauge!("parlance_nodes").set(self.now().nodes().len() as f64);
    }

    /// The view now.
    pub(crate) fn now(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The view, to be watched.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<View>> {
        // Each from the port itself, so that who watches is woken in the order in which they began to.
        self.membership.view()
    }

    /// The other node that the room is at home on; `None` where it is at home here, or nobody is ready.
    pub(crate) fn elsewhere(&self, room: RoomId) -> Option<NodeId> {
        let view = self.view.borrow();
        placement::home(room, view.homes().map(|node| &node.id)).filter(|home| **home != self.me).cloned()
    }

    /// Whether it is this node that speaks of a user whose own node has died.
    pub(crate) fn speaks_for(&self, user: UserId) -> bool {
        self.elsewhere(RoomId::new(user.get())).is_none()
    }
}
