//! Coming back: exactly what was missed, or a word about why not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parlance_actors::node::Victim;
use parlance_schema::RoomId;
use serde_json::json;
use tokio::time::Instant;

use super::bed::{Bed, pass, send};

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_what_was_missed_and_then_what_comes() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    for n in 0..700 {
        bed.perform(1, send(room, &format!("{n} {}", "x".repeat(800)))).await.unwrap();
    }
    for from in [0u64, 1, 350, 699, 701] {
        // From the ring, and from the log where the ring is empty.
        for cold in [false, true] {
            if cold {
                bed.node.end(Victim::Relay(RoomId::new(room)), true);
                pass(10).await;
            }
            let last = bed.log(room).await.len() as u64;
            let mut client = bed.connect(2).await;
            let resumed = client.resume(json!({room.to_string(): {"epoch": 1, "seq": from}})).await;
            assert_eq!(resumed[0], json!({"room": room, "epoch": 1, "from": from, "last": last, "outcome": "live"}));
            bed.perform(1, send(room, "live")).await.unwrap();
            client.reach(room, last + 1).await;
            assert_eq!(client.seqs(room), (from + 1..=last + 1).collect::<Vec<_>>());
            client.leave();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_not_this_log_s_is_told_to_reset() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.perform(1, send(room, "a")).await.unwrap();
    let append = bed.log(room).await[1].append;
    let outcome = async |position: serde_json::Value| {
        let mut client = bed.connect(2).await;
        let resumed = client.resume(json!({room.to_string(): position})).await[0].clone();
        (resumed["outcome"].as_str().unwrap().to_owned(), resumed["from"].as_u64().unwrap())
    };
    let (live, reset) = ("live".to_owned(), "reset".to_owned());
    assert_eq!(outcome(json!({"epoch": 1, "seq": 2, "append": append})).await, (live, 2));
    assert_eq!(outcome(json!({"epoch": 1, "seq": 2, "append": append + 1})).await, (reset.clone(), 2));
    assert_eq!(outcome(json!({"epoch": 1, "seq": 1, "append": append})).await, (reset.clone(), 2));
    assert_eq!(outcome(json!({"epoch": 1, "seq": 3})).await, (reset.clone(), 2));
    assert_eq!(outcome(json!({"epoch": 2, "seq": 1})).await, (reset, 2));
    let mut stranger = bed.connect(3).await;
    for id in [room, 4_000_000] {
        let resumed = stranger.resume(json!({id.to_string(): {"epoch": 1, "seq": 1}})).await[0].clone();
        assert_eq!(resumed, json!({"room": id, "epoch": 1, "from": 0, "last": 0, "outcome": "gone"}));
    }
}

#[tokio::test(start_paused = true)]
async fn too_much_missed_is_said_and_live_goes_on() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.store.write_behind(RoomId::new(room), 10_000).await;
    bed.perform(1, send(room, "a")).await.unwrap();
    pass(100).await;
    let mut client = bed.connect(2).await;
    let resumed = client.resume(json!({room.to_string(): {"epoch": 1, "seq": 1}})).await[0].clone();
    assert_eq!((&resumed["outcome"], &resumed["from"]), (&json!("too_far"), &json!(10_002)));
    let mut other = bed.connect(2).await;
    let resumed = other.resume(json!({room.to_string(): {"epoch": 1, "seq": 2}})).await[0].clone();
    assert_eq!(resumed["outcome"], "live");
    bed.perform(1, send(room, "b")).await.unwrap();
    client.reach(room, 10_003).await;
    assert_eq!(client.seqs(room), [10_003]);
    other.reach(room, 10_003).await;
    assert_eq!(other.seqs(room), (3..=10_003).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_second_resume_while_the_first_is_read_from_the_log_is_served() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.store.write_behind(RoomId::new(room), 600).await;
    bed.perform(1, send(room, "a")).await.unwrap();
    pass(70_000).await;
    let mut client = bed.connect(2).await;
    client.resume(json!({})).await;
    bed.store.read_ms.store(20, Ordering::SeqCst);
    client.tell(json!({"op": "resume", "positions": {room.to_string(): {"epoch": 1, "seq": 300}}}));
    pass(25).await;
    client.resume(json!({room.to_string(): {"epoch": 1, "seq": 100}})).await;
    pass(1_000).await;
    client.drain();
    assert_eq!(client.close, None);
    let seqs = client.seqs(room);
    let tail = &seqs[seqs.iter().rposition(|seq| *seq == 101).unwrap()..];
    assert_eq!(tail, (101..=602).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pushed_before_the_reply() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.store.list_ms.store(20, Ordering::SeqCst);
    let mut client = bed.connect(2).await;
    let n = client.tell(json!({"op": "resume", "positions": {room.to_string(): {"epoch": 1, "seq": 0}}}));
    for at in 0..30 {
        bed.perform(1, send(room, &format!("{at}"))).await.unwrap();
        if at % 10 == 5 {
            bed.node.end(Victim::Relay(RoomId::new(room)), true);
        }
        pass(1).await;
        client.drain();
        assert!(client.replies.contains_key(&n) || client.seqs(room).is_empty());
    }
    let reply = client.reply(n).await;
    if reply.get("ok").is_none() {
        client.resume(json!({room.to_string(): {"epoch": 1, "seq": 0}})).await;
    }
    client.reach(room, 31).await;
    assert_eq!(client.seqs(room), (1..=31).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_comes_during_a_resume_is_not_lost() {
    let bed = Bed::new().await;
    let mut client = bed.connect(2).await;
    bed.store.list_ms.store(50, Ordering::SeqCst);
    let n = client.tell(json!({"op": "resume", "positions": {}}));
    pass(10).await;
    bed.store.list_ms.store(0, Ordering::SeqCst);
    let room = bed.group(1, &[2]).await;
    let reply = client.reply(n).await;
    assert_eq!(reply["ok"]["resumed"], json!([]), "the list was read before");
    bed.perform(1, send(room, "hello")).await.unwrap();
    client.reach(room, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_whose_time_is_over_lets_nothing_come() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.perform(1, send(room, "missed")).await.unwrap();
    bed.store.list_ms.store(40_000, Ordering::SeqCst);
    let mut client = bed.connect(2).await;
    let resume = json!({"op": "resume", "positions": {room.to_string(): {"epoch": 1, "seq": 1}}});
    assert_eq!(client.refused(resume).await, "outcome_unknown");
    bed.store.list_ms.store(0, Ordering::SeqCst);
    // Now the rooms are known after all.
    pass(20_000).await;
    bed.perform(1, send(room, "later")).await.unwrap();
    pass(100).await;
    client.drain();
    assert_eq!(client.seqs(room), Vec::<u64>::new(), "the client doesn't know where it stands");
    client.resume(json!({room.to_string(): {"epoch": 1, "seq": 1}})).await;
    client.reach(room, 3).await;
    assert_eq!(client.seqs(room), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_another_s_resume_reads() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    bed.perform(1, send(room, "a")).await.unwrap();
    let append = bed.log(room).await[1].append;
    let (mut back, mut live) = (bed.connect(2).await, bed.client(3).await);
    // What the position is checked by is no longer in memory.
    bed.node.end(Victim::Relay(RoomId::new(room)), true);
    pass(10).await;
    bed.perform(1, send(room, "b")).await.unwrap();
    live.reach(room, 3).await;
    bed.store.read_ms.store(1_000, Ordering::SeqCst);
    let asked =
        back.tell(json!({"op": "resume", "positions": {room.to_string(): {"epoch": 1, "seq": 2, "append": append}}}));
    pass(10).await;
    let began = Instant::now();
    for seq in 4..20 {
        bed.perform(1, send(room, "c")).await.unwrap();
        live.reach(room, seq).await;
    }
    assert!(began.elapsed() < Duration::from_millis(100), "others waited {:?}", began.elapsed());
    back.drain();
    assert!(!back.replies.contains_key(&asked), "the position has not been checked yet");
    assert_eq!(back.reply(asked).await["ok"]["resumed"][0]["outcome"], "live");
    back.reach(room, 19).await;
    assert_eq!(back.seqs(room), (3..20).collect::<Vec<_>>());
}
