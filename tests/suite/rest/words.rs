//! What is said of a body that can't be read: plain words, whatever is wrong with it, in every dialect.

use serde_json::{Value, json};

use super::Gate;
use super::ops::bodies;
use crate::socket::samples::{is_plain, places};

/// Bodies of other services' calls.
const DIALECTS: [(&str, &str, &str); 6] = [
    ("POST", "/api/v1/users/register", r#"{"username": "anna", "email": "a@b.org", "password": "correct horse"}"#),
    ("PUT", "/api/v1/users/me", r#"{"full_name": "Anna", "email": "a@b.org"}"#),
    ("POST", "/api/v1/chats/", r#"{"name": "Tea", "chat_type": "group", "participant_ids": [9]}"#),
    ("PUT", "/api/v1/chats/12", r#"{"name": "Tea"}"#),
    ("POST", "/api/v1/messages/", r#"{"chat_id": 12, "content": "Tea?", "message_type": "text"}"#),
    ("POST", "/api/v1/chats/12/participants", r#"{"user_id": 9}"#),
];

/// The sentences of an answer, in the native manner or a dialect's.
fn sentences(body: &Value) -> Vec<&str> {
    match &body["detail"] {
        Value::String(text) => vec![text],
        Value::Array(problems) => problems.iter().filter_map(|problem| problem["msg"].as_str()).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_mistake_in_a_body_is_told_in_plain_words() {
    let gate = Gate::new().await;
    let token = gate.bearer("user");
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!("word"),
        json!([[1]]),
        json!({"more": 1}),
    ];
    let (mut told, mut calls) = (0, bodies());
    calls.extend(DIALECTS);
    for (method, path, body) in calls {
        let body: Value = serde_json::from_str(body).unwrap();
        let mut all = Vec::new();
        places(&body, "", &mut all);
        let mut mutated = vec![body.clone()];
        for place in &all {
            mutated.extend(wrong.iter().map(|value| {
                let mut other = body.clone();
                *other.pointer_mut(place).unwrap() = value.clone();
                other
            }));
            let (outer, key) = place.rsplit_once('/').unwrap_or(("", ""));
            let mut without = body.clone();
            if let Some(Value::Object(fields)) = without.pointer_mut(outer) {
                fields.remove(key);
                fields.insert("unexpected".into(), json!(1));
            }
            mutated.push(without);
        }
        let texts = mutated.iter().map(Value::to_string).chain(["{".into(), "nonsense".into(), r#"{"a": 1} 2"#.into()]);
        for text in texts {
            let mut request = warp::test::request().method(method).path(path).header("authorization", &token);
            request = request.header("content-type", "application/json").body(&text);
            let response = request.reply(&gate.routes()).await;
            if response.status().as_u16() < 400 {
                continue;
            }
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            for sentence in sentences(&body) {
                is_plain(sentence);
                told += 1;
            }
        }
        gate.node.ops();
    }
    assert!(told > 500, "only {told} mistakes were told");
}
