//! Who is in a room, who sees what of it, and opening rooms at once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bed::{Bed, pass, send};

#[tokio::test(start_paused = true)]
async fn fifty_who_open_the_same_room_at_once_open_one() {
    let bed = Arc::new(Bed::new().await);
    let open = |op: Value| {
        let tasks: Vec<_> = (0..50u64)
            .map(|n| {
                let (bed, op) = (bed.clone(), op.clone());
                let who = if op["op"] == "direct" && n % 2 == 1 { 2 } else { 1 };
                let op = if who == 2 { json!({"op": "direct", "user": 1}) } else { op };
                tokio::spawn(async move { bed.perform(who, op).await.unwrap()["id"].as_u64().unwrap() })
            })
            .collect();
        async {
            let mut rooms = Vec::new();
            for task in tasks {
                rooms.push(task.await.unwrap());
            }
            rooms.dedup();
            rooms
        }
    };
    let direct = open(json!({"op": "direct", "user": 2})).await;
    assert_eq!(direct.len(), 1, "{direct:?}");
    assert_eq!(bed.log(direct[0]).await.len(), 1);
    let create = json!({"op": "create", "kind": "group", "name": "Tea", "members": [3], "client_id": "c"});
    let group = open(create).await;
    assert_eq!(group.len(), 1, "{group:?}");
    assert_eq!(bed.log(group[0]).await.len(), 1);
    for (user, count) in [(1, 2), (2, 1), (3, 1)] {
        let rooms = bed.perform(user, json!({"op": "rooms"})).await.unwrap();
        assert_eq!(rooms["rooms"].as_array().unwrap().len(), count);
    }
    assert!(bed.perform(1, json!({"op": "direct", "user": 100})).await.is_err(), "another tenant's user");
}

#[tokio::test(start_paused = true)]
async fn who_is_added_gets_the_room_from_there_and_who_is_removed_gets_no_more() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[]).await;
    let (mut two, mut phone) = (bed.client(2).await, bed.client(2).await);
    bed.perform(1, send(room, "before")).await.unwrap();
    bed.perform(1, json!({"op": "add", "room": room, "users": [2]})).await.unwrap();
    for client in [&mut two, &mut phone] {
        assert_eq!(client.push("room_added").await, json!({"push": "room_added", "room": room, "epoch": 1, "from": 2}));
        client.reach(room, 3).await;
    }
    two.ask(send(room, "hello")).await;
    two.ask(json!({"op": "leave", "room": room})).await;
    bed.perform(1, send(room, "secret")).await.unwrap();
    phone.push("room_gone").await;
    two.push("room_gone").await;
    assert_eq!(two.refused(json!({"op": "messages", "room": room})).await, "not_found");
    assert_eq!(two.refused(json!({"op": "messages", "room": 77_777})).await, "not_found");
    bed.perform(1, json!({"op": "add", "room": room, "users": [2]})).await.unwrap();
    bed.perform(1, send(room, "again")).await.unwrap();
    for client in [&mut two, &mut phone] {
        while client.seqs(room).last() != Some(&8) {
            pass(1).await;
            client.drain();
        }
        assert_eq!(client.seqs(room), [3, 4, 5, 7, 8]);
    }
}

#[tokio::test(start_paused = true)]
async fn history_since_joined_hides_what_was_before_on_every_path() {
    let bed = Bed::new().await;
    let create = json!({"op": "create", "kind": "group", "name": "Tea", "history": "since_joined"});
    let room = bed.perform(1, create).await.unwrap()["id"].as_u64().unwrap();
    bed.perform(1, send(room, "secret")).await.unwrap();
    bed.perform(1, json!({"op": "add", "room": room, "users": [2]})).await.unwrap();
    bed.perform(1, send(room, "hello")).await.unwrap();
    let mut two = bed.connect(2).await;
    let resumed = two.resume(json!({room.to_string(): {"epoch": 1, "seq": 0}})).await[0].clone();
    assert_eq!((&resumed["from"], &resumed["outcome"]), (&json!(2), &json!("live")));
    two.reach(room, 4).await;
    assert_eq!(two.seqs(room), [3, 4]);
    let messages = two.ask(json!({"op": "messages", "room": room, "after": 0})).await;
    let entries = two.ask(json!({"op": "entries", "room": room, "after": 0})).await;
    let view = two.ask(json!({"op": "room", "room": room})).await;
    assert!(![&messages, &entries, &view].iter().any(|answer| answer.to_string().contains("secret")));
    assert_eq!(messages["items"].as_array().unwrap().len(), 1);
    assert_eq!(view["first"], 3);
    for op in ["message", "revisions", "delete"] {
        assert_eq!(two.refused(json!({"op": op, "room": room, "seq": 2})).await, "not_found");
    }
    // A moderator reads all, and is no member for it.
    let all = bed.perform(91, json!({"op": "messages", "room": room})).await.unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(bed.perform(91, json!({"op": "rooms"})).await.unwrap()["rooms"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn moderators_are_audited_and_nobody_else() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.store.script([super::faults::Twist::Slow(20)]);
    let (mut one, mut two) = (bed.client(1).await, bed.client(2).await);
    one.tell(send(room, "slow"));
    pass(1).await;
    // In one append: a message, and its sender's removal.
    let said = two.tell(send(room, "rude"));
    pass(1).await;
    one.tell(json!({"op": "kick", "room": room, "user": 2}));
    assert!(two.reply(said).await.get("ok").is_some());
    one.reach(room, 4).await;
    pass(10).await;
    assert_eq!(bed.store.inner.audited(), 0);
    let delete = json!({"op": "delete", "room": room, "seq": 3, "client_id": "d"});
    bed.perform(91, delete.clone()).await.unwrap();
    bed.perform(91, delete).await.unwrap();
    pass(10).await;
    assert_eq!(bed.store.inner.audited(), 1);
    assert_eq!(bed.perform(91, send(room, "x")).await.unwrap_err().code.word(), "forbidden");
}

#[tokio::test(start_paused = true)]
async fn a_room_takes_users_of_its_own_tenant_only() {
    let bed = Bed::new().await;
    let room = bed.group(100, &[101]).await;
    let add = |user: u64| json!({"op": "add", "room": room, "users": [user]});
    assert_eq!(bed.perform(100, add(1)).await.unwrap_err().code.word(), "not_found");
    assert_eq!(bed.perform(99, add(1)).await.unwrap_err().code.word(), "not_found");
    assert_eq!(bed.perform(91, add(1)).await.unwrap_err().code.word(), "not_found");
    bed.perform(99, add(102)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_list_of_rooms_says_what_each_is() {
    let bed = Bed::new().await;
    let first = bed.group(1, &[2]).await;
    pass(10).await;
    let second = bed.perform(2, json!({"op": "direct", "user": 1})).await.unwrap()["id"].as_u64().unwrap();
    pass(10).await;
    bed.perform(2, send(first, "hello")).await.unwrap();
    let rooms = bed.perform(1, json!({"op": "rooms"})).await.unwrap()["rooms"].clone();
    assert_eq!((&rooms[0]["id"], &rooms[1]["id"]), (&json!(first), &json!(second)));
    assert_eq!((&rooms[0]["unread"], &rooms[0]["role"], &rooms[0]["last"]), (&json!(1), &json!("owner"), &json!(2)));
    assert_eq!(rooms[0]["last_message"]["content"]["text"], "hello");
    assert_eq!(
        (&rooms[1]["kind"], &rooms[1]["peer"], &rooms[1]["role"]),
        (&json!("direct"), &json!(2), &json!("member"))
    );
    bed.perform(1, json!({"op": "leave", "room": first})).await.unwrap();
    assert_eq!(bed.perform(1, json!({"op": "rooms"})).await.unwrap()["rooms"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn admins_see_the_bans_that_hold_and_the_invites_that_are_open() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2, 3, 4]).await;
    let now = bed.log(room).await[0].at;
    bed.perform(1, json!({"op": "promote", "room": room, "user": 2, "role": "admin"})).await.unwrap();
    bed.perform(2, json!({"op": "ban", "room": room, "user": 4})).await.unwrap();
    bed.perform(1, json!({"op": "ban", "room": room, "user": 5, "until": now + 60_000})).await.unwrap();
    let invite =
        |expires_at: Value, uses: Value| json!({"op": "invite", "room": room, "expires_at": expires_at, "uses": uses});
    let open = bed.perform(1, invite(Value::Null, json!(2))).await.unwrap();
    let hour = bed.perform(2, invite(json!(now + 60_000), Value::Null)).await.unwrap();
    let once = bed.perform(1, invite(Value::Null, json!(1))).await.unwrap();
    for (user, code) in [(6, &open["code"]), (7, &once["code"])] {
        bed.perform(user, json!({"op": "join", "code": code})).await.unwrap();
    }
    let list = |op: &str| json!({"op": op, "room": room});
    for (user, op, code) in [(3, "bans", "forbidden"), (3, "invites", "forbidden"), (4, "bans", "not_found")] {
        assert_eq!(bed.perform(user, list(op)).await.unwrap_err().code.word(), code);
    }
    let all = json!([{"user": 4, "seq": 3}, {"user": 5, "seq": 4, "until": now + 60_000}]);
    let mine = json!({"hash": open["hash"], "by": 1, "left": 1});
    for user in [1, 2, 91] {
        assert_eq!(bed.perform(user, list("bans")).await.unwrap()["bans"], all);
        let invites = bed.perform(user, list("invites")).await.unwrap()["invites"].clone();
        assert_eq!(invites, json!([{"hash": hour["hash"], "by": 2, "expires_at": now + 60_000}, mine]));
    }
    pass(60_000).await;
    assert_eq!(bed.perform(1, list("bans")).await.unwrap()["bans"], json!([{"user": 4, "seq": 3}]));
    assert_eq!(bed.perform(1, list("invites")).await.unwrap()["invites"], json!([mine]));
    bed.perform(1, json!({"op": "unban", "room": room, "user": 4})).await.unwrap();
    bed.perform(2, json!({"op": "uninvite", "room": room, "hash": open["hash"]})).await.unwrap();
    assert_eq!(bed.perform(1, list("bans")).await.unwrap()["bans"], json!([]));
    assert_eq!(bed.perform(1, list("invites")).await.unwrap()["invites"], json!([]));
}
