//! The part of a node that reaches the others: the bus and the membership, as the settings have them.

use std::sync::Arc;
use std::time::Duration;

use parlance_actors::ports::membership::{MembershipError, NodeState, SingleNode};
use parlance_actors::ports::{Bus, Membership, Random};
use parlance_schema::limits;

use crate::bus::nats::Identity;
use crate::bus::{Local, Nats};
use crate::cli::Failure;
use crate::config::{Config, StoreKind};
use crate::membership::JetStream;
use crate::membership::jetstream::Leases;

/// How long a start waits for NATS.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What reaches the other nodes.
pub struct Joined {
    /// What carries events and questions.
    pub bus: Arc<dyn Bus>,
    /// Who lives.
    pub membership: Arc<dyn Membership>,
    /// The bus once more, to be closed; none where the node is alone.
    pub nats: Option<Arc<Nats>>,
}

/// Joins the cluster that the settings name, or none.
pub async fn join(config: &Config, random: Arc<dyn Random>) -> Result<Joined, Failure> {
    let incarnation = (random.bits() & limits::ID_MAX).max(1);
    if !config.nats.is_used() {
        let membership = Arc::new(SingleNode::new(incarnation));
        return Ok(Joined { bus: Arc::new(Local::default()), membership, nats: None });
    }
    let me = Identity { cluster: config.cluster.name.clone(), node: config.cluster.node(), incarnation };
    tracing::info!(cluster = me.cluster, node = %me.node, incarnation, "joining");
    if config.store.kind != StoreKind::Scylla {
        tracing::warn!(
            "nats.servers is set, but store.kind isn't scylla: other nodes would not see what is stored here"
        );
    }
    let other = |error: crate::bus::nats::Error| Failure::Other(error.to_string());
    let options = config.nats.options();
    let nats = Arc::new(Nats::open(&options, me.clone(), random.clone()).await.map_err(other)?);
    let leases = Leases { lease: config.cluster.lease(), replicas: config.nats.replicas };
    let membership = Arc::new(JetStream::open(&options, me, leases, random).await.map_err(other)?);
    let wait = if config.nats.required { CONNECT_MAX } else { CONNECT_MAX / 5 };
    if !nats.connected(wait).await {
        if config.nats.required {
            return Err(Failure::Other("no server of nats.servers can be reached".into()));
        }
        tracing::warn!("no server of nats.servers can be reached: starting without the other nodes");
    }
    announce(membership.as_ref(), NodeState::Starting).await?;
    Ok(Joined { bus: nats.clone(), membership, nats: Some(nats) })
}

/// Says what this node is about; it is a failure only where another node has its name.
async fn announce(membership: &dyn Membership, state: NodeState) -> Result<(), Failure> {
    match membership.announce(state).await {
        Ok(()) => Ok(()),
        Err(error @ MembershipError::NameTaken(_)) => {
            Err(Failure::Other(format!("{error}: cluster.node must be another name, or that node must stop")))
        }
        Err(error @ MembershipError::Unavailable(_)) => {
            tracing::warn!(%error, ?state, "the other nodes are not told yet");
            Ok(())
        }
    }
}
