//! Read marks and unread counts, against counting the log.

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::time::Instant;

use super::bed::{Bed, Client, pass, send};

async fn unread(bed: &Bed, user: u64, room: u64) -> (u64, u64) {
    let view = bed.perform(user, json!({"op": "room", "room": room})).await.unwrap();
    (view["read"].as_u64().unwrap(), view["unread"].as_u64().unwrap())
}

/// Others' messages after `mark`, since the user's last joining.
async fn counted(bed: &Bed, user: u64, room: u64, mark: u64) -> u64 {
    let log = bed.log(room).await;
    let values: Vec<_> = log.iter().map(|entry| serde_json::to_value(&**entry).unwrap()).collect();
    let joins = |e: &&serde_json::Value| {
        (e["fact"] == "added" && e["users"].as_array().unwrap().contains(&json!(user))) || e["fact"] == "created"
    };
    let joined = values.iter().rev().find(joins).map_or(1, |e| e["seq"].as_u64().unwrap());
    let new =
        |e: &&serde_json::Value| e["fact"] == "posted" && e["by"] != user && e["seq"].as_u64() > Some(mark.max(joined));
    values.iter().filter(new).count() as u64
}

async fn mark(client: &mut Client, room: u64, seq: u64) {
    client.ask(json!({"op": "read", "room": room, "seq": seq})).await;
}

#[tokio::test(start_paused = true)]
async fn unread_is_what_others_wrote_after_the_mark() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let mut clients = [bed.client(1).await, bed.client(2).await, bed.client(3).await];
    // A fixed walk through writing, marking anywhere, reacting, leaving and coming back.
    let mut random = 12_345u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut marks = [0u64; 3];
    for step in 0..400 {
        let at = next(3) as usize;
        let user = at as u64 + 1;
        let last = bed.log(room).await.len() as u64;
        match next(10) {
            0..=4 => drop(clients[at].ask(send(room, &format!("{step}"))).await),
            5..=7 => {
                let seq = 1 + next(last + 3);
                mark(&mut clients[at], room, seq).await;
                marks[at] = marks[at].max(seq.min(last));
            }
            8 if user != 1 => {
                clients[at].ask(json!({"op": "leave", "room": room})).await;
                bed.perform(1, json!({"op": "add", "room": room, "users": [user]})).await.unwrap();
                marks[at] = 0;
            }
            _ => {
                let rename = json!({"op": "rename", "room": room, "name": format!("{step}")});
                bed.perform(1, rename).await.unwrap();
            }
        }
        if step == 200 {
            // The same from the store, once the relay was idle and is gone.
            clients = [bed.client(1).await, bed.client(2).await, bed.client(3).await];
        }
        for (at, user) in (1..=3u64).enumerate() {
            let (_, unread) = unread(&bed, user, room).await;
            assert_eq!(unread, counted(&bed, user, room, marks[at]).await, "user {user} at step {step}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_later_begins_to_read_where_they_joined() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    for text in ["a", "b"] {
        bed.perform(1, send(room, text)).await.unwrap();
    }
    bed.perform(1, json!({"op": "add", "room": room, "users": [3]})).await.unwrap();
    let joined = bed.log(room).await.len() as u64;
    assert_eq!(unread(&bed, 3, room).await, (joined, 0));
    bed.perform(1, send(room, "c")).await.unwrap();
    assert_eq!(unread(&bed, 3, room).await, (joined, 1));
    bed.perform(3, json!({"op": "read", "room": room, "seq": 1})).await.unwrap();
    assert_eq!(unread(&bed, 3, room).await, (joined, 1), "what was there before is read as it is");
    bed.perform(3, json!({"op": "read", "room": room, "seq": joined + 1})).await.unwrap();
    assert_eq!(unread(&bed, 3, room).await, (joined + 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_counted_exactly_while_its_owner_goes_on_writing() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    // Long enough that the mark lies in the log, not in memory.
    for n in 0..150 {
        one.ask(send(room, &format!("{n} {}", "x".repeat(4_000)))).await;
        two.ask(send(room, "mine")).await;
    }
    bed.store.read_ms.store(5, Ordering::SeqCst);
    let n = two.tell(json!({"op": "read", "room": room, "seq": 50}));
    for _ in 0..30 {
        two.tell(send(room, "still writing"));
        pass(1).await;
    }
    assert!(two.reply(n).await.get("ok").is_some());
    while two.link.requests.in_flight() > 0 {
        pass(1).await;
        two.drain();
    }
    bed.store.read_ms.store(0, Ordering::SeqCst);
    assert_eq!(unread(&bed, 2, room).await, (50, counted(&bed, 2, room, 50).await));
}

#[tokio::test(start_paused = true)]
async fn marks_are_told_and_kept() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    one.ask(send(room, "a")).await;
    one.ask(send(room, "b")).await;
    mark(&mut two, room, 2).await;
    assert_eq!(one.push("read").await, json!({"push": "read", "room": room, "user": 2, "seq": 2}));
    mark(&mut two, room, 1).await;
    assert_eq!(unread(&bed, 2, room).await, (2, 1), "a mark never goes back");
    one.leave();
    two.leave();
    pass(70_000).await;
    assert!(bed.picture(&format!("relays/{room}")).await.is_null());
    assert_eq!(unread(&bed, 2, room).await, (2, 1));
    assert_eq!(
        bed.perform(3, json!({"op": "read", "room": room, "seq": 1})).await.unwrap_err().code.word(),
        "not_found"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_of_rooms_costs_one_reading_however_many_there_are() {
    let bed = Bed::new().await;
    for n in 0..30 {
        let room = bed.group(1, &[2]).await;
        if n % 3 > 0 {
            bed.perform(1, send(room, &format!("in {room}"))).await.unwrap();
        }
    }
    let list = async || bed.perform(2, json!({"op": "rooms"})).await.unwrap()["rooms"].clone();
    let before = list().await;
    bed.store.read_ms.store(50, Ordering::SeqCst);
    let begun = Instant::now();
    let rooms = list().await;
    assert!(begun.elapsed().as_millis() < 100, "{:?}", begun.elapsed());
    assert_eq!(rooms, before);
    let rooms = rooms.as_array().unwrap();
    let ends = rooms.iter().filter(|room| {
        let text = format!("in {}", room["id"]);
        room["last_message"]["content"]["text"] == text.as_str()
    });
    assert_eq!((rooms.len(), ends.count()), (30, 20));
    assert_eq!(rooms.iter().filter(|room| room["last_message"].is_null()).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn whereabouts_of_many_cost_two_readings_of_lists() {
    let bed = Bed::new().await;
    let others: Vec<u64> = (2..=40).collect();
    bed.group(1, &others[..20]).await;
    bed.store.list_ms.store(50, Ordering::SeqCst);
    let begun = Instant::now();
    let answer = bed.perform(1, json!({"op": "whereabouts", "users": others})).await.unwrap();
    assert!(begun.elapsed().as_millis() < 150, "{:?}", begun.elapsed());
    let told: Vec<_> = answer["presence"].as_array().unwrap().iter().map(|one| one["user"].as_u64().unwrap()).collect();
    assert_eq!(told, others[..20], "of those alone who share a room");
}
