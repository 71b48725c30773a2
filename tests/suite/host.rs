//! What every request passes before any route, over real sockets: rates, hosts, origins, proxies, TLS.

mod checks;
mod connections;
mod handshakes;
mod proxied;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parlance::config::Config;
use parlance::gateway::checks::{Checks, Current};
use parlance::gateway::listener::{self, Handle, Options};
use parlance::gateway::{connect, echo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use warp::{Filter, Rejection};

use crate::rest::{Gate, all_dialects};
use crate::socket::client::{PATIENCE, upgrade_request};

/// A listener with the API before fakes, `/v1/connect` and `/dev/echo`.
struct Place {
    gate: Gate,
    server: Handle,
    checks: Arc<Current>,
}

/// Starts one with settings.
async fn place(change: impl FnOnce(&mut Config)) -> Place {
    place_with(change, Options::default()).await
}

async fn place_with(change: impl FnOnce(&mut Config), options: Options) -> Place {
    let gate = Gate::new().await;
    let mut config = Config::default();
    change(&mut config);
    config.check().unwrap();
    let checks = Checks::new(&config).unwrap().styled(Arc::new(all_dialects()));
    let checks = Arc::new(Current::from(checks));
    let rest = gate.routes().and_then(async |reply| Ok::<_, Rejection>(reply));
    let routes = connect::route(gate.deps()).or(echo::route()).unify().or(rest).unify();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener::serve(socket, routes, Options { checks: checks.clone(), ..options }).unwrap();
    Place { gate, server, checks }
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Reads an answer up to the end of the connection, or only its head where it is an upgrade.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Reply {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").expect("an answer"));
    }
    let head = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
    let status = head[9..12].parse().unwrap();
    if status != 101 {
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the end in time").expect("the end");
    }
    Reply { status, head, body: String::from_utf8(bytes).unwrap() }
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> Reply {
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

impl Place {
    /// Connects from the loopback address that ends with `from`.
    async fn connect(&self, from: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0))).unwrap();
        socket.connect(self.server.address()).await.unwrap()
    }

    /// Sends a request with further header lines, each with its end, on a connection of its own.
    async fn request(&self, from: u8, line: &str, lines: &str, body: &str) -> Reply {
        let host = if lines.to_lowercase().contains("host: ") { "" } else { "Host: localhost\r\n" };
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{host}{length}{lines}\r\n{body}");
        ask(&mut self.connect(from).await, &request).await
    }

    async fn get(&self, from: u8, lines: &str) -> Reply {
        self.request(from, "GET /health/live", lines, "").await
    }

    /// Asks for a WebSocket.
    async fn upgrade(&self, from: u8, path: &str, lines: &str) -> (Reply, TcpStream) {
        let mut stream = self.connect(from).await;
        let mut request = upgrade_request(path, lines);
        if lines.contains("Host: ") {
            request = request.replace("Host: localhost\r\n", "");
        }
        let reply = ask(&mut stream, &request).await;
        (reply, stream)
    }

    /// Waits until so many connections are open.
    async fn until_open(&self, count: usize) {
        let met = async {
            while self.server.open() != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("{} are open, not {count}", self.server.open()));
    }
}

/// The close code with which a WebSocket ends at once, and the reason.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) -> (u16, String) {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the end in time").unwrap();
    assert_eq!(bytes[0], 0x88, "a close frame: {bytes:?}");
    (u16::from_be_bytes([bytes[2], bytes[3]]), String::from_utf8(bytes[4..].to_vec()).unwrap())
}
