//! Rates, host names, origins and CORS.

use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use parlance::api::refusal::Refusal;

use super::{Place, closed, place};

const LOGIN: &str = r#"{"username": "nobody", "password": "correct horse"}"#;

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let place = place(|config| {
        (config.rates.address_per_s, config.rates.address_burst) = (4.0, 4);
    })
    .await;
    let began = Instant::now();
    let first = place.get(1, "").await;
    assert_eq!((first.status, first.header("ratelimit-limit")), (200, Some("4")));
    assert_eq!((first.header("ratelimit-remaining"), first.header("ratelimit-reset")), (Some("3"), Some("1")));
    let mut answered = 1;
    let refused = loop {
        let reply = place.get(1, "").await;
        if reply.status != 200 {
            break reply;
        }
        answered += 1;
    };
    assert!(answered as f64 <= 4.0 + began.elapsed().as_secs_f64() * 4.0, "{answered} in {:?}", began.elapsed());
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert_eq!((refused.header("ratelimit-remaining"), refused.header("retry-after")), (Some("0"), Some("1")));
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    let after = body["retry_after_ms"].as_u64().unwrap();
    assert!((1..=250).contains(&after), "{body}");
    assert_eq!(place.get(2, "").await.status, 200, "another address may");
    // Who waits as told is let in.
    tokio::time::sleep(Duration::from_millis(after)).await;
    assert_eq!(place.get(1, "").await.status, 200);
}

#[tokio::test]
async fn refusals_are_written_as_the_path_s_service_wrote_them() {
    let place = place(|config| {
        (config.rates.address_per_s, config.rates.address_burst) = (1.0, 1);
        config.gateway.hosts = vec!["chat.example.org".into()];
    })
    .await;
    let strange = place.request(1, "GET /api/v1/users/me", "Host: evil.example\r\n", "").await;
    let body: serde_json::Value = serde_json::from_str(&strange.body).unwrap();
    assert!(strange.status == 400 && body["detail"].is_string(), "{strange:?}");
    let refused = loop {
        let reply = place.request(1, "GET /api/v1/users/me", "", "").await;
        if reply.status != 401 {
            break reply;
        }
    };
    let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!((refused.status, body.as_object().unwrap().len()), (429, 1), "{body}");
    assert!(body["detail"].is_string() && refused.header("retry-after").is_some(), "{refused:?}");
}

#[tokio::test]
async fn upgrades_count_as_requests() {
    let place = place(|config| {
        (config.rates.address_per_s, config.rates.address_burst) = (1.0, 2);
    })
    .await;
    let (first, _kept) = place.upgrade(1, "/dev/echo", "").await;
    let (second, _too) = place.upgrade(1, "/dev/echo", "").await;
    assert_eq!((first.status, second.status), (101, 101));
    assert!(first.header("ratelimit-limit").is_none());
    let offers = "Sec-WebSocket-Protocol: parlance.v1.json, bearer, abc\r\n";
    // A script in a browser is shown a close code only where one of the subprotocols was chosen that it offered.
    let mut stream = loop {
        let (reply, stream) = place.upgrade(1, "/dev/echo", offers).await;
        assert_eq!(reply.status, 101, "{reply:?}");
        if reply.header("sec-websocket-protocol") == Some("parlance.v1.json") {
            break stream;
        }
    };
    let (code, reason) = closed(&mut stream).await;
    assert_eq!(code, 4529);
    assert!(reason.starts_with("too many requests from your IP address: wait "), "{reason}");
}

#[tokio::test]
async fn a_refusal_says_which_limit_it_was_and_when_to_come_back() {
    let place = place(|config| {
        (config.rates.address_per_s, config.rates.address_burst) = (200.0, 2_000);
        (config.rates.attempts_per_s, config.rates.attempts_burst) = (1.0, 1);
        (config.rates.user_per_s, config.rates.user_burst) = (1.0, 1);
    })
    .await;
    let user = format!("Authorization: {}\r\n", place.gate.bearer("user"));
    let cases = [
        ("GET /v1/rooms", user.as_str(), "", "user_rate", "too many requests by your user"),
        ("POST /v1/auth/login", "", LOGIN, "attempt_rate", "too many logins and registrations from your IP address"),
    ];
    for (line, lines, body, limit, said) in cases {
        let refused = loop {
            let reply = place.request(1, line, lines, body).await;
            if reply.status == 429 {
                break reply;
            }
        };
        let fault: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
        let (wait, detail) = (fault["retry_after_ms"].as_u64().unwrap(), fault["detail"].as_str().unwrap());
        assert_eq!(fault["limit"], limit, "{fault}");
        assert!(detail.starts_with(said) && detail.contains(&format!(" {wait} ms")), "{fault}");
        assert_eq!(refused.header("retry-after"), Some(wait.div_ceil(1_000).to_string().as_str()), "{fault}");
    }
}

#[tokio::test]
async fn an_unknown_subprotocol_is_refused_and_a_missing_one_is_json() {
    let place = place(|_| {}).await;
    let user = format!("Authorization: {}\r\n", place.gate.bearer("user"));
    let token = place.gate.bearer("user").trim_start_matches("Bearer ").to_owned();
    for (offered, echo) in [
        ("parlance.v2.json", "parlance.v2.json"),
        ("chat, superchat", "chat"),
        (&format!("chat, bearer, {token}"), "bearer"),
    ] {
        let (reply, mut stream) =
            place.upgrade(1, "/v1/connect", &format!("{user}Sec-WebSocket-Protocol: {offered}\r\n")).await;
        assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, Some(echo)), "{offered}");
        let (code, reason) = closed(&mut stream).await;
        assert_eq!(
            (code, reason.as_str()),
            (4400, "unknown subprotocol: offer parlance.v1.json or parlance.v1.msgpack, or none")
        );
    }
    for (offered, echo) in [
        ("", None),
        ("chat, parlance.v1.msgpack", Some("parlance.v1.msgpack")),
        (&format!("bearer, {token}"), Some("bearer")),
    ] {
        let lines =
            if offered.is_empty() { user.clone() } else { format!("{user}Sec-WebSocket-Protocol: {offered}\r\n") };
        let (reply, mut stream) = place.upgrade(1, "/v1/connect", &lines).await;
        assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, echo), "{offered}");
        // So far it came: the fake node has no connections.
        assert_eq!(closed(&mut stream).await, (1013, "no connections here".to_owned()), "{offered}");
    }
}

#[tokio::test]
async fn passwords_are_tried_less_often_than_other_things() {
    let place = place(|config| {
        (config.rates.attempts_per_s, config.rates.attempts_burst) = (1.0, 3);
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(place.request(1, "POST /v1/auth/login", "", LOGIN).await.status);
    }
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(statuses[..3] == [401; 3] && (1..=2).contains(&refused), "{statuses:?}");
    let registration = place.request(1, "POST /v1/auth/register", "", LOGIN).await;
    assert!(matches!(registration.status, 429 | 201), "{registration:?}");
    assert_eq!(place.get(1, "").await.status, 200, "only attempts are refused");
    assert_eq!(place.request(2, "POST /v1/auth/login", "", LOGIN).await.status, 401, "another address may");
}

#[tokio::test]
async fn a_user_counts_from_everywhere() {
    let place = place(|config| {
        (config.rates.user_per_s, config.rates.user_burst) = (1.0, 2);
    })
    .await;
    let user = format!("Authorization: {}\r\n", place.gate.bearer("user"));
    assert_eq!(place.request(1, "GET /v1/rooms", &user, "").await.status, 200);
    let second = place.request(2, "GET /v1/rooms", &user, "").await;
    assert_eq!((second.status, second.header("ratelimit-remaining")), (200, Some("0")));
    let third = place.request(3, "GET /v1/rooms", &user, "").await;
    assert_eq!((third.status, third.code().as_str()), (429, "rate_limited"));
    let (reply, mut stream) = place.upgrade(4, "/v1/connect", &user).await;
    let (code, reason) = closed(&mut stream).await;
    assert!(
        reply.status == 101 && code == 4529 && reason.starts_with("too many requests by your user"),
        "{code} {reason}"
    );
    let admin = format!("Authorization: {}\r\n", place.gate.bearer("admin"));
    assert_eq!(place.request(1, "GET /v1/rooms", &admin, "").await.status, 200, "another user may");
}

#[tokio::test]
async fn the_defaults_let_a_crowd_behind_one_address_in() {
    let place = place(|_| {}).await;
    for at in 0..150 {
        let form = format!(r#"{{"username": "amira{at}", "password": "correct horse"}}"#);
        let reply = place.request(1, "POST /v1/auth/register", "", &form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(place.request(1, "POST /v1/auth/login", "", &form).await.status, 200);
    }
    let mut sockets = Vec::new();
    for _ in 0..250 {
        let (reply, stream) = place.upgrade(1, "/dev/echo", "").await;
        assert_eq!(reply.status, 101, "{reply:?}");
        sockets.push(stream);
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_call() {
    let place = place(|config| {
        config.gateway.origins = vec!["https://app.example.org".into()];
        (config.rates.address_per_s, config.rates.address_burst) = (1.0, 6);
    })
    .await;
    let asks = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization, x-any\r\n";
    let app = "Origin: https://app.example.org\r\n";
    let preflight = place.request(1, "OPTIONS /v1/rooms/3/read", &format!("{app}{asks}"), "").await;
    assert_eq!((preflight.status, preflight.body.as_str()), (204, ""));
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example.org"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("PUT"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization, x-any"));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    assert!(preflight.header("vary").unwrap().contains("Origin"));
    assert!(preflight.header("access-control-allow-credentials").is_none());
    let foreign = place.request(1, "OPTIONS /v1/rooms", &format!("Origin: https://evil.example\r\n{asks}"), "").await;
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "forbidden"));
    assert!(foreign.header("access-control-allow-origin").is_none());
    let called = place.get(1, app).await;
    assert_eq!(called.header("access-control-allow-origin"), Some("https://app.example.org"));
    assert!(called.header("access-control-expose-headers").unwrap().contains("Retry-After"));
    // Without leave the answer stays unread, which is the browser's part; caches must keep the two apart.
    let unread = place.get(1, "Origin: https://evil.example\r\n").await;
    assert_eq!((unread.status, unread.header("access-control-allow-origin")), (200, None));
    assert_eq!(unread.header("vary"), Some("Origin"));
    assert_eq!(place.request(1, "OPTIONS /v1/rooms", "", "").await.status, 405, "no preflight");
    let refused = loop {
        let reply = place.get(1, app).await;
        if reply.status == 429 {
            break reply;
        }
    };
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.org"), "scripts may see why");
}

#[tokio::test]
async fn no_origin_is_allowed_unless_it_is_listed() {
    let place = place(|_| {}).await;
    let lines = "Origin: https://app.example.org\r\nAccess-Control-Request-Method: GET\r\n";
    assert_eq!(place.request(1, "OPTIONS /v1/rooms", lines, "").await.status, 403);
    let reply = place.get(1, "Origin: https://app.example.org\r\n").await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin"), reply.header("vary")), (200, None, None));
}

async fn upgrades(place: &Place, cases: &[(&str, u16)]) {
    for (lines, status) in cases {
        let lines: String = lines.split('|').filter(|l| !l.is_empty()).map(|line| format!("{line}\r\n")).collect();
        let close = if *status == 101 { "" } else { "Connection: close\r\n" };
        let (reply, _) = place.upgrade(1, "/dev/echo", &format!("{lines}{close}")).await;
        assert_eq!(reply.status, *status, "{lines:?}: {reply:?}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_get_no_websocket() {
    let listed = place(|config| config.gateway.origins = vec!["https://app.example.org".into()]).await;
    upgrades(
        &listed,
        &[
            ("", 101),
            ("Host: chat.example.org|Origin: https://chat.example.org", 101),
            ("Host: chat.example.org:8080|Origin: http://chat.example.org:8080", 101),
            ("Host: chat.example.org|Origin: https://app.example.org", 101),
            ("Host: chat.example.org|Origin: https://evil.example", 403),
            ("Host: chat.example.org|Origin: https://chat.example.org.evil.example", 403),
            ("Host: chat.example.org:8080|Origin: http://chat.example.org:8081", 403),
            ("Host: chat.example.org|Origin: null", 403),
        ],
    )
    .await;
    let any = place(|config| config.gateway.origins = vec!["*".into()]).await;
    upgrades(&any, &[("Origin: https://evil.example", 101), ("Origin: null", 101)]).await;
    let public = place(|config| config.server.public_url = "https://chat.example.org/".into()).await;
    upgrades(&public, &[("Origin: https://chat.example.org", 101), ("Origin: http://chat.example.org", 403)]).await;
}

#[tokio::test]
async fn only_known_host_names_are_answered_to() {
    let place = place(|config| config.gateway.hosts = vec!["chat.example.org".into()]).await;
    for (lines, status) in [
        ("Host: chat.example.org\r\n", 200),
        ("Host: CHAT.example.org:8080\r\n", 200),
        ("Host: localhost:1\r\n", 200),
        ("Host: 127.0.0.1\r\n", 200),
        ("Host: evil.example\r\n", 400),
        ("Host: chat.example.org.evil.example\r\n", 400),
        ("Host: evil.example\r\nX-Forwarded-Host: chat.example.org\r\n", 400),
    ] {
        let reply = place.get(1, lines).await;
        assert_eq!(reply.status, status, "{lines:?}: {reply:?}");
        assert!(status == 200 || reply.code() == "malformed", "{reply:?}");
    }
    let whole = place.request(1, "GET http://evil.example/health/live", "Host: chat.example.org\r\n", "").await;
    assert_eq!(whole.status, 400, "the address in the request line is what counts");
    upgrades(&place, &[("Host: evil.example", 400), ("Host: chat.example.org", 101)]).await;
}

#[tokio::test]
async fn pages_and_answers_are_guarded() {
    let place = place(|config| config.gateway.hsts_s = 600).await;
    for path in ["/", "/v1/rooms", "/docs/", "/nothing", "/health/live", "/dev/echo"] {
        let reply = place.request(1, &format!("GET {path}"), "Accept: text/html\r\n", "").await;
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script-src"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}: {name}");
        }
        assert_eq!(reply.header("strict-transport-security"), None, "not without TLS");
    }
}

#[tokio::test]
async fn refusals_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let place = place(|config| {
        config.gateway.hosts = vec!["chat.example.org".into()];
        (config.rates.address_per_s, config.rates.address_burst) = (1.0, 3);
    })
    .await;
    let count = |refusal: Refusal| {
        let text = handle.render();
        let name = format!("parlance_refused_total{{why=\"{}\"}} ", refusal.word());
        text.lines().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse::<u64>().unwrap())
    };
    assert!(Refusal::ALL.iter().all(|refusal| count(*refusal) == Some(0)), "all are there from the start");
    place.get(1, "Host: evil.example\r\n").await;
    place.upgrade(1, "/dev/echo", "Origin: https://evil.example\r\nConnection: close\r\n").await;
    while place.get(1, "").await.status != 429 {}
    let header = "x".repeat(20_000);
    place.get(2, &format!("X: {header}\r\n")).await;
    place.request(2, "GET", "", "").await;
    for refusal in [Refusal::Host, Refusal::Origin, Refusal::AddressRate, Refusal::HeaderSize, Refusal::Header] {
        assert_eq!(count(refusal), Some(1), "{refusal:?}");
    }
}
