//! Who else is there: the live nodes of a cluster, as leases tell. A hint like every lease: it decides who is quick, never
//! what is true.

use std::sync::Arc;

use async_trait::async_trait;
pub use parlance_schema::node::{NodeId, NodeInfo, NodeState, View};
use tokio::sync::watch;

/// Why a node could not say what it is about.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MembershipError {
    /// What holds the leases can't be reached.
    #[error("membership unavailable: {0}")]
    Unavailable(String),
    /// Another node that lives has this one's name.
    #[error("another node is called {0}")]
    NameTaken(NodeId),
}

/// The live nodes. A view is replaced only by what was heard, never by silence: a node takes another one off its view when
/// that one's lease ran out and its own renewals succeeded throughout a lease.
#[async_trait]
pub trait Membership: Send + Sync {
    /// This node: its name, and the random number of this start. Its state is the one that was announced last.
    fn me(&self) -> NodeInfo;

    /// The view, now and whenever it changes. This node is in it as it was announced, whatever the leases say.
    fn view(&self) -> watch::Receiver<Arc<View>>;

    /// Says what this node is about, and keeps its lease alive from then on.
    ///
    /// # Errors
    /// When nobody could be told; it is tried again with the next renewal.
    async fn announce(&self, state: NodeState) -> Result<(), MembershipError>;

    /// Gives the lease back: the others take this node off their views at once.
    async fn leave(&self);

    /// Whether there can be no other node, however the view looks.
    fn is_single_node(&self) -> bool {
        false
    }

    /// Whether this node's last renewal succeeded within a lease: false is a reason to be careful, not to stop.
    fn is_renewed(&self) -> bool;
}

/// The membership of a single node.
pub struct SingleNode {
    me: NodeInfo,
    view: watch::Sender<Arc<View>>,
}

impl SingleNode {
    /// A single node, and ready.
    #[must_use]
    pub fn new(incarnation: u64) -> Self {
        let me = NodeInfo { id: NodeId::single(), incarnation, state: NodeState::Ready };
        let view = watch::Sender::new(Arc::new(View::new([me.clone()])));
        Self { me, view }
    }
}

#[async_trait]
impl Membership for SingleNode {
    fn me(&self) -> NodeInfo {
        self.view.borrow().get(&self.me.id).cloned().unwrap_or_else(|| self.me.clone())
    }

    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    async fn announce(&self, state: NodeState) -> Result<(), MembershipError> {
        self.view.send_replace(Arc::new(View::new([NodeInfo { state, ..self.me.clone() }])));
        Ok(())
    }

    async fn leave(&self) {}

    fn is_single_node(&self) -> bool {
        true
    }

    fn is_renewed(&self) -> bool {
        true
    }
}
