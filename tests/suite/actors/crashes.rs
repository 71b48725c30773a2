//! Actors that panic or are killed under load: nothing is lost, doubled or left unanswered.

use std::sync::atomic::Ordering;

use parlance_actors::node::Victim;
use parlance_schema::RoomId;
use serde_json::json;

use super::bed::{Bed, Client, eventually, pass, send, send_as};
use super::faults::Twist;

/// Sends, and sends again under the same client id until it was done.
async fn insist(client: &mut Client, room: u64, text: &str) -> u64 {
    for _ in 0..100 {
        let n = client.tell(send_as(room, text, text));
        let reply = client.reply(n).await;
        match reply["ok"]["seq"].as_u64() {
            Some(seq) => return seq,
            None => assert_eq!(reply["fault"]["retry"], "later", "{reply}"),
        }
        pass(10).await;
    }
    panic!("{text} was never done");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_dies_mid_append_has_done_it_once_or_not_at_all() {
    for panic in [true, false] {
        for wait in [0, 5, 15, 25] {
            let bed = Bed::new().await;
            let room = bed.group(1, &[2]).await;
            let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
            bed.store.script([Twist::Slow(10), Twist::Slow(10)]);
            let asked: Vec<u64> = (0..4).map(|n| one.tell(send_as(room, &format!("{n}"), &format!("{n}")))).collect();
            pass(wait).await;
            bed.node.end(Victim::Room(RoomId::new(room)), panic);
            for n in asked {
                one.reply(n).await;
            }
            for n in 0..4 {
                insist(&mut one, room, &format!("{n}")).await;
            }
            let said = bed.said(room).await;
            assert_eq!(said.len(), 4, "panic {panic} after {wait} ms: {said:?}");
            two.reach(room, 5).await;
            one.reach(room, 5).await;
        }
    }
}

/// The writer died after its append was given to the store: members see it though nobody writes again.
#[tokio::test(start_paused = true)]
async fn what_a_dead_room_had_appended_is_seen_without_another_word() {
    for panic in [true, false] {
        for wait in [0, 5, 9, 10, 11] {
            let bed = Bed::new().await;
            let room = bed.group(1, &[2]).await;
            let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
            bed.store.script([Twist::Slow(10)]);
            let n = one.tell(send(room, "hello"));
            pass(wait).await;
            bed.node.end(Victim::Room(RoomId::new(room)), panic);
            one.reply(n).await;
            pass(2_000).await;
            if !bed.said(room).await.is_empty() {
                two.reach(room, 2).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn relays_and_rooms_that_die_under_load_lose_and_double_nothing() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let mut sender = bed.client(1).await;
    let mut others = [bed.client(2).await, bed.client(3).await];
    bed.store.read_ms.store(3, Ordering::SeqCst);
    for round in 0..40u64 {
        let asked: Vec<u64> = (0..10).map(|n| sender.tell(send(room, &format!("{round}-{n}")))).collect();
        pass(round % 7).await;
        bed.node.end(Victim::Relay(RoomId::new(room)), round % 2 == 0);
        if round % 5 == 0 {
            bed.node.end(Victim::Relay(RoomId::new(room)), false);
        }
        if round % 3 == 0 {
            bed.node.end(Victim::Room(RoomId::new(room)), round % 2 == 1);
        }
        for n in asked {
            sender.reply(n).await;
        }
        for client in &mut others {
            client.drain();
        }
    }
    pass(2_000).await;
    let seq = insist(&mut sender, room, "last").await;
    for client in others.iter_mut().chain([&mut sender]) {
        client.reach(room, seq).await;
        assert_eq!(client.seqs(room), (2..=seq).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_dies_while_it_starts_is_opened_again() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    bed.store.read_ms.store(50, Ordering::SeqCst);
    bed.node.end(Victim::Relay(RoomId::new(room)), false);
    pass(10).await;
    bed.node.end(Victim::Relay(RoomId::new(room)), false);
    pass(2_500).await;
    insist(&mut one, room, "hello").await;
    two.reach(room, 2).await;
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_while_the_relay_was_dead_gets_no_more_than_that() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let (mut two, mut three) = (bed.client(2).await, bed.client(3).await);
    bed.perform(1, send(room, "before")).await.unwrap();
    two.reach(room, 2).await;
    bed.bus.set(super::faults::Delivery::Never);
    bed.perform(1, send(room, "still")).await.unwrap();
    bed.perform(1, json!({"op": "kick", "room": room, "user": 2})).await.unwrap();
    bed.perform(1, send(room, "not for two")).await.unwrap();
    bed.bus.set(super::faults::Delivery::Once);
    bed.node.end(Victim::Relay(RoomId::new(room)), true);
    three.reach(room, 5).await;
    two.push("room_gone").await;
    assert_eq!(two.seqs(room), [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_dies_answers_each_request_once_and_goes_on() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    for round in 0..20u64 {
        let mut asked: Vec<u64> = (0..8).map(|n| one.tell(send(room, &format!("{round}-{n}")))).collect();
        asked.push(one.tell(json!({"op": "rooms"})));
        if round % 2 == 0 {
            pass(0).await;
        }
        bed.node.end(Victim::Session(one.link.id), round % 4 < 2);
        asked.push(one.tell(json!({"op": "ping"})));
        for n in asked {
            one.reply(n).await;
        }
        assert_eq!(one.link.requests.in_flight(), 0);
    }
    let mut done = false;
    for _ in 0..20 {
        let n = one.tell(send_as(room, "last", "last"));
        done = one.reply(n).await.get("ok").is_some();
        if done {
            break;
        }
        pass(50).await;
    }
    assert!(done);
    let last = bed.log(room).await.len() as u64;
    one.reach(room, last).await;
    two.reach(room, last).await;
    assert_eq!(bed.node.online(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_before_a_crash_answers_no_later_request() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    bed.store.script([Twist::Slow(100), Twist::Slow(100)]);
    let n = one.tell(send(room, "slow"));
    pass(1).await;
    bed.node.end(Victim::Session(one.link.id), false);
    let reply = one.reply(n).await;
    if reply.get("fault").is_some() {
        // It is answered, so its number is free for another one.
        one.replies.clear();
        let mut other = send(room, "other");
        other["n"] = n.into();
        pass(20).await;
        one.receiver.message(&one.link, true, other.to_string().as_bytes());
        assert_eq!(one.reply(n).await["ok"]["seq"], 3, "another request's reply");
        return;
    }
    assert_eq!(reply["ok"]["seq"], 2);
    eventually("the message is there", async || bed.said(room).await == ["slow"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_invitation_during_a_crash_is_found() {
    let bed = Bed::new().await;
    let mut two = bed.client(2).await;
    bed.node.end(Victim::Session(two.link.id), false);
    let room = bed.group(1, &[2]).await;
    pass(5_000).await;
    bed.perform(1, send(room, "hello")).await.unwrap();
    two.reach(room, 2).await;
    assert_eq!(two.pushed("room_added").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_while_it_is_read_leaves_no_room_waiting() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    bed.perform(1, send(room, "first")).await.unwrap();
    // Woken anew, the room must look the message up to decide an edit of it.
    bed.node.end(Victim::Room(RoomId::new(room)), true);
    assert_eq!(insist(&mut one, room, "second").await, 3);
    bed.store.panics.store(true, Ordering::SeqCst);
    let edit = json!({"op": "edit", "room": room, "seq": 2, "content": {"text": "edited"}, "client_id": "e"});
    assert_eq!(one.refused(edit.clone()).await, "store_unavailable");
    one.ask(edit).await;
    // After an append of unknown outcome the room must read its log.
    bed.store.script([Twist::UnknownThenPanic]);
    assert_eq!(one.refused(send_as(room, "third", "t")).await, "outcome_unknown");
    assert_eq!(insist(&mut one, room, "t").await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_store_keeps_waiting_has_an_unknown_outcome_after_its_deadline() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    bed.store.script([Twist::Slow(18_000)]);
    let asked = one.tell(send_as(room, "late", "late"));
    pass(8_000).await;
    one.drain();
    assert_eq!(one.link.requests.in_flight(), 1, "it has its time");
    let reply = one.reply(asked).await;
    assert_eq!((&reply["fault"]["code"], &reply["fault"]["retry"]), (&json!("outcome_unknown"), &json!("later")));
    assert_eq!(one.link.requests.in_flight(), 0);
    // The same number is another request's now: what comes late is not its answer.
    (one.n, one.replies) = (asked - 1, [].into());
    assert_eq!(one.tell(send_as(room, "other", "other")), asked);
    assert_eq!(one.reply(asked).await["ok"]["seq"], 3);
    assert_eq!(insist(&mut one, room, "late").await, 2);
    assert_eq!(bed.said(room).await, ["late", "other"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_keeps_waiting_is_given_up_and_the_next_goes_on() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    for message in ["a", "b"] {
        one.ask(send(room, message)).await;
    }
    bed.store.read_ms.store(3_600_000, Ordering::SeqCst);
    let asked = one.tell(json!({"op": "entries", "room": room, "after": 0, "limit": 10}));
    let next = one.tell(json!({"op": "stats"}));
    pass(29_000).await;
    one.drain();
    assert_eq!(one.link.requests.in_flight(), 2, "it has its time");
    assert_eq!(one.reply(asked).await["fault"]["code"], "outcome_unknown");
    assert_eq!(one.reply(next).await["ok"]["connections"], 1);
}
