//! The clients of chat-service, over real sockets, beside native ones.

mod chat;
mod crowd;
mod tokens;

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::raw::PATIENCE;
use crate::server::{Doors, Server};

/// Calls of one user.
#[derive(Clone)]
struct Caller {
    /// Where their sockets are, which are told of one another.
    address: SocketAddr,
    doors: Doors,
    client: reqwest::Client,
    token: String,
    id: u64,
}

impl Caller {
    fn new(server: &Server, token: &str, id: u64) -> Self {
        let (address, doors) = (server.address(), server.doors());
        Self { address, doors, client: reqwest::Client::new(), token: token.to_owned(), id }
    }

    /// Signs somebody up and logs them in.
    async fn sign_up(server: &Server, name: &str) -> Self {
        let mut caller = Self::new(server, "", 0);
        let new = json!({"username": name, "email": format!("{name}@example.org"), "password": "horse-battery-1",
            "full_name": name.to_uppercase(), "newsletter": false});
        let user = caller.want(201, Method::POST, "users/register", Some(new)).await;
        caller.id = user["id"].as_u64().unwrap();
        let login = json!({"username": name, "password": "horse-battery-1"});
        let token = caller.want(200, Method::POST, "users/login", Some(login)).await;
        assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("bearer"), &json!(1_800)));
        caller.token = token["access_token"].as_str().unwrap().to_owned();
        caller
    }

    /// Calls a path under `/api/v1/`; the status and the body.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("http://{}/api/v1/{path}", self.doors.next()));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or_default())
    }

    /// Calls a path, which must answer with a status; what is refused must say why.
    async fn want(&self, status: u16, method: Method, path: &str, body: Option<Value>) -> Value {
        let place = format!("{method} {path}");
        let (got, answer) = self.call(method, path, body).await;
        assert_eq!(got, status, "{place}: {answer}");
        if status == 422 {
            let problem = &answer["detail"][0];
            assert!(problem["loc"].is_array() && problem["msg"].is_string() && problem["type"].is_string(), "{answer}");
        } else if status >= 400 {
            assert!(answer["detail"].is_string(), "{place}: {answer}");
        }
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.want(200, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.want(201, Method::POST, path, Some(body)).await
    }

    /// Opens a group.
    async fn group(&self, name: &str, others: &[u64]) -> u64 {
        let chat = json!({"chat_type": "group", "name": name, "participant_ids": others});
        self.post("chats/", chat).await["id"].as_u64().unwrap()
    }

    /// Sends a message, and returns its id.
    async fn send(&self, chat: u64, content: &str) -> u64 {
        let message = self.post("messages/", json!({"chat_id": chat, "content": content})).await;
        message["id"].as_u64().unwrap()
    }

    /// A chat of the caller's, as the list has it.
    async fn listed(&self, chat: u64) -> Value {
        let chats = self.get("chats/").await;
        chats["items"].as_array().unwrap().iter().find(|c| c["id"] == chat).expect("the chat").clone()
    }

    /// Opens a socket that must be good.
    async fn socket(&self, chat: u64) -> Socket {
        self.socket_with(chat, "").await
    }

    async fn socket_with(&self, chat: u64, query: &str) -> Socket {
        Socket::open(self.address, &format!("{chat}?token={}{query}", self.token)).await
    }
}

/// A socket of one chat.
struct Socket {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    chat: u64,
    kept: VecDeque<Value>,
}

impl Socket {
    async fn open(address: SocketAddr, rest: &str) -> Self {
        let url = format!("ws://{address}/api/v1/ws/{rest}");
        let (ws, _) = timeout(PATIENCE, connect_async(url)).await.expect("in time").expect("a connection");
        let chat = rest.split('?').next().unwrap().parse().unwrap_or_default();
        Self { ws, chat, kept: VecDeque::new() }
    }

    async fn say(&mut self, mut frame: Value) {
        if frame.get("chat_id").is_none() {
            frame["chat_id"] = self.chat.into();
        }
        self.ws.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn message(&mut self, content: &str) {
        self.say(json!({"type": "message", "content": content})).await;
    }

    /// The next frame, or the close code.
    async fn next(&mut self) -> Result<Value, u16> {
        if let Some(kept) = self.kept.pop_front() {
            return Ok(kept);
        }
        loop {
            match timeout(PATIENCE, self.ws.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(close))) => return Err(close.map_or(1005, |close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next frame, which must be of a type.
    async fn want(&mut self, kind: &str) -> Value {
        let frame = self.next().await.unwrap_or_else(|code| panic!("closed with {code} instead of {kind}"));
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// The next frame of a type; others are dropped.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed with {code} instead of {kind}"));
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// What came until the answer to a ping: all that was on its way.
    async fn settled(&mut self) -> Vec<Value> {
        self.say(json!({"type": "ping"})).await;
        let mut found = Vec::new();
        loop {
            match self.next().await.expect("an open socket") {
                frame if frame["type"] == "pong" => return found,
                frame => found.push(frame),
            }
        }
    }

    /// Reads until the socket ends; the close code.
    async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}
