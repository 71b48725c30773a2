//! Several nodes over one store: commands find their room, wherever it is and whatever is lost on the way.

mod degraded;
mod doubts;
mod forwarding;
#[path = "../../common/net.rs"]
pub mod net;
mod people;
mod repair;

use std::sync::Arc;

use parlance_actors::node::Options;
use parlance_domain::placement;
use parlance_schema::RoomId;
use parlance_schema::node::NodeId;

use super::bed::{Bed, populated};
use super::faults::Faulty;
use net::Net;

/// Nodes `a`, `b` and so on, over one store.
pub struct Flock {
    pub net: Arc<Net>,
    pub store: Arc<Faulty>,
    pub nodes: Vec<Bed>,
}

pub const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl Flock {
    pub async fn new(count: usize) -> Self {
        Self::with(count, Options { commands_per_s: 0, ..Options::default() }).await
    }

    pub async fn with(count: usize, options: Options) -> Self {
        let (net, store) = (Net::new(11), populated().await);
        let mut nodes = Vec::new();
        for (name, incarnation) in NAMES.iter().zip(1..).take(count) {
            nodes.push(Bed::join(store.clone(), &net, name, incarnation, options).await);
        }
        Self { net, store, nodes }
    }

    /// A group of `owner` and `members` that is at home on a node, when so many are ready.
    pub async fn group_on(&self, node: usize, of: usize, owner: u64, members: &[u64]) -> u64 {
        loop {
            let room = self.nodes[0].group(owner, members).await;
            if home(room, of) == node {
                return room;
            }
        }
    }
}

/// Which of the first `of` nodes a room is at home on.
pub fn home(room: u64, of: usize) -> usize {
    let names: Vec<NodeId> = NAMES[..of].iter().map(|name| name.parse().unwrap()).collect();
    let home = placement::home(RoomId::new(room), names.iter()).unwrap();
    names.iter().position(|name| name == home).unwrap()
}
