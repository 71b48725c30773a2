//! The membership port: one conformance suite for all of them. The one on NATS, which needs a server, is in `tests/nats`.

#[allow(dead_code, unused_macros, reason = "what is between nodes is run where a cluster is: in tests/nats")]
pub mod conformance;

use async_trait::async_trait;
use parlance_actors::ports::membership::{Membership, SingleNode};

use conformance::Bed;

struct One;

#[async_trait]
impl Bed for One {
    async fn node(&self, _: &str, incarnation: u64) -> Box<dyn Membership> {
        Box::new(SingleNode::new(incarnation))
    }
}

async fn alone() -> One {
    One
}

mod on_one_node {
    super::conformance::every_behaviour_alone!(crate::membership::alone);
}
