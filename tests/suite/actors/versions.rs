//! What other versions have written: facts from the future, and snapshots of another form.

use std::sync::Arc;

use parlance_actors::ports::store::LogStore;
use parlance_schema::RoomId;
use parlance_schema::entry::Entry;
use serde_json::json;

use super::bed::{Bed, send};
use super::faults::plain;

#[tokio::test(start_paused = true)]
async fn an_entry_that_only_newer_nodes_know_is_kept_shown_by_its_name_and_passed_over() {
    let bed = Bed::new().await;
    let room = bed.group(1, &[2]).await;
    let future = json!({
        "seq": 2, "at": 5, "by": 1, "client_id": "pin", "posts": 0, "append": 77, "fact": "pinned", "target": 1, "note": [null, {"x": 1}],
    });
    let bytes = rmp_serde::to_vec_named(&future).unwrap();
    let entry: Entry = rmp_serde::from_slice(&bytes).unwrap();
    bed.store.inner.append(plain(RoomId::new(room), 1, vec![Arc::new(entry)])).await.unwrap();
    // The room goes on behind it.
    let mut one = bed.client(1).await;
    assert_eq!(one.ask(send(room, "hello")).await["seq"], 3);
    let (shown, seq) = (json!({"fact": "unknown", "name": "pinned"}), 2);
    let mut two = bed.connect(2).await;
    two.resume(json!({room.to_string(): {"epoch": 1, "seq": 1}})).await;
    two.reach(room, 3).await;
    let pushed = two.entries(room).next().unwrap().clone();
    let page = bed.perform(2, json!({"op": "entries", "room": room, "after": 0})).await.unwrap();
    for entry in [&pushed, &page["items"][1]] {
        assert_eq!((&entry["seq"], &entry["fact"], &entry["name"]), (&json!(seq), &shown["fact"], &shown["name"]));
        assert!(entry.get("note").is_none() && entry.get("target").is_none(), "{entry}");
    }
    assert_eq!(serde_json::to_value(&*bed.log(room).await[1]).unwrap(), future);
    // It is no message, whatever newer nodes make of it.
    assert_eq!(one.refused(json!({"op": "react", "room": room, "seq": 2, "emoji": "👍"})).await, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_form_is_not_used_and_the_log_is_folded_instead() {
    for bytes in
        [b"\xc1damaged".to_vec(), rmp_serde::to_vec_named(&json!({"form": 999, "facts": 1, "state": {}})).unwrap()]
    {
        let bed = Bed::new().await;
        let room = bed.group(1, &[2, 3]).await;
        let mut one = bed.client(1).await;
        for n in 0..70 {
            one.ask(send(room, &n.to_string())).await;
        }
        one.ask(json!({"op": "kick", "room": room, "user": 3})).await;
        bed.store.inner.save_snapshot(RoomId::new(room), 60, bytes).await.unwrap();
        let next = Bed::over(bed.store.clone(), parlance_actors::node::Options::default()).await;
        let mut two = next.client(2).await;
        assert_eq!(two.ask(send(room, "after")).await["seq"], 73);
        assert!(next.perform(3, json!({"op": "room", "room": room})).await.is_err(), "who was removed is not back");
        let seen = next.perform(2, json!({"op": "room", "room": room})).await.unwrap();
        assert_eq!((&seen["last"], &seen["members"]), (&json!(73), &json!(2)), "{seen}");
    }
}
