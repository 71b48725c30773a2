//! A WebSocket that says exactly what a test wants said.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Longer than anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// A frame.
    Frame(Value),
    /// The server closed, with this code.
    Close(u16),
    /// The connection broke.
    Gone,
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// MessagePack instead of JSON.
    pub msgpack: bool,
    /// Bytes of the socket's receive buffer; 0 leaves it as it is.
    pub receive_bytes: u32,
}

/// One connection.
pub struct Raw {
    ws: WebSocketStream<TcpStream>,
    msgpack: bool,
    n: u64,
    /// Pushes that came while a reply was awaited.
    pub pushes: VecDeque<Value>,
    /// The first frame.
    pub hello: Value,
}

impl Raw {
    /// Connects; what the server closes at once is an error with the close code.
    pub async fn connect(address: SocketAddr, token: &str, how: How) -> Result<Self, Got> {
        let mut raw = Self::open(address, token, how).await.map_err(|_| Got::Gone)?;
        match raw.next().await {
            Got::Frame(hello) if hello["push"] == "hello" => raw.hello = hello,
            other => return Err(other),
        }
        Ok(raw)
    }

    /// Connects with defaults, in a test where that must work.
    pub async fn ready(address: SocketAddr, token: &str) -> Self {
        Self::connect(address, token, How::default()).await.expect("a connection")
    }

    async fn open(address: SocketAddr, token: &str, how: How) -> Result<Self, Error> {
        let socket = TcpSocket::new_v4()?;
        if how.receive_bytes > 0 {
            socket.set_recv_buffer_size(how.receive_bytes)?;
        }
        let stream = timeout(PATIENCE, socket.connect(address)).await.map_err(|_| Error::ConnectionClosed)??;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/v1/connect").into_client_request()?;
        let wire = if how.msgpack { "parlance.v1.msgpack" } else { "parlance.v1.json" };
        let offer = format!("{wire}, bearer, {token}");
        request.headers_mut().insert("sec-websocket-protocol", offer.parse().expect("a header"));
        let upgraded = timeout(PATIENCE, tokio_tungstenite::client_async(request, stream)).await;
        let (ws, _) = upgraded.map_err(|_| Error::ConnectionClosed)??;
        Ok(Self { ws, msgpack: how.msgpack, n: 0, pushes: VecDeque::new(), hello: Value::Null })
    }

    /// Sends a message as it is; false when the connection is gone.
    pub async fn message(&mut self, message: Message) -> bool {
        self.ws.send(message).await.is_ok()
    }

    /// Sends a frame.
    pub async fn say(&mut self, frame: &Value) -> bool {
        let message = if self.msgpack {
            Message::binary(rmp_serde::to_vec_named(frame).unwrap())
        } else {
            Message::text(frame.to_string())
        };
        self.message(message).await
    }

    /// The next frame or end, without a deadline; may be dropped while it waits.
    pub async fn incoming(&mut self) -> Got {
        loop {
            match self.ws.next().await {
                Some(Ok(Message::Text(text))) => return Got::Frame(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Binary(bytes))) => {
                    return Got::Frame(rmp_serde::from_slice(&bytes).expect("MessagePack"));
                }
                Some(Ok(Message::Close(close))) => return Got::Close(close.map_or(1005, |close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Got::Gone,
            }
        }
    }

    /// The next frame or end.
    pub async fn next(&mut self) -> Got {
        timeout(PATIENCE, self.incoming()).await.expect("a frame in time")
    }

    /// The next push for which `is` holds; others are dropped.
    pub async fn push(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        while let Some(push) = self.pushes.pop_front() {
            if is(&push) {
                return push;
            }
        }
        loop {
            match self.next().await {
                Got::Frame(frame) if frame.get("push").is_some() && is(&frame) => return frame,
                Got::Frame(_) => {}
                end => panic!("{end:?} instead of a push"),
            }
        }
    }

    /// The entry with a number in a room.
    pub async fn entry(&mut self, room: u64, seq: u64) -> Value {
        let push = self.push(|p| p["push"] == "entry" && p["room"] == room && p["entry"]["seq"] == seq).await;
        push["entry"].clone()
    }

    /// Sends a request and returns its number.
    pub async fn ask(&mut self, mut request: Value) -> u64 {
        self.n += 1;
        request["n"] = self.n.into();
        assert!(self.say(&request).await, "the connection takes a request");
        self.n
    }

    /// The reply to a request; pushes that come before are kept.
    pub async fn reply(&mut self, n: u64) -> Result<Value, Value> {
        loop {
            match self.next().await {
                Got::Frame(frame) if frame["re"] == n => {
                    return match frame.get("fault") {
                        Some(fault) => Err(fault.clone()),
                        None => Ok(frame["ok"].clone()),
                    };
                }
                Got::Frame(frame) => self.pushes.push_back(frame),
                end => panic!("{end:?} instead of a reply"),
            }
        }
    }

    /// Asks and waits for the reply.
    pub async fn request(&mut self, request: Value) -> Result<Value, Value> {
        let n = self.ask(request).await;
        self.reply(n).await
    }

    /// Asks for what must be granted.
    pub async fn ok(&mut self, request: Value) -> Value {
        self.request(request.clone()).await.unwrap_or_else(|fault| panic!("{request}: {fault}"))
    }

    /// Asks for what must be refused, and returns the fault's code.
    pub async fn code(&mut self, request: Value) -> String {
        let fault = self.request(request.clone()).await.expect_err(&request.to_string());
        assert!(fault["detail"].is_string() && fault["retry"].is_string(), "{fault}");
        fault["code"].as_str().unwrap().to_owned()
    }

    /// Says where the client is.
    pub async fn resume(&mut self, positions: Value) -> Vec<Value> {
        let resumed = self.ok(json!({"op": "resume", "positions": positions})).await;
        resumed["resumed"].as_array().unwrap().clone()
    }

    /// Makes a group and returns its id.
    pub async fn create(&mut self, name: &str, members: &[u64]) -> u64 {
        let room = self.ok(json!({"op": "create", "kind": "group", "name": name, "members": members})).await;
        room["id"].as_u64().unwrap()
    }

    /// Sends a message and returns its number.
    pub async fn post(&mut self, room: u64, text: &str) -> u64 {
        let done = self.ok(json!({"op": "send", "room": room, "content": {"text": text}})).await;
        done["seq"].as_u64().unwrap()
    }

    /// Reads until the connection ends, and returns the close code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Got::Frame(frame) => self.pushes.push_back(frame),
                Got::Close(code) => return code,
                Got::Gone => return 1006,
            }
        }
    }

    /// The number of the last entry of a room.
    pub async fn last(&mut self, room: u64) -> u64 {
        self.ok(json!({"op": "room", "room": room})).await["last"].as_u64().unwrap()
    }
}
