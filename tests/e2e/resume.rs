//! Resuming: exactly what was missed, and a clear word where that can't be.

use serde_json::{Value, json};

use crate::raw::Raw;
use crate::server::{Server, User};
use crate::stage::folder;
use crate::text::sentence;

async fn filled(server: &Server, users: &[User], posts: usize) -> (Raw, u64) {
    let mut owner = Raw::ready(server.address(), &users[0].token).await;
    let others: Vec<u64> = users[1..].iter().map(|user| user.id).collect();
    let room = owner.create("resumed", &others).await;
    for at in 0..posts {
        owner.post(room, sentence(at)).await;
    }
    (owner, room)
}

async fn entries(owner: &mut Raw, room: u64) -> Vec<Value> {
    let page = owner.ok(json!({"op": "entries", "room": room, "after": 0, "limit": 200})).await;
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_comes_once_and_nothing_else() {
    let (_folder, setup) = folder();
    let users = setup.users(2);
    let server = setup.start().await;
    let (mut owner, room) = filled(&server, &users, 60).await;
    let log = entries(&mut owner, room).await;
    let epoch = owner.ok(json!({"op": "room", "room": room})).await["epoch"].clone();
    for seq in [0_usize, 1, 17, 59, 60, 61] {
        let mut socket = Raw::ready(server.address(), &users[1].token).await;
        let mut position = json!({"epoch": epoch, "seq": seq});
        if seq > 0 {
            position["append"] = log[seq - 1]["append"].clone();
        }
        let resumed = socket.resume(json!({ room.to_string(): position })).await;
        let expected = json!([{"room": room, "epoch": epoch, "from": seq, "last": 61, "outcome": "live"}]);
        assert_eq!(Value::from(resumed), expected);
        for entry in &log[seq..] {
            let push = socket.push(|push| push["push"] == "entry").await;
            assert_eq!((&push["room"], &push["entry"]), (&json!(room), entry));
        }
    }
    // And then what is new, right behind.
    let mut socket = Raw::ready(server.address(), &users[1].token).await;
    socket.resume(json!({ room.to_string(): {"epoch": epoch, "seq": 50} })).await;
    let seq = owner.post(room, "live").await;
    for seq in 51..=seq {
        let push = socket.push(|push| push["push"] == "entry").await;
        assert_eq!(push["entry"]["seq"], seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pushed_before_the_resume() {
    let (_folder, setup) = folder();
    let users = setup.users(2);
    let server = setup.start().await;
    let (mut owner, room) = filled(&server, &users, 1).await;
    let mut socket = Raw::ready(server.address(), &users[1].token).await;
    owner.post(room, "unseen").await;
    socket.ok(json!({"op": "ping"})).await;
    assert!(socket.pushes.is_empty(), "{:?}", socket.pushes);
    let resumed = socket.resume(json!({})).await;
    assert_eq!((&resumed[0]["from"], &resumed[0]["outcome"]), (&json!(3), &json!("live")), "at the present end");
    let seq = owner.post(room, "seen").await;
    let push = socket.push(|push| push["push"] == "entry").await;
    assert_eq!(push["entry"]["seq"], seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_are_not_of_this_log_are_reset() {
    let (_folder, setup) = folder();
    let users = setup.users(3);
    let server = setup.start().await;
    let (mut owner, room) = filled(&server, &users[..2], 20).await;
    let epoch = owner.ok(json!({"op": "room", "room": room})).await["epoch"].as_u64().unwrap();
    let log = entries(&mut owner, room).await;
    let other_append = json!({"epoch": epoch, "seq": 10, "append": log[11]["append"].as_u64().unwrap() ^ 1});
    for position in [json!({"epoch": epoch, "seq": 22}), json!({"epoch": epoch ^ 1, "seq": 3}), other_append] {
        let mut socket = Raw::ready(server.address(), &users[1].token).await;
        let resumed = socket.resume(json!({ room.to_string(): position })).await;
        assert_eq!(resumed[0]["outcome"], "reset", "{position}");
        let seq = owner.post(room, "after").await;
        assert_eq!(socket.push(|push| push["push"] == "entry").await["entry"]["seq"], seq);
    }
    // A stranger learns nothing, not even that the room is there.
    let mut stranger = Raw::ready(server.address(), &users[2].token).await;
    let resumed = stranger
        .resume(json!({ room.to_string(): {"epoch": epoch, "seq": 1}, "999999": {"epoch": epoch, "seq": 1} }))
        .await;
    for answer in &resumed {
        assert_eq!((&answer["outcome"], &answer["last"]), (&json!("gone"), &resumed[0]["last"]), "{resumed:?}");
    }
    owner.post(room, "not for strangers").await;
    stranger.ok(json!({"op": "ping"})).await;
    assert!(stranger.pushes.is_empty(), "{:?}", stranger.pushes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_gets_the_entry_that_says_so_and_nothing_after() {
    let (_folder, setup) = folder();
    let users = setup.users(2);
    let server = setup.start().await;
    let (mut owner, room) = filled(&server, &users, 3).await;
    let mut socket = Raw::ready(server.address(), &users[1].token).await;
    socket.resume(json!({})).await;
    let kick = owner.ok(json!({"op": "kick", "room": room, "user": users[1].id})).await;
    for at in 0..5 {
        owner.post(room, sentence(at)).await;
    }
    let push = socket.push(|push| push["push"] == "entry").await;
    assert_eq!((&push["entry"]["seq"], &push["entry"]["fact"]), (&kick["seq"], &json!("kicked")));
    let push = socket.push(|push| push["push"] != "presence").await;
    assert_eq!(push, json!({"push": "room_gone", "room": room}));
    socket.ok(json!({"op": "ping"})).await;
    assert!(socket.pushes.iter().all(|push| push["push"] != "entry"), "{:?}", socket.pushes);
    assert_eq!(socket.code(json!({"op": "send", "room": room, "content": {"text": "still here"}})).await, "not_found");
    // Coming back, one is told anew.
    owner.ok(json!({"op": "add", "room": room, "users": [users[1].id]})).await;
    let added = socket.push(|push| push["push"] == "room_added").await;
    let first = socket.push(|push| push["push"] == "entry").await;
    assert_eq!(first["entry"]["seq"].as_u64().unwrap(), added["from"].as_u64().unwrap() + 1);
    assert_eq!(first["entry"]["fact"], "added");
}
