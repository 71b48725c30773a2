//! The bus on NATS: the conformance suite, and what is NATS's alone.

mod access;
#[path = "../suite/bus/conformance.rs"]
pub mod conformance;
mod faults;

use std::sync::Arc;
use std::time::Duration;

use conformance::{Bed, Member};
use parlance::bus::Nats;
use parlance::bus::nats::{Identity, Options};
use parlance::clock::System;
use parlance_actors::ports::{Bus, Random};

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

pub fn identity(at: usize) -> Identity {
    Identity { cluster: "test".into(), node: format!("node-{at}").parse().unwrap(), incarnation: System.bits() >> 11 }
}

pub fn options(servers: &[&Server]) -> Options {
    Options { servers: servers.iter().map(|server| server.url()).collect(), ..Options::default() }
}

/// A node's bus, connected.
pub async fn join(options: &Options, at: usize) -> Nats {
    let bus = Nats::open(options, identity(at), Arc::new(System)).await.unwrap();
    assert!(bus.connected(PATIENCE).await, "node {at} never connects");
    bus
}

async fn one_server(nodes: usize) -> Bed {
    let server = Server::start();
    let mut members = Vec::new();
    for at in 0..nodes {
        let bus: Arc<dyn Bus> = Arc::new(join(&options(&[&server]), at).await);
        members.push(Member { id: identity(at).node, bus });
    }
    Bed { members, keep: Box::new(server) }
}

/// Each node is connected to another server.
async fn three_servers(nodes: usize) -> Bed {
    let servers = Server::cluster();
    let mut members = Vec::new();
    for (at, server) in servers.iter().enumerate().take(nodes) {
        let bus: Arc<dyn Bus> = Arc::new(join(&options(&[server]), at).await);
        members.push(Member { id: identity(at).node, bus });
    }
    Bed { members, keep: Box::new(servers) }
}

mod on_one_server {
    super::conformance::every_behaviour_alone!(crate::bus::one_server);
    super::conformance::every_behaviour_in_a_cluster!(crate::bus::one_server);
}

mod on_three_servers {
    super::conformance::every_behaviour_in_a_cluster!(crate::bus::three_servers);
}
