//! A node that serves one more dialect than usual, over real sockets: its routes, its socket, its issuer, its settings, its
//! chapter of the documentation, and the path that it shares.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jsonwebtoken::{EncodingKey, Header};
use parlance::api::dialect::{Dialect, Dialects};
use parlance::api::route::Access;
use parlance::compose::{self, Running};
use parlance::config::dialects::Spec;
use parlance::dialect::chat_service;
use parlance::gateway::openapi;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::notices;
use crate::settings::load_with;

const SECRET: &str = "a secret of the notices, which is long enough";
const CHAT_SECRET: &str = "a secret of chat-service, which is long enough";
const PATIENCE: Duration = Duration::from_secs(20);

static LIST: [&Dialect; 2] = [&chat_service::DIALECT, &notices::DIALECT];

fn specs() -> Vec<Spec> {
    LIST.iter().map(|dialect| dialect.settings.spec).collect()
}

/// A token of another service's.
fn token(secret: &str, subject: &str) -> String {
    let claims = json!({"sub": subject, "exp": 4_102_444_800_u64});
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

struct Served {
    running: Running,
    at: SocketAddr,
    client: Client,
    _dir: TempDir,
}

impl Served {
    async fn new(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let toml = format!(
            "[store]\nkind = 'memory'\n[server]\nlisten = '127.0.0.1:0'\n[auth.argon2]\nmemory_kib = 64\niterations = 1\n{toml}"
        );
        let variables = [("NOTICES_SECRET", SECRET), ("SECRET_KEY", CHAT_SECRET)];
        let mut config = load_with(&toml, &variables, &specs()).unwrap();
        config.data.dir = dir.path().to_owned();
        let render = std::sync::Arc::new(String::new);
        let running = compose::start(&config, &LIST, render).await.unwrap();
        let at = running.listener.address();
        Self { running, at, client: Client::new(), _dir: dir }
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("http://{}{path}", self.at));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.ask(Method::GET, path, Some(token), None).await
    }

    /// The id of whoever has a token.
    async fn id(&self, token: &str) -> u64 {
        let (status, body) = self.get("/notices/me", token).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_u64().unwrap()
    }

    /// Makes a native account; gives back its token.
    async fn register(&self, name: &str) -> String {
        let account = json!({"username": name, "password": "a garden of slow bells 71"});
        let (status, body) = self.ask(Method::POST, "/v1/auth/register", None, Some(account)).await;
        assert_eq!(status, 201, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Opens a group with members besides its owner.
    async fn group(&self, owner: &str, members: &[u64]) -> u64 {
        let group = json!({"kind": "group", "name": "Board", "members": members});
        let (status, body) = self.ask(Method::POST, "/v1/rooms", Some(owner), Some(group)).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_u64().unwrap()
    }

    async fn live(&self, room: u64, token: &str) -> Result<Socket, Error> {
        let (socket, _) = connect_async(format!("ws://{}/notices/{room}/live?token={token}", self.at)).await?;
        Ok(Socket(socket))
    }

    /// The id of a native account.
    async fn native_id(&self, token: &str) -> u64 {
        self.get("/v1/me", token).await.1["id"].as_u64().unwrap()
    }

    async fn stop(self) {
        self.running.stop().await;
    }
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("a frame in time").unwrap().unwrap();
            if !message.is_ping() {
                return message;
            }
        }
    }

    async fn next(&mut self) -> Value {
        let message = self.message().await;
        serde_json::from_str(message.to_text().unwrap()).unwrap_or_else(|_| panic!("{message:?}"))
    }

    async fn closed(&mut self) -> u16 {
        match self.message().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("{other:?} instead of a close"),
        }
    }
}

/// The status with which an upgrade was refused.
fn refused(outcome: Result<Socket, Error>) -> StatusCode {
    match outcome {
        Err(Error::Http(response)) => StatusCode::from_u16(response.status().as_u16()).unwrap(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_issuer_s_tokens_are_good_on_its_own_paths_alone() {
    let node = Served::new("").await;
    let (ann, bea) = (token(SECRET, "ann"), token(CHAT_SECRET, "bea"));
    assert_eq!(node.id(&ann).await, node.id(&ann).await, "a subject is one user");
    assert_ne!(node.id(&ann).await, node.id(&token(SECRET, "ben")).await);
    for (path, token) in [
        ("/v1/me", &ann),
        ("/api/v1/users/me", &ann),
        ("/notices/me", &bea),
        ("/notices/me", &token("some other secret, also long enough", "ann")),
    ] {
        assert_eq!(node.get(path, token).await.0, 401, "{path}");
    }
    assert_eq!(node.get("/api/v1/users/me", &bea).await.0, 200);
    let carl = node.register("carl").await;
    assert_eq!(node.get("/notices/me", &carl).await.0, 200, "our own tokens are good everywhere");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_its_routes_without_a_token_or_a_room_without_being_in_it() {
    let node = Served::new("").await;
    let (ann, carl) = (token(SECRET, "ann"), node.register("carl").await);
    let room = node.group(&carl, &[]).await;
    let dialects = Dialects::open(&[&notices::DIALECT], &Default::default()).unwrap();
    let mut tried = 0;
    for mounted in dialects.routes().filter(|mounted| mounted.route.access != Access::Public) {
        let path = mounted.route.path.replace("{room_id}", &room.to_string()).replace("{user_id}", "abc");
        let method: Method = mounted.route.verb.word().parse().unwrap();
        let body = mounted.route.body.map(|_| json!({"text": "a"}));
        for token in [None, Some("nonsense")] {
            let (status, answer) = node.ask(method.clone(), &path, token, body.clone()).await;
            assert_eq!((status, answer["detail"].is_string()), (401, true), "{path} {token:?}: {answer}");
        }
        if path.ends_with(&room.to_string()) {
            let (status, answer) = node.ask(method, &path, Some(&ann), body).await;
            assert_eq!(status, 404, "{path}: {answer}");
        }
        tried += 1;
    }
    assert_eq!(tried, 4);
    assert_eq!(refused(node.live(room, "nonsense").await), StatusCode::UNAUTHORIZED);
    assert_eq!(refused(node.live(room, &ann).await), StatusCode::FORBIDDEN);
    assert_eq!(refused(node.live(room + 1_000, &ann).await), StatusCode::NOT_FOUND);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_socket_sent_comes_to_all_others_and_a_removed_member_s_is_closed() {
    let node = Served::new("").await;
    let (ann, ben, carl) = (token(SECRET, "ann"), token(SECRET, "ben"), node.register("carl").await);
    let (ann_id, ben_id) = (node.id(&ann).await, node.id(&ben).await);
    let room = node.group(&carl, &[ann_id, ben_id]).await;
    let mut first = node.live(room, &ann).await.unwrap();
    let mut second = node.live(room, &ann).await.unwrap();
    let mut other = node.live(room, &ben).await.unwrap();
    first.send(json!({"say": "one"})).await;
    assert_eq!(first.next().await, json!({"said": 2}), "a reply is told what it answers");
    first.send(json!({"hello": true})).await;
    assert_eq!(first.next().await, json!({"hello": room}));
    let (status, body) =
        node.ask(Method::POST, &format!("/notices/{room}"), Some(&ben), Some(json!({"text": "two"}))).await;
    assert_eq!((status, &body), (201, &json!({"number": 3})));
    assert_eq!(first.next().await, json!({"notice": "two", "by": ben_id}), "what it sent is not sent to it");
    for socket in [&mut second, &mut other] {
        assert_eq!(socket.next().await, json!({"notice": "one", "by": ann_id}));
        assert_eq!(socket.next().await, json!({"notice": "two", "by": ben_id}));
    }
    let (_, listed) = node.get(&format!("/notices/{room}"), &ann).await;
    assert_eq!(listed, json!({"notices": ["one", "two"]}));
    let member = format!("/v1/rooms/{room}/members/{ben_id}");
    assert_eq!(node.ask(Method::DELETE, &member, Some(&carl), None).await.0, 204);
    assert_eq!(other.closed().await, 4403);
    first.send(json!({"say": "three"})).await;
    assert_eq!(first.next().await, json!({"said": 5}), "the others stay connected");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_an_id_tells_whose_a_shared_path_is() {
    let node = Served::new("").await;
    let (ann, carl) = (token(SECRET, "ann"), node.register("carl").await);
    let id = node.id(&carl).await;
    let (status, user) = node.get(&format!("/api/v1/users/{id}"), &carl).await;
    assert_eq!((status, &user["username"]), (200, &json!("carl")));
    assert_eq!(node.get("/api/v1/users/abc", &carl).await, (200, json!({"reader": "abc"})));
    assert_eq!(node.get("/api/v1/users/me", &carl).await.1["username"], "carl", "reserved words win over ids");
    assert_eq!(node.get("/api/v1/users/abc", &ann).await.0, 200);
    assert_eq!(node.get(&format!("/api/v1/users/{id}"), &ann).await.0, 401);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_errors_and_its_query_are_as_it_says() {
    let node = Served::new("").await;
    let ann = token(SECRET, "ann");
    let (status, body) = node.get("/notices/me?page=2", &ann).await;
    assert_eq!((status, body["detail"].is_array()), (422, true), "{body}");
    assert_eq!(node.get("/api/v1/users/abc?page=2", &ann).await.0, 422);
    let bea = token(CHAT_SECRET, "bea");
    assert_eq!(node.get("/api/v1/users/me?page=2", &bea).await.0, 200, "the other one lets them pass");
    let (status, body) = node.get("/notices/", &ann).await;
    assert_eq!((status, body["detail"].is_string()), (404, true), "{body}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_off_is_not_there() {
    let node = Served::new("[dialects.notices]\nenabled = false").await;
    let carl = node.register("carl").await;
    let room = node.group(&carl, &[]).await;
    assert_eq!(node.get("/notices/me", &carl).await.0, 404);
    assert_eq!(refused(node.live(room, &carl).await), StatusCode::NOT_FOUND);
    node.stop().await;
}

#[test]
fn its_settings_are_read_checked_and_shown_without_secrets() {
    let config = load_with("", &[("NOTICES_SECRET", "hunter42")], &specs()).unwrap();
    let listed = config.listed();
    assert_eq!(listed["dialects.notices.shown"], "10");
    assert_eq!(listed["dialects.notices.secret"], "\"…\"");
    assert!(!format!("{config:?}{listed:?}").contains("hunter42"));
    let ours = [("PARLANCE_DIALECTS__NOTICES__SHOWN", "7"), ("PARLANCE_DIALECTS__NOTICES__ENABLED", "false")];
    let listed = load_with("", &ours, &specs()).unwrap().listed();
    assert_eq!((&*listed["dialects.notices.shown"], &*listed["dialects.notices.enabled"]), ("7", "false"));
    for (toml, named) in [
        ("[dialects.notices]\nshown = 51", "dialects.notices.shown: it goes from 1 to 50"),
        ("[dialects.notices]\nshow = 5", "there is no setting `show`: leave it out, or use one of: enabled"),
    ] {
        let error = load_with(toml, &[], &specs()).unwrap_err().to_string();
        assert!(error.contains(named), "{error:?} does not name {named:?}");
    }
}

#[test]
fn its_chapter_is_in_the_document() {
    let dialects = Dialects::open(&LIST, &Default::default()).unwrap();
    let document = openapi::document(&dialects);
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert!(tags.ends_with(&["chat-service", "notices"]), "{tags:?}");
    let post = &document["paths"]["/notices/{room_id}"]["post"];
    assert_eq!(post["tags"], json!(["notices"]));
    assert_eq!(
        post["responses"]["404"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Detail"
    );
}

#[test]
fn more_wires_than_relays_keep_frames_for_are_refused() {
    let list = [&notices::DIALECT as &'static Dialect; 7];
    let error = Dialects::open(&list, &Default::default()).map(drop).unwrap_err();
    assert!(error.contains("9 wires"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_is_let_in_whoever_has_the_name_that_is_made_for_it() {
    let served = Served::new("").await;
    let first = served.register("first").await;
    let last = served.native_id(&first).await;
    // One of these is the name that would be made for the next subject.
    for id in last + 6..=last + 10 {
        served.register(&format!("notices-{id}")).await;
    }
    let id = served.id(&token(SECRET, "42")).await;
    let (_, found) = served.get(&format!("/v1/users?q=notices-{id}"), &first).await;
    let made = found["users"].as_array().unwrap().iter().find(|user| user["id"] == id).unwrap();
    assert_eq!(made["username"], format!("notices-{id}-2"));
    served.stop().await;
}
