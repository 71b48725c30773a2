//! When the store refuses, contradicts, or doesn't say.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::bed::{Bed, pass, send, send_as};
use super::faults::{Delivery, Twist};

#[tokio::test(start_paused = true)]
async fn a_second_writer_s_entries_are_folded_and_the_rest_decided_again() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    bed.store.script([Twist::Foreign(3)]);
    let mine: Vec<u64> = (0..5).map(|n| one.tell(send(room, &format!("{n}")))).collect();
    for n in mine {
        assert_eq!(one.reply(n).await["ok"]["again"], false);
    }
    two.reach(room, 9).await;
    assert_eq!(two.seqs(room), (2..=9).collect::<Vec<_>>());
    let mut expected = vec!["from elsewhere"; 3];
    expected.extend(["0", "1", "2", "3", "4"]);
    assert_eq!(bed.said(room).await, expected);
    assert!(bed.log(room).await.iter().rev().take(1).all(|entry| entry.posts == 8));
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_by_their_own_commands_is_told_so_and_all_see_them() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    // The node has message ids at hand from now on.
    one.ask(send(room, "first")).await;
    bed.store.script([Twist::Slow(20), Twist::Overtaken]);
    let slow = one.tell(send(room, "slow"));
    let asked = [one.tell(send_as(room, "a", "a")), one.tell(send_as(room, "b", "b"))];
    assert_eq!(one.reply(slow).await["ok"]["seq"], 3);
    for (n, seq) in asked.into_iter().zip(4..) {
        let reply = one.reply(n).await;
        assert_eq!((&reply["ok"]["seq"], &reply["ok"]["again"]), (&json!(seq), &json!(true)));
    }
    assert_eq!(bed.said(room).await, ["first", "slow", "a", "b"]);
    // Nobody else published them.
    two.reach(room, 5).await;
}

#[tokio::test(start_paused = true)]
async fn an_append_never_crosses_a_bucket_though_others_wrote_meanwhile() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    bed.store.write_behind(parlance_schema::RoomId::new(room), 979).await;
    one.ask(send(room, "looks")).await;
    bed.store.appends.lock().unwrap().clear();
    bed.store.script([Twist::Slow(20), Twist::Foreign(20)]);
    let asked: Vec<u64> = (0..45).map(|n| one.tell(send(room, &format!("{n}")))).collect();
    for n in asked {
        assert!(one.reply(n).await.get("ok").is_some());
    }
    let appends = bed.store.appends.lock().unwrap().clone();
    for (first, count) in &appends {
        assert_eq!((first - 1) / 1_024, (first + *count as u64 - 2) / 1_024, "an append crosses a bucket: {appends:?}");
    }
    let said = bed.said(room).await;
    let mine: Vec<_> = said.iter().filter(|text| text.parse::<u32>().is_ok()).collect();
    assert_eq!(mine, (0..45).map(|n| n.to_string()).collect::<Vec<_>>().iter().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_append_of_which_nobody_says_whether_it_was_done_is_looked_up() {
    for (twist, name) in [(Twist::UnknownApplied, "applied"), (Twist::UnknownNot, "not applied")] {
        let bed = Bed::new().await;
        let room = bed.group(1, &[2]).await;
        let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
        bed.store.script([Twist::Slow(20), twist, twist]);
        let asked: Vec<u64> = (0..6).map(|n| one.tell(send_as(room, &format!("{n}"), &format!("c{n}")))).collect();
        let refused = one.tell(json!({"op": "edit", "room": room, "seq": 1, "content": {"text": "x"}}));
        for (n, seq) in asked.into_iter().zip(2..) {
            let reply = one.reply(n).await;
            assert_eq!((&reply["ok"]["seq"], &reply["ok"]["again"]), (&json!(seq), &json!(false)), "{name}");
        }
        assert_eq!(one.reply(refused).await["fault"]["code"], "not_found");
        two.reach(room, 7).await;
        assert_eq!(bed.said(room).await, ["0", "1", "2", "3", "4", "5"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_refuses_and_then_works_again() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    // The node has message ids at hand from now on.
    one.ask(send(room, "first")).await;
    bed.store.script([Twist::Slow(20), Twist::Unavailable]);
    let slow = one.tell(send(room, "slow"));
    let asked = [one.tell(send_as(room, "a", "a")), one.tell(send_as(room, "b", "b"))];
    assert!(one.reply(slow).await.get("ok").is_some());
    for n in asked {
        let fault = one.reply(n).await["fault"].clone();
        assert_eq!((&fault["code"], &fault["retry"]), (&json!("store_unavailable"), &json!("later")));
    }
    pass(100).await;
    two.drain();
    assert_eq!(two.seqs(room), [2, 3], "what was refused was published");
    bed.store.down.store(true, Ordering::SeqCst);
    assert_eq!(one.refused(send(room, "c")).await, "store_unavailable");
    bed.store.down.store(false, Ordering::SeqCst);
    assert_eq!(one.ask(send_as(room, "a", "a")).await["again"], false);
    two.reach(room, 4).await;
    assert_eq!(bed.said(room).await, ["first", "slow", "a"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_lost_is_read_from_the_log_and_repeats_are_dropped() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    bed.store.read_ms.store(7, Ordering::SeqCst);
    for round in 0..12 {
        bed.bus.set([Delivery::Once, Delivery::Never, Delivery::Twice, Delivery::Never][round % 4]);
        for n in 0..40 {
            one.tell(send(room, &format!("{round}-{n}")));
        }
        while one.link.requests.in_flight() > 0 {
            pass(1).await;
            one.drain();
        }
    }
    bed.bus.set(Delivery::Once);
    bed.bus.replay();
    one.ask(send(room, "last")).await;
    two.reach(room, 482).await;
    one.reach(room, 482).await;
    bed.bus.replay();
    pass(100).await;
    two.drain();
    assert_eq!(two.seqs(room), (2..=482).collect::<Vec<_>>());
}
