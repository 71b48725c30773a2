//! Clients behind proxies: `X-Forwarded-*` and PROXY headers, believed of named proxies alone.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{PATIENCE, Place, Reply, answer, closed, place};

/// Proxies on 127.0.0.8 and 127.0.0.9, and at most two requests and one connection of an address.
async fn behind(protocol: bool) -> Place {
    place(|config| {
        config.gateway.proxies = vec!["127.0.0.8/31".into()];
        config.gateway.proxy_protocol = protocol;
        (config.rates.address_per_s, config.rates.address_burst) = (1.0, 2);
        config.limits.connections_per_address = 1;
        config.gateway.hsts_s = 60;
    })
    .await
}

#[tokio::test]
async fn what_strangers_forward_is_ignored() {
    let place = behind(false).await;
    let mut statuses = Vec::new();
    for at in 0..4 {
        let lines = format!("X-Forwarded-For: 203.0.113.{at}\r\nX-Forwarded-Proto: https\r\n");
        let reply = place.get(1, &lines).await;
        assert_eq!(reply.header("strict-transport-security"), None);
        statuses.push(reply.status);
        place.until_open(0).await;
    }
    assert!(statuses[..2] == [200, 200] && statuses[2..].contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn what_named_proxies_forward_is_believed() {
    let place = behind(false).await;
    for at in 0..4 {
        let lines = format!("X-Forwarded-For: 10.1.1.1, 203.0.113.{at}\r\nX-Forwarded-Proto: https\r\n");
        let reply = place.get(8, &lines).await;
        assert_eq!((reply.status, reply.header("strict-transport-security")), (200, Some("max-age=60")));
    }
    // What the client wrote itself, before the proxy's own, changes nothing.
    let mut statuses = Vec::new();
    for at in 0..4 {
        let lines = format!("X-Forwarded-For: 10.1.1.{at}, 203.0.113.77, 127.0.0.9\r\n");
        statuses.push(place.get(8, &lines).await.status);
    }
    assert!(statuses[..2] == [200, 200] && statuses[2..].contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn websockets_behind_a_proxy_count_for_their_clients() {
    let place = behind(false).await;
    let client = |last: u8| format!("X-Forwarded-For: 2001:db8:0:{last}::{last}\r\n");
    let (first, kept) = place.upgrade(8, "/dev/echo", &client(1)).await;
    let (other, _other) = place.upgrade(8, "/dev/echo", &client(2)).await;
    let (refused, mut stream) = place.upgrade(9, "/dev/echo", &client(1).replace("::1", "::ffff")).await;
    assert_eq!((first.status, other.status, refused.status), (101, 101, 101));
    assert_eq!(closed(&mut stream).await.0, 4529, "the same /64 through the other proxy");
    drop((kept, stream));
    place.until_open(1).await;
    // The /64 has used up its requests as well.
    let again = async {
        loop {
            let (reply, stream) = place.upgrade(8, "/dev/echo", &client(1)).await;
            if reply.status == 101 {
                return stream;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("its place is free again");
}

async fn after(place: &Place, from: u8, header: &[u8]) -> Option<Reply> {
    let mut stream = place.connect(from).await;
    let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(&[header, request].concat()).await.unwrap();
    let mut first = [0];
    match timeout(PATIENCE, stream.peek(&mut first)).await.expect("an end in time") {
        Ok(1) => Some(answer(&mut stream).await),
        _ => None,
    }
}

#[tokio::test]
async fn proxy_headers_of_named_proxies_tell_the_client() {
    let place = behind(true).await;
    for at in 1..4 {
        let header = format!("PROXY TCP4 203.0.113.{at} 10.0.0.1 4711 80\r\n");
        assert_eq!(after(&place, 8, header.as_bytes()).await.unwrap().status, 200);
    }
    let mut statuses = Vec::new();
    for port in 1..5_u8 {
        let header =
            [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[203, 0, 113, 99, 10, 0, 0, 1, 0, port, 0, 80]].concat();
        statuses.push(after(&place, 9, &header).await.unwrap().status);
        place.until_open(0).await;
    }
    assert!(statuses[..2] == [200, 200] && statuses[2..].contains(&429), "{statuses:?}");
    assert!(after(&place, 8, b"").await.is_none(), "a named proxy sends one");
    assert!(after(&place, 8, b"PROXY TCP4 nonsense\r\n").await.is_none());
}

#[tokio::test]
async fn proxy_headers_of_strangers_are_no_requests() {
    let place = behind(true).await;
    assert_eq!(after(&place, 1, b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n").await.unwrap().status, 400);
    assert_eq!(after(&place, 2, b"").await.unwrap().status, 200);
    let off = behind(false).await;
    assert_eq!(after(&off, 8, b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n").await.unwrap().status, 400);
}

#[tokio::test]
async fn the_client_that_a_proxy_header_tells_has_its_number_of_connections() {
    let place = behind(true).await;
    let header = b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n";
    let mut first = place.connect(8).await;
    first.write_all(header).await.unwrap();
    let request = crate::socket::client::upgrade_request("/dev/echo", "");
    assert_eq!(super::ask(&mut first, &request).await.status, 101);
    let refused = after(&place, 9, header).await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    let mut end = Vec::new();
    drop(first);
    place.until_open(0).await;
    let mut second = place.connect(9).await;
    second.write_all(header).await.unwrap();
    second.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    timeout(PATIENCE, second.read_to_end(&mut end)).await.unwrap().unwrap();
    assert!(end.starts_with(b"HTTP/1.1 200") || end.starts_with(b"HTTP/1.1 429 "), "{end:?}");
    assert!(place.checks.get().has_proxy_header([127, 0, 0, 9].into()));
}
