//! Presence: who is there, told once to those who share a room.

use parlance_actors::node::Options;
use serde_json::{Value, json};

use super::bed::{Bed, Client, pass};

fn of(client: &Client, user: u64) -> Vec<String> {
    let about = client.pushed("presence").into_iter().filter(|push| push["user"] == user);
    about.map(|push| push["status"].as_str().unwrap().to_owned()).collect()
}

async fn whereabouts(bed: &Bed, who: u64, user: u64) -> Value {
    let answer = bed.perform(who, json!({"op": "whereabouts", "users": [user]})).await.unwrap();
    answer["presence"][0]["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn coming_changing_and_going_are_told_each_once() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    let mut two = bed.client(2).await;
    let tablet = bed.client(2).await;
    for status in ["away", "do_not_disturb", "online"] {
        two.ask(json!({"op": "presence", "status": status})).await;
        pass(10).await;
    }
    assert_eq!(two.refused(json!({"op": "presence", "status": "offline"})).await, "invalid");
    one.drain();
    // Away on one device while another is in use is no news; do not disturb counts for all.
    assert_eq!(of(&one, 2), ["online", "do_not_disturb", "online"]);
    tablet.leave();
    two.leave();
    pass(2_000).await;
    one.drain();
    assert_eq!(of(&one, 2).len(), 3);
    let two = bed.client(2).await;
    pass(10_000).await;
    one.drain();
    assert_eq!(of(&one, 2).len(), 3, "who is back within the grace was never away");
    two.leave();
    pass(2_900).await;
    assert_eq!(of(&one, 2).len(), 3);
    pass(200).await;
    one.drain();
    let last = one.pushed("presence").pop().unwrap().clone();
    assert_eq!((&last["room"], &last["user"], &last["status"]), (&json!(room), &json!(2), &json!("offline")));
    assert!(last["last_seen"].is_u64());
    assert_eq!(bed.node.online(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_flaps_is_offline_only_after_a_whole_grace() {
    let bed = Bed::new().await;
    bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    bed.client(2).await.leave();
    pass(2_000).await;
    bed.client(2).await.leave();
    pass(2_500).await;
    one.drain();
    assert_eq!(of(&one, 2), ["online"]);
    pass(1_000).await;
    one.drain();
    assert_eq!(of(&one, 2), ["online", "offline"]);
}

#[tokio::test(start_paused = true)]
async fn news_of_one_user_never_overtake_each_other() {
    let bed = Bed::new().await;
    bed.group(1, &[2]).await;
    let mut one = bed.client(1).await;
    let mut two = bed.client(2).await;
    pass(10).await;
    bed.store.list_ms.store(100, std::sync::atomic::Ordering::SeqCst);
    two.ask(json!({"op": "presence", "status": "away"})).await;
    pass(10).await;
    bed.store.list_ms.store(0, std::sync::atomic::Ordering::SeqCst);
    two.ask(json!({"op": "presence", "status": "do_not_disturb"})).await;
    pass(1_000).await;
    one.drain();
    assert_eq!(of(&one, 2).last().unwrap(), "do_not_disturb");
}

#[tokio::test(start_paused = true)]
async fn whereabouts_are_for_those_who_share_a_room() {
    let bed = Bed::new().await;
    bed.group(1, &[2]).await;
    let _two = bed.client(2).await;
    assert_eq!(whereabouts(&bed, 1, 2).await, "online");
    assert_eq!(whereabouts(&bed, 2, 1).await, "offline");
    assert_eq!(whereabouts(&bed, 3, 2).await, Value::Null);
    assert_eq!(whereabouts(&bed, 100, 2).await, Value::Null);
    assert_eq!(bed.perform(3, json!({"op": "presence", "status": "away"})).await.unwrap_err().code.word(), "not_found");
}

#[tokio::test(start_paused = true)]
async fn typing_goes_to_the_others_in_the_room() {
    let bed = Bed::with(Options::default()).await;
    let room = bed.group(1, &[2]).await;
    let (mut one, mut two, mut three) = (bed.client(1).await, bed.client(2).await, bed.client(3).await);
    one.ask(json!({"op": "typing", "room": room, "on": true})).await;
    assert_eq!(two.push("typing").await, json!({"push": "typing", "room": room, "user": 1, "on": true}));
    assert_eq!(three.refused(json!({"op": "typing", "room": room, "on": true})).await, "not_found");
    pass(10).await;
    one.drain();
    three.drain();
    assert!(one.pushed("typing").is_empty() && three.pushed("typing").is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_tells_nobody_that_they_do() {
    let bed = Bed::with(Options::default()).await;
    let room = bed.group(1, &[2, 3, 90]).await;
    let typing = json!({"op": "typing", "room": room, "on": true});
    let (mut one, mut two, mut three) = (bed.client(1).await, bed.client(2).await, bed.client(3).await);
    bed.perform(1, json!({"op": "mute", "room": room, "user": 3})).await.unwrap();
    assert_eq!(three.refused(typing.clone()).await, "muted");
    // A connection that was told of a room is told of its end, and then is a stranger's like any other.
    bed.perform(1, json!({"op": "kick", "room": room, "user": 2})).await.unwrap();
    two.push("room_gone").await;
    assert_eq!(two.refused(typing.clone()).await, "not_found");
    for (user, code) in [(90, "forbidden"), (91, "forbidden"), (99, "forbidden")] {
        assert_eq!(bed.perform(user, typing.clone()).await.unwrap_err().code.word(), code, "{user}");
    }
    bed.perform(1, json!({"op": "archive", "room": room})).await.unwrap();
    assert_eq!(bed.perform(1, typing).await.unwrap_err().code.word(), "archived");
    pass(10).await;
    one.drain();
    assert!(one.pushed("typing").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_readonly_user_finds_a_direct_room_and_opens_none() {
    let bed = Bed::with(Options::default()).await;
    for _ in 0..2 {
        let refused = bed.perform(90, json!({"op": "direct", "user": 1})).await.unwrap_err();
        assert_eq!(refused.code.word(), "forbidden");
    }
    bed.group(1, &[90]).await;
    let opened = bed.perform(1, json!({"op": "direct", "user": 90})).await.unwrap()["id"].clone();
    assert_eq!(bed.perform(90, json!({"op": "direct", "user": 1})).await.unwrap()["id"], opened);
}

#[tokio::test(start_paused = true)]
async fn whose_rooms_there_are_is_told_to_those_in_them_and_to_moderators() {
    let bed = Bed::new().await;
    let (own, foreign) = (bed.group(1, &[2]).await, bed.group(3, &[4]).await);
    let mut clients = Vec::new();
    for id in 1..=4 {
        let mut client = bed.client(id).await;
        client.resume(json!({})).await;
        clients.push(client);
    }
    let all = json!({own.to_string(): 2, foreign.to_string(): 2});
    for (id, rooms) in
        [(1, json!({own.to_string(): 2})), (4, json!({foreign.to_string(): 2})), (5, json!({})), (91, all)]
    {
        let stats = bed.perform(id, json!({"op": "stats"})).await.unwrap();
        assert_eq!(stats, json!({"connections": 4, "open_rooms": 2, "per_room": rooms}), "to {id}");
    }
}
