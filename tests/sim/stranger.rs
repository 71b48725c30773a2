//! Somebody who gives a command and goes away: whatever becomes of it, it is not given again. The rooms that this is done in sleep in
//! between, so that nobody wakes them and finds by chance what was lost.

use std::sync::Arc;
use std::time::Duration;

use parlance_actors::node::Victim;
use parlance_actors::service::Service;
use parlance_schema::RoomId;
use parlance_schema::limits::LOG_BUCKET;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, principal};
use crate::rng::Rng;

/// The user that they all are.
const STRANGER: u64 = 20;
/// Rooms of theirs, and how many of them may begin with a full bucket.
const ROOMS: u64 = 9;
const FULL: usize = 7;

/// Opens their rooms. Some end where a bucket of the log does, so that the next entry begins another.
pub async fn open(cluster: &Arc<Cluster>, rng: &Rng) -> Vec<u64> {
    let mut rooms = Vec::new();
    for at in 1..=ROOMS {
        let create = json!({"op": "create", "kind": "group", "name": format!("Strangers {at}"), "members": [],
            "client_id": format!("strangers-{at}")});
        let opened = crate::run::insist(cluster, STRANGER, create).await;
        rooms.push(opened["id"].as_u64().unwrap());
    }
    if rng.chance(800) {
        for room in &rooms[..FULL] {
            cluster.fill(RoomId::new(*room), LOG_BUCKET).await;
        }
    }
    rooms[..=FULL].iter().for_each(|room| cluster.disk.late(RoomId::new(*room)));
    rooms
}

/// Gives commands now and then, until it is time.
pub async fn live(cluster: Arc<Cluster>, rng: Rng, rooms: Vec<u64>, until: Instant) {
    let mut count = 0;
    while Instant::now() < until {
        sleep(Duration::from_millis(rng.between(50, 4_000))).await;
        let nodes = cluster.all();
        let (Some(node), Some(room)) = (rng.pick(&nodes).cloned(), rng.pick(&rooms).copied()) else { continue };
        count += 1;
        let text = format!("{count} of a stranger");
        let send =
            json!({"op": "send", "room": room, "client_id": format!("stranger-{count}"), "content": {"text": text}});
        let crash = rng.chance(600).then(|| rng.between(1, 15));
        let there = node.clone();
        let asked = tokio::spawn(async move {
            let _ = there.handle.perform(principal(STRANGER), serde_json::from_value(send).unwrap()).await;
        });
        if let Some(ms) = crash {
            sleep(Duration::from_millis(ms)).await;
            // Nobody gives it again when the room is back.
            asked.abort();
            for node in &nodes {
                node.handle.end(Victim::Room(RoomId::new(room)), rng.chance(500));
            }
        }
    }
}
