//! Connections per address, slow clients, and what is too large.

use parlance::gateway::listener::{Options, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use warp::Filter;
use warp::reply::Response;

use super::{PATIENCE, ask, closed, place};
use crate::socket::client::upgrade_request;

#[tokio::test]
async fn an_address_with_too_many_connections_is_told_so() {
    let place = place(|config| config.limits.connections_per_address = 2).await;
    let (_, first) = place.upgrade(1, "/dev/echo", "").await;
    let (reply, _second) = place.upgrade(1, "/dev/echo", "").await;
    assert_eq!(reply.status, 101);
    let refused = place.get(1, "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")));
    assert_eq!(refused.header("connection"), Some("close"));
    let (reply, mut stream) = place.upgrade(1, "/dev/echo", "").await;
    assert_eq!(reply.status, 101, "a script is shown a close code, but no status");
    let (code, reason) = closed(&mut stream).await;
    assert_eq!(
        (code, reason.as_str()),
        (4529, "too many connections from your IP address: close one, or try again in 10 s")
    );
    drop(stream);
    let (reply, other) = place.upgrade(2, "/dev/echo", "").await;
    assert_eq!(reply.status, 101, "another address may");
    drop((first, other));
    place.until_open(1).await;
    assert_eq!(place.get(1, "").await.status, 200);
}

#[tokio::test]
async fn many_over_the_number_are_closed_without_a_word() {
    let place = place(|config| config.limits.connections_per_address = 1).await;
    let (_, _kept) = place.upgrade(1, "/dev/echo", "").await;
    let mut silent = Vec::new();
    let mut ended = 0;
    while ended < 20 {
        let mut stream = place.connect(1).await;
        assert!(silent.len() <= 300, "they are bounded");
        let end = timeout(std::time::Duration::from_millis(20), stream.read_u8()).await;
        match end {
            Ok(_) => ended += 1,
            Err(_) => silent.push(stream),
        }
    }
    assert!(silent.len() >= 250, "{} wait to be told", silent.len());
}

#[tokio::test]
async fn others_have_their_turn_while_a_crowd_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // They wait in the system's queue before anybody accepts them.
    let crowd: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let handle = serve(listener, warp::path!("nothing").map(Response::default), Options::default()).unwrap();
    let (mut open, mut at_once) = (0, 0);
    let all = async {
        while open < crowd.len() {
            tokio::task::yield_now().await;
            let now = handle.open();
            (open, at_once) = (now, at_once.max(now - open));
        }
    };
    timeout(PATIENCE, all).await.expect("all are accepted");
    assert!(at_once <= 10, "{at_once} were accepted before anybody else had a turn");
}

#[tokio::test]
async fn who_says_nothing_and_who_drips_are_closed() {
    let place = super::place_with(|_| {}, Options { header_ms: 200, ..Options::default() }).await;
    let mut silent = place.connect(1).await;
    let mut dripping = place.connect(2).await;
    let mut byte = [0];
    let dripped = async {
        for letter in b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain([b'x'; 1_000].iter()) {
            if dripping.write_all(&[*letter]).await.is_err() {
                return;
            }
            if let Ok(Ok(0) | Err(_)) = timeout(std::time::Duration::from_millis(10), dripping.read(&mut byte)).await {
                return;
            }
        }
        panic!("it could drip for as long as it liked");
    };
    timeout(PATIENCE, dripped).await.expect("the end of the dripping one");
    assert_eq!(timeout(PATIENCE, silent.read(&mut byte)).await.expect("the end in time").unwrap(), 0);
    place.until_open(0).await;
}

#[tokio::test]
async fn who_does_not_read_its_answer_is_closed() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let routes = warp::path!("large").map(|| Response::new(vec![b'x'; 64 * 1024 * 1024].into()));
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options { reply_ms: 200, ..Options::default() };
    let server = serve(listening, routes.boxed(), options).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.readable().await.unwrap();
    let ended = async {
        while server.open() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the connection ends");
    assert!(handle.render().contains("parlance_refused_total{why=\"reply_time\"} 1"), "{}", handle.render());
    // Who reads slowly, but reads, gets it all.
    let mut stream = socket_reading_slowly(server.address()).await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut bytes = 0;
    let mut piece = vec![0; 1024 * 1024];
    loop {
        match stream.read(&mut piece).await.unwrap() {
            0 => break,
            some => bytes += some,
        }
        if bytes < 8 * 1024 * 1024 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert!(bytes > 64 * 1024 * 1024, "{bytes}");
}

async fn socket_reading_slowly(address: std::net::SocketAddr) -> tokio::net::TcpStream {
    tokio::net::TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_bytes() {
    let place = place(|_| {}).await;
    let many: String = (0..200).map(|at| format!("X-{at}: y\r\n")).collect();
    assert_eq!(place.get(1, &many).await.status, 431);
    let mut stream = place.connect(1).await;
    let large = upgrade_request("/dev/echo", &format!("X: {}\r\n", "y".repeat(17_000)));
    assert_eq!(ask(&mut stream, &large).await.status, 431);
}
