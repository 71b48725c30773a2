//! A node that can't reach the store, while the others can.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parlance_actors::node::Options;
use parlance_actors::service::Service;
use parlance_schema::node::NodeState;
use serde_json::json;

use super::net::Net;
use super::{Flock, home};
use crate::actors::bed::{Bed, Client, eventually, pass, populated, send};
use crate::actors::faults::Twist;

/// Two nodes with a way to the store each, the second one's room, and a client of each.
struct Pair {
    nodes: [Bed; 2],
    room: u64,
    one: Client,
    two: Client,
}

impl Pair {
    async fn new() -> Self {
        let (net, store) = (Net::new(11), populated().await);
        let other = Arc::new(store.beside());
        let options = Options { commands_per_s: 0, ..Options::default() };
        let nodes = [Bed::join(store, &net, "a", 1, options).await, Bed::join(other, &net, "b", 2, options).await];
        let room = loop {
            let room = nodes[0].group(1, &[2]).await;
            if home(room, 2) == 1 {
                break room;
            }
        };
        let (one, two) = (nodes[0].client(1).await, nodes[1].client(2).await);
        Self { nodes, room, one, two }
    }

    /// Cuts the second node off from the store, or mends it.
    fn cut(&self, cut: bool) {
        self.nodes[1].store.down.store(cut, Ordering::SeqCst);
    }

    /// Waits until the first node sees the second one so.
    async fn sees(&self, state: NodeState) {
        let seen = async || self.nodes[0].node.health().await.cluster.nodes[&"b".parse().unwrap()] == state;
        eventually("it is seen so", seen).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_reach_the_store_leaves_its_rooms_to_who_can() {
    let mut pair = Pair::new().await;
    let room = pair.room;
    pair.two.ask(send(room, "before")).await;
    pair.cut(true);
    assert_eq!(pair.two.refused(send(room, "not yet")).await, "store_unavailable");
    pair.sees(NodeState::Degraded).await;
    pair.two.ask(send(room, "by the other")).await;
    pair.one.ask(send(room, "here")).await;
    pair.cut(false);
    pair.sees(NodeState::Ready).await;
    pair.one.ask(send(room, "back")).await;
    assert_eq!(pair.nodes[0].said(room).await, ["before", "by the other", "here", "back"]);
    for client in [&mut pair.one, &mut pair.two] {
        client.reach(room, 5).await;
        client.contiguous(room);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_an_append_without_an_end_is_done_elsewhere_and_once() {
    let mut pair = Pair::new().await;
    let room = pair.room;
    pair.two.ask(send(room, "before")).await;
    pair.nodes[1].store.script([Twist::Slow(60_000)]);
    let first = pair.two.tell(send(room, "in flight"));
    let second = pair.two.tell(send(room, "waits"));
    pass(10).await;
    let third = pair.one.tell(send(room, "from elsewhere"));
    pass(10).await;
    pair.cut(true);
    for n in [first, second] {
        let reply = pair.two.reply(n).await;
        assert!(reply.get("ok").is_some(), "{reply}");
    }
    let reply = pair.one.reply(third).await;
    assert!(reply.get("ok").is_some(), "{reply}");
    // Then the append comes to an end after all.
    pair.cut(false);
    pass(61_000).await;
    pair.one.ask(send(room, "after")).await;
    let mut said = pair.nodes[0].said(room).await;
    assert!(
        said.iter().position(|text| text == "in flight") < said.iter().position(|text| text == "waits"),
        "{said:?}"
    );
    said.sort_unstable();
    assert_eq!(said, ["after", "before", "from elsewhere", "in flight", "waits"]);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_reaches_the_store_rooms_stay_at_home() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(1, 2, 1, &[2]).await;
    let mut one = flock.nodes[0].client(1).await;
    flock.store.down.store(true, Ordering::SeqCst);
    let states = async || {
        let nodes = flock.nodes[0].node.health().await.cluster.nodes;
        nodes.values().all(|state| *state == NodeState::Degraded)
    };
    eventually("both are degraded", states).await;
    assert_eq!(one.refused(send(room, "no")).await, "store_unavailable");
    let rooms = flock.nodes[0].picture(&format!("rooms/{room}")).await;
    assert_eq!(rooms, json!(null), "it is not the first node's");
    flock.store.down.store(false, Ordering::SeqCst);
    eventually("it works again", async || flock.nodes[0].perform(1, send(room, "yes")).await.is_ok()).await;
}
