//! A listening gateway, and a client that says exactly the bytes that a test wants said.

use std::sync::Arc;
use std::time::Duration;

use parlance::gateway::handshake::{Handshake, NotUpgraded, handshake};
use parlance::gateway::listener::{self, Handle, Options};
use parlance::gateway::{echo, native};
use parlance_actors::link::{Link, Receiver};
use parlance_schema::UserId;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::{Principal, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use warp::{Filter, Reply};

/// Longer than anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The key of RFC 6455, 1.3, whose answer stands there too.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Starts a listener with `/dev/echo`.
pub async fn echo_server() -> Handle {
    start(echo::route().boxed(), Options::default()).await
}

/// Starts a listener.
pub async fn start<R>(routes: warp::filters::BoxedFilter<(R,)>, options: Options) -> Handle
where
    R: Reply + Send + 'static,
{
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener::serve(socket, routes.map(|reply: R| reply.into_response()), options).unwrap()
}

/// Starts a listener whose every path is a WebSocket with the receivers that `make` makes.
pub async fn serve_receiver<R: Receiver>(make: impl Fn(&Arc<Link>) -> R + Clone + Send + Sync + 'static) -> Handle {
    let routes = handshake().map(move |handshake: Result<Handshake, NotUpgraded>| {
        let make = make.clone();
        match handshake {
            Ok(handshake) => handshake.accept(None, 128 * 1024, move || {
                let link = link();
                let receiver = make(&link);
                (link, receiver)
            }),
            Err(refused) => refused.into_response(),
        }
    });
    start(routes.boxed(), Options::default()).await
}

/// A link of no particular user.
pub fn link() -> Arc<Link> {
    let user = Principal { user: UserId::new(7), tenant: TENANT_DEFAULT, role: Role::User };
    Link::new(1, user, Arc::new(native::Json), u64::MAX)
}

/// A server's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { opcode, payload: payload.into() }
    }

    /// The code of a close frame.
    pub fn close_code(&self) -> Option<u16> {
        (self.opcode == 8).then(|| u16::from_be_bytes([self.payload[0], self.payload[1]]))
    }
}

/// A client's side of a connection.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub async fn connect(server: &Handle) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Connects and upgrades.
    pub async fn upgrade(server: &Handle, path: &str) -> Self {
        let mut client = Self::connect(server).await;
        let response = client.request(&upgrade_request(path, "")).await;
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        client
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request and reads the head of its answer.
    pub async fn request(&mut self, request: &str) -> String {
        self.say(request.as_bytes()).await;
        self.head().await
    }

    /// Reads up to the end of an answer's head.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.stream.read_u8()).await.expect("an answer in time");
            head.push(byte.expect("an answer before the end"));
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a frame, or the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.frame_patiently()).await.expect("a frame or the end in time")
    }

    async fn frame_patiently(&mut self) -> Option<Frame> {
        let first = self.stream.read_u8().await.ok()?;
        assert_eq!(first & 0xf0, 0x80, "a server's frame here is whole and uses no extension");
        let short = self.stream.read_u8().await.unwrap();
        assert_eq!(short & 0x80, 0, "a server's frame is not masked");
        let length = match short {
            126 => u64::from(self.stream.read_u16().await.unwrap()),
            127 => self.stream.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.unwrap();
        Some(Frame { opcode: first & 0x0f, payload })
    }

    /// Reads all frames until the end, the close frame included.
    pub async fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }
}

/// A well-formed upgrade, with further header lines.
pub fn upgrade_request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
}

/// A client's frame: `first` is the byte with FIN, the reserved bits and the opcode.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, m)| byte ^ m));
    out
}

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A whole text message.
pub fn text(payload: &str) -> Vec<u8> {
    masked(FIN | TEXT, payload.as_bytes())
}

/// A close frame.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}
