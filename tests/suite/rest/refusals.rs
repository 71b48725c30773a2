//! Malformed and unwelcome requests: each is a documented fault, and none reaches the node.

use parlance::api::{body, call};
use parlance_schema::Code;
use parlance_schema::limits::{BODY_BYTES_MAX, BODY_MS_MAX};
use warp::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use warp::http::{HeaderMap, HeaderValue};

use super::{Gate, fault};

const SEND: &str = "/v1/rooms/12/messages";

#[tokio::test]
async fn bodies_that_are_not_json_are_malformed() {
    let gate = Gate::new().await;
    let deep = format!(r#"{{"content": {}1{}}}"#, "[".repeat(40), "]".repeat(40));
    for body in ["", "{", "nonsense", r#"{"content": {"text": "a"}} {}"#, r#"{"content": {"text": "\ud800"}}"#, &deep] {
        assert_eq!(gate.refused("POST", SEND, Some(body), 400).await.0, "malformed", "{body}");
    }
    let token = gate.bearer("user");
    let body = b"{\"content\": {\"text\": \"\xff\"}}";
    let got = gate.send_bytes("POST", SEND, Some(body), &[("authorization", &token)]).await;
    assert_eq!(fault(&got, 400, "not UTF-8").0, "malformed");
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn brackets_in_text_are_not_nesting() {
    let gate = Gate::new().await;
    let body = format!(r#"{{"content": {{"text": "\"{}"}}}}"#, "[{".repeat(100));
    assert_eq!(gate.send("POST", SEND, Some(&body)).await.status, 201);
}

#[tokio::test]
async fn wrong_types_name_the_field_and_repeat_no_value() {
    let gate = Gate::new().await;
    let cases = [
        ("POST", SEND, r#"{"content": "geheim"}"#, "`content`", "an object"),
        ("POST", SEND, r#"{"content": {"text": 5}}"#, "`content.text`", "a string"),
        (
            "POST",
            SEND,
            r#"{"content": {"text": "a"}, "mentions": [9, "geheim"]}"#,
            "`mentions[1]`",
            "an integer from 1",
        ),
        ("POST", SEND, r#"{"content": {"text": "a"}, "mentions": [0]}"#, "`mentions[0]`", "from 1 to 9007199254740991"),
        ("POST", SEND, r#"{"content": {"text": "a"}, "reply_to": -1}"#, "`reply_to`", "an integer from 0"),
        ("POST", SEND, r#"{"content": {"text": "a"}, "meta": {"k": 1}}"#, "`meta.k`", "a string"),
        ("POST", SEND, r#"{"mentions": []}"#, "`content` is missing", ""),
        ("POST", SEND, r#"{"content": {"text": "a"}, "extra": "geheim"}"#, "`extra` is unknown", "content"),
        ("POST", SEND, r#"[{"text": "geheim"}]"#, "JSON object", ""),
        ("POST", SEND, "null", "an object", ""),
        ("POST", "/v1/rooms", r#"{"kind": "geheim", "name": "a"}"#, "`kind`", "group"),
        ("PUT", "/v1/presence", r#"{"status": 5}"#, "`status`", "a string"),
        ("PUT", "/v1/presence", r#"{"status": "offline"}"#, "`status`", "online"),
        ("POST", "/v1/rooms", r#"{"kind": "direct", "name": "a"}"#, "`kind`", "group"),
        ("PUT", "/v1/rooms/12/members/9/mute", r#"{"until": "geheim"}"#, "`until`", "an integer from 0"),
        ("PUT", "/v1/rooms/12/members/9/mute", r#"{"until": 9007199254740992}"#, "`until`", "to 9007199254740991"),
        ("PUT", "/v1/rooms/12/read", r#"{"seq": 9007199254740992}"#, "`seq`", "to 9007199254740991"),
        (
            "POST",
            SEND,
            r#"{"content": {"text": "a"}, "reply_to": 9007199254740992}"#,
            "`reply_to`",
            "to 9007199254740991",
        ),
        ("PUT", "/v1/me/password", r#"{"old_password": 1, "new_password": "geheim"}"#, "`old_password`", "a string"),
        ("PATCH", "/v1/rooms/12", "{}", "`name`", "`history`"),
        ("PATCH", "/v1/rooms/12", r#"{"name": "a", "history": "all"}"#, "`name`", "one at a time"),
    ];
    for (method, path, body, names, expects) in cases {
        let (code, detail) = gate.refused(method, path, Some(body), 422).await;
        assert_eq!(code, "invalid", "{body}");
        assert!(detail.contains(names) && detail.contains(expects), "{body}: {detail}");
        assert!(!detail.contains("geheim"), "{body}: {detail}");
    }
    let long = format!(r#"{{"content": {{"text": "a"}}, "{}": 1}}"#, "k".repeat(5_000));
    let (_, detail) = gate.refused("POST", SEND, Some(&long), 422).await;
    assert!(detail.len() < 300, "{detail}");
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn large_bodies_are_refused_and_the_largest_is_not() {
    let gate = Gate::new().await;
    let body = |bytes: usize| {
        let frame = r#"{"content": {"text": ""}}"#.len();
        format!(r#"{{"content": {{"text": "{}"}}}}"#, "ب".repeat((bytes - frame) / 2))
    };
    assert_eq!(gate.send("POST", SEND, Some(&body(BODY_BYTES_MAX))).await.status, 201);
    gate.node.ops();
    assert_eq!(gate.refused("POST", SEND, Some(&body(BODY_BYTES_MAX + 4)), 413).await.0, "too_large");
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn a_large_body_that_is_announced_is_not_read() {
    let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(2 * 1024 * 1024))]);
    let unread = futures_util::stream::poll_fn(|_| panic!("the body was read"));
    let failure = body::read(&headers, &mut (Box::pin(unread) as body::Incoming), false).await.unwrap_err();
    assert_eq!((failure.fault.code, failure.status.as_u16()), (Code::TooLarge, 413));
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_collected() {
    let chunk = || Ok(bytes::Bytes::from(vec![b' '; 1_000]));
    let endless = futures_util::stream::repeat_with(chunk);
    let failure = body::read(&HeaderMap::new(), &mut (Box::pin(endless) as body::Incoming), false).await.unwrap_err();
    assert_eq!(failure.fault.code, Code::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_a_deadline() {
    let started = tokio::time::Instant::now();
    let first = futures_util::stream::once(async { Ok(bytes::Bytes::from_static(b"{")) });
    let stalled = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let failure = body::read(&HeaderMap::new(), &mut (Box::pin(stalled) as body::Incoming), false).await.unwrap_err();
    assert_eq!((failure.fault.code, failure.status.as_u16()), (Code::Silent, 408));
    assert_eq!(started.elapsed().as_millis(), u128::from(BODY_MS_MAX));
}

#[tokio::test]
async fn only_json_is_understood() {
    let gate = Gate::new().await;
    let token = gate.bearer("user");
    let body = Some(r#"{"content": {"text": "a"}}"#);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "multipart/form-data; boundary=a"),
        ("content-encoding", "gzip"),
    ] {
        let got = gate.send_with("POST", SEND, body, &[("authorization", &token), (name, value)]).await;
        assert_eq!(fault(&got, 415, value).0, "malformed");
    }
    for value in ["application/json", "Application/JSON; charset=utf-8"] {
        let got = gate.send_with("POST", SEND, body, &[("authorization", &token), ("content-type", value)]).await;
        assert_eq!(got.status, 201, "{value}");
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let gate = Gate::new().await;
    let paths =
        ["/v1", "/v1/", "/v1/nothing", "/v1/rooms/", "/v1/rooms//messages", "/v1/rooms/12/messages/3/x", "/v2/a"];
    for path in paths {
        assert_eq!(gate.refused("GET", path, None, 404).await.0, "unknown_op", "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/rooms", "GET, HEAD, POST"),
        ("GET", "/v1/rooms/direct", "POST"),
        ("POST", "/v1/rooms/12", "GET, HEAD, PATCH"),
        ("OPTIONS", "/v1/me/password", "PUT"),
        ("BREW", "/v1/presence", "GET, HEAD, PUT"),
        ("POST", "/health", "GET, HEAD"),
        ("POST", "/docs/", "GET, HEAD"),
    ] {
        let got = gate.send(method, path, None).await;
        assert_eq!(fault(&got, 405, path).0, "unknown_op");
        assert_eq!(got.header("allow"), allow, "{method} {path}");
    }
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn path_and_query_values_out_of_bounds() {
    let gate = Gate::new().await;
    let bad = [
        "/v1/rooms/abc",
        "/v1/rooms/0",
        "/v1/rooms/-1",
        "/v1/rooms/9007199254740992",
        "/v1/rooms/99999999999999999999999",
        "/v1/rooms/12/messages/0",
        "/v1/rooms/12/messages/x",
        "/v1/rooms/12/messages?limit=0",
        "/v1/rooms/12/messages?limit=201",
        "/v1/rooms/12/messages?limit=%2B5",
        "/v1/rooms/12/messages?before=x",
        "/v1/rooms/12/messages?before=1&before=2",
        "/v1/rooms/12/messages?page=1",
        "/v1/rooms?token=abc",
        "/v1/presence",
        "/v1/presence?users=",
        "/v1/presence?users=1,,2",
        "/v1/presence?users=1,x",
        "/v1/users",
        "/v1/users?ids=1&q=a",
        "/v1/users?q=%20",
        "/v1/users/x",
    ];
    for path in bad {
        assert_eq!(gate.refused("GET", path, None, 422).await.0, "invalid", "{path}");
    }
    let many = format!("/v1/users?ids={}", vec!["1"; 201].join(","));
    assert_eq!(gate.refused("GET", &many, None, 422).await.0, "invalid");
    for path in ["/v1/rooms/%FF", "/v1/users?q=%FF"] {
        assert_eq!(gate.refused("GET", path, None, 400).await.0, "malformed", "{path}");
    }
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn idempotency_keys_are_client_ids() {
    let gate = Gate::new().await;
    let token = gate.bearer("user");
    for key in ["", &"k".repeat(65), "grün", "a\tb"] {
        let headers = [("authorization", token.as_str()), ("idempotency-key", key)];
        let got = gate.send_with("POST", SEND, Some(r#"{"content": {"text": "a"}}"#), &headers).await;
        let (code, detail) = fault(&got, 422, key);
        assert!(code == "invalid" && detail.contains("Idempotency-Key"), "{detail}");
    }
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn a_change_that_takes_no_idempotency_key_refuses_one() {
    let gate = Gate::new().await;
    let token = gate.bearer("user");
    for (method, path) in [
        ("POST", "/v1/rooms/12/invites"),
        ("POST", "/v1/rooms/direct"),
        ("POST", "/v1/auth/login"),
        ("POST", "/v1/auth/register"),
        ("PATCH", "/v1/me"),
        ("PUT", "/v1/rooms/12/read"),
    ] {
        for key in ["a key, 1", ""] {
            let headers = [("authorization", token.as_str()), ("idempotency-key", key)];
            let (code, detail) = fault(&gate.send_with(method, path, Some("{}"), &headers).await, 422, path);
            assert!(code == "invalid" && detail.contains("does not support `Idempotency-Key`"), "{path}: {detail}");
        }
    }
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn tokens_are_needed_and_checked() {
    let gate = Gate::new().await;
    let refused = |headers: Vec<(&'static str, String)>| {
        let gate = &gate;
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let got = gate.send_with("GET", "/v1/rooms", None, &headers).await;
            fault(&got, 401, &format!("{headers:?}")).0
        }
    };
    let token = gate.token("user");
    assert_eq!(refused(vec![]).await, "unauthenticated");
    for value in ["Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", token.as_str(), "ümlaut"] {
        assert_eq!(refused(vec![("authorization", value.to_owned())]).await, "unauthenticated", "{value}");
    }
    let mut twice = HeaderMap::new();
    twice.append(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    assert_eq!(call::bearer(&twice).unwrap(), token);
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
    assert_eq!(call::bearer(&twice).unwrap_err().code, Code::Unauthenticated);
    gate.pass_ms(31 * 60 * 1_000);
    assert_eq!(refused(vec![("authorization", format!("Bearer {token}"))]).await, "token_expired");
    assert!(gate.node.ops().is_empty());
}

#[tokio::test]
async fn a_token_is_asked_for_before_anything_else() {
    let gate = Gate::new().await;
    for (method, path) in [("POST", SEND), ("GET", "/v1/rooms/abc"), ("GET", "/v1/rooms?page=1")] {
        let got = gate.send_with(method, path, Some("{"), &[]).await;
        assert_eq!(fault(&got, 401, path).0, "unauthenticated");
    }
}
