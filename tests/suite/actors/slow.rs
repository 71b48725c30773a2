//! Clients that read slowly, or not at all.

use parlance_schema::limits::{OUTBOX_BYTES_EPHEMERAL, OUTBOX_BYTES_MAX, SLOW_CLOSE_MS};
use serde_json::json;

use super::bed::{Bed, pass, send};

/// Sends a hundred long messages, more than an outbox holds; gives the words that they have in common.
async fn flood(bed: &Bed, room: u64) -> String {
    let text = "x".repeat(9_000);
    for n in 0..100 {
        bed.perform(1, send(room, &format!("{n} {text}"))).await.unwrap();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_slows_nobody_and_gets_everything_when_it_reads() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let (mut slow, mut quick) = (bed.client(2).await, bed.client(3).await);
    let text = "x".repeat(4_000);
    for n in 0..400 {
        bed.perform(1, send(room, &format!("{n} {text}"))).await.unwrap();
        quick.drain();
        assert!(slow.link.outbox.queued_bytes() <= OUTBOX_BYTES_MAX + 1_024, "{}", slow.link.outbox.queued_bytes());
    }
    quick.reach(room, 401).await;
    assert!(slow.link.outbox.is_lagging());
    assert_eq!(bed.picture(&format!("relays/{room}")).await["lagging"], 1);
    // It reads a little, then all: first from its outbox, then from the log, then from the ring.
    slow.reach(room, 401).await;
    assert_eq!(slow.seqs(room), (2..=401).collect::<Vec<_>>());
    bed.perform(1, send(room, "live")).await.unwrap();
    slow.reach(room, 402).await;
    assert_eq!(bed.picture(&format!("relays/{room}")).await["lagging"], 0);
}

#[tokio::test(start_paused = true)]
async fn typing_is_dropped_first() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut typist = bed.client(1).await;
    let mut slow = bed.client(2).await;
    for _ in 0..3_000 {
        typist.ask(json!({"op": "typing", "room": room, "on": true})).await;
    }
    assert!(slow.link.outbox.queued_bytes() <= OUTBOX_BYTES_EPHEMERAL);
    bed.perform(1, send(room, "hello")).await.unwrap();
    assert!(!slow.link.outbox.is_lagging());
    slow.reach(room, 2).await;
    let typed = slow.pushed("typing").len();
    assert!(typed > 100 && typed < 3_000, "{typed}");
    assert!(typist.pushed("typing").is_empty(), "one is not told that one types oneself");
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_for_too_long_is_closed_and_can_resume() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut slow = bed.client(2).await;
    flood(&bed, room).await;
    assert!(slow.link.outbox.is_lagging());
    for _ in 0..=SLOW_CLOSE_MS / 1_000 + 11 {
        slow.link.liveness.heard(parlance_actors::link::ticks());
        pass(1_000).await;
    }
    assert!(slow.link.outbox.is_closed());
    slow.drain();
    assert_eq!(slow.close, Some(4_508));
    slow.contiguous(room);
    let position = slow.position(room);
    let had = slow.seqs(room).len() as u64;
    slow.leave();
    let mut again = bed.connect(2).await;
    again.resume(json!({room.to_string(): position})).await;
    again.reach(room, 101).await;
    assert_eq!(again.seqs(room), (had + 2..=101).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_while_behind_gets_the_entry_that_says_so_and_nothing_after() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let mut slow = bed.client(2).await;
    let mut three = bed.client(3).await;
    let text = flood(&bed, room).await;
    bed.perform(1, json!({"op": "kick", "room": room, "user": 2})).await.unwrap();
    for n in 0..10 {
        bed.perform(1, send(room, &format!("after {n} {text}"))).await.unwrap();
        three.drain();
    }
    slow.push("room_gone").await;
    assert_eq!(slow.seqs(room), (2..=102).collect::<Vec<_>>());
    assert_eq!(slow.entries(room).last().unwrap()["fact"], "kicked");
    bed.perform(1, send(room, "more")).await.unwrap();
    three.reach(room, 113).await;
    pass(100).await;
    slow.drain();
    assert_eq!(slow.seqs(room).len(), 101);
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_while_behind_and_taken_in_again_gets_all_of_both_times() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut slow = bed.client(2).await;
    flood(&bed, room).await;
    assert!(slow.link.outbox.is_lagging());
    bed.perform(1, json!({"op": "kick", "room": room, "user": 2})).await.unwrap();
    bed.perform(1, json!({"op": "add", "room": room, "users": [2]})).await.unwrap();
    bed.perform(1, send(room, "back")).await.unwrap();
    // However long that takes.
    pass(12_000).await;
    slow.reach(room, 104).await;
    assert_eq!(slow.seqs(room), (2..=104).collect::<Vec<_>>());
    let told: Vec<&str> =
        slow.pushes.iter().filter_map(|push| push["push"].as_str()).filter(|push| push.starts_with("room_")).collect();
    assert_eq!(told, ["room_gone", "room_added"]);
}
