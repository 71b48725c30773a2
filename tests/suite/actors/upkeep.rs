//! What happens by itself: pings, closes, sleep.

use std::sync::atomic::Ordering::SeqCst;

use parlance_actors::node::Options;
use serde_json::json;

use super::bed::{Bed, EXPIRES, eventually, pass, send};
use super::faults::Twist;

#[tokio::test(start_paused = true)]
async fn the_silent_are_pinged_then_closed() {
    let bed = Bed::new().await;
    let mut client = bed.client(1).await;
    pass(24_000).await;
    client.drain();
    assert!(client.pushed("ping").is_empty());
    pass(7_000).await;
    client.drain();
    assert!(!client.pushed("ping").is_empty());
    client.link.liveness.heard(parlance_actors::link::ticks());
    pass(70_000).await;
    client.drain();
    assert_eq!(client.close, None);
    pass(11_000).await;
    assert_eq!(client.closed().await, 4_509);
    client.leave();
    eventually("the session is gone", async || bed.node.online().0 == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_closes_and_a_new_one_keeps() {
    let bed = Bed::with(Options { silence_ms: u64::MAX, heartbeat_ms: 25_000, ..Options::default() }).await;
    let (mut old, mut new) = (bed.client(1).await, bed.client(2).await);
    new.ask(json!({"op": "token", "token": "2"})).await;
    assert_eq!(new.refused(json!({"op": "token", "token": "3"})).await, "forbidden");
    assert_eq!(new.refused(json!({"op": "token", "token": "x"})).await, "unauthenticated");
    let left = EXPIRES - 1_790_000_000_000;
    pass(left - 10_000).await;
    assert!(!old.link.outbox.is_closed());
    pass(20_000).await;
    assert_eq!(old.closed().await, 4_401);
    assert!(!new.link.outbox.is_closed());
    pass(left).await;
    assert_eq!(new.closed().await, 4_401);
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_in_rate_and_in_flight() {
    let bed = Bed::with(Options { commands_per_s: 100, ..Options::default() }).await;
    let room = bed.group(1, &[]).await;
    let mut client = bed.client(1).await;
    bed.store.script([Twist::Slow(50)]);
    let asked: Vec<u64> = (0..70).map(|n| client.tell(send(room, &format!("{n}")))).collect();
    let mut codes = Vec::new();
    for n in asked {
        codes.push(client.reply(n).await["fault"]["code"].as_str().unwrap_or("done").to_owned());
    }
    assert_eq!(codes.iter().filter(|code| *code == "no_credit").count(), 6);
    assert_eq!(codes.iter().filter(|code| *code == "done").count(), 64);
    let mut limited = None;
    for _ in 0..100 {
        let n = client.tell(json!({"op": "ping"}));
        let reply = client.reply(n).await;
        limited = reply["fault"]["retry_after_ms"].as_u64().or(limited);
    }
    pass(limited.unwrap()).await;
    client.ask(json!({"op": "ping"})).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_sleeps_and_wakes_from_its_snapshot() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    for n in 0..600 {
        bed.perform(1, send(room, &format!("{n}"))).await.unwrap();
    }
    bed.perform(1, json!({"op": "mute", "room": room, "user": 2})).await.unwrap();
    let asleep = async || {
        let (owner, relay) = (format!("rooms/{room}"), format!("relays/{room}"));
        bed.picture(&owner).await.is_null() && bed.picture(&relay).await.is_null()
    };
    assert!(!asleep().await);
    pass(60_000).await;
    eventually("all sleep", asleep).await;
    assert_eq!(bed.perform(2, send(room, "x")).await.unwrap_err().code.word(), "muted");
    let done = bed.perform(1, send(room, "awake")).await.unwrap();
    assert_eq!(done["seq"], 603);
    assert_eq!(bed.picture(&format!("rooms/{room}")).await["snapshot_at"], 602);
    // Rooms that don't exist keep nothing awake.
    assert!(bed.perform(1, json!({"op": "room", "room": 5_555_555})).await.is_err());
    pass(5_000).await;
    assert!(bed.picture("relays/5555555").await.is_null());
}

#[tokio::test(start_paused = true)]
async fn draining_tells_each_client_another_time() {
    let bed = Bed::new().await;
    let mut clients = vec![bed.client(1).await, bed.client(2).await, bed.client(3).await];
    let drained = async {
        bed.node.drain(3_000).await;
    };
    let gone = async {
        pass(10).await;
        for client in &mut clients {
            assert_eq!(client.closed().await, 1_012);
            client.link.gone();
            client.receiver.closed(&client.link);
        }
    };
    tokio::join!(drained, gone);
    let mut times: Vec<_> = clients.iter().map(|c| c.pushed("reconnect")[0]["after_ms"].as_u64().unwrap()).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 3);
    assert_eq!(bed.node.online(), (0, 0));
    bed.node.stop().await;
}

/// Has a room of node 0 go to sleep, while a refusal that took longer than it may be idle has kept it from what came since,
/// and says something before and after.
async fn a_room_that_falls_asleep(bed: &Bed, room: u64) {
    let mut client = bed.client(2).await;
    bed.store.read_ms.store(5_500, SeqCst);
    let kick = client.tell(json!({"op": "kick", "room": room, "user": 1}));
    pass(4_000).await;
    bed.store.script([Twist::Slow(3_000)]);
    let first = client.tell(send(room, "first"));
    pass(1_600).await;
    bed.store.read_ms.store(0, SeqCst);
    let refused = client.reply(kick).await;
    assert_eq!(refused["fault"]["code"], "forbidden");
    pass(100).await;
    let second = client.tell(send(room, "second"));
    for n in [first, second] {
        let reply = client.reply(n).await;
        assert!(reply.get("ok").is_some(), "{reply}");
    }
    assert_eq!(bed.said(room).await, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_falls_asleep_is_not_overtaken_by_the_one_that_wakes() {
    let bed = Bed::with(Options { room_idle_ms: 2_000, ..Options::default() }).await;
    let room = bed.group(1, &[2]).await;
    a_room_that_falls_asleep(&bed, room).await;
}
