//! Every frame of the native protocol survives both encodings, and looks as docs/protocol.md says.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::content::{Content, Part};
use parlance_schema::entry::{Entry, FACTS, Fact};
use parlance_schema::frame::{Answer, InviteView, PageOf, Reply, ReplyOutcome, Request};
use parlance_schema::id::Position;
use parlance_schema::message::{MessageView, RevisionView};
use parlance_schema::op::Op;
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::user::{Status, UserView};
use parlance_schema::view::{BanView, Done, MemberView, OpenInvite, Outcome, PresenceView, Resumed, RoomView};
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Through JSON and MessagePack and back; returns the JSON.
#[track_caller]
fn round<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> Value {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    let bytes = rmp_serde::to_vec_named(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&bytes).unwrap(), value, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn user(id: u64) -> UserId {
    UserId::new(id)
}

fn room() -> RoomId {
    RoomId::new(12)
}

fn client_id() -> Option<ClientId> {
    ClientId::new("a1 ~b2").ok()
}

fn content() -> Content {
    let url = "https://example.org/ü".to_owned();
    let text = || "fn main() {}\n\u{1F44B}".to_owned();
    Content {
        text: "Grüß Gott, नमस्ते, שלום".to_owned(),
        parts: vec![
            Part::Code { language: "rust".to_owned(), text: text() },
            Part::Image { url: url.clone(), alt: String::new() },
            Part::File { url, name: "a.pdf".to_owned(), mime: "application/pdf".to_owned(), size: 1 << 40 },
            Part::Data { mime: "application/json".to_owned(), text: "{}".to_owned() },
        ],
    }
}

fn entry(fact: Fact) -> Entry {
    let client_id = client_id().unwrap();
    Entry { seq: 31, at: 1_790_000_000_000, by: user(7), client_id, posts: 12, append: (1 << 53) - 1, fact }
}

fn facts() -> Vec<Fact> {
    let meta = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let hash = || "ab".repeat(32);
    let emoji = || "👩‍👩‍👧".to_owned();
    let target = 3;
    vec![
        Fact::Created {
            tenant: parlance_schema::id::TENANT_DEFAULT,
            kind: Kind::Direct,
            name: String::new(),
            members: vec![user(1)],
            history: History::All,
        },
        Fact::Posted {
            id: MessageId::new(9),
            content: Some(content()),
            reply_to: Some(2),
            mentions: vec![user(3)],
            meta,
        },
        Fact::Posted { id: MessageId::new(9), content: None, reply_to: None, mentions: vec![], meta: BTreeMap::new() },
        Fact::Edited { target, revision: 1, content: Some(content()) },
        Fact::Edited { target, revision: 2, content: None },
        Fact::Deleted { target },
        Fact::Reacted { target, emoji: emoji() },
        Fact::Unreacted { target, emoji: emoji() },
        Fact::Added { users: vec![user(1), user(2)] },
        Fact::Invited { hash: hash(), expires_at: Some(5), uses: Some(3) },
        Fact::Uninvited { hash: hash() },
        Fact::Joined { hash: hash() },
        Fact::Left { heir: Some(user(2)) },
        Fact::Kicked { user: user(2), heir: None },
        Fact::Banned { user: user(2), until: Some(9), removed: false, heir: None },
        Fact::Unbanned { user: user(2) },
        Fact::Muted { user: user(2), until: Some(9) },
        Fact::Unmuted { user: user(2) },
        Fact::Promoted { user: user(2), role: MemberRole::Owner },
        Fact::Renamed { name: "Küche".to_owned() },
        Fact::Configured { history: History::SinceJoined },
        Fact::Archived,
        Fact::Unarchived,
    ]
}

/// The words that an enum knows, from the error for one that it doesn't.
fn listed<T: DeserializeOwned + std::fmt::Debug>(unknown: Value) -> Vec<String> {
    let error = serde_json::from_value::<T>(unknown).expect_err("nothing that there is").to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_fact_is_here() {
    let mut here: Vec<_> = facts().iter().map(|fact| round(fact)["fact"].as_str().unwrap().to_owned()).collect();
    here.dedup();
    assert_eq!(here, FACTS);
}

#[test]
fn entries() {
    for fact in facts() {
        let push = Push::Entry { room: room(), entry: entry(fact.clone()).into() };
        let json = round(&push);
        assert_eq!(json["push"], "entry");
        assert_eq!(json["room"], 12);
        assert_eq!(json["entry"]["seq"], 31);
        assert!(json["entry"]["fact"].is_string(), "{json}");
        round(&entry(fact));
    }
}

#[test]
fn pushes() {
    let reason = "restarting".to_owned();
    let (room, epoch, from) = (room(), 5_501, 30);
    let hello = Push::Hello {
        session: 1,
        user: user(7),
        now: 2,
        credits: 64,
        heartbeat_ms: 25_000,
        requests_per_s: 200,
        token_expires_at: 3,
    };
    let cases = [
        (hello, "hello"),
        (Push::RoomAdded { room, epoch, from }, "room_added"),
        (Push::RoomGone { room }, "room_gone"),
        (Push::Reset { room, epoch, from }, "reset"),
        (Push::Reconnect { after_ms: 100, reason }, "reconnect"),
        (Push::Fault { fault: Fault::malformed("no") }, "fault"),
        (Push::Ephemeral(Ephemeral::Typing { room, user: user(7), on: true }), "typing"),
        (Push::Ephemeral(Ephemeral::Read { room, user: user(7), seq: 3 }), "read"),
        (
            Push::Ephemeral(Ephemeral::Presence {
                room,
                user: user(7),
                status: Status::DoNotDisturb,
                last_seen: Some(1),
            }),
            "presence",
        ),
    ];
    for (push, name) in cases {
        assert_eq!(round(&push)["push"], name);
    }
    let typing = Ephemeral::Typing { room, user: user(7), on: false };
    assert_eq!(round(&typing), json!({"push": "typing", "room": 12, "user": 7, "on": false}));
    assert_eq!(round(&Push::Ephemeral(typing)), json!({"push": "typing", "room": 12, "user": 7, "on": false}));
}

fn message() -> MessageView {
    MessageView {
        room: room(),
        seq: 31,
        id: MessageId::new(98_304),
        by: user(7),
        at: 5,
        client_id: client_id().unwrap(),
        content: Some(content()),
        reply_to: Some(3),
        mentions: vec![user(8)],
        meta: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        revision: 1,
        edited_at: Some(6),
        deleted_at: None,
        reactions: BTreeMap::from([("👍".to_owned(), vec![user(8)])]),
    }
}

fn room_view() -> RoomView {
    RoomView {
        id: room(),
        kind: Kind::Group,
        name: "Küche".to_owned(),
        peer: None,
        epoch: 5,
        last: 31,
        members: 3,
        role: Some(MemberRole::Owner),
        first: 1,
        read: 30,
        unread: 1,
        messages: 20,
        history: History::SinceJoined,
        archived: false,
        created_at: 1,
        updated_at: 2,
        last_message: Some(message()),
    }
}

fn answers() -> Vec<Answer> {
    let person = UserView {
        id: user(7),
        username: "anna".to_owned(),
        full_name: "Anna Ä.".to_owned(),
        is_active: true,
        created_at: 1,
        last_seen: None,
    };
    let member = MemberView {
        user: user(7),
        role: MemberRole::Admin,
        joined_at: 1,
        muted_until: Some(0),
        read: 3,
        status: Status::Away,
    };
    let resumed = |outcome| Resumed { room: room(), epoch: 5, from: 1, last: 3, outcome };
    let outcomes = [Outcome::Live, Outcome::TooFar, Outcome::Reset, Outcome::Gone];
    vec![
        Answer::Done(Done { room: room(), seq: 31, at: 5, id: Some(MessageId::new(98_304)), again: false }),
        Answer::Done(Done { room: room(), seq: 31, at: 5, id: None, again: true }),
        Answer::Invited(InviteView { room: room(), seq: 3, code: "c".to_owned(), hash: "ab".to_owned() }),
        Answer::Room(Box::new(room_view())),
        Answer::Message(Box::new(message())),
        Answer::Rooms { rooms: vec![room_view()] },
        Answer::Members { members: vec![member] },
        Answer::Bans { bans: vec![BanView { user: user(8), seq: 31, until: Some(5) }] },
        Answer::Invites {
            invites: vec![OpenInvite { hash: "ab".to_owned(), by: user(7), expires_at: None, left: Some(2) }],
        },
        Answer::Resumed { resumed: outcomes.into_iter().map(resumed).collect() },
        Answer::Messages(PageOf { items: vec![message()], more: true }),
        Answer::Revisions { revisions: vec![RevisionView { revision: 0, at: 1, content: None }] },
        Answer::Whereabouts { presence: vec![PresenceView { user: user(7), status: Status::Online, last_seen: None }] },
        Answer::Users { users: vec![person] },
        Answer::Entries(PageOf { items: facts().into_iter().map(|fact| entry(fact).into()).collect(), more: false }),
        Answer::Empty {},
    ]
}

#[test]
fn replies() {
    for answer in answers() {
        let json = round(&Reply { re: 7, outcome: ReplyOutcome::Ok(Box::new(answer)) });
        assert_eq!(json["re"], 7);
        assert!(json["ok"].is_object() && json.get("fault").is_none(), "{json}");
    }
    for code in Code::ALL {
        let fault = Fault::new(*code, "no").after(5);
        let json = round(&Reply { re: u64::MAX, outcome: ReplyOutcome::Fault(fault) });
        assert_eq!(json["fault"]["code"], code.word());
    }
    let empty = Reply { re: 1, outcome: ReplyOutcome::Ok(Box::new(Answer::Empty {})) };
    assert_eq!(round(&empty), json!({"re": 1, "ok": {}}));
}

/// An operation of each kind, all of its fields set, and its word.
fn ops() -> Vec<(Op, &'static str)> {
    let (room, client_id, seq, who) = (room(), client_id(), 31, user(8));
    let positions = BTreeMap::from([
        (room, Position { epoch: 5, seq: 30, append: Some(7) }),
        (RoomId::new((1 << 53) - 1), Position { epoch: 5, seq: 0, append: None }),
    ]);
    let meta = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let c = || client_id.clone();
    let text = |text: &str| text.to_owned();
    let page = (Some(9), Some(2), Some(50));
    vec![
        (Op::Resume { positions }, "resume"),
        (Op::Token { token: text("a.b.c") }, "token"),
        (Op::Ping {}, "ping"),
        (Op::Rooms {}, "rooms"),
        (Op::Room { room }, "room"),
        (Op::Members { room }, "members"),
        (Op::Bans { room }, "bans"),
        (Op::Invites { room }, "invites"),
        (
            Op::Create {
                kind: Kind::Conversation,
                name: text("x"),
                members: vec![who],
                history: History::SinceJoined,
                client_id: c(),
            },
            "create",
        ),
        (Op::Direct { user: who }, "direct"),
        (Op::Send { room, client_id: c(), content: content(), reply_to: Some(3), mentions: vec![who], meta }, "send"),
        (Op::Edit { room, seq, revision: Some(0), content: content(), client_id: c() }, "edit"),
        (Op::Delete { room, seq, client_id: c() }, "delete"),
        (Op::React { room, seq, emoji: text("👍"), client_id: c() }, "react"),
        (Op::Unreact { room, seq, emoji: text("👍"), client_id: c() }, "unreact"),
        (Op::Add { room, users: vec![who], client_id: c() }, "add"),
        (Op::Invite { room, expires_at: Some(5), uses: Some(1) }, "invite"),
        (Op::Uninvite { room, hash: text("ab"), client_id: c() }, "uninvite"),
        (Op::Join { code: text("xyz"), client_id: c() }, "join"),
        (Op::Leave { room, client_id: c() }, "leave"),
        (Op::Kick { room, user: who, client_id: c() }, "kick"),
        (Op::Ban { room, user: who, until: Some(5), client_id: c() }, "ban"),
        (Op::Unban { room, user: who, client_id: c() }, "unban"),
        (Op::Mute { room, user: who, until: None, client_id: c() }, "mute"),
        (Op::Unmute { room, user: who, client_id: c() }, "unmute"),
        (Op::Promote { room, user: who, role: MemberRole::Owner, client_id: c() }, "promote"),
        (Op::Rename { room, name: text("y"), client_id: c() }, "rename"),
        (Op::Configure { room, history: History::All, client_id: c() }, "configure"),
        (Op::Archive { room, client_id: c() }, "archive"),
        (Op::Unarchive { room, client_id: c() }, "unarchive"),
        (Op::Messages { room, before: page.0, after: page.1, limit: page.2, skip: Some(20), read: true }, "messages"),
        (Op::Find { message: MessageId::new(5) }, "find"),
        (Op::Message { room, seq }, "message"),
        (Op::Revisions { room, seq }, "revisions"),
        (Op::Entries { room, before: page.0, after: page.1, limit: page.2 }, "entries"),
        (Op::Read { room, seq }, "read"),
        (Op::Typing { room, on: true }, "typing"),
        (Op::Presence { status: Status::Away }, "presence"),
        (Op::Whereabouts { users: vec![who] }, "whereabouts"),
        (Op::Users { ids: vec![who] }, "users"),
        (Op::Stats { all_rooms: false }, "stats"),
    ]
}

#[test]
fn requests() {
    for (op, name) in ops() {
        let json = round(&Request { n: 7, op: op.clone() });
        assert_eq!((&json["n"], &json["op"]), (&json!(7), &json!(name)));
        round(&op);
    }
}

#[test]
fn every_operation_is_here() {
    let here: Vec<_> = ops().into_iter().map(|(_, name)| name).collect();
    assert_eq!(listed::<Op>(json!({"op": ""})), here);
}

#[test]
fn what_may_be_left_out_may_be_left_out() {
    for given in [
        json!({"n": 1, "op": "resume"}),
        json!({"n": 1, "op": "send", "room": 1, "content": {"text": "x"}}),
        json!({"n": 1, "op": "create", "kind": "group", "name": "x"}),
        json!({"n": 1, "op": "entries", "room": 1}),
        json!({"op": "ban", "user": 3, "room": 1, "n": 1}),
    ] {
        serde_json::from_value::<Request>(given).unwrap();
    }
}
