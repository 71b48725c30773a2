//! What flows through a connection: order, slow readers, ends of all kinds, and receivers that panic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlance::gateway::echo::Echo;
use parlance::gateway::listener::Peer;
use parlance::gateway::websocket::{CLOSE_MS, Connection};
use parlance_actors::link::{Link, Pushed, Receiver};
use parlance_actors::wire::{self, Opcode};
use parlance_schema::limits::OUTBOX_BYTES_MAX;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::client::*;

/// What a receiver was told.
#[derive(Debug)]
enum Told {
    Opened(Arc<Link>),
    Message(bool, Vec<u8>),
    Drained,
    Closed,
}

struct Recorder(UnboundedSender<Told>);

impl Receiver for Recorder {
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]) {
        assert_ne!(payload, b"panic", "as the client wished");
        self.0.send(Told::Message(text, payload.to_vec())).unwrap();
        if payload.starts_with(b"echo") {
            Echo.message(link, text, payload);
        }
    }

    fn drained(&mut self, _: &Arc<Link>) {
        self.0.send(Told::Drained).unwrap();
    }

    fn closed(&mut self, _: &Arc<Link>) {
        let _ = self.0.send(Told::Closed);
    }
}

/// A connection whose receiver records, its link, and what it records.
async fn recorded() -> (parlance::gateway::listener::Handle, Client, Arc<Link>, UnboundedReceiver<Told>) {
    let (tell, mut told) = unbounded_channel();
    let server = serve_receiver(move |link| {
        tell.send(Told::Opened(link.clone())).unwrap();
        Recorder(tell.clone())
    })
    .await;
    let client = Client::upgrade(&server, "/").await;
    let Told::Opened(link) = next(&mut told).await else { panic!("not opened") };
    (server, client, link, told)
}

async fn next(told: &mut UnboundedReceiver<Told>) -> Told {
    timeout(PATIENCE, told.recv()).await.expect("a call in time").expect("a receiver")
}

fn numbered(n: u32, size: usize) -> Bytes {
    let mut payload = n.to_be_bytes().to_vec();
    payload.resize(size, b'.');
    wire::frame(Opcode::Binary, &payload)
}

#[tokio::test]
async fn messages_reach_the_receiver_and_frames_the_client_in_order() {
    let (_server, mut client, link, mut told) = recorded().await;
    assert!(link.liveness.last_heard() > 0);
    client.say(&[text("one"), masked(FIN | BINARY, &[0xff])].concat()).await;
    assert!(matches!(next(&mut told).await, Told::Message(true, m) if m == b"one"));
    assert!(matches!(next(&mut told).await, Told::Message(false, m) if m == [0xff]));
    for n in 0..500 {
        assert_eq!(link.outbox.push_entries(&[numbered(n, 200)]), Pushed::Queued);
    }
    for n in 0..500_u32 {
        assert_eq!(client.frame().await.unwrap().payload[..4], n.to_be_bytes());
    }
    drop(client);
    assert!(matches!(next(&mut told).await, Told::Closed));
    assert_eq!(link.outbox.push_entries(&[numbered(0, 1)]), Pushed::Closed);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_behind_and_told_so_when_it_reads_again() {
    let (_server, mut client, link, mut told) = recorded().await;
    let mut sent = 0;
    // The kernel's buffers take some megabytes before the outbox fills.
    while link.outbox.push_entries(&[numbered(sent, 4_000)]) == Pushed::Queued {
        sent += 1;
        assert!(link.outbox.queued_bytes() <= OUTBOX_BYTES_MAX);
        tokio::task::yield_now().await;
    }
    assert!(link.outbox.is_lagging());
    for n in 0..sent {
        assert_eq!(client.frame().await.unwrap().payload[..4], n.to_be_bytes());
    }
    assert!(matches!(next(&mut told).await, Told::Drained));
    assert!(!link.outbox.is_lagging());
    assert_eq!(link.outbox.queued_bytes(), 0);
}

#[tokio::test]
async fn a_client_that_asks_without_reading_is_not_read_from() {
    const ASKED: usize = 500;
    let (_server, client, link, _told) = recorded().await;
    let (mut reader, mut writer) = client.stream.into_split();
    let message = [b"echo".to_vec(), vec![b'x'; 59_996]].concat();
    let asking = tokio::spawn(async move {
        let message = masked(FIN | BINARY, &message);
        for _ in 0..ASKED {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &message).await.unwrap();
        }
        writer
    });
    let full = async {
        while link.outbox.queued_bytes() <= OUTBOX_BYTES_MAX {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, full).await.expect("a full outbox");
    // Reading again gets every answer, and at no time was more than one queued over the bound.
    let mut answer = vec![0; 60_004];
    for n in 0..ASKED {
        assert!(link.outbox.queued_bytes() <= OUTBOX_BYTES_MAX + 60_004, "after {n}");
        timeout(PATIENCE, reader.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
        assert_eq!(answer[..8], [FIN | BINARY, 126, 0xea, 0x60, b'e', b'c', b'h', b'o']);
    }
    asking.await.unwrap();
}

#[tokio::test]
async fn large_echoes_in_a_row_are_not_taken_for_greed() {
    let server = echo_server().await;
    let client = Client::upgrade(&server, "/dev/echo").await;
    let (reader, mut writer) = client.stream.into_split();
    let message = masked(FIN | BINARY, &vec![b'x'; 3 << 20]);
    let writing = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &message).await.unwrap();
        }
        writer
    });
    let mut reader = reader.take(5 * ((3 << 20) + 10));
    let mut echoes = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut echoes)).await.expect("echoes in time").unwrap();
    assert_eq!(echoes.len(), 5 * ((3 << 20) + 10));
    writing.await.unwrap();
}

#[tokio::test]
async fn the_servers_close_comes_after_what_was_queued() {
    let (_server, mut client, link, mut told) = recorded().await;
    for n in 0..100 {
        link.outbox.push_entries(&[numbered(n, 100)]);
    }
    link.outbox.close(4401, "the token has expired");
    assert_eq!(link.outbox.push_entries(&[numbered(0, 1)]), Pushed::Closed);
    for n in 0..100_u32 {
        assert_eq!(client.frame().await.unwrap().payload[..4], n.to_be_bytes());
    }
    assert_eq!(client.frame().await.unwrap().close_code(), Some(4401));
    // What the client says now is too late; its close ends the connection.
    client.say(&[text("late"), close(4401, b"")].concat()).await;
    assert!(matches!(next(&mut told).await, Told::Closed));
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn a_peer_that_never_answers_a_close_is_left_after_five_seconds() {
    let (server, mut client, link, mut told) = recorded().await;
    link.outbox.close(1012, "restarting");
    let began = Instant::now();
    assert_eq!(client.frame().await.unwrap().close_code(), Some(1012));
    assert!(matches!(next(&mut told).await, Told::Closed));
    assert!(began.elapsed() >= Duration::from_millis(CLOSE_MS - 100), "{:?}", began.elapsed());
    assert_eq!(server.finish(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_left_as_well() {
    let (server, _client, link, mut told) = recorded().await;
    let mut n = 0;
    while link.outbox.push_entries(&[numbered(n, 4_000)]) == Pushed::Queued {
        n += 1;
        tokio::task::yield_now().await;
    }
    link.outbox.close(4508, "too slow");
    assert!(matches!(next(&mut told).await, Told::Closed));
    assert_eq!(server.finish(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_receiver_that_panics_ends_its_own_connection_only() {
    let (server, mut client, _link, mut told) = recorded().await;
    let mut other = Client::upgrade(&server, "/").await;
    client.say(&text("panic")).await;
    assert_eq!(client.frame().await.unwrap().close_code(), Some(1011));
    assert_eq!(client.frame().await, None);
    assert!(matches!(next(&mut told).await, Told::Opened(_)));
    assert!(matches!(next(&mut told).await, Told::Closed));
    other.say(&text("echo")).await;
    assert_eq!(other.frame().await, Some(Frame::new(TEXT, "echo")));
    Client::upgrade(&server, "/").await;
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_noticed() {
    let (server, mut client, link, mut told) = recorded().await;
    client.say(&text("half")[..4]).await;
    client.stream.set_zero_linger().unwrap();
    drop(client);
    assert!(matches!(next(&mut told).await, Told::Closed));
    assert!(link.outbox.is_closed());
    assert_eq!(server.finish(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_flood_of_messages_leaves_others_their_turn() {
    let server = echo_server().await;
    let flood = Client::upgrade(&server, "/dev/echo").await;
    let (mut reader, mut writer) = flood.stream.into_split();
    let pings = masked(FIN | PING, b"").repeat(200_000);
    let writing =
        tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut writer, &pings).await.map(|()| writer) });
    let reading = tokio::spawn(async move {
        let mut pongs = vec![0; 2 * 200_000];
        reader.read_exact(&mut pongs).await.map(|_| pongs)
    });
    for _ in 0..20 {
        let mut honest = Client::upgrade(&server, "/dev/echo").await;
        honest.say(&text("hello")).await;
        assert_eq!(honest.frame().await, Some(Frame::new(TEXT, "hello")));
    }
    let pongs = timeout(PATIENCE, reading).await.expect("pongs in time").unwrap().unwrap();
    assert!(pongs.chunks(2).all(|pong| pong == [FIN | PONG, 0]));
    writing.await.unwrap().unwrap();
}

#[test]
fn a_connections_task_is_small() {
    assert!(size_of::<Connection<TcpStream, Recorder, Option<Peer>>>() <= 256);
}
