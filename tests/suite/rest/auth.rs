//! Accounts over HTTP: the whole way from registering to logging out.

use serde_json::json;

use super::{Gate, fault};

const FORM: &str =
    r#"{"username": "amira", "password": "correct horse", "email": "a@example.org", "full_name": "أميرة"}"#;

async fn post(gate: &Gate, path: &str, body: &str) -> super::Got {
    gate.send_with("POST", path, Some(body), &[("content-type", "application/json")]).await
}

#[tokio::test]
async fn from_registering_to_logging_out() {
    let gate = Gate::new().await;
    let first = post(&gate, "/v1/auth/register", FORM).await;
    assert_eq!(first.status, 201, "{:?}", first.body);
    assert_eq!(first.json()["user"]["username"], "amira");
    assert_eq!(first.json()["expires_in"], 1_800);
    assert_eq!(fault(&post(&gate, "/v1/auth/register", FORM).await, 409, "twice").0, "exists");

    let login = r#"{"username": "a@example.org", "password": "correct horse"}"#;
    let second = post(&gate, "/v1/auth/login", login).await.json();
    let refresh = json!({"refresh_token": second["refresh_token"]}).to_string();
    let third = post(&gate, "/v1/auth/refresh", &refresh).await;
    assert_eq!(third.status, 200);
    let out = json!({"refresh_token": third.json()["refresh_token"]}).to_string();
    let gone = post(&gate, "/v1/auth/logout", &out).await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(fault(&post(&gate, "/v1/auth/refresh", &out).await, 401, "after logout").0, "revoked");

    let bearer = format!("Bearer {}", third.json()["access_token"].as_str().unwrap());
    let after = gate.send_with("GET", "/v1/me", None, &[("authorization", &bearer)]).await;
    assert_eq!(fault(&after, 401, "after logout").0, "revoked");
}

#[tokio::test]
async fn credentials_that_do_not_fit_say_no_more() {
    let gate = Gate::new().await;
    post(&gate, "/v1/auth/register", FORM).await;
    let mut said = Vec::new();
    for name in ["amira", "nobody", "nobody@example.org"] {
        let body = json!({"username": name, "password": "wrong horse"}).to_string();
        let got = post(&gate, "/v1/auth/login", &body).await;
        said.push(fault(&got, 401, name));
    }
    assert_eq!(said[0].0, "bad_credentials");
    assert!(said.iter().all(|s| *s == said[0]), "{said:?}");
}

#[tokio::test]
async fn oneself_is_shown_and_changed() {
    let gate = Gate::new().await;
    let grant = post(&gate, "/v1/auth/register", FORM).await.json();
    let bearer = format!("Bearer {}", grant["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let me = gate.send_with("GET", "/v1/me", None, &headers).await;
    assert_eq!((me.status, &me.json()["email"]), (200, &json!("a@example.org")));
    let body = r#"{"full_name": "Амира", "email": null}"#;
    let me = gate.send_with("PATCH", "/v1/me", Some(body), &headers).await;
    assert_eq!((me.status, &me.json()["full_name"], &me.json()["email"]), (200, &json!("Амира"), &json!(null)));

    let wrong = r#"{"old_password": "wrong horse", "new_password": "battery staple"}"#;
    let got = gate.send_with("PUT", "/v1/me/password", Some(wrong), &headers).await;
    assert_eq!(fault(&got, 401, "wrong").0, "bad_credentials");
    let right = r#"{"old_password": "correct horse", "new_password": "battery staple"}"#;
    assert_eq!(gate.send_with("PUT", "/v1/me/password", Some(right), &headers).await.status, 204);
    let me = gate.send_with("GET", "/v1/me", None, &headers).await;
    assert_eq!(fault(&me, 401, "the token from before").0, "revoked");
    let renewed = post(&gate, "/v1/auth/refresh", &json!({"refresh_token": grant["refresh_token"]}).to_string()).await;
    assert_eq!(renewed.status, 200, "one's own login goes on");
    let login = r#"{"username": "amira", "password": "battery staple"}"#;
    assert_eq!(post(&gate, "/v1/auth/login", login).await.status, 200);
}

#[tokio::test]
async fn users_are_found_by_name_and_not_by_address() {
    let gate = Gate::new().await;
    post(&gate, "/v1/auth/register", FORM).await;
    for (q, found) in [("amir", 1), ("%D8%A3%D9%85", 1), ("example.org", 0)] {
        let got = gate.send("GET", &format!("/v1/users?q={q}&limit=5"), None).await;
        let users = got.json()["users"].as_array().unwrap().clone();
        assert_eq!((got.status, users.len()), (200, found), "{q}");
        assert!(users.iter().all(|u| u.get("email").is_none()));
    }
}

#[tokio::test]
async fn tokens_and_passwords_are_not_kept_by_caches() {
    let gate = Gate::new().await;
    let got = post(&gate, "/v1/auth/register", FORM).await;
    assert_eq!(got.header("cache-control"), "no-store");
}
