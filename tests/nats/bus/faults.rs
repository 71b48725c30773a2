//! Servers that die, come late or hang, and messages that nobody should have sent.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parlance::bus::nats::Options;
use parlance::bus::nats::envelope::encode;
use parlance::telemetry::{Telemetry, install_metrics};
use parlance_actors::ports::Bus;
use parlance_actors::ports::bus::{AskError, BusState, Question, Reply, RoomEvent};
use parlance_schema::RoomId;

use super::conformance::cluster::large;
use super::conformance::{Heard, appended, eventually, open, seqs};
use super::{PATIENCE, identity, join, options};
use crate::server::Server;

const ROOM: RoomId = RoomId::new(7);

/// The process's metrics, which all tests share: what one of them counts only goes up.
fn metrics() -> &'static Telemetry {
    static METRICS: OnceLock<Telemetry> = OnceLock::new();
    METRICS.get_or_init(|| install_metrics().unwrap())
}

fn counted(metric: &str) -> f64 {
    let text = metrics().render();
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

async fn becomes(bus: &dyn Bus, what: &str, mut is: impl FnMut(BusState) -> bool) {
    let mut state = bus.state();
    let waited = tokio::time::timeout(PATIENCE, state.wait_for(|state| is(*state))).await;
    assert!(waited.is_ok(), "never {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_is_found_again() {
    let mut server = Server::start();
    let (one, two) = (join(&options(&[&server]), 1).await, join(&options(&[&server]), 2).await);
    let (mine, theirs) = (Heard::new(), Heard::new());
    let _mine = one.subscribe_room(ROOM, mine.sink());
    let _theirs = two.subscribe_room(ROOM, theirs.sink());
    let _answering = two.respond(Arc::new(|_, _| Box::pin(async { Reply::NotMine(None) })));
    open(&one, ROOM, 1, &theirs).await;

    server.kill();
    becomes(&one, "away", |state| state == BusState::Away).await;
    becomes(&two, "away", |state| state == BusState::Away).await;
    one.publish_room(ROOM, appended(1));
    assert_eq!(seqs(&mine.all()), [1], "what a node publishes it hears itself");
    let late = Heard::new();
    let _late = two.subscribe_room(RoomId::new(8), late.sink());
    let question = one.ask(&identity(2).node, Question::Presence, PATIENCE).await;
    assert_eq!(question, Err(AskError::Unreachable), "nothing was sent");

    server.run();
    becomes(&one, "back", |state| state == BusState::Connected(2)).await;
    becomes(&two, "back", |state| state == BusState::Connected(2)).await;
    let again = Heard::new();
    let _again = two.subscribe_room(ROOM, again.sink());
    open(&one, ROOM, 2, &again).await;
    one.publish_room(ROOM, appended(2));
    eventually("what was published after it", || seqs(&theirs.all()) == [2]).await;
    open(&one, RoomId::new(8), 1, &late).await;
    let question = one.ask(&identity(2).node, Question::Presence, PATIENCE).await;
    assert_eq!(question, Ok(Reply::NotMine(None)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_under_way_when_the_server_dies_is_unanswered() {
    let mut server = Server::start();
    let (one, two) = (join(&options(&[&server]), 1).await, join(&options(&[&server]), 2).await);
    let heard = Heard::new();
    let note = heard.sink();
    let _answering = two.respond(Arc::new(move |from, _| {
        note(from);
        Box::pin(std::future::pending())
    }));
    let node = identity(2).node;
    let asking = async {
        loop {
            match one.ask(&node, Question::Presence, PATIENCE).await {
                Err(AskError::Unreachable) => tokio::task::yield_now().await,
                other => return other,
            }
        }
    };
    let killing = async {
        eventually("the question", || heard.len() == 1).await;
        server.kill();
    };
    let (answer, ()) = tokio::time::timeout(PATIENCE / 2, async { tokio::join!(asking, killing) }).await.unwrap();
    assert_eq!(answer, Err(AskError::Unanswered));
    assert_eq!(heard.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_while_nats_is_away() {
    let mut server = Server::start();
    server.kill();
    let all = options(&[&server]);
    let one = parlance::bus::Nats::open(&all, identity(1), Arc::new(parlance::clock::System)).await.unwrap();
    let mine = Heard::new();
    let _mine = one.subscribe_room(ROOM, mine.sink());
    one.publish_room(ROOM, appended(1));
    assert_eq!(seqs(&mine.all()), [1]);
    assert_eq!(*one.state().borrow(), BusState::Away);
    server.run();
    becomes(&one, "connected", |state| state == BusState::Connected(1)).await;
    let two = join(&all, 2).await;
    open(&two, ROOM, 2, &mine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_takes_over() {
    let mut servers = Server::cluster();
    let all = options(&servers.iter().collect::<Vec<_>>());
    let (one, two) = (join(&all, 1).await, join(&all, 2).await);
    let heard = Heard::new();
    let _heard = two.subscribe_room(ROOM, heard.sink());
    open(&one, ROOM, 1, &heard).await;
    servers[0].kill();
    servers[1].kill();
    let again = Heard::new();
    let _again = two.subscribe_room(RoomId::new(8), again.sink());
    open(&one, RoomId::new(8), 1, &again).await;
    one.publish_room(ROOM, appended(1));
    eventually("through the one that is left", || seqs(&heard.all()) == [1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_should_have_sent_is_counted_and_dropped() {
    metrics();
    let server = Server::start();
    let bus = join(&options(&[&server]), 1).await;
    let heard = Heard::new();
    let _heard = bus.subscribe_room(ROOM, heard.sink());
    let asked = Heard::new();
    let note = asked.sink();
    let _answering = bus.respond(Arc::new(move |from, _| {
        note(from);
        Box::pin(async { Reply::NotMine(None) })
    }));
    let other = join(&options(&[&server]), 2).await;
    open(&other, ROOM, 2, &heard).await;
    let (versions, malformed) =
        ("parlance_bus_unreadable_total{why=\"version\"}", "parlance_bus_unreadable_total{why=\"malformed\"}");
    let (before, broken) = (counted(versions), counted(malformed));

    let stranger = async_nats::connect(server.url()).await.unwrap();
    let room = "parlance.test.room.7";
    let mut newer = encode(&identity(3).node, 1, &RoomEvent::Last(1)).unwrap();
    newer[1] = 9;
    let markers = heard.len();
    for payload in [newer, b"hello".to_vec(), Vec::new(), vec![0x94, 1, 0xff], vec![0xc1; 100_000]] {
        stranger.publish(room, payload.into()).await.unwrap();
    }
    for node in ["parlance.test.node.node-1", "parlance.test.nodes"] {
        stranger.publish_with_reply(node, "nobody", "hello".into()).await.unwrap();
    }
    let question = encode(&identity(3).node, 1, &Question::Presence).unwrap();
    stranger.publish("parlance.test.node.node-1", question.into()).await.unwrap();
    let good = encode(&identity(3).node, 1, &appended(1)).unwrap();
    stranger.publish(room, good.into()).await.unwrap();
    eventually("what is good", || seqs(&heard.all()) == [1]).await;
    assert_eq!(heard.len(), markers + 1);
    assert_eq!(counted(versions), before + 1.0);
    eventually("the rest counted", || counted(malformed) >= broken + 5.0).await;
    assert_eq!(asked.len(), 0, "a question that wants no answer is none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_told_of() {
    metrics();
    let server = Server::with("max_payload: 65536");
    let (one, two) = (join(&options(&[&server]), 1).await, join(&options(&[&server]), 2).await);
    let heard = Heard::new();
    let _heard = two.subscribe_room(ROOM, heard.sink());
    open(&one, ROOM, 1, &heard).await;
    let before = counted("parlance_bus_lost_total{why=\"too_large\"}");
    one.publish_room(ROOM, large(63));
    eventually("how far the log is", || heard.all().last() == Some(&RoomEvent::Last(63))).await;
    assert!(counted("parlance_bus_lost_total{why=\"too_large\"}") > before);
    one.publish_room(ROOM, large(2));
    eventually("what fits", || heard.all().last() == Some(&large(2))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_slow_loses_and_is_counted_and_slows_nobody() {
    metrics();
    let server = Server::start();
    let (fast, slow) = (join(&options(&[&server]), 1).await, join(&options(&[&server]), 2).await);
    let _answering = fast.respond(Arc::new(|_, _| Box::pin(async { Reply::NotMine(None) })));
    let (heard, before) = (Heard::new(), counted("parlance_bus_slow_total"));
    let sink = heard.sink();
    let _slow = slow.subscribe_room(
        ROOM,
        Arc::new(move |event| {
            // Nothing is waited for: it is what takes so long.
            if seqs(std::slice::from_ref(&event)).first().is_some_and(|seq| *seq < 10_000) {
                std::thread::sleep(Duration::from_millis(1));
            }
            sink(event);
        }),
    );
    open(&fast, ROOM, 1, &heard).await;
    for seq in 1..=5_000 {
        fast.publish_room(ROOM, appended(seq));
        if seq % 100 == 0 {
            // Lets the connection write: its own queue is bounded as well.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    eventually("the loss", || counted("parlance_bus_slow_total") > before).await;
    // The connection of the slow one is read all the time.
    let answer = slow.ask(&identity(1).node, Question::Presence, PATIENCE).await;
    assert_eq!(answer, Ok(Reply::NotMine(None)));
    let mut seq = 10_000;
    eventually("what comes later", || {
        seq += 1;
        fast.publish_room(ROOM, appended(seq));
        seqs(&heard.all()).last().is_some_and(|seq| *seq > 10_000)
    })
    .await;
    let all = seqs(&heard.all());
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "lost, but never out of order or twice");
    assert!(all.len() < 5_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_when_a_bus_is_closed() {
    let server = Server::start();
    let (one, two) = (join(&options(&[&server]), 1).await, join(&options(&[&server]), 2).await);
    let heard = Heard::new();
    let _heard = two.subscribe_room(ROOM, heard.sink());
    open(&one, ROOM, 1, &heard).await;
    let kept = one.subscribe_room(ROOM, Heard::new().sink());
    one.publish_room(ROOM, appended(1));
    one.close().await;
    drop(one);
    drop(kept);
    eventually("what was published before", || seqs(&heard.all()) == [1]).await;
}

#[tokio::test]
async fn addresses_that_are_none_are_named() {
    let bad = Options { servers: vec!["http:// x".into()], ..Options::default() };
    let error = parlance::bus::Nats::open(&bad, identity(1), Arc::new(parlance::clock::System)).await.err().unwrap();
    assert!(error.to_string().contains("http:// x"), "{error}");
}
