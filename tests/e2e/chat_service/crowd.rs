//! A hundred members, half of them native.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Caller;
use crate::raw::Raw;
use crate::stage::folder;

const MEMBERS: usize = 100;
const EACH: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_members_of_both_kinds_see_one_order() {
    let (_folder, setup) = folder();
    let users = setup.users(MEMBERS);
    let server = setup.start().await;
    let callers: Vec<_> = users.iter().map(|user| Caller::new(&server, &user.token, user.id)).collect();
    let others: Vec<u64> = users[1..].iter().map(|user| user.id).collect();
    let chat = callers[0].group("everybody", &others).await;
    let barrier = Arc::new(Barrier::new(MEMBERS));
    let mut tasks: JoinSet<Vec<u64>> = JoinSet::new();
    for (at, caller) in callers.into_iter().enumerate() {
        let barrier = barrier.clone();
        if at % 2 == 0 {
            tasks.spawn(async move {
                let mut socket = caller.socket(chat).await;
                barrier.wait().await;
                for _ in 0..EACH {
                    socket.message("from an old client").await;
                }
                let mut seen = Vec::new();
                while seen.len() < MEMBERS * EACH {
                    seen.push(socket.until("new_message").await["message"]["id"].as_u64().unwrap());
                }
                seen
            });
        } else {
            tasks.spawn(async move {
                let mut socket = Raw::ready(caller.address, &caller.token).await;
                socket.resume(json!({})).await;
                barrier.wait().await;
                for _ in 0..EACH {
                    socket.ask(json!({"op": "send", "room": chat, "content": {"text": "from a native one"}})).await;
                }
                let mut seen = Vec::new();
                while seen.len() < MEMBERS * EACH {
                    let push = socket.push(|push| push["push"] == "entry" && push["entry"]["fact"] == "posted").await;
                    seen.push(push["entry"]["id"].as_u64().unwrap());
                }
                seen
            });
        }
    }
    let seen = tasks.join_all().await;
    assert!(seen.iter().all(|order| *order == seen[0]), "all see one order");
}

/// Ninety members; then others come at once, on every path there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hundred_and_first_is_refused_on_every_path() {
    let (_folder, setup) = folder();
    let users = setup.users(201);
    let server = setup.start().await;
    let owner = Caller::new(&server, &users[0].token, users[0].id);
    let first: Vec<u64> = users[1..90].iter().map(|user| user.id).collect();
    let chat = owner.group("full", &first).await;
    let path = format!("chats/{chat}/participants");
    let mut native = Raw::ready(server.address(), &users[0].token).await;
    let code = native.ok(json!({"op": "invite", "room": chat})).await["code"].as_str().unwrap().to_owned();
    let barrier = Arc::new(Barrier::new(30));
    let mut tasks: JoinSet<(Vec<u64>, bool)> = JoinSet::new();
    for (at, three) in users[90..180].chunks(3).enumerate() {
        let (owner, barrier, path, code, three) =
            (owner.clone(), barrier.clone(), path.clone(), code.clone(), three.to_vec());
        let ids: Vec<u64> = three.iter().map(|user| user.id).collect();
        tasks.spawn(async move {
            let mut socket = Raw::ready(owner.address, &three[0].token).await;
            let mut owners = Raw::ready(owner.address, &owner.token).await;
            barrier.wait().await;
            match at % 4 {
                0 | 1 => {
                    let ids = if at % 4 == 0 { ids } else { ids[..1].to_vec() };
                    let (status, answer) = owner.call(Method::POST, &path, Some(json!({"user_ids": ids}))).await;
                    assert!(status == 201 || status == 409 && answer["detail"].is_string(), "{status} {answer}");
                    (ids, status == 201)
                }
                2 => {
                    let added = owners.request(json!({"op": "add", "room": chat, "users": ids})).await;
                    assert!(added.as_ref().err().is_none_or(|fault| fault["code"] == "room_full"), "{added:?}");
                    (ids, added.is_ok())
                }
                _ => {
                    let joined = socket.request(json!({"op": "join", "code": code})).await;
                    assert!(joined.as_ref().err().is_none_or(|fault| fault["code"] == "room_full"), "{joined:?}");
                    (ids[..1].to_vec(), joined.is_ok())
                }
            }
        });
    }
    let outcomes = tasks.join_all().await;
    let list = owner.get(&path).await;
    let members: Vec<u64> =
        list["items"].as_array().unwrap().iter().map(|member: &Value| member["user_id"].as_u64().unwrap()).collect();
    assert_eq!((members.len(), &list["total"]), (MEMBERS, &json!(MEMBERS)));
    for (ids, taken) in &outcomes {
        assert!(ids.iter().all(|id| members.contains(id) == *taken), "a batch is added whole or not at all: {ids:?}");
    }
    assert!(outcomes.iter().any(|(_, taken)| !taken));
    owner.want(409, Method::POST, &path, Some(json!({"user_ids": [users[200].id]}))).await;
    let too_many: Vec<u64> = users[1..=100].iter().map(|user| user.id).collect();
    let chat = json!({"chat_type": "group", "name": "too many", "participant_ids": too_many});
    owner.want(409, Method::POST, "chats/", Some(chat)).await;
}
