//! A room's hundred members, when many come at once.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::raw::Raw;
use crate::stage::folder;

const MEMBERS_MAX: usize = 100;

/// Gives all requests at once, each on its own socket, and returns the socket and the outcome of each.
async fn at_once(requests: Vec<(Raw, Value)>) -> Vec<(Raw, Result<Value, Value>)> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let mut tasks = JoinSet::new();
    for (mut socket, request) in requests {
        let barrier = barrier.clone();
        tasks.spawn(async move {
            barrier.wait().await;
            let outcome = socket.request(request).await;
            (socket, outcome)
        });
    }
    tasks.join_all().await
}

fn ids(members: &Value) -> Vec<u64> {
    members["members"].as_array().unwrap().iter().map(|member| member["user"].as_u64().unwrap()).collect()
}

/// Ninety members; then forty join by invite, while the owner's forty sockets add forty others, one by one and in batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hundred_and_first_is_refused_under_a_race() {
    let (_folder, setup) = folder();
    let users = setup.users(200);
    let server = setup.start().await;
    let mut owner = Raw::ready(server.address(), &users[0].token).await;
    let first: Vec<u64> = users[1..90].iter().map(|user| user.id).collect();
    let room = owner.create("full", &first).await;
    let code = owner.ok(json!({"op": "invite", "room": room})).await["code"].as_str().unwrap().to_owned();
    let mut requests = Vec::new();
    for user in &users[90..120] {
        let socket = Raw::ready(server.address(), &user.token).await;
        requests.push((socket, json!({"op": "join", "code": code})));
    }
    for user in &users[120..140] {
        let socket = Raw::ready(server.address(), &users[0].token).await;
        requests.push((socket, json!({"op": "add", "room": room, "users": [user.id]})));
    }
    for batch in users[140..200].chunks(4) {
        let socket = Raw::ready(server.address(), &users[0].token).await;
        let batch: Vec<u64> = batch.iter().map(|user| user.id).collect();
        requests.push((socket, json!({"op": "add", "room": room, "users": batch})));
    }
    let outcomes = at_once(requests).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().err()).collect();
    assert!(refused.iter().all(|fault| fault["code"] == "room_full" && fault["retry"] == "never"), "{refused:?}");
    let members = ids(&owner.ok(json!({"op": "members", "room": room})).await);
    assert_eq!(members.len(), MEMBERS_MAX);
    for batch in users[140..200].chunks(4) {
        let there = batch.iter().filter(|user| members.contains(&user.id)).count();
        assert!(there == 0 || there == batch.len(), "a batch is added whole or not at all");
    }
    for user in users.iter().filter(|user| !members.contains(&user.id)).take(3) {
        let mut socket = Raw::ready(server.address(), &user.token).await;
        assert_eq!(socket.code(json!({"op": "join", "code": code})).await, "room_full");
    }
    // Where one leaves, one may come.
    let mut leaving = Raw::ready(server.address(), &users[5].token).await;
    leaving.ok(json!({"op": "leave", "room": room})).await;
    let outsider = users.iter().find(|user| !members.contains(&user.id)).unwrap();
    owner.ok(json!({"op": "add", "room": room, "users": [outsider.id]})).await;
    let members = ids(&owner.ok(json!({"op": "members", "room": room})).await);
    assert_eq!(members.len(), MEMBERS_MAX);
    assert!(members.contains(&outsider.id) && !members.contains(&users[5].id));
    println!("{} requests at once, {} refused", outcomes.len(), refused.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_would_overflow_adds_nobody() {
    let (_folder, setup) = folder();
    let users = setup.users(120);
    let server = setup.start().await;
    let mut owner = Raw::ready(server.address(), &users[0].token).await;
    let all: Vec<u64> = users[1..].iter().map(|user| user.id).collect();
    let code = owner.code(json!({"op": "create", "kind": "group", "name": "too many", "members": all})).await;
    assert!(["invalid", "room_full"].contains(&code.as_str()), "{code}");
    assert_eq!(owner.ok(json!({"op": "rooms"})).await["rooms"], json!([]));
    let room = owner.create("nearly", &all[..97]).await;
    let last = owner.last(room).await;
    assert_eq!(owner.code(json!({"op": "add", "room": room, "users": &all[97..100]})).await, "room_full");
    assert_eq!(owner.last(room).await, last, "nothing is stored");
    owner.ok(json!({"op": "add", "room": room, "users": &all[97..99]})).await;
    assert_eq!(ids(&owner.ok(json!({"op": "members", "room": room})).await).len(), MEMBERS_MAX);
}
