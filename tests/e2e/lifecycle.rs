//! A connection's life: its token, its heartbeat, and the server's own end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::raw::{Got, How, Raw};
use crate::server::User;
use crate::stage::{Stage, folder};

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_closes_and_a_renewed_one_does_not() {
    let (_folder, setup) = folder();
    // The shortest life there is, and a quick look-out.
    let setup = setup.set("auth.access_token_s", "10").set("limits.heartbeat_ms", "1000");
    let server = setup.start().await;
    let mut tokens = Vec::new();
    for name in ["anna", "berta"] {
        let body = json!({"username": name, "password": "correct horse battery"});
        let (status, made) = server.post("/v1/auth/register", "", &body).await;
        assert_eq!(status, 201, "{made}");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        tokens.push((text("access_token"), text("refresh_token")));
    }
    let mut renewing = Raw::ready(server.address(), &tokens[0].0).await;
    let mut lapsing = Raw::ready(server.address(), &tokens[1].0).await;
    let expires = renewing.hello["token_expires_at"].as_u64().unwrap();
    assert!((now_ms()..=now_ms() + 11_000).contains(&expires));
    let session = renewing.hello["session"].clone();
    // The new token must outlive the old one by more than the look-out's period.
    let stranger = renewing.code(json!({"op": "token", "token": tokens[1].0})).await;
    assert_eq!(stranger, "forbidden", "another user's token does not renew");
    assert_eq!(renewing.code(json!({"op": "token", "token": "rubbish"})).await, "unauthenticated");
    let wait = Duration::from_millis(expires.saturating_sub(now_ms() + 4_000));
    tokio::time::sleep_until(Instant::now() + wait).await;
    let body = json!({"refresh_token": tokens[0].1});
    let (status, fresh) = server.post("/v1/auth/refresh", "", &body).await;
    assert_eq!(status, 200, "{fresh}");
    renewing.ok(json!({"op": "token", "token": fresh["access_token"]})).await;
    assert_eq!(lapsing.closed().await, 4401);
    assert!(now_ms() >= expires, "not before its time");
    renewing.ok(json!({"op": "ping"})).await;
    assert_eq!(renewing.hello["session"], session);
    assert_eq!(renewing.closed().await, 4401, "until the new token expires, too");
    let late = Raw::connect(server.address(), &tokens[1].0, How::default()).await.err();
    assert_eq!(late, Some(Got::Close(4401)), "an expired token does not connect");
}

/// Logging out, and a refresh token that is used twice, end one login: the connections of the user's others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_ends_closes_its_own_connections_alone() {
    let (_folder, setup) = folder();
    let server = setup.start().await;
    let names = json!({"username": "anna", "password": "correct horse battery"});
    let (status, other) = server.post("/v1/auth/register", "", &names).await;
    assert_eq!(status, 201, "{other}");
    let mut staying = Raw::ready(server.address(), other["access_token"].as_str().unwrap()).await;
    for end in ["logout", "refresh"] {
        let (_, login) = server.post("/v1/auth/login", "", &names).await;
        let mut ending = Raw::ready(server.address(), login["access_token"].as_str().unwrap()).await;
        let body = json!({"refresh_token": login["refresh_token"]});
        let (status, answer) = server.post(&format!("/v1/auth/{end}"), "", &body).await;
        assert!(status < 300, "{answer}");
        if end == "refresh" {
            let (status, _) = server.post("/v1/auth/refresh", "", &body).await;
            assert_eq!(status, 401, "a refresh token that is used twice");
        }
        assert_eq!(ending.closed().await, 4401, "{end}");
        staying.ok(json!({"op": "ping"})).await;
    }
    let body = json!({"refresh_token": other["refresh_token"]});
    let (status, answer) = server.post("/v1/auth/logout", "", &body).await;
    assert_eq!(status, 204, "{answer}");
    assert_eq!(staying.closed().await, 4401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_pings_stays_and_who_is_silent_goes() {
    let (_folder, setup) = folder();
    let setup = setup.set("limits.heartbeat_ms", "1000").set("limits.silence_ms", "2500");
    let users = setup.users(2);
    let server = setup.start().await;
    let mut awake = Raw::ready(server.address(), &users[0].token).await;
    let mut silent = Raw::ready(server.address(), &users[1].token).await;
    let began = Instant::now();
    // A socket that is read answers pings by itself; one that is not doesn't.
    let reading = tokio::spawn(async move {
        let got = tokio::time::timeout(Duration::from_secs(6), awake.incoming()).await;
        (got, awake)
    });
    let (got, mut awake) = reading.await.unwrap();
    assert!(got.is_err(), "{got:?} in the heartbeat's third round");
    awake.ok(json!({"op": "ping"})).await;
    assert!(began.elapsed() > Duration::from_secs(5));
    assert_eq!(silent.closed().await, 4509);
}

/// What a client is told when the server stops: when to come back, and the close code.
async fn told(mut socket: Raw) -> (u64, u16) {
    let push = socket.push(|push| push["push"] == "reconnect").await;
    (push["after_ms"].as_u64().unwrap(), socket.closed().await)
}

/// Of several nodes, each that stops but the last sends its clients to those that stay, who need not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_spreads_its_clients() {
    let (_folder, setup) = folder();
    let users: Vec<User> = setup.users(50 * setup.nodes());
    let mut server = setup.start().await;
    let mut waiting = BTreeMap::<SocketAddr, JoinSet<_>>::new();
    for user in &users {
        let address = server.address();
        let mut socket = Raw::ready(address, &user.token).await;
        socket.resume(json!({})).await;
        waiting.entry(address).or_default().spawn(told(socket));
    }
    let mut left = server.nodes.len();
    for node in &mut server.nodes {
        node.terminate();
        let told = waiting.remove(&node.address).unwrap().join_all().await;
        assert!(told.len() == 50 && told.iter().all(|(_, code)| *code == 1012), "{told:?}");
        left -= 1;
        if left > 0 {
            assert!(told.iter().all(|(after, _)| *after == 0), "{told:?}");
        } else {
            let slots: BTreeSet<u64> = told.iter().map(|(after, _)| *after).collect();
            assert_eq!(slots.len(), told.len(), "each has a slot of its own");
            let spread = slots.last().unwrap() - slots.first().unwrap();
            assert!(spread > 2_000, "over {spread} ms");
        }
        assert!(node.ended().await.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_good_order_loses_nothing() {
    let mut stage = Stage::set(2, 6).await;
    let traffic = stage.traffic(3);
    for _ in 0..3 {
        stage.acked_more(60).await;
        for client in &stage.clients {
            client.until("the way back", |state| state.session.is_some()).await;
        }
        stage.server.terminate();
        assert!(stage.server.ended().await.success(), "{}", stage.server.said());
        stage.server.restart().await;
    }
    stage.acked_more(20).await;
    traffic.stop().await;
    assert!(stage.clients.iter().all(|client| client.see(|state| state.slots.len() == 3)));
    println!("3 restarts: {}", stage.judge().await);
}
