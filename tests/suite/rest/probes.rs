//! Health, metrics, the operator's view, and what every response carries.

use std::sync::atomic::Ordering;

use parlance_schema::limits::{ID_BLOCK, ID_MAX, IDS_LEFT_MIN};
use serde_json::json;

use super::{Gate, fault};

#[tokio::test]
async fn health_tells_which_part_is_down() {
    let gate = Gate::new().await;
    let good = gate.send_with("GET", "/health", None, &[]).await;
    assert_eq!(good.status, 200);
    let body = good.json();
    assert_eq!(body["status"], "Healthy");
    let store = json!({"status": "Healthy", "backend": "sqlite", "durability": "disk"});
    assert_eq!(body["checks"]["store"], store);
    assert_eq!(body["checks"]["bus"], json!({"state": "local"}));
    assert_eq!(gate.send_with("GET", "/health/ready", None, &[]).await.status, 200);

    for (state, part) in [((true, false), "store"), ((false, true), "node")] {
        *gate.node.state.lock().unwrap() = state;
        let bad = gate.send_with("GET", "/health", None, &[]).await;
        assert_eq!((bad.status, &bad.json()["status"]), (503, &json!("Unhealthy")));
        assert_eq!(bad.json()["checks"][part]["status"], "Unhealthy");
        let ready = gate.send_with("GET", "/health/ready", None, &[]).await;
        assert_eq!((ready.status, ready.json()), (503, json!({"status": "Unhealthy"})));
        let live = gate.send_with("GET", "/health/live", None, &[]).await;
        assert_eq!((live.status, live.json()), (200, json!({"status": "Healthy"})));
    }
}

#[tokio::test]
async fn ids_that_run_out_are_unhealthy_before_they_are_spent() {
    let gate = Gate::new().await;
    for (left, health, ready) in [
        (IDS_LEFT_MIN, 200, 200),
        (IDS_LEFT_MIN - 1, 503, 200),
        (ID_BLOCK, 503, 200),
        (ID_BLOCK - 1, 503, 503),
        (0, 503, 503),
    ] {
        gate.node.ids_spent.store(ID_MAX - left, Ordering::SeqCst);
        let got = gate.send_with("GET", "/health", None, &[]).await;
        assert_eq!((got.status, got.json()["checks"]["ids"]["left"].as_u64()), (health, Some(left)));
        let verdict = if health == 200 { "Healthy" } else { "Unhealthy" };
        assert_eq!(got.json()["checks"]["ids"]["status"], verdict);
        assert_eq!(gate.send_with("GET", "/health/ready", None, &[]).await.status, ready, "{left}");
    }
}

#[tokio::test]
async fn metrics_are_text() {
    let got = Gate::new().await.send_with("GET", "/metrics", None, &[]).await;
    assert_eq!((got.status, &got.body[..]), (200, &b"parlance_up 1\n"[..]));
    assert_eq!(got.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
}

#[tokio::test]
async fn the_actor_tree_is_for_super_admins() {
    let gate = Gate::new().await;
    for name in ["user", "admin"] {
        let got = gate.send_with("GET", "/v1/admin/actors", None, &[("authorization", &gate.bearer(name))]).await;
        assert_eq!(fault(&got, 403, name).0, "forbidden");
    }
    let got = gate.send_with("GET", "/v1/admin/actors", None, &[("authorization", &gate.bearer("root"))]).await;
    assert_eq!((got.status, &got.json()["actors"][0]["path"]), (200, &json!("rooms/17")));
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let gate = Gate::new().await;
    let given = gate.send_with("GET", "/health/live", None, &[("x-request-id", "abc-123")]).await;
    assert_eq!(given.header("x-request-id"), "abc-123");
    let mut made = Vec::new();
    for id in ["", "with space", &"x".repeat(65), "grün"] {
        let got = gate.send_with("GET", "/nothing", None, &[("x-request-id", id)]).await;
        let id = got.header("x-request-id").to_owned();
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        made.push(id);
    }
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 4);
}

#[tokio::test]
async fn json_is_neither_kept_nor_framed() {
    let gate = Gate::new().await;
    for path in ["/v1/rooms", "/v1/nothing", "/health"] {
        let got = gate.send("GET", path, None).await;
        assert_eq!(got.header("cache-control"), "no-store", "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert_eq!(got.header("referrer-policy"), "no-referrer");
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        assert_eq!(got.header("content-security-policy"), policy);
    }
}
