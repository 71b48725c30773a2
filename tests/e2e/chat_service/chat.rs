//! One chat, seen from both sides.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Caller, Socket};
use crate::raw::{PATIENCE, Raw};
use crate::stage::folder;

fn ids(list: &Value) -> Vec<u64> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_api_writes_the_other_shows_at_once() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let anna = Caller::sign_up(&server, "anna").await;
    let bert = Caller::sign_up(&server, "bert").await;
    let mut native = Raw::ready(server.address(), &bert.token).await;
    native.resume(json!({})).await;
    let chat = anna.group("Kitchen", &[bert.id]).await;
    native.push(|push| push["push"] == "room_added" && push["room"] == chat).await;
    let mut socket = anna.socket(chat).await;
    native.push(|push| push["push"] == "entered" && push["user"] == anna.id).await;

    socket.message("from chat-service").await;
    let own = socket.want("new_message").await["message"].clone();
    let entry = native.entry(chat, 2).await;
    assert_eq!((&entry["content"]["text"], &entry["id"]), (&json!("from chat-service"), &own["id"]));
    assert_eq!((&own["sender_id"], &own["sender_username"]), (&json!(anna.id), &json!("anna")));
    let seq = native.post(chat, "from the native side").await;
    let theirs = socket.want("new_message").await["message"].clone();
    assert_eq!((&theirs["content"], &theirs["sender_username"]), (&json!("from the native side"), &json!("bert")));
    native.ok(json!({"op": "edit", "room": chat, "seq": seq, "content": {"text": "better"}})).await;
    let edited = socket.want("message_edited").await["message"].clone();
    assert_eq!(
        (&edited["id"], &edited["content"], &edited["is_edited"]),
        (&theirs["id"], &json!("better"), &json!(true))
    );
    assert_eq!(edited["timestamp"], theirs["timestamp"]);
    native.ok(json!({"op": "typing", "room": chat, "on": true})).await;
    assert_eq!(socket.want("typing_started").await["user_id"], bert.id);
    socket.say(json!({"type": "typing", "content": "stop"})).await;
    native.push(|push| push["push"] == "typing" && push["user"] == anna.id && push["on"] == false).await;
    native.ok(json!({"op": "delete", "room": chat, "seq": seq})).await;
    assert_eq!(socket.want("message_deleted").await["message_id"], theirs["id"]);

    let history = anna.get(&format!("messages/chat/{chat}")).await;
    assert_eq!(ids(&history), [theirs["id"].as_u64().unwrap(), own["id"].as_u64().unwrap()]);
    let (gone, there) = (&history["items"][0], &history["items"][1]);
    assert_eq!((&gone["is_deleted"], &gone["content"]), (&json!(true), &json!("")));
    assert_eq!(
        (&there["is_deleted"], &there["is_edited"], &there["message_type"]),
        (&json!(false), &json!(false), &json!("text"))
    );
    let found = native.ok(json!({"op": "find", "message": own["id"]})).await;
    assert_eq!((&found["room"], &found["seq"]), (&json!(chat), &json!(2)));
    let direct = bert.post("chats", json!({"chat_type": "direct", "participant_ids": [anna.id]})).await;
    let again = json!({"chat_type": "direct", "participant_ids": [bert.id, anna.id]});
    assert_eq!(anna.want(200, Method::POST, "chats/", Some(again)).await["id"], direct["id"]);
    assert_eq!(native.ok(json!({"op": "direct", "user": anna.id})).await["id"], direct["id"]);
}

/// A chat's members who are online are these: at once, or, as the news goes round from node to node, in the end.
async fn online(caller: &Caller, chat: u64, users: &[u64]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = caller.get(&format!("ws/chat/{chat}/online")).await["online_users"].take();
        if found == json!(users) {
            return;
        }
        assert!(caller.doors.are_several() && Instant::now() < deadline, "{found}, not {users:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_socket_in_and_the_last_one_out_are_told() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let (anna, bert) = (Caller::sign_up(&server, "anna").await, Caller::sign_up(&server, "bert").await);
    let chat = anna.group("Kitchen", &[bert.id]).await;
    let mut watching = anna.socket(chat).await;
    online(&anna, chat, &[anna.id]).await;
    let mut first = bert.socket(chat).await;
    assert_eq!(watching.want("user_joined").await["user_id"], bert.id);
    let second = bert.socket(chat).await;
    let stats = bert.get("ws/stats").await;
    assert_eq!((&stats["active_connections"], &stats["active_chats"]), (&json!(3), &json!(1)));
    assert_eq!(stats["connections_per_chat"], json!({chat.to_string(): 3}));
    online(&anna, chat, &[anna.id, bert.id]).await;
    drop(second);
    first.message("still here").await;
    watching.want("new_message").await;
    first.want("new_message").await;
    drop(first);
    assert_eq!(watching.want("user_left").await["user_id"], bert.id);
    assert!(watching.settled().await.is_empty());

    // Adding and removing are told as well; whoever is removed is closed.
    let cleo = Caller::sign_up(&server, "cleo").await;
    let path = format!("chats/{chat}/participants");
    let added = anna.post(&path, json!({"user_ids": [cleo.id]})).await;
    assert_eq!((&added["items"][0]["user_id"], &added["items"][0]["is_admin"]), (&json!(cleo.id), &json!(false)));
    assert_eq!(watching.want("user_joined").await["user_id"], cleo.id);
    let mut hers = cleo.socket(chat).await;
    assert_eq!(watching.want("user_joined").await["user_id"], cleo.id);
    bert.want(403, Method::DELETE, &path, Some(json!({"user_id": cleo.id}))).await;
    anna.want(204, Method::DELETE, &format!("{path}?user_id={}", cleo.id), None).await;
    assert_eq!(watching.want("user_left").await["user_id"], cleo.id);
    assert_eq!(hers.closed().await, 4403);
    cleo.want(403, Method::GET, &path, None).await;
    assert_eq!(Socket::open(server.address(), &format!("{chat}?token={}", cleo.token)).await.closed().await, 4403);
    // The last admin leaves; who has been there longest is the next.
    anna.want(204, Method::DELETE, &format!("chats/{chat}"), None).await;
    assert_eq!(watching.closed().await, 4403);
    let left = bert.get(&path).await;
    assert_eq!((&left["total"], &left["items"][0]["is_admin"]), (&json!(1), &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_or_fetched_is_read() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let (anna, bert) = (Caller::sign_up(&server, "anna").await, Caller::sign_up(&server, "bert").await);
    let chat = anna.group("Kitchen", &[bert.id]).await;
    for at in 0..5 {
        anna.send(chat, &format!("message {at}")).await;
    }
    let listed = bert.listed(chat).await;
    assert_eq!((&listed["unread_count"], &listed["last_message"]["content"]), (&json!(5), &json!("message 4")));
    assert_eq!(listed["last_message"]["sender_username"], "anna");
    assert_eq!(anna.listed(chat).await["unread_count"], 0, "one's own messages");
    bert.get(&format!("messages/chat/{chat}?page=2&page_size=2")).await;
    assert_eq!(bert.listed(chat).await["unread_count"], 5, "an older page reads nothing");
    bert.get(&format!("messages/chat/{chat}?page_size=2")).await;
    assert_eq!(bert.listed(chat).await["unread_count"], 0);
    anna.send(chat, "one more").await;
    assert_eq!(bert.listed(chat).await["unread_count"], 1);
    let mut socket = bert.socket(chat).await;
    anna.send(chat, "and another").await;
    socket.want("new_message").await;
    assert_eq!(bert.listed(chat).await["unread_count"], 0, "an open socket reads");
    drop(socket);
    let mut native = Raw::ready(server.address(), &anna.token).await;
    let members = native.ok(json!({"op": "members", "room": chat})).await;
    assert_eq!(members["members"][1]["read"], native.last(chat).await, "the native API knows as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_resumes_after_the_last_message_it_saw() {
    let (_folder, setup) = folder();
    let mut server = setup.start().await;
    let (anna, bert) = (Caller::sign_up(&server, "anna").await, Caller::sign_up(&server, "bert").await);
    let chat = anna.group("Kitchen", &[bert.id]).await;
    let old = anna.send(chat, "long ago").await;
    let seen = anna.send(chat, "seen").await;
    let missed = anna.send(chat, "missed").await;
    let wrong = anna.send(chat, "wrong").await;
    bert.send(chat, "missed too").await;
    anna.want(204, Method::DELETE, &format!("messages/{wrong}"), None).await;
    let edit = json!({"content": "long ago, and edited"});
    anna.want(200, Method::PUT, &format!("messages/{old}"), Some(edit)).await;
    // From the log, with the messages that were changed; then, as nothing was forgotten, from memory.
    server.kill();
    server.restart().await;
    for _ in 0..2 {
        let mut socket = bert.socket_with(chat, &format!("&resume_from={seen}")).await;
        let mut said = Vec::new();
        for _ in 0..3 {
            let message = socket.want("new_message").await["message"].clone();
            said.push((message["content"].as_str().unwrap().to_owned(), message["sender_username"].clone()));
        }
        let (anna_says, bert_says) = (json!("anna"), json!("bert"));
        let expected = [("missed", &anna_says), ("", &anna_says), ("missed too", &bert_says)];
        assert_eq!(said, expected.map(|(text, by)| (text.to_owned(), by.clone())));
        assert_eq!(socket.want("message_deleted").await["message_id"], wrong);
        let edited = socket.want("message_edited").await["message"].clone();
        assert_eq!((&edited["id"], &edited["content"]), (&json!(old), &json!("long ago, and edited")));
        assert_eq!(edited["sender_username"], "anna");
        assert!(socket.settled().await.is_empty());
    }
    let mut all = bert.socket_with(chat, "&resume_from=0").await;
    let mut replayed = Vec::new();
    for _ in 0..5 {
        replayed.push(all.until("new_message").await["message"]["id"].as_u64().unwrap());
    }
    assert_eq!(replayed[..4], [old, seen, missed, wrong]);
    let mut none = bert.socket(chat).await;
    assert!(none.settled().await.is_empty(), "without `resume_from` a socket begins now");
    let mut lost = bert.socket_with(chat, "&resume_from=999999").await;
    assert_eq!(lost.want("error").await["code"], "reset", "what can't be replayed is not passed over in silence");
    anna.send(chat, "live").await;
    assert_eq!(lost.want("new_message").await["message"]["content"], "live");
    // What is edited long after it was sent is whole, though nobody here has it in memory.
    let page = bert.get(&format!("messages/chat/{chat}?after={missed}&page_size=2")).await;
    assert_eq!(ids(&page).len(), 2);
    assert_eq!(page["items"][1]["id"], wrong, "the two that follow, newest first");
    let mut closed = Socket::open(server.address(), &format!("{chat}?token={}&resume_from=x", bert.token)).await;
    assert_eq!(closed.closed().await, 4422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_skip_nothing_and_a_client_id_makes_a_repeat_harmless() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let (anna, bert) = (Caller::sign_up(&server, "anna").await, Caller::sign_up(&server, "bert").await);
    let chat = anna.group("Kitchen", &[bert.id]).await;
    let mut socket = anna.socket(chat).await;
    // Long ones, of which the core gives fewer at a time than a page holds.
    let long = "ß".repeat(10_000);
    let mut sent = Vec::new();
    for at in 0..30 {
        socket.say(json!({"type": "message", "content": &long, "client_id": format!("c{at}")})).await;
        socket.say(json!({"type": "message", "content": &long, "client_id": format!("c{at}")})).await;
        sent.push(socket.want("new_message").await["message"]["id"].as_u64().unwrap());
    }
    assert!(socket.settled().await.is_empty(), "a repeat is no second message");
    sent.reverse();
    let whole = bert.get(&format!("messages/chat/{chat}?page_size=100")).await;
    assert_eq!((ids(&whole), &whole["total"]), (sent.clone(), &json!(30)));
    let mut paged = Vec::new();
    for page in 1..=4 {
        let found = bert.get(&format!("messages/chat/{chat}?page={page}&page_size=9")).await;
        paged.extend(ids(&found));
    }
    assert_eq!(paged, sent);
    let beyond = bert.get(&format!("messages/chat/{chat}?page=5&page_size=9")).await;
    assert_eq!((ids(&beyond), &beyond["total"], &beyond["page"]), (vec![], &json!(30), &json!(5)));
    let before = bert.get(&format!("messages/chat/{chat}?before={}&limit=4", sent[10])).await;
    assert_eq!(ids(&before), sent[11..15]);
    let body = json!({"chat_id": chat, "content": "once", "client_id": "k"});
    let first = anna.post("messages/", body.clone()).await;
    assert_eq!(anna.want(200, Method::POST, "messages", Some(body)).await["id"], first["id"]);
    for bad in ["page=0", "page=x", "page_size=0", "page_size=101", "limit=101", "before=x"] {
        bert.want(422, Method::GET, &format!("messages/chat/{chat}?{bad}"), None).await;
    }
    bert.want(404, Method::GET, &format!("messages/chat/{chat}?before=999999"), None).await;
    let long = json!({"chat_id": chat, "content": "ß".repeat(10_001)});
    assert_eq!(
        anna.want(422, Method::POST, "messages/", Some(long)).await["detail"][0]["loc"],
        json!(["body", "content"])
    );
    let huge = json!({"chat_id": chat, "content": "x".repeat(200_000)});
    anna.want(413, Method::POST, "messages/", Some(huge)).await;
}
