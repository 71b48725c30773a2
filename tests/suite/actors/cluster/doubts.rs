//! What the simulation found: two nodes that both believe in themselves, and relays that know too little.

use std::sync::atomic::Ordering;

use parlance_actors::node::Victim;
use parlance_actors::ports::store::LogStore;
use parlance_schema::RoomId;
use serde_json::json;

use super::Flock;
use super::net::Link;
use crate::actors::bed::{eventually, pass, send};
use crate::actors::faults::Twist;

const CUT: Link = Link { cut: true, delay_ms: (0, 0), lost: 0, twice: 0, mute: false };

#[tokio::test(start_paused = true)]
async fn a_room_that_moves_in_the_middle_of_an_append_leaves_no_snapshot_of_it() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.follow(false);
    flock.store.script([Twist::Slow(1_000)]);
    let late = one.tell(send(room, "late"));
    pass(10).await;
    flock.net.see("b", &["b"]);
    two.ask(json!({"op": "leave", "room": room})).await;
    // The log is as long now as the first node's append would have made it, and says something else.
    flock.net.see("a", &["b"]);
    eventually("it is done", async || flock.nodes[0].said(room).await == ["late"]).await;
    assert_eq!(one.reply(late).await["ok"]["seq"], 3);
    let woken = flock.store.inner.wake(RoomId::new(room)).await.unwrap().unwrap();
    assert!(woken.snapshot.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_comes_to_a_node_that_sees_no_other_and_knows_less_is_not_told_to_reset() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.follow(false);
    flock.net.see("b", &["b"]);
    flock.net.link("a", "b", CUT);
    one.ask(send(room, "unheard of")).await;
    one.reach(room, 2).await;
    let mut positions = serde_json::Map::new();
    positions.insert(room.to_string(), one.position(room));
    drop(one.leave());
    let mut one = flock.nodes[1].connect(1).await;
    let resumed = one.resume(positions.into()).await;
    assert_eq!((&resumed[0]["outcome"], &resumed[0]["from"]), (&json!("live"), &json!(2)));
    drop(two.leave());
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_could_not_read_its_room_pushes_nobody_what_they_have() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2, 3]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    one.ask(send(room, "first")).await;
    two.reach(room, 2).await;
    flock.store.down.store(true, Ordering::SeqCst);
    assert!(flock.nodes[1].node.end(Victim::Relay(RoomId::new(room)), false));
    pass(50).await;
    flock.store.down.store(false, Ordering::SeqCst);
    // Somebody else comes before the relay tries again.
    let mut three = flock.nodes[1].connect(3).await;
    let mut positions = serde_json::Map::new();
    positions.insert(room.to_string(), two.position(room));
    three.tell(json!({"op": "resume", "positions": positions}));
    one.ask(send(room, "second")).await;
    two.reach(room, 3).await;
    assert_eq!(two.seqs(room), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_another_node_wrote_to_a_room_that_is_at_home_here_is_found_within_a_minute() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    flock.net.follow(false);
    flock.net.see("b", &["b"]);
    flock.net.link("b", "a", CUT);
    two.ask(send(room, "in good faith")).await;
    // All beats are over.
    pass(40_000).await;
    flock.net.link("b", "a", Link::default());
    pass(61_000).await;
    one.drain();
    assert_eq!(one.seqs(room), [2]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_for_what_another_node_has_changed() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (mut one, mut two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    one.ask(send(room, "first")).await;
    flock.net.follow(false);
    flock.net.see("b", &["b"]);
    assert_eq!(two.ask(send(room, "second")).await["seq"], 3);
    // The first node's Room has not heard of it.
    let react = |seq: u64| json!({"op": "react", "room": room, "seq": seq, "emoji": "+1"});
    one.ask(react(3)).await;
    assert_eq!(one.refused(react(9)).await, "not_found");
    two.ask(json!({"op": "leave", "room": room})).await;
    assert_eq!(one.refused(json!({"op": "kick", "room": room, "user": 2})).await, "not_found");
    assert_eq!(one.refused(json!({"op": "kick", "room": room, "user": 2})).await, "not_found");
    one.ask(json!({"op": "add", "room": room, "users": [2]})).await;
    assert_eq!(two.refused(json!({"op": "kick", "room": room, "user": 1})).await, "forbidden");
}
