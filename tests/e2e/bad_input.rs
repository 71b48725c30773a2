//! Bad input: a documented fault, nothing stored, and the connection kept where it can be.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::raw::{Got, How, Raw};
use crate::server::{Server, User};
use crate::stage::folder;

/// A server with two users, a room of the first one's, and a room that is the second one's alone.
async fn scene() -> (tempfile::TempDir, Server, Vec<User>, u64, u64) {
    let (folder, setup) = folder();
    let users = setup.users(2);
    let server = setup.start().await;
    let room = Raw::ready(server.address(), &users[0].token).await.create("mine", &[]).await;
    let foreign = Raw::ready(server.address(), &users[1].token).await.create("theirs", &[]).await;
    (folder, server, users, room, foreign)
}

/// The code of the fault with which a frame is answered, as a reply or as a push.
async fn answer(socket: &mut Raw) -> String {
    loop {
        match socket.next().await {
            Got::Frame(frame) if frame["push"] == "presence" => {}
            Got::Frame(frame) => {
                assert!(frame["fault"]["detail"].is_string(), "{frame}");
                return frame["fault"]["code"].as_str().unwrap().to_owned();
            }
            end => panic!("{end:?} instead of an answer"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_frame_is_answered_and_the_connection_goes_on() {
    let (_folder, server, users, room, foreign) = scene().await;
    let deep = format!(
        r#"{{"n": 1, "op": "send", "room": {room}, "content": {}1{}}}"#,
        "[".repeat(60_000),
        "]".repeat(60_000)
    );
    let long = json!({"n": 1, "op": "send", "room": room, "content": {"text": "\u{e9}".repeat(10_001)}}).to_string();
    let table: &[(&str, String)] = &[
        ("malformed", String::new()),
        ("malformed", "{".into()),
        ("malformed", format!(r#"{{"n": 1, "op": "send", "room": {room}, "content": {{"text": "cut"#)),
        ("malformed", "null".into()),
        ("malformed", "[1, 2]".into()),
        ("malformed", "{}".into()),
        ("malformed", r#"{"n": -1, "op": "ping"}"#.into()),
        ("malformed", r#"{"n": 1.5, "op": "ping"}"#.into()),
        ("malformed", r#"{"n": "1", "op": "ping"}"#.into()),
        ("malformed", r#"{"n": 1, "op": 7}"#.into()),
        ("malformed", r#"{"n": 1}"#.into()),
        ("malformed", r#"{"op": "ping"}"#.into()),
        ("malformed", r#"{"n": 1, "op": "ping"} {"n": 2, "op": "ping"}"#.into()),
        ("malformed", deep),
        ("malformed", r#"{"n": 1, "op": "send", "room": "one", "content": {"text": "x"}}"#.into()),
        ("malformed", format!(r#"{{"n": 1, "op": "send", "room": {room}}}"#)),
        ("malformed", format!(r#"{{"n": 1, "op": "send", "room": {room}, "content": "plain"}}"#)),
        ("malformed", format!(r#"{{"n": 1, "op": "send", "room": {room}, "content": {{"text": 5}}}}"#)),
        ("malformed", format!(r#"{{"n": 1, "op": "send", "room": {room}, "content": {{"text": "\ud800"}}}}"#)),
        ("malformed", r#"{"n": 1, "op": "send", "room": 9007199254740993, "content": {"text": "x"}}"#.into()),
        ("malformed", r#"{"n": 1, "op": "resume", "positions": {"x": {"epoch": 1, "seq": 1}}}"#.into()),
        ("unknown_op", r#"{"n": 1, "op": "fly"}"#.into()),
        ("unknown_op", r#"{"n": 1, "op": "Send"}"#.into()),
        ("invalid", long),
        ("not_found", format!(r#"{{"n": 1, "op": "send", "room": {foreign}, "content": {{"text": "x"}}}}"#)),
        ("not_found", r#"{"n": 1, "op": "send", "room": 888888, "content": {"text": "x"}}"#.into()),
        ("not_found", format!(r#"{{"n": 1, "op": "entries", "room": {foreign}}}"#)),
        ("not_found", format!(r#"{{"n": 1, "op": "messages", "room": {foreign}}}"#)),
        ("not_found", format!(r#"{{"n": 1, "op": "members", "room": {foreign}}}"#)),
        ("not_found", format!(r#"{{"n": 1, "op": "room", "room": {foreign}}}"#)),
        ("not_found", format!(r#"{{"n": 1, "op": "typing", "room": {foreign}, "on": true}}"#)),
        ("not_found", format!(r#"{{"n": 1, "op": "read", "room": {foreign}, "seq": 1}}"#)),
        ("not_found", format!(r#"{{"n": 1, "op": "add", "room": {foreign}, "users": [{}]}}"#, users[0].id)),
        ("not_found", format!(r#"{{"n": 1, "op": "leave", "room": {foreign}}}"#)),
    ];
    let mut socket = Raw::ready(server.address(), &users[0].token).await;
    for (code, frame) in table {
        assert!(socket.message(Message::text(frame.as_str())).await);
        assert_eq!(answer(&mut socket).await, *code, "{:.200}", frame);
        socket.ok(json!({"op": "ping"})).await;
    }
    for bytes in [&[][..], &[0xc1], &[0xff; 64], b"{\"n\": 1, \"op\": \"ping\"}"] {
        assert!(socket.message(Message::binary(bytes.to_vec())).await);
        assert_eq!(answer(&mut socket).await, "malformed", "bytes on a connection that speaks text");
    }
    assert_eq!(socket.last(room).await, 1, "nothing is stored");
    assert_eq!(Raw::ready(server.address(), &users[1].token).await.last(foreign).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_messagepack_is_answered_and_the_connection_goes_on() {
    let (_folder, server, users, room, _) = scene().await;
    let how = How { msgpack: true, ..How::default() };
    let mut socket = Raw::connect(server.address(), &users[0].token, how).await.unwrap();
    let good =
        rmp_serde::to_vec_named(&json!({"n": 1, "op": "send", "room": room, "content": {"text": "cut"}})).unwrap();
    let mut frames: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
    frames.push([good.as_slice(), &[0x00]].concat());
    frames.push(vec![0x91; 60_000]);
    frames.push(vec![0xdd, 0xff, 0xff, 0xff, 0xff]);
    frames.push(vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'n']);
    frames.push(vec![0xc6, 0xff, 0xff, 0xff, 0xff]);
    for frame in &frames {
        assert!(socket.message(Message::binary(frame.clone())).await);
        assert_eq!(answer(&mut socket).await, "malformed", "{frame:.40?}");
    }
    assert!(socket.message(Message::text(r#"{"n": 1, "op": "ping"}"#)).await);
    assert_eq!(answer(&mut socket).await, "malformed", "text on a connection that speaks bytes");
    assert_eq!(socket.last(room).await, 1, "nothing is stored");
}

/// What the socket's own rules forbid ends the connection, with RFC 6455's code, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_websocket_may_send_ends_the_connection() {
    let (_folder, server, users, room, _) = scene().await;
    let mut bystander = Raw::ready(server.address(), &users[0].token).await;
    let raw = |opcode: OpCode, last: bool, bytes: &[u8]| Message::Frame(Frame::message(bytes.to_vec(), opcode, last));
    let large = json!({"n": 1, "op": "send", "room": room, "content": {"text": "x".repeat(140_000)}}).to_string();
    let half = &large.as_bytes()[..70_000];
    let table: &[(u16, Vec<Message>)] = &[
        (1007, vec![raw(OpCode::Data(Data::Text), true, b"{\"n\": 1, \"op\": \"\xff\xfe\"}")]),
        (1007, vec![raw(OpCode::Data(Data::Text), false, b"\xe2\x82"), raw(OpCode::Data(Data::Continue), true, b"x")]),
        (1009, vec![Message::text(large.clone())]),
        (1009, vec![raw(OpCode::Data(Data::Text), false, half), raw(OpCode::Data(Data::Continue), true, half)]),
        (1002, vec![raw(OpCode::Data(Data::Continue), true, b"nothing to continue")]),
        (1002, vec![raw(OpCode::Data(Data::Reserved(3)), true, b"reserved")]),
    ];
    for (code, messages) in table {
        let mut socket = Raw::ready(server.address(), &users[0].token).await;
        for message in messages {
            socket.message(message.clone()).await;
        }
        assert_eq!(socket.closed().await, *code);
    }
    assert_eq!(bystander.last(room).await, 1, "nothing is stored, and other connections go on");
}

/// The parts of a token.
fn parts(token: &str) -> (Value, Value, String) {
    let mut parts = token.split('.');
    let mut json = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
    let (header, claims) = (json(), json());
    (header, claims, parts.next().unwrap().to_owned())
}

fn token(header: &Value, claims: &Value, signature: &str) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", text(header), text(claims))
}

/// Tokens that this server never issued.
fn forgeries(good: &str, other: &User) -> Vec<String> {
    let (header, claims, signature) = parts(good);
    let mut other_claims = claims.clone();
    other_claims["sub"] = other.id.to_string().into();
    let mut later = claims.clone();
    later["exp"] = 9_999_999_999_u64.into();
    let mut grand = claims.clone();
    grand["role"] = "super_admin".into();
    let mut none = header.clone();
    none["alg"] = "none".into();
    let mut unknown_key = header.clone();
    unknown_key["kid"] = "../../etc/passwd".into();
    let signed = |secret: &[u8]| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let head = jsonwebtoken::Header {
            kid: header["kid"].as_str().map(str::to_owned),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        };
        jsonwebtoken::encode(&head, &claims, &key).unwrap()
    };
    vec![
        token(&header, &other_claims, &signature),
        token(&header, &later, &signature),
        token(&header, &grand, &signature),
        token(&none, &claims, ""),
        token(&none, &claims, &signature),
        token(&json!({"alg": "NONE", "typ": "JWT"}), &claims, ""),
        token(&unknown_key, &claims, &signature),
        token(&json!({"alg": "RS256", "kid": header["kid"]}), &claims, &signature),
        signed(b""),
        signed(b"secret"),
        format!("{good}x"),
        good[..good.len() - 2].to_owned(),
        good.replace('.', ""),
        "x".repeat(5_000),
        "..".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_open_nothing() {
    let (_folder, server, users, room, _) = scene().await;
    let send = json!({"content": {"text": "forged"}});
    for forged in forgeries(&users[0].token, &users[1]) {
        let socket = Raw::connect(server.address(), &forged, How::default()).await.err();
        assert_eq!(socket, Some(Got::Close(4401)), "{forged:.80}");
        let (status, body) = server.post(&format!("/v1/rooms/{room}/messages"), &forged, &send).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")), "{forged:.80}");
    }
    let mut socket = Raw::ready(server.address(), &users[0].token).await;
    for forged in forgeries(&users[0].token, &users[1]) {
        assert_eq!(socket.code(json!({"op": "token", "token": forged})).await, "unauthenticated");
    }
    assert_eq!(socket.last(room).await, 1, "nothing is stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bodies_store_nothing() {
    let (_folder, server, users, room, foreign) = scene().await;
    let http = reqwest::Client::new();
    let deep = format!(r#"{{"content": {}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let table: &[(u16, &str, u64, Vec<u8>)] = &[
        (400, "malformed", room, b"".to_vec()),
        (400, "malformed", room, br#"{"content": {"text": "cut"#.to_vec()),
        (400, "malformed", room, b"{\"content\": {\"text\": \"\xff\"}}".to_vec()),
        (400, "malformed", room, deep.into_bytes()),
        (422, "invalid", room, br#"{"content": {"text": 5}}"#.to_vec()),
        (422, "invalid", room, b"[]".to_vec()),
        (413, "too_large", room, json!({"content": {"text": "x".repeat(200_000)}}).to_string().into_bytes()),
        (422, "invalid", room, json!({"content": {"text": "x".repeat(10_001)}}).to_string().into_bytes()),
        (404, "not_found", foreign, br#"{"content": {"text": "x"}}"#.to_vec()),
        (404, "not_found", 777_777, br#"{"content": {"text": "x"}}"#.to_vec()),
    ];
    for (status, code, room, body) in table {
        let request = http.post(format!("http://{}/v1/rooms/{room}/messages", server.address()));
        let request = request.bearer_auth(&users[0].token).header("content-type", "application/json");
        let reply = request.body(body.clone()).send().await.unwrap();
        let got = (reply.status().as_u16(), reply.json::<Value>().await.unwrap());
        assert_eq!(
            (got.0, got.1["code"].as_str().unwrap()),
            (*status, *code),
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
    }
    assert_eq!(Raw::ready(server.address(), &users[0].token).await.last(room).await, 1, "nothing is stored");
    assert_eq!(Raw::ready(server.address(), &users[1].token).await.last(foreign).await, 1);
}
