//! What the bus lost between nodes is found, however little comes after it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parlance_actors::ports::bus::{Bus, RoomEvent};
use parlance_schema::RoomId;
use serde_json::json;

use super::Flock;
use super::net::Link;
use crate::actors::bed::{Client, eventually, pass, send};

const CUT: Link = Link { cut: true, delay_ms: (0, 0), lost: 0, twice: 0, mute: false };

/// A room at home on `a`, a client on `a` and one on `b`.
async fn pair() -> (Flock, u64, Client, Client) {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let (one, two) = (flock.nodes[0].client(1).await, flock.nodes[1].client(2).await);
    (flock, room, one, two)
}

#[tokio::test(start_paused = true)]
async fn a_lost_last_entry_is_told_of_by_beats() {
    let (flock, room, mut one, mut two) = pair().await;
    pass(10_000).await;
    flock.net.link("a", "b", CUT);
    one.ask(send(room, "lost")).await;
    flock.net.link("a", "b", Link::default());
    two.drain();
    assert!(two.seqs(room).is_empty());
    let before = flock.net.sent();
    two.reach(room, 2).await;
    pass(300_000).await;
    // Presence beats and looks at last numbers go on; the beats of the room do not.
    let beats = flock.net.sent() - before;
    assert!(beats < 120, "{beats} messages in five minutes in which nothing happened");
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_while_the_bus_was_away_is_asked_for_when_it_is_back() {
    let (flock, room, mut one, mut two) = pair().await;
    flock.net.connected("b", false);
    one.ask(send(room, "lost")).await;
    // All beats are over.
    pass(40_000).await;
    flock.net.connected("b", true);
    pass(1_000).await;
    two.drain();
    assert_eq!(two.seqs(room), [2]);
}

#[tokio::test(start_paused = true)]
async fn what_a_link_lost_without_a_word_is_found_within_a_minute() {
    let (flock, room, mut one, mut two) = pair().await;
    flock.net.link("a", "b", CUT);
    one.ask(send(room, "lost")).await;
    pass(40_000).await;
    flock.net.link("a", "b", Link::default());
    pass(61_000).await;
    two.drain();
    assert_eq!(two.seqs(room), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_moved_is_asked_after_at_its_new_home() {
    let (flock, room, mut one, mut two) = pair().await;
    flock.net.link("a", "b", CUT);
    one.ask(send(room, "lost")).await;
    flock.net.kill("a");
    pass(30_000).await;
    flock.net.expire("a");
    pass(1_000).await;
    two.drain();
    assert_eq!(two.seqs(room), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_number_beyond_a_relay_s_is_looked_up_again_and_again() {
    let (flock, room, mut one, mut two) = pair().await;
    flock.net.link("a", "b", CUT);
    one.ask(send(room, "lost")).await;
    // The store is slow to answer, and the number comes again meanwhile.
    flock.store.read_ms.store(400, Ordering::SeqCst);
    let (bus, _): (Arc<_>, Arc<_>) = flock.net.join("z", 9);
    for _ in 0..5 {
        bus.publish_room(RoomId::new(room), RoomEvent::Last(2));
        pass(50).await;
    }
    two.reach(room, 2).await;
    pass(5_000).await;
    two.drain();
    assert_eq!(two.seqs(room), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_moves_from_a_quick_node_to_one_that_lags_misses_nothing() {
    let (flock, room, mut one, two) = pair().await;
    flock.net.link("a", "b", CUT);
    for n in 0..3 {
        one.ask(send(room, &format!("{n}"))).await;
    }
    one.reach(room, 4).await;
    let position = one.position(room);
    drop(one.leave());
    let mut again = flock.nodes[1].connect(1).await;
    let resumed = again.resume(json!({room.to_string(): position})).await;
    assert_eq!(resumed[0]["outcome"], "live", "{resumed}");
    flock.net.link("a", "b", Link::default());
    again.ask(send(room, "next")).await;
    again.reach(room, 5).await;
    assert_eq!(again.seqs(room), [5]);
    // One that is ahead of the log itself is told so.
    let mut ahead = flock.nodes[1].connect(2).await;
    let resumed = ahead.resume(json!({room.to_string(): {"epoch": 1, "seq": 99}})).await;
    assert_eq!(resumed[0]["outcome"], "reset", "{resumed}");
    drop(two.leave());
}

#[tokio::test(start_paused = true)]
async fn who_was_just_taken_in_elsewhere_is_not_told_that_they_are_gone() {
    let (flock, room, mut one, two) = pair().await;
    flock.net.link("a", "b", CUT);
    one.ask(json!({"op": "add", "room": room, "users": [3]})).await;
    let mut three = flock.nodes[1].connect(3).await;
    let resumed = three.resume(json!({room.to_string(): {"epoch": 1, "seq": 1}})).await;
    assert_eq!(resumed[0]["outcome"], "live", "{resumed}");
    drop(two.leave());
}

#[tokio::test(start_paused = true)]
async fn who_has_an_answer_reads_what_they_did_on_their_own_node() {
    let flock = Flock::new(2).await;
    let room = flock.group_on(0, 2, 1, &[2]).await;
    let two = flock.nodes[1].client(2).await;
    // Each second time nothing that is published arrives before it is read.
    for round in 1..7 {
        let name = format!("name {round}");
        let rename = json!({"op": "rename", "room": room, "name": name});
        flock.net.link("a", "b", Link { mute: round % 2 == 0, ..Link::default() });
        let done = flock.nodes[1].perform(1, rename).await.unwrap();
        let view = flock.nodes[1].perform(2, json!({"op": "room", "room": room})).await.unwrap();
        assert_eq!((&view["last"], &view["name"]), (&done["seq"], &json!(name)));
    }
    drop(two.leave());
}

#[tokio::test(start_paused = true)]
async fn the_removed_get_their_removal_and_nothing_after_on_every_node() {
    let flock = Flock::new(3).await;
    let room = flock.group_on(0, 3, 1, &[2, 3]).await;
    let mut one = flock.nodes[0].client(1).await;
    let (mut two, mut three) = (flock.nodes[1].client(2).await, flock.nodes[2].client(3).await);
    flock.net.links(Link { lost: 300, twice: 100, delay_ms: (0, 50), ..Link::default() });
    one.ask(send(room, "before")).await;
    one.ask(json!({"op": "kick", "room": room, "user": 2})).await;
    for n in 0..5 {
        one.ask(send(room, &format!("{n}"))).await;
    }
    two.reach(room, 3).await;
    two.push("room_gone").await;
    three.reach(room, 8).await;
    eventually("the removed are refused there", async || {
        flock.nodes[1].perform(2, json!({"op": "messages", "room": room})).await.is_err()
    })
    .await;
    pass(70_000).await;
    two.drain();
    assert_eq!(two.seqs(room), [2, 3]);
}
