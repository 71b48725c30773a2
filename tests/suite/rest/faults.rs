//! Faults of the node: their statuses, bodies and headers.

use parlance::api::error_response::{self, Refused};
use parlance_schema::{Code, Fault};
use warp::Filter;

use super::{Gate, fault, got};

#[tokio::test]
async fn every_code_has_its_status_and_body() {
    let gate = Gate::new().await;
    // Those that an operation of a room can end with; the others belong to connections and tokens.
    let codes = [
        Code::Invalid,
        Code::TooLarge,
        Code::Forbidden,
        Code::Banned,
        Code::Muted,
        Code::NotFound,
        Code::Already,
        Code::Archived,
        Code::Stale,
        Code::Deleted,
        Code::RateLimited,
        Code::Restarting,
        Code::Busy,
        Code::StoreUnavailable,
        Code::OutcomeUnknown,
        Code::Internal,
    ];
    for code in codes {
        let told = Fault::new(code, "so it is");
        gate.node.tell(Err(told.clone()));
        let got = gate.send("POST", "/v1/rooms/12/messages", Some(r#"{"content": {"text": "a"}}"#)).await;
        fault(&got, code.http(), code.word());
        assert_eq!(serde_json::from_slice::<Fault>(&got.body).unwrap(), told);
        assert_eq!(got.header("retry-after").is_empty(), told.retry_after_ms.is_none(), "{}", code.word());
    }
    for (code, method, path, body) in [
        (Code::InviteGone, "POST", "/v1/rooms/join", Some(r#"{"code": "a"}"#)),
        (Code::RoomFull, "POST", "/v1/rooms/12/members", Some(r#"{"users": [9]}"#)),
    ] {
        gate.node.tell(Err(Fault::new(code, "so it is")));
        assert_eq!(gate.refused(method, path, body, code.http()).await.0, code.word());
    }
}

#[tokio::test]
async fn retry_after_is_in_seconds_rounded_up() {
    let gate = Gate::new().await;
    for (ms, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2"), (0, "1"), (90_500, "91")] {
        gate.node.tell(Err(Fault::new(Code::RateLimited, "too much").after(ms)));
        let got = gate.send("GET", "/v1/rooms", None).await;
        assert_eq!(got.header("retry-after"), seconds, "{ms} ms");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_fault() {
    let gate = Gate::new().await;
    *gate.node.panics.lock().unwrap() = true;
    let (code, detail) = gate.refused("GET", "/v1/rooms", None, 500).await;
    assert_eq!(code, "internal");
    assert!(!detail.contains("told to panic"), "{detail}");
}

#[tokio::test]
async fn rejections_of_other_filters_are_faults_too() {
    let refuse = || async { Err::<String, _>(warp::reject::custom(Refused(Fault::busy("no room").into()))) };
    let json = warp::path!("a").and(warp::post()).and(warp::body::content_length_limit(20));
    let json = json.and(warp::body::json::<u64>()).map(|n: u64| n.to_string());
    let header = warp::path!("b").and(warp::header::<u64>("x-number")).map(|n: u64| n.to_string());
    let query = warp::path!("c").and(warp::query::<std::collections::BTreeMap<String, u64>>()).map(|_| String::new());
    let refused = warp::path!("d").and_then(refuse);
    let filter = json.or(header).unify().or(query).unify().or(refused).unify().recover(error_response::recover);
    let request = || warp::test::request().method("POST").header("content-length", "2");
    let cases = [
        (warp::test::request().path("/nothing"), 404, "unknown_op"),
        (warp::test::request().path("/a"), 405, "unknown_op"),
        (request().path("/a").body("[]"), 400, "malformed"),
        (request().path("/a").body(" ".repeat(21)), 413, "too_large"),
        (request().path("/a").header("content-type", "text/plain").body("12"), 415, "malformed"),
        (warp::test::request().path("/b"), 400, "malformed"),
        (warp::test::request().path("/b").header("x-number", "x"), 400, "malformed"),
        (warp::test::request().path("/c?a=x"), 400, "malformed"),
        (warp::test::request().path("/d"), 503, "busy"),
    ];
    for (request, status, code) in cases {
        let got = got(request.reply(&filter).await);
        assert_eq!(fault(&got, status, code).0, code);
    }
}
