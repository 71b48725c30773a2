//! Death at each call of the store, one after the other: a node that writes to a room, gives its entries to consumers and lets it fall
//! asleep dies on its first way to the store or back, on its second, and so on, until it lives through all. Whatever it had begun by
//! then, consumers are given the whole log.

use std::sync::Arc;
use std::time::Duration;

use parlance_actors::link::ticks;
use parlance_actors::node::Options;
use parlance_domain::placement;
use parlance_schema::RoomId;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::bus::name;
use crate::checker::{Verdict, feeds};
use crate::cluster::Cluster;
use crate::disk::{Disk, Switches};
use crate::faults::FAIR;
use crate::journal::Journal;
use crate::rng::Rng;
use crate::run::{followed, insist, perform};
use crate::store::StoreFaults;

/// Nodes; the first dies.
const NODES: usize = 2;
/// Who writes.
const WRITER: u64 = 1;
/// How often the room is written to, and falls asleep after it.
const ROUNDS: u64 = 3;
/// Milliseconds without work after which rooms fall asleep.
const IDLE_MS: u64 = 1_500;
/// Within so long consumers have everything.
const REST: Duration = Duration::from_secs(120);

/// What came of a run.
pub struct Death {
    /// Whether the node died: where not, it had fewer ways to go.
    pub died: bool,
    pub verdict: Verdict,
}

/// Has the first node die on its `way`-th way to the store or back.
pub fn die_on(way: u64, switches: Switches) -> Death {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Box::pin(die_in(way, switches)))
}

async fn die_in(way: u64, switches: Switches) -> Death {
    let _ = ticks();
    let cluster = cluster(switches).await;
    let room = room_of_the_first(&cluster).await;
    sleep(Duration::from_millis(4 * IDLE_MS)).await;
    let node = cluster.node(0).unwrap();
    node.gate.dies_on(way);
    for round in 0..ROUNDS {
        for at in 0..2 {
            let text = format!("{round} {at}");
            let send = json!({"op": "send", "room": room, "client_id": text, "content": {"text": text}});
            // A dead node answers nobody.
            let _ = timeout(Duration::from_secs(1), perform(&node, WRITER, send)).await;
        }
        sleep(Duration::from_millis(2 * IDLE_MS)).await;
    }
    let died = node.gate.is_dead();
    if died {
        cluster.boot(0).await;
    }
    let deadline = Instant::now() + REST;
    loop {
        let mut verdict = Verdict::new();
        feeds::judge(&followed(&cluster), &cluster.disk.lasts(), &mut verdict);
        if verdict.is_empty() || Instant::now() > deadline {
            return Death { died, verdict };
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// A cluster in which all consumers are there from the first start on: one that is registered later has every room looked at, and so
/// finds what was lost.
async fn cluster(switches: Switches) -> Arc<Cluster> {
    let options = Options { commands_per_s: 0, room_idle_ms: IDLE_MS, ..Options::default() };
    let mut seed = 0;
    loop {
        seed += 1;
        let world = (Arc::new(Disk::new(switches)), Arc::new(Journal::new()));
        let cluster = Cluster::start(NODES, &Rng::new(seed), world, options, (StoreFaults::default(), FAIR)).await;
        if !cluster.has_latecomers() {
            return cluster;
        }
        (0..NODES).for_each(|at| cluster.kill(at));
    }
}

/// Opens rooms until one is at home on node 0.
async fn room_of_the_first(cluster: &Cluster) -> u64 {
    let names: Vec<_> = (0..cluster.nodes).map(name).collect();
    let mut at = 0;
    loop {
        at += 1;
        let create = json!({"op": "create", "kind": "group", "name": format!("Room {at}"), "members": [],
            "client_id": format!("create-{at}")});
        let room = insist(cluster, WRITER, create).await["id"].as_u64().unwrap();
        if placement::home(RoomId::new(room), names.iter()) == Some(&names[0]) {
            return room;
        }
    }
}
