//! One good request of every operation, and what can be made wrong with it.

use std::collections::BTreeSet;

use parlance::gateway::native::{Json, Msgpack};
use parlance_actors::wire::Wire;
use parlance_schema::op::Op;
use parlance_schema::{Code, Fault};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words of the program's own, which tell a client nothing.
const FOREIGN: [&str; 22] = [
    "struct",
    "enum",
    "variant",
    "tuple",
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "i64",
    "f64",
    "serde",
    "expected",
    "Option",
    "visitor",
    "untagged",
    "invalid type",
    "invalid value",
    "EOF",
    "trailing",
    "Content",
    "::",
];

/// A good request of every operation, with every field that it can have.
pub fn samples() -> Vec<Value> {
    let content = json!({"text": "Tea?", "parts": [
        {"type": "code", "language": "rust", "text": "let tea;"},
        {"type": "image", "url": "https://example.org/tea.png", "alt": "a cup"},
        {"type": "file", "url": "https://example.org/tea.pdf", "name": "tea.pdf", "mime": "application/pdf", "size": 1},
        {"type": "data", "mime": "text/csv", "text": "1,2"},
    ]});
    let mut requests = vec![
        json!({"op": "resume", "positions": {"12": {"epoch": 5, "seq": 30, "append": 7}}}),
        json!({"op": "token", "token": "a.b.c"}),
        json!({"op": "ping"}),
        json!({"op": "rooms"}),
        json!({"op": "create", "kind": "group", "name": "Tea", "members": [2], "history": "all", "client_id": "c"}),
        json!({"op": "direct", "user": 2}),
        json!({"op": "send", "room": 12, "content": content, "client_id": "c", "reply_to": 1, "mentions": [2], "meta": {"k": "v"}}),
        json!({"op": "edit", "room": 12, "seq": 2, "content": content, "revision": 1, "client_id": "c"}),
        json!({"op": "delete", "room": 12, "seq": 2, "client_id": "c"}),
        json!({"op": "react", "room": 12, "seq": 2, "emoji": "👍", "client_id": "c"}),
        json!({"op": "unreact", "room": 12, "seq": 2, "emoji": "👍", "client_id": "c"}),
        json!({"op": "add", "room": 12, "users": [2], "client_id": "c"}),
        json!({"op": "invite", "room": 12, "expires_at": 5, "uses": 1}),
        json!({"op": "uninvite", "room": 12, "hash": "h", "client_id": "c"}),
        json!({"op": "join", "code": "c", "client_id": "c"}),
        json!({"op": "ban", "room": 12, "user": 2, "until": 5, "client_id": "c"}),
        json!({"op": "mute", "room": 12, "user": 2, "until": 5, "client_id": "c"}),
        json!({"op": "promote", "room": 12, "user": 2, "role": "admin", "client_id": "c"}),
        json!({"op": "rename", "room": 12, "name": "Tea", "client_id": "c"}),
        json!({"op": "configure", "room": 12, "history": "since_joined", "client_id": "c"}),
        json!({"op": "messages", "room": 12, "before": 9, "after": 1, "limit": 5, "skip": 0, "read": true}),
        json!({"op": "find", "message": 98}),
        json!({"op": "entries", "room": 12, "before": 9, "after": 1, "limit": 5}),
        json!({"op": "typing", "room": 12, "on": true}),
        json!({"op": "presence", "status": "away"}),
        json!({"op": "whereabouts", "users": [2]}),
        json!({"op": "users", "ids": [2]}),
        json!({"op": "stats"}),
    ];
    requests.extend(["room", "members", "bans", "invites"].map(|op| json!({"op": op, "room": 12})));
    requests.extend(["leave", "archive", "unarchive"].map(|op| json!({"op": op, "room": 12, "client_id": "c"})));
    requests.extend(["kick", "unban", "unmute"].map(|op| json!({"op": op, "room": 12, "user": 2, "client_id": "c"})));
    requests.extend(["message", "revisions", "read"].map(|op| json!({"op": op, "room": 12, "seq": 2})));
    for request in &mut requests {
        request["n"] = 7.into();
    }
    requests
}

/// What both encodings say of a request.
fn decode(request: &Value) -> Vec<Result<Op, (Option<u64>, Fault)>> {
    let json = Json.decode(true, request.to_string().as_bytes());
    let msgpack = Msgpack.decode(false, &rmp_serde::to_vec_named(request).unwrap());
    [json, msgpack].map(|outcome| outcome.map(|request| request.op)).into()
}

/// The operations that there are, as the program lists them itself.
fn operations() -> BTreeSet<String> {
    let error = serde_json::from_value::<Op>(json!({"op": "?"})).unwrap_err().to_string();
    let (_, listed) = error.split_once("expected one of ").unwrap();
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words in backquotes in the first column of the protocol's table of operations.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md")).unwrap();
    let (_, table) = page.split_once("| op | fields | answer |\n").unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('|').nth(1).unwrap_or("").split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_operation_has_a_sample_and_is_documented() {
    let sampled: BTreeSet<_> = samples().iter().map(|sample| sample["op"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sampled, operations());
    assert_eq!(documented(), operations());
    for sample in samples() {
        for outcome in decode(&sample) {
            assert!(outcome.is_ok(), "{sample}: {outcome:?}");
        }
    }
}

#[test]
fn every_operation_refuses_unknown_fields() {
    for sample in samples() {
        let mut request = sample.clone();
        request["unexpected"] = json!(1);
        for outcome in decode(&request) {
            let (n, fault) = outcome.expect_err(&request.to_string());
            assert_eq!((n, fault.code), (Some(7), Code::Malformed), "{request}");
            assert!(fault.detail.starts_with("`unexpected` is unknown: leave it out"), "{request}: {}", fault.detail);
        }
        for place in [
            "/content",
            "/content/parts/0",
            "/content/parts/1",
            "/content/parts/2",
            "/content/parts/3",
            "/positions/12",
        ] {
            let mut request = sample.clone();
            let Some(inner) = request.pointer_mut(place) else { continue };
            inner["unexpected"] = json!(1);
            for outcome in decode(&request) {
                let (_, fault) = outcome.expect_err(&request.to_string());
                assert!(fault.detail.contains("unexpected` is unknown: leave it out"), "{request}: {}", fault.detail);
            }
        }
    }
}

#[test]
fn a_request_number_is_an_integer_up_to_2_to_53() {
    let max = (1_u64 << 53) - 1;
    for n in [json!(0), json!(1), json!(max)] {
        for outcome in decode(&json!({"n": n, "op": "ping"})) {
            assert!(outcome.is_ok(), "{n}: {outcome:?}");
        }
    }
    let not = [
        json!(-5),
        json!(max + 1),
        json!(u64::MAX),
        json!(1.5),
        json!("7"),
        json!(null),
        json!(true),
        json!([7]),
        json!({"n": 7}),
    ];
    for n in not {
        for outcome in decode(&json!({"n": n, "op": "ping"})) {
            let (re, fault) = outcome.expect_err(&n.to_string());
            assert_eq!((re, fault.code), (None, Code::Malformed), "{n}");
            assert_eq!(fault.detail, "`n`, the request's number, must be an integer from 0 to 9007199254740991", "{n}");
        }
    }
}

#[test]
fn the_place_of_a_mistake_is_named() {
    let cases = [
        ("/content/text", json!(5), "`content.text` must be a string"),
        ("/content/parts", json!({}), "`content.parts` must be an array"),
        ("/content/parts/1", json!("x"), "`content.parts[1]` must be an object"),
        ("/content/parts/1/type", json!("song"), "`content.parts[1].type` must be one of: code, image, file, data"),
        ("/mentions/0", json!(0), "`mentions[0]` must be an integer from 1 to 9007199254740991"),
        ("/mentions", json!(7), "`mentions` must be an array"),
        ("/meta/k", json!(7), "`meta.k` must be a string"),
        ("/client_id", json!(""), "`client_id` must be a string of 1 to 64 printable ASCII characters"),
        ("/reply_to", json!("1"), "`reply_to` must be an integer from 0 to 9007199254740991"),
        ("/room", json!(0), "`room` must be an integer from 1 to 9007199254740991"),
    ];
    let send = samples().into_iter().find(|sample| sample["op"] == "send").unwrap();
    for (place, value, expected) in cases {
        let mut request = send.clone();
        *request.pointer_mut(place).unwrap() = value;
        for outcome in decode(&request) {
            assert_eq!(outcome.expect_err(place).1.detail, expected, "{request}");
        }
    }
}

/// All places of a value, as JSON pointers.
pub fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| places(inner, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// A sample with one place of it replaced, removed or added to.
fn mutated() -> impl Strategy<Value = Value> {
    let wrong = prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!(u64::MAX)),
        Just(json!("word")),
        Just(json!("")),
        Just(json!([])),
        Just(json!([[1]])),
        Just(json!({})),
        Just(json!({"type": "word", "more": null})),
    ];
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3, wrong).prop_map(|(which, place, how, wrong)| {
        let samples = samples();
        let mut request = which.get(&samples).clone();
        let mut all = Vec::new();
        places(&request, "", &mut all);
        let at = place.get(&all);
        let (outer, key) = at.rsplit_once('/').unwrap_or(("", ""));
        match how {
            0 => {
                if let Some(Value::Object(fields)) = request.pointer_mut(at) {
                    fields.insert("more".into(), wrong);
                }
            }
            1 if !key.is_empty() => {
                if let Some(Value::Object(fields)) = request.pointer_mut(outer) {
                    fields.remove(key);
                }
            }
            _ => {
                if let Some(there) = request.pointer_mut(at) {
                    *there = wrong;
                }
            }
        }
        request
    })
}

/// Whether a word stands in a text by itself.
pub fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

/// Fails where a text has a word of the program's own.
pub fn is_plain(detail: &str) {
    let found = FOREIGN.iter().find(|word| has_word(detail, word));
    assert!(found.is_none(), "{found:?} in {detail:?}");
    assert!(!detail.contains("what the API documentation at"), "nothing is said of {detail:?}");
}

proptest! {
    #[test]
    fn a_mistake_is_told_in_plain_words(request in mutated()) {
        for outcome in decode(&request) {
            if let Err((_, fault)) = outcome {
                is_plain(&fault.detail);
            }
        }
        let chat = parlance::dialect::chat_service::wire::Frames::new(2, parlance_schema::RoomId::new(12));
        if let Err((_, fault)) = chat.decode(true, request.to_string().as_bytes()) {
            is_plain(&fault.detail);
        }
    }

    #[test]
    fn what_is_no_request_is_told_in_plain_words(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,20}") {
        for outcome in [Json.decode(true, &bytes), Msgpack.decode(false, &bytes), Json.decode(true, text.as_bytes())] {
            if let Err((_, fault)) = outcome {
                is_plain(&fault.detail);
            }
        }
    }
}
