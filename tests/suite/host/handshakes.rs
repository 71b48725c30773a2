//! Handshakes: those that come in one piece have no connection of hyper's, and are answered as hyper has the others answered.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Place, place};
use crate::socket::client::{KEY, upgrade_request};

/// The requests of one address that are let in at once.
const BURST: u32 = 50;

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// The head of the answer, without the time and what is left of a rate.
    head: Vec<String>,
    /// The body, or the WebSocket's frames.
    rest: Vec<u8>,
    /// Counted refusals.
    refused: Vec<String>,
}

/// Sends a request as the first one of a connection, all at once, or as the second one; tells whether hyper wrote the answer.
async fn ask(place: &Place, from: u8, request: &str, at_once: bool) -> (Told, bool) {
    let mut stream = place.connect(from).await;
    if !at_once {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let head = head(&mut stream).await;
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        timeout(PATIENCE, stream.read_exact(&mut body)).await.expect("a body in time").unwrap();
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = head(&mut stream).await;
    let dated = head.iter().any(|line| line.starts_with("date: "));
    let mut rest = Vec::new();
    if head[0].contains("101") {
        stream.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    } else {
        // The connection goes on: one more request ends it.
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    }
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the end in time").unwrap();
    drop(guard);
    let left =
        head.iter().find_map(|line| line.strip_prefix("ratelimit-remaining: ")).map(|n| n.parse::<u32>().unwrap());
    assert!(!at_once || left.is_none_or(|left| left == BURST - 1), "a request counts once: {head:?}");
    head.retain(|line| {
        !line.starts_with("date: ") && !line.starts_with("ratelimit-") && !line.starts_with("x-request-id: ")
    });
    head.sort();
    (Told { head, rest: first_body(rest), refused: refused(&handle.render()) }, dated)
}

async fn head(stream: &mut TcpStream) -> Vec<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").expect("an answer"));
    }
    let text = String::from_utf8(bytes).unwrap();
    text.trim_end().split("\r\n").map(str::to_owned).collect()
}

/// Takes the second answer out.
fn first_body(rest: Vec<u8>) -> Vec<u8> {
    let second = rest.windows(12).position(|bytes| bytes == b"HTTP/1.1 200");
    second.map_or(rest.clone(), |at| rest[..at].to_vec())
}

fn refused(metrics: &str) -> Vec<String> {
    metrics.lines().filter(|line| line.starts_with("parlance_refused_total")).map(str::to_owned).collect()
}

/// Requests, and whether they are answered without hyper where they come at once.
fn requests(bearer: &str, token: &str) -> Vec<(&'static str, String, bool)> {
    let with = |more: &str| upgrade_request("/v1/connect", more);
    let json = "Sec-WebSocket-Protocol: parlance.v1.json\r\n";
    let good = with(&format!("Authorization: {bearer}\r\n{json}"));
    vec![
        ("echo", upgrade_request("/dev/echo", ""), true),
        ("good", good.clone(), true),
        ("MessagePack", good.replace("v1.json", "v1.msgpack"), true),
        ("no subprotocol", good.replace(json, ""), true),
        ("a token in the query", upgrade_request(&format!("/v1/connect?token={token}"), ""), true),
        ("a token as a subprotocol", with(&format!("Sec-WebSocket-Protocol: bearer, {token}\r\n")), true),
        ("two lines", with(&format!("Sec-WebSocket-Protocol: bearer\r\nSec-WebSocket-Protocol: {token}\r\n")), true),
        ("an own origin", good.replace("Host: localhost\r\n", "Host: localhost\r\nOrigin: http://localhost\r\n"), true),
        ("a whole address", good.replace("GET /", "GET http://localhost/"), true),
        ("names in other cases", good.replace("Upgrade", "uPGRADE"), true),
        ("no token", with(json), true),
        ("a bad token", good.replace("Bearer ", "Bearer x"), true),
        ("no path", good.replace("/v1/connect", "/v1/nothing"), false),
        ("another path", good.replace("/v1/connect", "/v1/rooms"), false),
        ("another host", good.replace("Host: localhost", "Host: evil.example"), false),
        ("no host", good.replace("Host: localhost\r\n", ""), false),
        ("another origin", good.replace("Host: ", "Origin: https://evil.example\r\nHost: "), false),
        ("another protocol", good.replace("Upgrade: websocket", "Upgrade: h2c"), false),
        ("version 8", good.replace("Version: 13", "Version: 8"), false),
        ("a short key", good.replace(KEY, "AAAA"), false),
        ("POST", good.replace("GET", "POST"), false),
        ("HEAD", good.replace("GET", "HEAD"), false),
        ("a body", good.replace("Host: ", "Content-Length: 0\r\nHost: "), false),
    ]
}

#[tokio::test]
async fn one_that_comes_at_once_is_answered_as_the_others() {
    let place = place(|config| {
        (config.rates.address_per_s, config.rates.address_burst) = (1.0, BURST);
        config.gateway.hosts = vec!["chat.example.org".into()];
    })
    .await;
    let (bearer, token) = (place.gate.bearer("user"), place.gate.token("user"));
    for (at, (name, request, quick)) in requests(&bearer, &token).into_iter().enumerate() {
        let (from, other) = (10 + 2 * at as u8, 11 + 2 * at as u8);
        let ((told, dated), (expected, by_hyper)) =
            (ask(&place, from, &request, true).await, ask(&place, other, &request, false).await);
        assert_eq!(told, expected, "{name}");
        assert!(by_hyper && dated != quick, "{name}: the way it goes");
        assert!(!quick || told.head.iter().any(|line| line.contains("101")), "{name}: {told:?}");
    }
    place.until_open(0).await;
}

#[tokio::test]
async fn one_that_comes_in_pieces_is_answered() {
    let place = place(|_| {}).await;
    let request = upgrade_request("/v1/connect", &format!("Authorization: {}\r\n", place.gate.bearer("user")));
    for pieces in [vec![1], vec![request.len() - 1], vec![10, 100]] {
        let mut stream = place.connect(1).await;
        stream.set_nodelay(true).unwrap();
        let mut at = 0;
        for end in pieces.into_iter().chain([request.len()]) {
            stream.write_all(&request.as_bytes()[at..end]).await.unwrap();
            // The server reads a piece, or several together: either is right.
            tokio::time::sleep(Duration::from_millis(5)).await;
            at = end;
        }
        assert!(head(&mut stream).await[0].contains("101"));
    }
}
