//! A consumer that writes to a file has every entry, whatever is killed; and the commands that look after it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::followed::{self, FILE, NAME, SETTINGS};
use crate::raw::Raw;
use crate::server::{Server, Setup};
use crate::stage::{Stage, folder};

/// Rounds of kills.
const ROUNDS: usize = 8;
/// Within so long a consumer has everything, once nothing goes wrong any more: a lease runs out, and what is left is shared out.
const CATCH_UP: Duration = Duration::from_secs(120);

fn following(setup: Setup) -> Setup {
    SETTINGS.iter().fold(setup, |setup, (name, value)| setup.set(name, value))
}

fn files(server: &Server) -> Vec<PathBuf> {
    server.nodes.iter().map(|node| node.setup.data.join(FILE)).collect()
}

/// Waits until something holds of what the files have.
async fn until(what: &str, holds: impl Fn() -> Result<(), String>) {
    let deadline = Instant::now() + CATCH_UP;
    while let Err(why) = holds() {
        assert!(Instant::now() < deadline, "{what}: {why}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_every_entry_whatever_was_killed() {
    let mut stage = Stage::set_with(3, 4, following).await;
    let traffic = stage.traffic(2);
    for round in 0..ROUNDS {
        stage.acked_more(20 + (round as u64 * 53) % 200).await;
        stage.server.kill_in_turn(round);
        stage.server.restart().await;
    }
    stage.acked_more(50).await;
    traffic.stop().await;
    let (journals, _folder, mut server) = stage.close().await;
    let log = journals.join("log.jsonl");
    until("every entry", || followed::judge(&files(&server), &log)).await;
    let (seen, written) =
        (followed::counts(&files(&server)).len(), followed::counts(&files(&server)).values().sum::<usize>());
    println!("{ROUNDS} rounds: {seen} entries in {written} lines");
    // The order holds over an orderly restart, too, and nothing is missing after it.
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.said());
    server.restart().await;
    until("every entry after a restart", || followed::judge(&files(&server), &log)).await;
}

/// What `parlance feed list` says of the consumer; `None` where it isn't registered.
fn listed(setup: &Setup) -> Option<Value> {
    let all = setup.run(&["feed", "list"], "");
    all.lines().map(|line| serde_json::from_str(line).unwrap()).find(|line: &Value| line["name"] == NAME)
}

async fn stop(server: &mut Server) {
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_are_listed_reset_and_dropped() {
    let (_folder, plain) = folder();
    let setup = following(plain.clone());
    let users = plain.users(1);
    assert_eq!(listed(&plain), None);
    let mut server = setup.start().await;
    let mut client = Raw::ready(server.address(), &users[0].token).await;
    let room = client.create("followed", &[]).await;
    for n in 0..5 {
        client.ok(json!({"op": "send", "room": room, "content": {"text": format!("{n}")}})).await;
    }
    let times = |server: &Server, times: usize| {
        let counts = followed::counts(&files(server));
        let short = (1..=6).find(|seq| counts.get(&(room, *seq)).is_none_or(|count| *count < times));
        short.map_or(Ok(()), |seq| Err(format!("{seq} is not there {times} times: {counts:?}")))
    };
    until("every entry", || times(&server, 1)).await;
    stop(&mut server).await;
    let line = listed(&plain).expect("it is registered");
    assert_eq!((&line["generation"], &line["begins"], &line["dead_letters"]), (&1.into(), &"start".into(), &0.into()));
    assert!(line["ran_s_ago"].as_f64().is_some_and(|ago| ago < 600.0), "{line}");
    // Reset, it is given everything once more.
    assert_eq!(plain.run(&["feed", "reset", NAME], ""), format!("{NAME} is at generation 2"));
    server.restart().await;
    until("every entry once more", || times(&server, 2)).await;
    stop(&mut server).await;
    assert_eq!(setup.run(&["feed", "replay", NAME], ""), "", "there are no dead letters");
    // Dropped, it holds nothing up, and a node whose settings name it registers it again.
    assert_eq!(plain.run(&["feed", "drop", NAME], ""), format!("{NAME} is not registered any more"));
    assert_eq!(listed(&plain), None);
    server.restart_as(plain.clone()).await;
    stop(&mut server).await;
    assert_eq!(listed(&plain), None);
    server.restart_as(setup.clone()).await;
    until("every entry for the third time", || times(&server, 3)).await;
    stop(&mut server).await;
    assert_eq!(listed(&plain).expect("it is registered")["generation"], 3);
}
