//! The same over real sockets: what the HTTP library does before and after the gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use parlance_schema::op::Op;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Gate;

struct Server {
    gate: Gate,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve() -> Server {
    let gate = Gate::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(warp::serve(gate.routes()).incoming(listener).run());
    Server { gate, address, task }
}

impl Server {
    /// Sends bytes and reads until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(std::time::Duration::from_secs(5), read).await.expect("an answer within 5 s").unwrap();
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn bodies_arrive_in_pieces_without_a_length() {
    let server = serve().await;
    let token = server.gate.bearer("user");
    let body = r#"{"content": {"text": "a"}}"#;
    let (a, b) = body.split_at(9);
    let answer = server
        .raw(&format!(
            "POST /v1/rooms/12/messages HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n",
            a.len(),
            b.len()
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(matches!(server.gate.node.ops()[..], [Op::Send { .. }]));
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_answered_at_once() {
    let server = serve().await;
    let token = server.gate.bearer("user");
    let answer = server
        .raw(&format!(
            "POST /v1/rooms/12/messages HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nConnection: close\r\n\
             Content-Length: 99999999\r\n\r\n{{"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    assert!(answer.contains(r#""code":"too_large""#), "{answer}");
}

#[tokio::test]
async fn a_connection_outlives_a_refusal_before_the_body_was_read() {
    let server = serve().await;
    let body = r#"{"content": {"text": "a"}}"#;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v1/rooms/12/messages HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length:";
    stream.write_all(format!("{head} {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&go_on), "HTTP/1.1 100 Continue\r\n\r\n");
    let next = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{body}{next}").as_bytes()).await.unwrap();
    let mut answers = String::new();
    let read = stream.read_to_string(&mut answers);
    tokio::time::timeout(std::time::Duration::from_secs(5), read).await.expect("two answers within 5 s").unwrap();
    assert!(answers.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 OK\r\n"), "{answers}");
}

#[tokio::test]
async fn a_connection_that_ends_with_a_refusal_says_so() {
    let server = serve().await;
    let head = "POST /v1/rooms/12/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{";
    let answer = server.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_half_done() {
    let gate = Gate::new().await;
    let held = Arc::new(Semaphore::new(0));
    *gate.node.held.lock().unwrap() = Some(held.clone());
    let routes = gate.routes();
    let request = warp::test::request().method("POST").path("/v1/rooms/12/archive");
    let mut reply = Box::pin(request.header("authorization", gate.bearer("user")).reply(&routes));
    tokio::select! {
        _ = &mut reply => panic!("answered before it was done"),
        // The test, the node, and the operation that waits.
        () = until("the node is asked", || Arc::strong_count(&held) == 3) => {}
    }
    drop(reply);
    held.add_permits(1);
    until("it is done", || gate.node.asked.lock().unwrap().len() == 1).await;
}

/// Waits for a condition, for 5 s at most.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), met).await.unwrap_or_else(|_| panic!("{what}: not in 5 s"));
}

#[tokio::test]
async fn a_head_has_no_body() {
    let server = serve().await;
    let answer = server.raw("HEAD /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_ordinary_client_gets_along() {
    let server = Arc::new(serve().await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let form = serde_json::json!({"username": "amira", "password": "correct horse"});
    let grant: Value = client.post(url("/v1/auth/register")).json(&form).send().await.unwrap().json().await.unwrap();
    let token = grant["access_token"].as_str().unwrap();
    let emoji = url("/v1/rooms/12/messages/3/reactions/👍🏽");
    let done = client.put(emoji).bearer_auth(token).header("Idempotency-Key", "k").send().await.unwrap();
    assert_eq!(done.status().as_u16(), 200);
    let [Op::React { emoji, .. }] = &server.gate.node.ops()[..] else { panic!("a reaction was asked for") };
    assert_eq!(emoji, "👍🏽");
    let docs = client.get(url("/docs")).send().await.unwrap();
    assert_eq!((docs.status().as_u16(), docs.url().path()), (200, "/docs/"));
}
