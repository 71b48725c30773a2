//! Everybody sees the same, in the same order, once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::raw::{How, PATIENCE, Raw};
use crate::stage::{Stage, folder};
use crate::text::sentence;

/// Sessions: two rooms of a hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_see_the_same_sequences() {
    let stage = Stage::set(2, 100).await;
    for round in 0..5 {
        for (at, client) in stage.clients.iter().enumerate().filter(|(at, _)| at % 2 == 0) {
            client.send(stage.rooms[at / 100], sentence(at + round));
        }
    }
    for client in &stage.clients {
        client.until("the acknowledgements", |state| state.unacked() == 0).await;
    }
    let counts = stage.judge().await;
    assert_eq!(counts["acks"], 500);
    assert_eq!(counts["entries"], 500);
    assert_eq!(counts["pushes"], 500 * 100);
    println!("{counts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_on_two_sockets_at_once_is_stored_once() {
    let (_folder, setup) = folder();
    let users = setup.users(1);
    let server = setup.start().await;
    let mut first = Raw::ready(server.address(), &users[0].token).await;
    let second = Raw::ready(server.address(), &users[0].token).await;
    let room = first.create("twice", &[]).await;
    let mut sockets = [first, second];
    for round in 0..50_u64 {
        let barrier = Arc::new(Barrier::new(2));
        let mut tasks = JoinSet::new();
        for mut socket in sockets {
            let barrier = barrier.clone();
            tasks.spawn(async move {
                let request = json!({"op": "send", "room": room, "client_id": format!("c{round}"),
                    "content": {"text": sentence(round as usize)}});
                barrier.wait().await;
                let done = socket.ok(request).await;
                (socket, done)
            });
        }
        let [(one, done_one), (two, done_two)]: [_; 2] = tasks.join_all().await.try_into().ok().unwrap();
        assert_eq!(done_one["seq"], round + 2, "nothing was stored twice before");
        assert_eq!((&done_one["seq"], &done_one["id"]), (&done_two["seq"], &done_two["id"]));
        assert_ne!(done_one["again"], done_two["again"], "exactly one of them was the first");
        sockets = [one, two];
    }
    assert_eq!(sockets[0].last(room).await, 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_room_that_both_open_at_once_is_one() {
    let (_folder, setup) = folder();
    let users = setup.users(20);
    let server = setup.start().await;
    for pair in users.chunks(2) {
        let barrier = Arc::new(Barrier::new(2));
        let mut tasks = JoinSet::new();
        for (me, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let mut socket = Raw::ready(server.address(), &me.token).await;
            let (barrier, other) = (barrier.clone(), other.id);
            tasks.spawn(async move {
                barrier.wait().await;
                let room = socket.ok(json!({"op": "direct", "user": other})).await["id"].as_u64().unwrap();
                let rooms = socket.ok(json!({"op": "rooms"})).await;
                (room, rooms["rooms"].as_array().unwrap().len())
            });
        }
        let opened = tasks.join_all().await;
        assert_eq!(opened[0], opened[1]);
        assert_eq!(opened[0].1, 1, "each of them has the one room");
    }
}

/// Waits until a socket sees all members online: where they are on several nodes, that is news.
async fn all_online(socket: &mut Raw, room: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let members = socket.ok(json!({"op": "members", "room": room})).await;
        if members["members"].as_array().unwrap().iter().all(|member| member["status"] == "online") {
            return;
        }
        assert!(Instant::now() < deadline, "not all are online: {members}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_wires_show_the_same() {
    let (_folder, setup) = folder();
    let users = setup.users(2);
    let server = setup.start().await;
    let mut json = Raw::ready(server.address(), &users[0].token).await;
    let msgpack = How { msgpack: true, ..How::default() };
    let mut msgpack = Raw::connect(server.address(), &users[1].token, msgpack).await.unwrap();
    let room = json.create("both", &[users[1].id]).await;
    for socket in [&mut json, &mut msgpack] {
        socket.resume(json!({})).await;
    }
    let op = json!({"op": "send", "room": room, "mentions": [users[0].id], "meta": {"k": "v"},
        "content": {"text": sentence(10), "parts": [{"type": "code", "text": "let x = 1;"}]}});
    let seq = msgpack.ok(op).await["seq"].as_u64().unwrap();
    let first = json.post(room, "first").await;
    json.ok(json!({"op": "edit", "room": room, "seq": first, "content": {"text": "second"}})).await;
    json.ok(json!({"op": "react", "room": room, "seq": seq, "emoji": "\u{1f44d}\u{1f3fd}"})).await;
    json.ok(json!({"op": "delete", "room": room, "seq": seq + 1})).await;
    for seq in seq..seq + 5 {
        assert_eq!(json.entry(room, seq).await, msgpack.entry(room, seq).await);
    }
    for socket in [&mut json, &mut msgpack] {
        all_online(socket, room).await;
    }
    for request in [
        json!({"op": "entries", "room": room, "after": 0}),
        json!({"op": "messages", "room": room}),
        json!({"op": "members", "room": room}),
        json!({"op": "fly"}),
    ] {
        assert_eq!(json.request(request.clone()).await, msgpack.request(request).await);
    }
}
