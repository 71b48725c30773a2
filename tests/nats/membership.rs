//! The membership on NATS: the conformance suite, and what servers do that fail over, die, and forget.

#[path = "../suite/membership/conformance.rs"]
pub mod conformance;
mod faults;
mod ways;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlance::bus::nats::{Identity, Options};
use parlance::clock::System;
use parlance::membership::JetStream;
use parlance::membership::jetstream::Leases;
use parlance_actors::ports::{Membership, Random};

use crate::server::Server;
use conformance::Bed;

struct Servers {
    all: Vec<Server>,
    lease: Duration,
}

impl Servers {
    async fn join(&self, name: &str, incarnation: u64) -> JetStream {
        let servers = self.all.iter().map(Server::url).collect();
        self.join_by(servers, name, incarnation, Arc::new(System)).await
    }

    /// The same by these addresses.
    async fn join_by(&self, servers: Vec<String>, name: &str, incarnation: u64, random: Arc<dyn Random>) -> JetStream {
        let options = Options { servers, ..Options::default() };
        let me = Identity { cluster: "test".into(), node: name.parse().unwrap(), incarnation };
        let leases = Leases { lease: self.lease, replicas: self.all.len() };
        JetStream::open(&options, me, leases, random).await.unwrap()
    }
}

#[async_trait]
impl Bed for Servers {
    async fn node(&self, name: &str, incarnation: u64) -> Box<dyn Membership> {
        Box::new(self.join(name, incarnation).await)
    }

    fn lease(&self) -> Duration {
        self.lease
    }
}

async fn one_server() -> Servers {
    Servers { all: vec![Server::start()], lease: Duration::from_secs(2) }
}

mod on_one_server {
    super::conformance::every_behaviour_alone!(crate::membership::one_server);
    super::conformance::every_behaviour_in_a_cluster!(crate::membership::one_server);
}
