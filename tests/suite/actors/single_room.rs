//! Connections that are for one room alone, and what wires look up while they write.

use std::sync::Arc;

use parlance::dialect::chat_service::wire::Frames;
use parlance::gateway::native::Json;
use parlance_actors::node::Victim;
use parlance_actors::service::{After, Service, What};
use parlance_schema::{MessageId, RoomId};
use serde_json::{Value, json};

use super::bed::{Bed, Client, eventually, pass, principal, send};

async fn entered(bed: &Bed, id: u64, room: u64) -> Client {
    bed.enter(id, room, Arc::new(Json), None).await.unwrap()
}

async fn chatting(bed: &Bed, id: u64, room: u64, after: Option<u64>) -> Client {
    let wire = Arc::new(Frames::new(2, RoomId::new(room)));
    let after = after.map(|id| if id == 0 { After::Nothing } else { After::Message(MessageId::new(id)) });
    bed.enter(id, room, wire, after).await.unwrap()
}

fn who(client: &Client, kind: &str) -> Vec<u64> {
    client.pushed(kind).iter().map(|push| push["user"].as_u64().unwrap()).collect()
}

async fn unread(bed: &Bed, id: u64, room: u64) -> Value {
    bed.perform(id, json!({"op": "room", "room": room})).await.unwrap()["unread"].clone()
}

/// Sends a message over no connection; its id.
async fn say(bed: &Bed, id: u64, room: u64, text: &str) -> u64 {
    bed.perform(id, send(room, text)).await.unwrap()["id"].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_in_and_the_last_out_are_told_once() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let mut native = bed.client(1).await;
    let mut first = entered(&bed, 2, room).await;
    let second = entered(&bed, 2, room).await;
    let third = entered(&bed, 3, room).await;
    pass(10).await;
    // A crash of the relay makes nobody come again.
    assert!(bed.node.end(Victim::Relay(RoomId::new(room)), true));
    say(&bed, 1, room, "a").await;
    first.reach(room, 2).await;
    second.leave();
    pass(100).await;
    native.drain();
    assert_eq!((who(&native, "entered"), who(&native, "parted")), (vec![2, 3], vec![]));
    first.drain();
    assert_eq!(who(&first, "entered"), [3], "one is not told of oneself");
    first.leave();
    third.leave();
    pass(100).await;
    native.drain();
    assert_eq!(who(&native, "parted"), [2, 3]);
    let stats = bed.perform(1, json!({"op": "stats"})).await.unwrap();
    assert_eq!(stats, json!({"connections": 1, "open_rooms": 1, "per_room": {room.to_string(): 1}}));
    let elsewhere = bed.perform(100, json!({"op": "stats"})).await.unwrap();
    assert_eq!(elsewhere, json!({"connections": 0, "open_rooms": 0, "per_room": {}}));
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_is_read_and_told_in_one_go() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3]).await;
    let mut native = bed.client(1).await;
    let mut there = entered(&bed, 2, room).await;
    for at in 0..20 {
        say(&bed, 1, room, &format!("message {at}")).await;
    }
    there.reach(room, 21).await;
    native.drain();
    assert!(native.pushed("read").is_empty(), "marks wait, to be told together");
    assert_eq!((unread(&bed, 2, room).await, unread(&bed, 3, room).await), (json!(0), json!(20)));
    say(&bed, 1, room, "one more").await;
    pass(6_000).await;
    native.drain();
    let marks: Vec<_> = native.pushed("read").iter().map(|push| push["seq"].as_u64().unwrap()).collect();
    assert_eq!(marks, [21, 22], "asking looks at once, and the rest comes together");
    // Gone before anybody looked: what was delivered stays read, also in a new relay.
    say(&bed, 1, room, "the last one").await;
    there.reach(room, 23).await;
    there.leave();
    pass(1_000).await;
    assert!(bed.node.end(Victim::Relay(RoomId::new(room)), true));
    // Until the next one has taken its seat, questions are answered with "try again".
    pass(10).await;
    assert_eq!(unread(&bed, 2, room).await, 0);
    say(&bed, 1, room, "later").await;
    assert_eq!(unread(&bed, 2, room).await, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_removed_gets_that_and_is_closed() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut there = entered(&bed, 2, room).await;
    assert_eq!(there.refused(json!({"op": "resume", "positions": {}})).await, "invalid");
    bed.perform(1, json!({"op": "kick", "room": room, "user": 2})).await.unwrap();
    say(&bed, 1, room, "among ourselves").await;
    assert_eq!(there.closed().await, 4403);
    assert_eq!(there.seqs(room), [2]);
    assert!(there.pushed("room_gone").is_empty());
    for (id, room) in [(2, room), (3, room), (100, room), (1, 999)] {
        let refused = bed.enter(id, room, Arc::new(Json), None).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.code.word(), "not_found", "{id} in {room}");
    }
    let there = async |who, what| bed.node.is_there(principal(who), what).await.unwrap();
    let id = say(&bed, 1, room, "a").await;
    for what in [What::Room(RoomId::new(room)), What::Message(MessageId::new(id))] {
        assert!(there(3, what).await && !there(100, what).await);
    }
    assert!(!there(3, What::Room(RoomId::new(999))).await);
    assert!(!there(3, What::Message(MessageId::new(999))).await);
}

#[tokio::test(start_paused = true)]
async fn a_wire_gets_what_is_not_at_hand() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let old = say(&bed, 1, room, "old").await;
    let mut there = chatting(&bed, 2, room, None).await;
    // A new relay has neither the message that is edited nor, of somebody who came later, the name.
    bed.perform(1, json!({"op": "add", "room": room, "users": [3]})).await.unwrap();
    assert_eq!(there.frames(1).await[0]["type"], "user_joined");
    assert!(bed.node.end(Victim::Relay(RoomId::new(room)), true));
    bed.perform(1, json!({"op": "edit", "room": room, "seq": 2, "content": {"text": "new"}})).await.unwrap();
    say(&bed, 3, room, "hello").await;
    say(&bed, 1, room, "hello yourself").await;
    let frames = there.frames(4).await;
    let edited = &frames[1]["message"];
    assert_eq!(
        (&edited["id"], &edited["content"], &edited["sender_username"]),
        (&json!(old), &json!("new"), &json!("user1"))
    );
    let said: Vec<_> =
        frames[2..].iter().map(|f| (&f["message"]["sender_username"], &f["message"]["content"])).collect();
    assert_eq!(said, [(&json!("user3"), &json!("hello")), (&json!("user1"), &json!("hello yourself"))]);
    // The same again, from the log.
    let mut late = chatting(&bed, 2, room, Some(old)).await;
    assert_eq!(late.frames(4).await, frames);
    let mut all = chatting(&bed, 2, room, Some(0)).await;
    assert_eq!(all.frames(5).await[0]["message"]["id"], old);
    let mut lost = chatting(&bed, 2, room, Some(777)).await;
    assert_eq!(lost.frames(1).await[0]["code"], "reset");
}

#[tokio::test(start_paused = true)]
async fn pages_from_the_end_skip_messages_and_nothing_else() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut ids = Vec::new();
    for at in 0..40 {
        ids.push(say(&bed, 1, room, &format!("message {at}")).await);
        // What is no message doesn't count.
        bed.perform(1, json!({"op": "rename", "room": room, "name": format!("Tea {at}")})).await.unwrap();
    }
    let page = async |skip: u64, limit: u64, before: Option<u64>| {
        let op = json!({"op": "messages", "room": room, "skip": skip, "limit": limit, "before": before});
        let page = bed.perform(2, op).await.unwrap();
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    for skip in 0..=41 {
        let end = ids.len().saturating_sub(skip);
        assert_eq!(page(skip as u64, 7, None).await, ids[end.saturating_sub(7)..end], "{skip}");
    }
    // Message 20 has the number 42.
    assert_eq!(page(3, 5, Some(42)).await, ids[12..17]);
    assert_eq!(page(u64::MAX >> 12, 5, None).await, [0_u64; 0]);
    let both = json!({"op": "messages", "room": room, "skip": 1, "after": 3});
    assert_eq!(bed.perform(2, both).await.unwrap_err().code.word(), "invalid");
    let view = bed.perform(2, json!({"op": "room", "room": room})).await.unwrap();
    assert_eq!((&view["messages"], &view["unread"]), (&json!(40), &json!(40)));
    bed.perform(2, json!({"op": "messages", "room": room, "skip": 1, "read": true})).await.unwrap();
    assert_eq!(unread(&bed, 2, room).await, 40, "not the latest page");
    bed.perform(2, json!({"op": "messages", "room": room, "limit": 1, "read": true})).await.unwrap();
    assert_eq!(unread(&bed, 2, room).await, 0);
    // A moderator who is no member reads, and marks nothing.
    bed.perform(91, json!({"op": "messages", "room": room, "read": true})).await.unwrap();
    let found = bed.perform(2, json!({"op": "find", "message": ids[5]})).await.unwrap();
    assert_eq!((&found["seq"], &found["content"]["text"]), (&json!(12), &json!("message 5")));
    for (id, message) in [(3, ids[5]), (100, ids[5]), (2, 999)] {
        let refused = bed.perform(id, json!({"op": "find", "message": message})).await.unwrap_err();
        assert_eq!(refused.code.word(), "not_found");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_crashes_keeps_its_room() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut there = entered(&bed, 2, room).await;
    assert!(bed.node.end(Victim::Session(there.link.id), true));
    let id = there.link.id;
    eventually("a new session", async || !bed.picture(&format!("sessions/{id}")).await.is_null()).await;
    say(&bed, 1, room, "still there?").await;
    there.reach(room, 2).await;
    let mut native = bed.client(1).await;
    there.leave();
    assert_eq!(native.push("parted").await["user"], 2);
}
