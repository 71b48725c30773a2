//! Before the first frame: the handshake, refusals, slow and superfluous connections, and the listener's end.

use std::time::Duration;

use parlance::gateway::echo;
use parlance::gateway::handshake::{Choice, choose, handshake, offered};
use parlance::gateway::listener::{Handle, Options};
use parlance_schema::{Code, Fault};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use warp::{Filter, Reply};

use super::client::*;

/// Whether the server ends the connection, cleanly or not.
async fn ends(client: &mut Client) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, client.stream.read_to_end(&mut rest)).await.is_ok()
}

/// Waits until so many connections are open.
async fn until_open(server: &Handle, count: usize) {
    let reached = async {
        while server.open() != count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.expect("the number of connections in time");
}

#[tokio::test]
async fn the_key_is_answered_as_the_standard_has_it() {
    let server = echo_server().await;
    let response = Client::connect(&server).await.request(&upgrade_request("/dev/echo", "")).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    for line in ["connection: upgrade", "upgrade: websocket", &format!("sec-websocket-accept: {ACCEPT}").to_lowercase()]
    {
        assert!(response.to_lowercase().contains(line), "{line} in {response}");
    }
    assert!(!response.to_lowercase().contains("sec-websocket-protocol"), "{response}");
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let server = echo_server().await;
    let good = upgrade_request("/dev/echo", "");
    let cases = [
        ("plain", "GET /dev/echo HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 426),
        ("POST", good.replace("GET", "POST"), 426),
        ("version 8", good.replace("Version: 13", "Version: 8"), 426),
        ("no Connection", good.replace("Connection: keep-alive, Upgrade", "Connection: keep-alive"), 426),
        ("another protocol", good.replace("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("a short key", good.replace(KEY, "AAAA"), 400),
        ("no base64", good.replace(KEY, "!"), 400),
    ];
    for (name, request, status) in cases {
        let response = Client::connect(&server).await.request(&request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {response}");
        if status == 426 {
            assert!(response.to_lowercase().contains("sec-websocket-version: 13"), "{name}: {response}");
        }
    }
}

#[tokio::test]
async fn header_names_and_tokens_in_any_case() {
    let server = echo_server().await;
    let request =
        upgrade_request("/dev/echo", "").replace("websocket", "WebSocket").replace("Connection", "connection");
    let response = Client::connect(&server).await.request(&request).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
}

#[tokio::test]
async fn frames_sent_with_the_handshake_are_read() {
    let server = echo_server().await;
    let mut client = Client::connect(&server).await;
    let mut bytes = upgrade_request("/dev/echo", "").into_bytes();
    bytes.extend(text("early"));
    let second = text("and cut");
    bytes.extend(&second[..5]);
    client.say(&bytes).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.frame().await, Some(Frame::new(TEXT, "early")));
    client.say(&second[5..]).await;
    assert_eq!(client.frame().await, Some(Frame::new(TEXT, "and cut")));
}

#[test]
fn subprotocols_and_tokens() {
    const KNOWN: &[&str] = &["parlance.v1.json", "parlance.v1.msgpack"];
    let (json, msgpack) = (Some(KNOWN[0]), Some(KNOWN[1]));
    let cases = [
        ("", Choice::default()),
        ("chat", Choice { has_unknown: true, ..Choice::default() }),
        ("parlance.v1.json", Choice { protocol: json, echo: json, token: None, has_unknown: false }),
        (
            "parlance.v1.msgpack, parlance.v1.json",
            Choice { protocol: msgpack, echo: msgpack, token: None, has_unknown: false },
        ),
        (
            "bearer, abc.def",
            Choice { protocol: None, echo: Some("bearer"), token: Some("abc.def"), has_unknown: false },
        ),
        (
            "bearer, abc, parlance.v1.json",
            Choice { protocol: json, echo: json, token: Some("abc"), has_unknown: false },
        ),
        ("parlance.v1.json,bearer,abc", Choice { protocol: json, echo: json, token: Some("abc"), has_unknown: false }),
        (
            "bearer, parlance.v1.json",
            Choice { protocol: None, echo: Some("bearer"), token: Some("parlance.v1.json"), has_unknown: false },
        ),
        ("bearer", Choice { protocol: None, echo: Some("bearer"), token: None, has_unknown: false }),
        (" , chat ,, parlance.v1.json ", Choice { protocol: json, echo: json, token: None, has_unknown: true }),
    ];
    for (header, expected) in cases {
        assert_eq!(choose(&offered(header), KNOWN), expected, "{header}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_why_in_a_close_frame() {
    let routes = handshake().map(|asked: Result<_, _>| match asked {
        Ok(handshake) => {
            let handshake: parlance::gateway::handshake::Handshake = handshake;
            assert_eq!(handshake.offered(), ["bearer", "abc"]);
            assert!(handshake.peer().is_some());
            handshake.refuse(Some("bearer"), &Fault::new(Code::TokenExpired, "the token has expired"))
        }
        Err(refused) => parlance::gateway::handshake::NotUpgraded::into_response(refused),
    });
    let server = start(routes.boxed(), Options::default()).await;
    let mut client = Client::connect(&server).await;
    let more = "Sec-WebSocket-Protocol: bearer\r\nSec-WebSocket-Protocol: abc\r\n";
    let response = client.request(&upgrade_request("/any", more)).await;
    assert!(response.to_lowercase().contains("sec-websocket-protocol: bearer"), "{response}");
    let frames = client.frames().await;
    assert_eq!(frames, [Frame::new(CLOSE, [&4401_u16.to_be_bytes()[..], b"the token has expired"].concat())]);
    drop(client);
    until_open(&server, 0).await;
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_the_connection() {
    let options = Options { header_ms: 200, ..Options::default() };
    let server = start(echo::route().boxed(), options).await;
    let (mut silent, mut dripping) = (Client::connect(&server).await, Client::connect(&server).await);
    dripping.say(b"GET /dev/echo HTTP/1.1\r\nHost: loc").await;
    let mut honest = Client::upgrade(&server, "/dev/echo").await;
    assert!(ends(&mut silent).await && ends(&mut dripping).await);
    until_open(&server, 1).await;
    // The time-out is for headers: the WebSocket outlived it.
    honest.say(&text("still here")).await;
    assert_eq!(honest.frame().await, Some(Frame::new(TEXT, "still here")));
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_the_request() {
    let options = Options { request_ms: 200, ..Options::default() };
    let routes = warp::path!("post").and(warp::body::bytes()).map(|_| "done");
    let server = start(routes.boxed(), options).await;
    let mut client = Client::connect(&server).await;
    let response = client.request("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
}

#[tokio::test]
async fn a_header_too_large_is_refused() {
    let server = echo_server().await;
    let more = format!("X-Large: {}\r\n", "x".repeat(20_000));
    let response = Client::connect(&server).await.request(&upgrade_request("/dev/echo", &more)).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let server = start(echo::route().boxed(), Options { connections_max: 2, ..Options::default() }).await;
    let mut first = Client::upgrade(&server, "/dev/echo").await;
    let second = Client::upgrade(&server, "/dev/echo").await;
    let mut third = Client::connect(&server).await;
    assert!(ends(&mut third).await);
    first.say(&text("unharmed")).await;
    assert_eq!(first.frame().await, Some(Frame::new(TEXT, "unharmed")));
    drop(second);
    until_open(&server, 1).await;
    Client::upgrade(&server, "/dev/echo").await;
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let server = start(warp::path!("hello").map(|| "hi").boxed(), Options::default()).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..3 {
        let response = client.request("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        let mut body = [0; 2];
        client.stream.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"hi");
    }
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_lets_sockets_go_on() {
    let server = echo_server().await;
    let address = server.address();
    let mut socket = Client::upgrade(&server, "/dev/echo").await;
    let mut idle = Client::connect(&server).await;
    until_open(&server, 2).await;
    server.stop();
    assert!(ends(&mut idle).await);
    socket.say(&text("going on")).await;
    assert_eq!(socket.frame().await, Some(Frame::new(TEXT, "going on")));
    until_open(&server, 1).await;
    let finishing = tokio::spawn(server.finish(PATIENCE));
    socket.say(&close(1000, b"")).await;
    assert_eq!(socket.frames().await.len(), 1);
    drop(socket);
    assert_eq!(finishing.await.unwrap(), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn the_deadline_of_the_end_counts_who_is_left() {
    let server = echo_server().await;
    let _socket = Client::upgrade(&server, "/dev/echo").await;
    assert_eq!(server.finish(Duration::from_millis(50)).await, 1);
}
