//! The bus port: one conformance suite for every bus. Those of NATS, which need a server, are in `tests/nats`.

#[allow(dead_code, unused_macros, reason = "what is between nodes is run where a cluster is: in tests/nats")]
pub mod conformance;

use std::sync::Arc;

use conformance::{Bed, Member};
use parlance::bus::Local;
use parlance_schema::node::NodeId;

async fn local(nodes: usize) -> Bed {
    assert_eq!(nodes, 1, "a node that is alone");
    Bed { members: vec![Member { id: NodeId::single(), bus: Arc::new(Local::default()) }], keep: Box::new(()) }
}

mod on_local {
    super::conformance::every_behaviour_alone!(crate::bus::local);
}
