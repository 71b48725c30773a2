//! The frames of chat-service: what is read, what is written, and what they ask for that isn't in an entry.

use std::sync::Arc;

use parlance::dialect::chat_service::wire::Frames;
use parlance_actors::wire::{Around, Asked, Missing, Usernames, Wire};
use parlance_schema::command::MemberRole;
use parlance_schema::content::{Content, Part};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::frame::{Answer, ReplyOutcome};
use parlance_schema::op::Op;
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::user::Status;
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId, Seq, UserId};
use serde_json::{Value, json};

use crate::socket::native::payload;

const ROOM: RoomId = RoomId::new(12);
const ANNA: UserId = UserId::new(7);
const AT: u64 = 1_790_000_000_123;
const WRITTEN: &str = "2026-09-21T14:13:20.123Z";

fn entry(seq: Seq, fact: Fact) -> Entry {
    let client_id = ClientId::new("c").unwrap();
    Entry { seq, at: AT, by: ANNA, client_id, posts: 1, append: 5, fact }
}

fn posted(text: Option<&str>) -> Entry {
    let meta = [("message_type".to_owned(), "image".to_owned())].into();
    let content = text.map(Content::text);
    entry(31, Fact::Posted { id: MessageId::new(98), content, reply_to: None, mentions: Vec::new(), meta })
}

fn known() -> Usernames {
    let names = Usernames::default();
    names.learn(ANNA, "anna");
    names
}

/// All frames of one buffer.
fn frames(mut bytes: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let text = payload(bytes);
        let header = bytes.len() - text.len();
        let length = match bytes[1] {
            126 => usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            127 => panic!("a long frame"),
            short => usize::from(short),
        };
        found.push(serde_json::from_slice(&text[..length]).unwrap());
        bytes = &bytes[header + length..];
    }
    found
}

/// What an entry is written as, where its message and its sender are known.
fn written(fact: Fact) -> Vec<Value> {
    let (names, original) = (known(), Arc::new(posted(Some("before"))));
    let find = |seq| (seq == 31).then(|| original.clone());
    let around = Around::at_hand(&names, &find);
    let written = Frames::new(2, ROOM).entry(ROOM, &entry(40, fact), &around).unwrap();
    written.map(|bytes| frames(&bytes)).unwrap_or_default()
}

fn decode(frame: &Value) -> Result<Op, Fault> {
    let request = Frames::new(2, ROOM).decode(true, frame.to_string().as_bytes());
    request.map(|request| request.op).map_err(|(n, fault)| {
        assert_eq!(n, None, "a request of this wire has no number that a client knows");
        fault
    })
}

#[test]
fn client_frames_are_operations() {
    let send = |client_id: Option<&str>, meta: &[(&str, &str)]| Op::Send {
        room: ROOM,
        client_id: client_id.map(|id| ClientId::new(id).unwrap()),
        content: Content::text("Grüß Gott"),
        reply_to: None,
        mentions: Vec::new(),
        meta: meta.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    let message = json!({"type": "message", "chat_id": 12, "content": "Grüß Gott"});
    assert_eq!(decode(&message).unwrap(), send(None, &[]));
    let mut named = message.clone();
    named["client_id"] = "a 1".into();
    named["message_type"] = "image".into();
    named["whatever"] = json!([1, {"else": null}]);
    assert_eq!(decode(&named).unwrap(), send(Some("a 1"), &[("message_type", "image")]));
    named["message_type"] = "text".into();
    assert_eq!(decode(&named).unwrap(), send(Some("a 1"), &[]));
    for (content, on) in [("start", true), ("stop", false)] {
        let typing = json!({"type": "typing", "chat_id": 12, "content": content});
        assert_eq!(decode(&typing).unwrap(), Op::Typing { room: ROOM, on });
    }
    assert_eq!(decode(&json!({"type": "ping", "chat_id": 12})).unwrap(), Op::Ping {});
}

#[test]
fn what_is_no_frame_is_refused() {
    let cases = [
        (json!({"type": "message", "chat_id": 13, "content": "a"}), Code::Invalid),
        (json!({"type": "message", "chat_id": 12}), Code::Invalid),
        (json!({"type": "message", "chat_id": 12, "content": 5}), Code::Invalid),
        (json!({"type": "message", "content": "a"}), Code::Invalid),
        (json!({"type": "message", "chat_id": 12, "content": "a", "client_id": ""}), Code::Invalid),
        (json!({"type": "typing", "chat_id": 12, "content": "perhaps"}), Code::Invalid),
        (json!({"type": "typing", "chat_id": 12}), Code::Invalid),
        (json!({"type": "fly", "chat_id": 12}), Code::Unknown),
        (json!({"chat_id": 12}), Code::Invalid),
        (json!(["message", 12, "a"]), Code::Invalid),
        (json!("message"), Code::Invalid),
    ];
    for (frame, code) in cases {
        assert_eq!(decode(&frame).map_err(|fault| fault.code), Err(code), "{frame}");
    }
    let wire = Frames::new(2, ROOM);
    let refused = |text, payload: &[u8]| wire.decode(text, payload).unwrap_err().1.code;
    assert_eq!(refused(true, b"{\"type\": "), Code::Malformed);
    assert_eq!(refused(true, b""), Code::Malformed);
    assert_eq!(refused(false, b"{\"type\": \"ping\", \"chat_id\": 12}"), Code::Malformed);
    assert_eq!(refused(true, "[".repeat(1_000).as_bytes()), Code::Malformed);
    assert_eq!(refused(true, &vec![b' '; 200_000]), Code::TooLarge);
}

#[test]
fn only_a_ping_is_answered() {
    let wire = Frames::new(2, ROOM);
    let read = |frame: Value| {
        let request = wire.decode(true, frame.to_string().as_bytes()).unwrap();
        Asked { n: request.n, op: Some(request.op.word()) }
    };
    let ping = read(json!({"type": "ping", "chat_id": 12}));
    let message = read(json!({"type": "message", "chat_id": 12, "content": "a"}));
    assert_ne!(ping.n, message.n, "two that are in flight can be told apart");
    let done = ReplyOutcome::Ok(Box::new(Answer::Empty {}));
    assert_eq!(frames(&wire.reply(ping, &done).unwrap()), [json!({"type": "pong", "chat_id": 12})]);
    assert_eq!(wire.reply(message, &done), None);
    let fault = ReplyOutcome::Fault(Fault::invalid("a message says something"));
    let error = json!({"type": "error", "code": "invalid", "detail": "a message says something"});
    for asked in [ping, message] {
        assert_eq!(frames(&wire.reply(asked, &fault).unwrap()), std::slice::from_ref(&error));
    }
    let fault = Fault::invalid("a message says something");
    assert_eq!(frames(&wire.push(&Push::Fault { fault }).unwrap()), [error]);
    assert_eq!(wire.push(&Push::RoomGone { room: ROOM }), None);
}

#[test]
fn entries_are_written_as_the_service_did() {
    let message = |content: &str| {
        json!({"type": "new_message", "chat_id": 12, "message":
            {"id": 98, "sender_id": 7, "sender_username": "anna", "content": content, "timestamp": WRITTEN}})
    };
    assert_eq!(written(posted(Some("Grüß Gott")).fact), [message("Grüß Gott")]);
    assert_eq!(written(posted(None).fact), [message("")], "a message whose words were erased");
    let edited = |content| Fact::Edited { target: 31, revision: 1, content };
    let whole = json!({"id": 98, "chat_id": 12, "sender_id": 7, "sender_username": "anna", "content": "after",
        "timestamp": WRITTEN, "message_type": "image", "is_edited": true, "is_deleted": false});
    let frame = json!({"type": "message_edited", "chat_id": 12, "message": whole});
    assert_eq!(written(edited(Some(Content::text("after")))), [frame]);
    assert!(written(edited(None)).is_empty(), "a wording that was erased since");
    let deleted = json!({"type": "message_deleted", "chat_id": 12, "message_id": 98});
    assert_eq!(written(Fact::Deleted { target: 31 }), [deleted]);
    let who = |kind: &str, user: u64| json!({"type": kind, "user_id": user, "chat_id": 12, "timestamp": WRITTEN});
    let (one, two) = (UserId::new(8), UserId::new(9));
    assert_eq!(written(Fact::Added { users: vec![one, two] }), [who("user_joined", 8), who("user_joined", 9)]);
    assert_eq!(written(Fact::Joined { hash: "ab".into() }), [who("user_joined", 7)]);
    assert_eq!(written(Fact::Left { heir: None }), [who("user_left", 7)]);
    assert_eq!(written(Fact::Kicked { user: one, heir: None }), [who("user_left", 8)]);
    assert_eq!(written(Fact::Banned { user: one, until: None, removed: true, heir: None }), [who("user_left", 8)]);
    for silent in [
        Fact::Renamed { name: "B".into() },
        Fact::Promoted { user: one, role: MemberRole::Admin },
        Fact::Reacted { target: 31, emoji: "👍".into() },
        Fact::Archived,
    ] {
        assert!(written(silent).is_empty());
    }
}

#[test]
fn parts_are_shown_as_text() {
    let parts = vec![
        Part::Image { url: "https://example.org/a.png".into(), alt: "a".into() },
        Part::File { url: "https://example.org/b".into(), name: "b.txt".into(), mime: String::new(), size: 0 },
        Part::Code { language: "rust".into(), text: "fn".into() },
    ];
    let content = Some(Content { text: "see".into(), parts });
    let meta = Default::default();
    let fact = Fact::Posted { id: MessageId::new(98), content, reply_to: None, mentions: Vec::new(), meta };
    let shown = "see\nhttps://example.org/a.png\nb.txt: https://example.org/b\nfn";
    assert_eq!(written(fact)[0]["message"]["content"], shown);
}

#[test]
fn what_is_not_at_hand_is_asked_for_and_what_is_nowhere_is_left_out() {
    let (wire, nobody) = (Frames::new(2, ROOM), Usernames::default());
    let (names, none) = (known(), |_: Seq| None);
    let edit = Fact::Edited { target: 31, revision: 1, content: Some(Content::text("after")) };
    for fact in [posted(Some("a")).fact, edit.clone(), Fact::Deleted { target: 31 }] {
        let entry = entry(40, fact);
        assert_eq!(wire.entry(ROOM, &entry, &Around::at_hand(&nobody, &none)), Err(Missing));
    }
    let whole = Around::whole(&names, &none);
    assert_eq!(wire.entry(ROOM, &entry(40, edit), &whole), Ok(None));
    assert_eq!(wire.entry(ROOM, &entry(40, Fact::Deleted { target: 31 }), &whole), Ok(None));
    let unnamed = wire.entry(ROOM, &posted(Some("a")), &Around::whole(&nobody, &none)).unwrap().unwrap();
    assert_eq!(frames(&unnamed)[0]["message"]["sender_username"], "");
}

#[test]
fn what_is_not_stored_is_written_as_of_now() {
    let wire = Frames::new(2, ROOM);
    let told = |event: Ephemeral| wire.ephemeral(&event, AT).map(|bytes| frames(&bytes).remove(0));
    let who = |kind: &str| Some(json!({"type": kind, "user_id": 7, "chat_id": 12, "timestamp": WRITTEN}));
    let (room, user) = (ROOM, ANNA);
    assert_eq!(told(Ephemeral::Typing { room, user, on: true }), who("typing_started"));
    assert_eq!(told(Ephemeral::Typing { room, user, on: false }), who("typing_stopped"));
    assert_eq!(told(Ephemeral::Entered { room, user }), who("user_joined"));
    assert_eq!(told(Ephemeral::Parted { room, user }), who("user_left"));
    assert_eq!(told(Ephemeral::Read { room, user, seq: 3 }), None);
    assert_eq!(told(Ephemeral::Presence { room, user, status: Status::Online, last_seen: None }), None);
}
