//! Actors that end in mid-load, by a panic or killed: one is started again, nothing is lost, nobody else notices.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::raw::Raw;
use crate::stage::{Stage, folder};
use crate::text::sentence;
use crate::waits::{compared, p99};

const ROOMS: usize = 4;
const MEMBERS: usize = 6;
/// Blows at each kind of actor, half of them panics.
const BLOWS: usize = 6;
/// Blows of the hail.
const HAIL: usize = 150;
/// Pairs of a quiet window and one with blows; their ratios' median is judged.
const PAIRS: usize = 5;
/// What p99 may grow to elsewhere. A machine that others use as well measures 0.5 to 2 for nothing against nothing.
const RATIO_MAX: f64 = 3.0;
/// What is within the machine's own noise, in microseconds.
const NOISE_MICROS: f64 = 10_000.0;

async fn strike(stage: &Stage, blow: &Value) {
    // An actor that is just being started again is not there for a moment.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (status, said) = stage.server.strike(blow).await;
        if status == 204 {
            return;
        }
        assert!(status == 404 && Instant::now() < deadline, "{blow}: {status} {said}");
    }
}

async fn restarts(stage: &Stage, kind: &str) -> f64 {
    stage.server.metric(&format!("parlance_restarts_total{{actor=\"{kind}\"}}")).await
}

async fn until_restarts(stage: &Stage, kind: &str, count: f64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while restarts(stage, kind).await < count {
        assert!(Instant::now() < deadline, "{kind}: {count} restarts");
    }
}

/// What one blow at a kind of actor says, aimed at the first room or one of its sessions.
fn aim(stage: &Stage, kind: &str, at: usize) -> Option<Value> {
    let how = if at.is_multiple_of(2) { "panic" } else { "kill" };
    match kind {
        "session" => {
            let session = stage.of_room(0)[at % MEMBERS].see(|state| state.session)?;
            Some(json!({"session": session, "how": how}))
        }
        kind => Some(json!({kind: stage.rooms[0], "how": how})),
    }
}

/// In the first room everything is ended again and again, under load; the checker says whether anything was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_in_mid_load_starts_again_and_loses_nothing() {
    let stage = Stage::set_with(ROOMS, MEMBERS, |setup| setup.argument("--dev-faults")).await;
    let traffic = stage.traffic(3);
    for kind in ["room", "relay", "session"] {
        for at in 0..BLOWS {
            stage.acked_more(20).await;
            let others: Vec<_> = ["room", "relay", "session"].into_iter().filter(|other| *other != kind).collect();
            let before = [restarts(&stage, others[0]).await, restarts(&stage, others[1]).await];
            let blow = aim(&stage, kind, at).expect("a session that is connected");
            strike(&stage, &blow).await;
            until_restarts(&stage, kind, at as f64 + 1.0).await;
            let after = [restarts(&stage, others[0]).await, restarts(&stage, others[1]).await];
            assert_eq!(before, after, "only a {kind} was started again");
        }
    }
    stage.acked_more(50).await;
    traffic.stop().await;
    for kind in ["room", "relay", "session"] {
        assert_eq!(restarts(&stage, kind).await, BLOWS as f64, "{kind}: one restart for each blow");
    }
    for kind in ["rooms", "relays", "sessions", "presence"] {
        assert_eq!(restarts(&stage, kind).await, 0.0, "{kind}: no supervisor ended");
    }
    for client in &stage.clients {
        assert_eq!(client.see(|state| state.connections), 1, "a connection outlives its Session");
    }
    println!("{} blows: {}", 3 * BLOWS, stage.judge().await);
}

/// A while of steady traffic in all rooms, with blows at the first one or without; the other rooms' p99.
async fn window(stage: &Stage, kind: Option<&str>) -> f64 {
    for client in &stage.clients {
        client.see(|state| state.latencies.clear());
    }
    let began = Instant::now();
    for tick in 0..100_u32 {
        sleep_until(began + Duration::from_millis(10) * tick).await;
        for at in 0..ROOMS {
            stage.of_room(at)[tick as usize % MEMBERS].send(stage.rooms[at], sentence(tick as usize));
        }
        if let Some(blow) = kind.filter(|_| tick % 20 == 10).and_then(|kind| aim(stage, kind, tick as usize / 20)) {
            stage.server.strike(&blow).await;
        }
    }
    for client in &stage.clients {
        client.until("the acknowledgements", |state| state.unacked() == 0).await;
    }
    let bystanders = stage.clients[MEMBERS..].iter();
    p99(bystanders.flat_map(|c| c.see(|state| state.latencies.iter().map(|l| l.2).collect::<Vec<_>>())).collect())
}

/// Compares windows with blows at a kind of actor to those without.
async fn with_blows(stage: &Stage, kind: &str) -> Result<(), String> {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push((window(stage, None).await, window(stage, Some(kind)).await));
    }
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (quiet, struck) = pairs[PAIRS / 2];
    let ratio = struck / quiet;
    println!(
        "{kind}: p99 elsewhere {quiet} us without, {struck} us with blows: {ratio:.2}, the median of {PAIRS} pairs"
    );
    if ratio < RATIO_MAX || struck < quiet + NOISE_MICROS { Ok(()) } else { Err(format!("{kind}: {pairs:?}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rooms_do_not_notice() {
    let stage = Stage::set_alone(ROOMS, MEMBERS, |setup| setup.argument("--dev-faults")).await;
    window(&stage, None).await;
    for kind in ["room", "relay", "session"] {
        compared(async || with_blows(&stage, kind).await).await;
    }
    println!("{}", stage.judge().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_not_there_unless_asked_for() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let (status, _) = server.post("/dev/fault", "", &json!({"room": 1, "how": "kill"})).await;
    assert!(status == 404 || status == 405, "{status}");
    drop(server);
    let server = setup.argument("--dev-faults").start().await;
    assert_eq!(server.post("/dev/fault", "", &json!({"room": 1, "how": "kill"})).await.0, 404);
    assert_eq!(server.post("/dev/fault", "", &json!({"how": "kill"})).await.0, 400);
}

/// Blows at everything at once, without a pause, while connections come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hail_of_blows_loses_nothing() {
    let stage = Stage::set_with(ROOMS, MEMBERS, |setup| setup.argument("--dev-faults")).await;
    let traffic = stage.traffic(4);
    let (mut hit, mut at) = (0, 0_usize);
    while hit < HAIL {
        at += 1;
        let how = if at.is_multiple_of(2) { "panic" } else { "kill" };
        let room = stage.rooms[at % ROOMS];
        let session = stage.clients[at * 7 % stage.clients.len()].see(|state| state.session);
        let blow = match at % 5 {
            0 | 3 => json!({"room": room, "how": how}),
            1 | 4 => json!({"relay": room, "how": how}),
            _ => json!({"session": session.unwrap_or(1), "how": how}),
        };
        hit += usize::from(stage.server.strike(&blow).await.0 == 204);
        if at.is_multiple_of(10) {
            stage.clients[at * 11 % stage.clients.len()].hang_up();
        }
    }
    stage.acked_more(50).await;
    traffic.stop().await;
    println!("{HAIL} blows: {}", stage.judge().await);
}

/// Who is in no room yet has resumed all the same: a Session that was started again must know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_started_again_hears_of_new_rooms() {
    let (_folder, setup) = folder();
    let setup = setup.argument("--dev-faults");
    let users = setup.users(2);
    let server = setup.start().await;
    let mut owner = Raw::ready(server.address(), &users[0].token).await;
    for how in ["panic", "kill"] {
        let mut socket = Raw::ready(server.address(), &users[1].token).await;
        socket.resume(json!({})).await;
        let blow = json!({"session": socket.hello["session"], "how": how});
        assert_eq!(server.strike(&blow).await.0, 204);
        // Made while the Session may be down, so that nobody hears the news.
        let room = owner.create(how, &[users[1].id]).await;
        let added = socket.push(|push| push["push"] == "room_added" && push["room"] == room).await;
        assert_eq!(added["from"], 0);
        let later = owner.create("later", &[users[1].id]).await;
        for room in [room, later] {
            let seq = owner.post(room, "hello").await;
            socket.entry(room, seq).await;
        }
        socket.ok(json!({"op": "ping"})).await;
        assert!(socket.pushes.iter().all(|push| push["push"] != "entry"), "nothing comes twice: {:?}", socket.pushes);
    }
}

/// Rooms that are made while a client resumes are in its answer, or come right after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_invitation_is_lost_while_a_client_resumes() {
    let (_folder, setup) = folder();
    let users = setup.users(2);
    let server = setup.start().await;
    let mut owner = Raw::ready(server.address(), &users[0].token).await;
    for round in 0..30 {
        let mut socket = Raw::ready(server.address(), &users[1].token).await;
        let asked = owner.ask(json!({"op": "create", "kind": "group", "name": "race", "members": [users[1].id]})).await;
        let resumed = socket.resume(json!({})).await;
        let room = owner.reply(asked).await.unwrap()["id"].as_u64().unwrap();
        if !resumed.iter().any(|answer| answer["room"] == room) {
            socket.push(|push| push["push"] == "room_added" && push["room"] == room).await;
        }
        let seq = owner.post(room, "hello").await;
        assert_eq!(socket.entry(room, seq).await["seq"], seq, "round {round}");
    }
}
