//! Group commit, and each client id done once.

use serde_json::json;

use super::bed::{Bed, eventually, pass, send, send_as};
use super::faults::Twist;

#[tokio::test(start_paused = true)]
async fn many_commands_go_in_few_appends_that_cross_no_bucket() {
    let bed = Bed::new().await;
    let members: Vec<u64> = (2..=60).collect();
    let room = bed.group(1, &members).await;
    let mut clients = Vec::new();
    for id in 1..=60 {
        clients.push(bed.client(id).await);
    }
    bed.store.appends.lock().unwrap().clear();
    bed.store.script([Twist::Slow(5)].repeat(100));
    for round in 0..20 {
        for client in &mut clients {
            client.tell(send(room, &format!("{}-{round}", client.id)));
        }
    }
    for client in &mut clients {
        client.reach(room, 1_201).await;
        assert_eq!(client.replies.len(), 21);
    }
    let appends = bed.store.appends.lock().unwrap().clone();
    assert!(appends.len() <= 25, "{} appends for 1,200 commands", appends.len());
    for (first, count) in appends {
        assert!(count <= 64);
        assert_eq!((first - 1) / 1_024, (first + count as u64 - 2) / 1_024, "{count} from {first} cross a bucket");
    }
    // Each sender's messages in the order in which they were sent.
    let said = bed.said(room).await;
    for id in 1..=60 {
        let mine = said.iter().filter(|text| text.starts_with(&format!("{id}-"))).cloned().collect::<Vec<_>>();
        assert_eq!(mine, (0..20).map(|round| format!("{id}-{round}")).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_client_id_is_done_once_in_one_batch_and_later() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut other) = (bed.client(1).await, bed.client(1).await);
    let mut foreign = bed.client(2).await;
    bed.store.script([Twist::Slow(20)]);
    // The first goes alone; these wait and go together.
    let first = one.tell(send(room, "first"));
    let tries = [one.tell(send_as(room, "x", "a")), one.tell(send_as(room, "x", "a"))];
    let elsewhere = other.tell(send_as(room, "x", "a"));
    let theirs = foreign.tell(send_as(room, "theirs", "a"));
    let first = one.reply(first).await;
    assert_eq!((&first["ok"]["seq"], &first["ok"]["again"]), (&json!(2), &json!(false)));
    let mut answers = vec![one.reply(tries[0]).await, one.reply(tries[1]).await, other.reply(elsewhere).await];
    assert_eq!(answers.iter().filter(|reply| reply["ok"]["again"] == false).count(), 1);
    for answer in &mut answers {
        answer["re"] = 0.into();
        answer["ok"]["again"] = false.into();
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(foreign.reply(theirs).await["ok"]["again"], false);
    let again = one.ask(send_as(room, "x", "a")).await;
    assert_eq!((&again["seq"], &again["again"]), (&answers[0]["ok"]["seq"], &json!(true)));
    assert_eq!(bed.said(room).await, ["first", "x", "theirs"]);
}

/// Any command again, after the room slept and forgot all answers, when the state would refuse it by now.
#[tokio::test(start_paused = true)]
async fn the_same_client_id_is_answered_as_first_after_the_room_slept() {
    let bed = Bed::new().await;
    let create = json!({"op": "create", "kind": "group", "name": "Tea", "members": [2, 3, 4], "client_id": "open"});
    let opened = bed.perform(1, create.clone()).await.unwrap();
    let room = opened["id"].as_u64().unwrap();
    let code = bed.perform(1, json!({"op": "invite", "room": room})).await.unwrap()["code"].clone();
    let commands = [
        (1, json!({"op": "send", "content": {"text": "v0"}})),
        (1, json!({"op": "edit", "seq": 3, "revision": 0, "content": {"text": "v1"}})),
        (2, json!({"op": "react", "seq": 3, "emoji": "👍"})),
        (2, json!({"op": "unreact", "seq": 3, "emoji": "👍"})),
        (1, json!({"op": "delete", "seq": 3})),
        (1, json!({"op": "add", "users": [5]})),
        (6, json!({"op": "join", "code": code})),
        (1, json!({"op": "kick", "user": 3})),
        (2, json!({"op": "leave"})),
        (1, json!({"op": "ban", "user": 7})),
        (1, json!({"op": "mute", "user": 5})),
        (1, json!({"op": "promote", "user": 4, "role": "admin"})),
        (1, json!({"op": "rename", "name": "Coffee"})),
        (1, json!({"op": "archive"})),
        (1, json!({"op": "unarchive"})),
    ];
    let with = |at: usize, op: &serde_json::Value| {
        let mut op = op.clone();
        if op["op"] != "join" {
            op["room"] = room.into();
        }
        op["client_id"] = format!("c{at}").into();
        op
    };
    let mut first = Vec::new();
    for (at, (who, op)) in commands.iter().enumerate() {
        first.push(bed.perform(*who, with(at, op)).await.unwrap_or_else(|fault| panic!("{op}: {fault}")));
    }
    let length = bed.log(room).await.len();
    let asleep = async || bed.picture(&format!("rooms/{room}")).await.is_null();
    pass(61_000).await;
    eventually("the room sleeps", asleep).await;
    for (at, (who, op)) in commands.iter().enumerate() {
        let mut again = bed.perform(*who, with(at, op)).await.unwrap_or_else(|fault| panic!("{op} again: {fault}"));
        assert_eq!(again["again"], true, "{op}");
        again["again"] = false.into();
        assert_eq!(again, first[at], "{op}");
    }
    assert_eq!(bed.perform(1, create).await.unwrap()["id"], room);
    assert_eq!(bed.log(room).await.len(), length);
}

#[tokio::test(start_paused = true)]
async fn a_command_about_a_message_finds_it_however_many_were_known() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut client = bed.client(1).await;
    for n in 0..300 {
        client.ask(send(room, &format!("{n}"))).await;
    }
    // In one append: messages enough to make the owner forget others, and an edit of an old one.
    bed.store.script([Twist::Slow(20)]);
    let mut asked = vec![client.tell(send(room, "slow"))];
    for n in 0..60 {
        asked.push(client.tell(send(room, &format!("late {n}"))));
    }
    asked.push(client.tell(json!({"op": "edit", "room": room, "seq": 2, "content": {"text": "edited"}})));
    for n in asked {
        let reply = client.reply(n).await;
        assert!(reply.get("ok").is_some(), "{reply}");
    }
    for seq in 2..=200 {
        client.ask(json!({"op": "react", "room": room, "seq": seq, "emoji": "👍"})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_words_are_given_to_nobody_any_more() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut client = bed.client(1).await;
    let mut late = bed.connect(2).await;
    bed.store.script([Twist::Slow(20)]);
    client.tell(send(room, "slow"));
    client.tell(send(room, "secret"));
    client.tell(json!({"op": "edit", "room": room, "seq": 3, "content": {"text": "secret still"}}));
    client.tell(json!({"op": "delete", "room": room, "seq": 3}));
    client.reach(room, 5).await;
    let position = json!({room.to_string(): {"epoch": 1, "seq": 1}});
    late.resume(position).await;
    late.reach(room, 5).await;
    let pushed = serde_json::to_string(&late.pushes).unwrap();
    assert!(!pushed.contains("secret"), "{pushed}");
    assert_eq!(bed.said(room).await, ["slow", ""]);
}

#[tokio::test(start_paused = true)]
async fn who_adds_somebody_again_is_answered_as_at_first_whatever_has_become_of_them() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    bed.perform(1, json!({"op": "promote", "room": room, "user": 2, "role": "admin"})).await.unwrap();
    let add = json!({"op": "add", "room": room, "users": [3], "client_id": "a"});
    let first = bed.perform(2, add.clone()).await.unwrap();
    bed.perform(1, json!({"op": "kick", "room": room, "user": 2})).await.unwrap();
    let again = bed.perform(2, add).await.unwrap();
    assert_eq!((&again["seq"], &again["again"]), (&first["seq"], &json!(true)));
    let other = json!({"op": "add", "room": room, "users": [4], "client_id": "b"});
    assert_eq!(bed.perform(2, other).await.unwrap_err().code, parlance_schema::Code::NotFound);
}
