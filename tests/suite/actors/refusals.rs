//! One member sends nothing but commands that are refused, of all kinds. Nobody else waits for the reads that these need.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use parlance_actors::node::Options;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bed::{Bed, pass, populated, send};
use super::cluster::net::Net;

/// What one reading of the store takes, and what others may wait at most: less than one reading.
const READ_MS: u64 = 100;
const WAIT_MAX: Duration = Duration::from_millis(READ_MS / 4);

/// What member 2 is refused: message 3 is another's, 2 their own.
fn refused(n: u64, room: u64) -> (Value, &'static str) {
    let content = json!({"text": "x"});
    let (op, code) = match n % 12 {
        0 => (json!({"op": "kick", "user": 1}), "forbidden"),
        1 => (json!({"op": "edit", "seq": 3, "content": content}), "forbidden"),
        2 => (json!({"op": "edit", "seq": 2, "revision": 7, "content": content}), "stale"),
        3 => (json!({"op": "delete", "seq": 3 + n % 90}), "forbidden"),
        4 => (json!({"op": "react", "seq": 9_999, "emoji": "👍"}), "not_found"),
        5 => (json!({"op": "react", "seq": 3 + n % 90, "emoji": "two words"}), "invalid"),
        6 => (json!({"op": "unreact", "seq": 3 + n % 90, "emoji": "👍"}), "already"),
        7 => (json!({"op": "rename", "name": "Mine"}), "forbidden"),
        8 => (json!({"op": "promote", "user": 3, "role": "admin"}), "forbidden"),
        9 => (json!({"op": "archive"}), "forbidden"),
        10 => (json!({"op": "send", "reply_to": 1, "content": content}), "not_found"),
        _ => (json!({"op": "send", "content": {"text": " "}}), "invalid"),
    };
    let mut op = op;
    op["room"] = room.into();
    (op, code)
}

async fn flooded(bed: Bed) {
    let members: Vec<u64> = (2..=99).collect();
    let room = bed.group(1, &members).await;
    let (mut two, mut three) = (bed.client(2).await, bed.client(3).await);
    two.ask(send(room, "own")).await;
    for n in 0..90 {
        three.ask(send(room, &n.to_string())).await;
    }
    // Another owner wakes it, who has none of this in memory.
    pass(3_000).await;
    bed.store.read_ms.store(READ_MS, SeqCst);
    three.ask(send(room, "awake")).await;
    let (mut asked, mut worst) = (Vec::new(), Duration::ZERO);
    // 200 a second for two seconds.
    for n in 0..400 {
        let (op, code) = refused(n, room);
        asked.push((two.tell(op), code));
        two.drain();
        if n % 4 == 0 {
            let began = Instant::now();
            three.ask(send(room, "others")).await;
            worst = worst.max(began.elapsed());
        }
        pass(5).await;
    }
    assert!(worst <= WAIT_MAX, "somebody waited {worst:?} for others' refusals");
    for (n, expected) in asked {
        let reply = two.reply(n).await;
        assert_eq!(reply["fault"]["code"], expected, "{reply}");
    }
}

fn options() -> Options {
    Options { commands_per_s: 0, room_idle_ms: 1_000, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_others_refusals() {
    flooded(Bed::with(options()).await).await;
}

#[tokio::test(start_paused = true)]
async fn nor_do_they_on_several_nodes() {
    let net = Net::new(11);
    flooded(Bed::join(populated().await, &net, "a", 1, options()).await).await;
}
