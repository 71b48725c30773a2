//! The native wires: what they read, what they say of what they can't read, and that both say the same.

use parlance::gateway::native::{Json, Msgpack};
use parlance_actors::wire::{Around, Asked, Usernames, Wire};
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::frame::{Answer, Reply, ReplyOutcome, Request};
use parlance_schema::op::Op;
use parlance_schema::push::Push;
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId, UserId};
use serde_json::{Value, json};

/// A frame's payload.
pub fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

/// Decodes the same request from both encodings.
fn decode(request: &Value) -> Result<Request, (Option<u64>, Fault)> {
    let from_json = Json.decode(true, request.to_string().as_bytes());
    let from_msgpack = Msgpack.decode(false, &rmp_serde::to_vec_named(request).unwrap());
    assert_eq!(from_json, from_msgpack, "{request}");
    from_json
}

#[track_caller]
fn refused(request: &Value, n: Option<u64>, code: Code, detail: &str) {
    let (got, fault) = decode(request).expect_err("a request that must be refused");
    assert_eq!((got, fault.code, fault.detail.as_str()), (n, code, detail));
}

#[test]
fn a_request_is_the_same_in_both_encodings() {
    let request =
        decode(&json!({"n": 7, "op": "send", "room": 12, "client_id": "a1", "content": {"text": "Grüß Gott"}}));
    let Ok(Request { n: 7, op: Op::Send { room, content, client_id, .. } }) = request else { panic!("{request:?}") };
    assert_eq!((room, content), (RoomId::new(12), Content::text("Grüß Gott")));
    assert_eq!(client_id, ClientId::new("a1").ok());
    decode(&json!({"op": "ping", "n": (1_u64 << 53) - 1})).unwrap();
    let resume = decode(&json!({"n": 1, "op": "resume", "positions": {"12": {"epoch": 5, "seq": 30, "append": 7}}}));
    let Ok(Request { op: Op::Resume { positions }, .. }) = resume else { panic!("{resume:?}") };
    assert_eq!(positions[&RoomId::new(12)].append, Some(7));
}

#[test]
fn messagepack_positions_may_have_integer_keys() {
    let op = decode(&json!({"n": 1, "op": "resume", "positions": {"12": {"epoch": 5, "seq": 30}}})).unwrap();
    let bytes = rmp_serde::to_vec_named(&op).unwrap();
    assert_eq!(Msgpack.decode(false, &bytes).unwrap(), op);
}

#[test]
fn an_unknown_operation_is_its_own_code() {
    refused(&json!({"n": 3, "op": "fly"}), Some(3), Code::Unknown, "there is no operation `fly`");
    let long = "x".repeat(1_000);
    let cut = format!("there is no operation `{}…`", "x".repeat(40));
    refused(&json!({"n": 3, "op": long, "room": 1}), Some(3), Code::Unknown, &cut);
}

#[test]
fn a_malformed_request_is_told_which_field() {
    let number = "must be an integer from 0 to 9007199254740991";
    let id = "must be an integer from 1 to 9007199254740991";
    let cases = [
        (json!({"op": "ping"}), None, "`n` is missing: give each request a number; the reply repeats it"),
        (json!({"n": -1, "op": "ping"}), None, &format!("`n`, the request's number, {number}")),
        (json!({"n": "1", "op": "ping"}), None, &format!("`n`, the request's number, {number}")),
        (json!({"n": 1}), Some(1), "`op` is missing: name the operation"),
        (json!({"n": 1, "op": 5}), Some(1), "`op` must be a string, the operation's name"),
        (json!({"n": 1, "op": "room"}), Some(1), "`room` is missing: add this field"),
        (json!({"n": 1, "op": "room", "room": "a"}), Some(1), &format!("`room` {id}")),
        (json!({"n": 1, "op": "room", "room": null}), Some(1), &format!("`room` {id}")),
        (json!({"n": 1, "op": "room", "room": 0}), Some(1), &format!("`room` {id}")),
        (json!({"n": 1, "op": "room", "room": 1_u64 << 53}), Some(1), &format!("`room` {id}")),
        (json!({"n": 1, "op": "entries", "room": 1, "after": u64::MAX}), Some(1), &format!("`after` {number}")),
        (json!({"n": 1, "op": "messages", "room": 1, "skip": 1_u64 << 53}), Some(1), &format!("`skip` {number}")),
        (json!({"n": 1, "op": "message", "room": 1, "seq": 1_u64 << 53}), Some(1), &format!("`seq` {number}")),
        (
            json!({"n": 1, "op": "mute", "room": 1, "user": 2, "until": 1_u64 << 53}),
            Some(1),
            &format!("`until` {number}"),
        ),
        (
            json!({"n": 1, "op": "resume", "positions": {"7": {"epoch": 1, "seq": 1_u64 << 53}}}),
            Some(1),
            &format!("`positions.7.seq` {number}"),
        ),
        (
            json!({"n": 1, "op": "room", "room": 1, "extra": true}),
            Some(1),
            "`extra` is unknown: leave it out; the allowed fields are: room",
        ),
        (json!({"n": 1, "op": "send", "room": 1}), Some(1), "`content` is missing: add this field"),
        (
            json!({"n": 1, "op": "send", "room": 1, "content": "hidden, expected secret"}),
            Some(1),
            "`content` must be an object",
        ),
        (
            json!({"n": 1, "op": "send", "room": 1, "content": {"txt": "x"}}),
            Some(1),
            "`content.txt` is unknown: leave it out; the allowed fields are: text, parts",
        ),
        (
            json!({"n": 1, "op": "send", "room": 1, "content": {}, "client_id": ""}),
            Some(1),
            "`client_id` must be a string of 1 to 64 printable ASCII characters",
        ),
        (
            json!({"n": 1, "op": "create", "name": "x", "kind": "party"}),
            Some(1),
            "`kind` must be one of: direct, group, conversation",
        ),
        (
            json!({"n": 1, "op": "resume", "positions": {"x": {"epoch": 1, "seq": 1}}}),
            Some(1),
            "`positions` must be an object whose keys are room ids from 1 to 9007199254740991",
        ),
    ];
    for (request, n, detail) in cases {
        refused(&request, n, Code::Malformed, detail);
    }
}

#[test]
fn what_is_no_request_at_all() {
    for other in [json!([1, "ping"]), json!("ping"), json!(1), json!(null), json!([])] {
        let (n, fault) = decode_apart(&other);
        assert_eq!((n, fault), (None, Code::Malformed), "{other}");
    }
}

/// The outcome of both encodings, where their sentences differ.
fn decode_apart(request: &Value) -> (Option<u64>, Code) {
    let json = Json.decode(true, request.to_string().as_bytes()).expect_err("no request");
    let msgpack = Msgpack.decode(false, &rmp_serde::to_vec_named(request).unwrap()).expect_err("no request");
    assert_eq!((json.0, json.1.code), (msgpack.0, msgpack.1.code));
    (json.0, json.1.code)
}

#[test]
fn broken_json_is_attributed_where_its_number_was_read() {
    let cases: [(&[u8], Option<u64>); 7] = [
        (br#"{"n": 4, "op": "send", "room": }"#, Some(4)),
        (br#"{"n": 4, "op": "ping"} x"#, Some(4)),
        (br#"{"n": 4, "op": "pi"#, Some(4)),
        (br#"{"op": "ping", "n"#, None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"{\"n\": 4, \"op\": \"\xc0\"}", Some(4)),
    ];
    for (bytes, n) in cases {
        let (got, fault) = Json.decode(true, bytes).expect_err("broken");
        assert_eq!((got, fault.code), (n, Code::Malformed), "{}", String::from_utf8_lossy(bytes));
        assert!(
            fault.detail.starts_with("the message is not JSON: it can't be read at line 1, column "),
            "{}",
            fault.detail
        );
    }
    let twice = Json.decode(true, br#"{"n": 4, "op": "room", "room": 1, "room": 2}"#).expect_err("twice");
    assert_eq!((twice.0, twice.1.detail.as_str()), (Some(4), "`room` is given twice: give each field once"));
}

#[test]
fn broken_messagepack_is_a_fault() {
    let good = rmp_serde::to_vec_named(&json!({"n": 4, "op": "room", "room": 1})).unwrap();
    for cut in 0..good.len() {
        let (n, fault) = Msgpack.decode(false, &good[..cut]).expect_err("cut");
        assert_eq!(fault.code, Code::Malformed, "{cut}");
        assert!(n.is_none() || n == Some(4));
    }
    let behind = [&good[..], &[0xc0]].concat();
    let (n, fault) = Msgpack.decode(false, &behind).expect_err("bytes behind");
    assert_eq!(
        (n, fault.detail.as_str()),
        (Some(4), "there are extra bytes after the request: send one request per message")
    );
    // Lengths of four billion in a few bytes must not be believed.
    for bytes in
        [&[0xdf, 0xff, 0xff, 0xff, 0xff][..], &[0xdd, 0xff, 0xff, 0xff, 0xff], &[0xc6, 0xff, 0xff, 0xff, 0xff, 1]]
    {
        assert_eq!(Msgpack.decode(false, bytes).expect_err("a lie").1.code, Code::Malformed);
    }
}

#[test]
fn the_other_kind_of_message_is_a_fault() {
    let good = json!({"n": 4, "op": "ping"});
    let json = Json.decode(false, good.to_string().as_bytes()).expect_err("binary JSON");
    assert_eq!(json.1.detail, "this connection takes JSON in text messages, not binary ones");
    let msgpack = Msgpack.decode(true, &rmp_serde::to_vec_named(&good).unwrap()).expect_err("textual MessagePack");
    assert_eq!(msgpack.1.detail, "this connection takes MessagePack in binary messages, not text ones");
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| {
        let inner = (0..depth).fold(json!(1), |value, _| json!([value]));
        json!({"n": 1, "op": "room", "room": inner})
    };
    refused(&nested(20), Some(1), Code::Malformed, "`room` must be an integer from 1 to 9007199254740991");
    for depth in [33, 100] {
        let (_, fault) = decode_deep(&nested(depth));
        assert_eq!(fault, "a request must be nested at most 32 levels deep", "{depth}");
    }
    let (_, fault) = Json.decode(true, "[".repeat(100_000).as_bytes()).expect_err("deep");
    assert_eq!(fault.detail, "a request must be nested at most 32 levels deep");
    assert!(Msgpack.decode(false, &[0x91; 100_000]).is_err());
    let brackets = format!(r#"{{"n": 1, "op": "send", "room": 1, "content": {{"text": "{}\"{{"}}}}"#, "[".repeat(100));
    Json.decode(true, brackets.as_bytes()).unwrap();
    let large = vec![b' '; 128 * 1024 + 1];
    assert_eq!(Json.decode(true, &large).expect_err("large").1.code, Code::TooLarge);
    assert_eq!(Msgpack.decode(false, &large).expect_err("large").1.code, Code::TooLarge);
}

fn decode_deep(request: &Value) -> (Option<u64>, String) {
    let json = Json.decode(true, request.to_string().as_bytes()).expect_err("deep").1;
    let msgpack = Msgpack.decode(false, &rmp_serde::to_vec_named(request).unwrap()).expect_err("deep").1;
    assert_eq!(json, msgpack);
    (None, json.detail)
}

#[test]
fn a_borrowed_push_and_reply_look_like_owned_ones() {
    let entry = Entry {
        seq: 31,
        at: 1_790_000_000_000,
        by: UserId::new(7),
        client_id: ClientId::new("a1b2").unwrap(),
        posts: 12,
        append: 99,
        fact: Fact::Posted {
            id: MessageId::new(98_304),
            content: Some(Content::text("Grüß Gott")),
            reply_to: None,
            mentions: Vec::new(),
            meta: Default::default(),
        },
    };
    let room = RoomId::new(5);
    let push = Push::Entry { room, entry: entry.clone().into() };
    let names = Usernames::default();
    let around = Around::at_hand(&names, &|_| None);
    let json = Json.entry(room, &entry, &around).unwrap().unwrap();
    assert_eq!(json, Json.push(&push).unwrap());
    assert!(payload(&json).starts_with(br#"{"push":"entry","room":5,"entry":{"seq":31,"#));
    assert_eq!(Msgpack.entry(room, &entry, &around).unwrap(), Msgpack.push(&push));
    assert_eq!(
        rmp_serde::from_slice::<Push>(payload(&Msgpack.entry(room, &entry, &around).unwrap().unwrap())).unwrap(),
        push
    );

    for outcome in [ReplyOutcome::Ok(Box::new(Answer::Empty {})), ReplyOutcome::Fault(Fault::busy("later"))] {
        let reply = Reply { re: 3, outcome };
        let json = Json.reply(Asked { n: 3, op: None }, &reply.outcome).unwrap();
        assert_eq!(payload(&json), serde_json::to_vec(&reply).unwrap());
        let msgpack = Msgpack.reply(Asked { n: 3, op: None }, &reply.outcome).unwrap();
        assert_eq!(rmp_serde::from_slice::<Reply>(payload(&msgpack)).unwrap(), reply);
    }
}

#[test]
fn a_whole_number_may_have_a_fraction_in_json() {
    let frame = br#"{"n": 7.0, "op": "send", "room": 1.2e1, "content": {"text": "7.0"}, "mentions": [3.0]}"#;
    let Request { n, op } = Json.decode(true, frame).unwrap();
    let Op::Send { room, content, mentions, .. } = op else { panic!("{op:?}") };
    assert_eq!((n, room.get(), content.text.as_str(), mentions[0].get()), (7, 12, "7.0", 3));
    assert!(Json.decode(true, br#"{"n": 7, "op": "room", "room": 1.5}"#).is_err());
}
