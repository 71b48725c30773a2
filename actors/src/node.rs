//! A node: what starts it, the root of its tree of actors, and the handle by which the gateway and tests hold it.

mod actor;
mod drain;
mod fill;
mod handle;
mod tree;

use parlance_schema::Fault;
use parlance_schema::node::NodeState;
use ractor::Actor;

use actor::Node;
use tree::Tree;

pub use crate::room::{encode_state, read_room};
pub use crate::shared::{Options, Ports};
pub use fill::{FillError, fill};
pub use handle::{Handle, Victim};

/// Starts a node.
///
/// # Errors
/// When an actor can't be started.
pub async fn start(ports: Ports, options: Options) -> Result<Handle, Fault> {
    let tree = Tree::new(ports, options);
    let (root, _) = Actor::spawn(None, Node, tree.clone()).await.map_err(|error| {
        tracing::error!(%error, "the node's actors did not start");
        Fault::internal("server error: the server could not start its components; tell its operator")
    })?;
    if let Err(error) = tree.registries.shared.cluster.announce(NodeState::Ready).await {
        tracing::warn!(%error, "the other nodes don't know yet that this one is ready");
    }
    Ok(Handle::new(tree, root))
}
