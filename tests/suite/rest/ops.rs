//! Every route asks for the operation that the documentation names, and answers with the status that it names.

use std::collections::{BTreeMap, BTreeSet};

use parlance::api::route::{Action, Verb};
use parlance::gateway::rest;
use parlance::gateway::rest::table::Found;
use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::content::Content;
use parlance_schema::frame::Answer;
use parlance_schema::op::Op;
use parlance_schema::user::Status;
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId, UserId};

use super::fake::{USER, done, room};
use super::{Gate, all_dialects};

const ROOM: RoomId = RoomId::new(12);
const OTHER: UserId = UserId::new(9);

struct Case {
    method: &'static str,
    path: &'static str,
    body: Option<&'static str>,
    status: u16,
    op: Op,
}

fn case(line: &'static str, body: &'static str, status: u16, op: Op) -> Case {
    let (method, path) = line.split_once(' ').unwrap();
    Case { method, path, body: Some(body).filter(|b| !b.is_empty()), status, op }
}

fn key() -> Option<ClientId> {
    Some(ClientId::new("a key, 1").unwrap())
}

fn rooms() -> Vec<Case> {
    let client_id = key();
    let create = |kind, members, history| Op::Create { kind, name: "A".into(), members, history, client_id: key() };
    vec![
        case("GET /v1/rooms", "", 200, Op::Rooms {}),
        case(
            "POST /v1/rooms",
            r#"{"kind": "group", "name": "A", "members": [9], "history": "since_joined"}"#,
            201,
            create(Kind::Group, vec![OTHER], History::SinceJoined),
        ),
        case(
            "POST /v1/rooms",
            r#"{"kind": "conversation", "name": "A"}"#,
            201,
            create(Kind::Conversation, vec![], History::All),
        ),
        case("POST /v1/rooms/direct", r#"{"user": 9}"#, 201, Op::Direct { user: OTHER }),
        case("GET /v1/rooms/12", "", 200, Op::Room { room: ROOM }),
        case(
            "PATCH /v1/rooms/12",
            r#"{"name": "B"}"#,
            200,
            Op::Rename { room: ROOM, name: "B".into(), client_id: client_id.clone() },
        ),
        case(
            "PATCH /v1/rooms/12",
            r#"{"history": "all"}"#,
            200,
            Op::Configure { room: ROOM, history: History::All, client_id: client_id.clone() },
        ),
        case("POST /v1/rooms/12/archive", "", 200, Op::Archive { room: ROOM, client_id: client_id.clone() }),
        case("POST /v1/rooms/12/unarchive", "", 200, Op::Unarchive { room: ROOM, client_id }),
        case(
            "GET /v1/rooms/12/entries?before=31&limit=200",
            "",
            200,
            Op::Entries { room: ROOM, before: Some(31), after: None, limit: Some(200) },
        ),
    ]
}

fn members() -> Vec<Case> {
    let client_id = key();
    let (mute, ban) = (
        |until| Op::Mute { room: ROOM, user: OTHER, until, client_id: key() },
        |until| Op::Ban { room: ROOM, user: OTHER, until, client_id: key() },
    );
    vec![
        case("GET /v1/rooms/12/members", "", 200, Op::Members { room: ROOM }),
        case(
            "POST /v1/rooms/12/members",
            r#"{"users": [9, 10]}"#,
            200,
            Op::Add { room: ROOM, users: vec![OTHER, UserId::new(10)], client_id: key() },
        ),
        case("DELETE /v1/rooms/12/members/9", "", 204, Op::Kick { room: ROOM, user: OTHER, client_id: key() }),
        case("DELETE /v1/rooms/12/members/1", "", 204, Op::Leave { room: ROOM, client_id: key() }),
        case(
            "PUT /v1/rooms/12/members/9/role",
            r#"{"role": "owner"}"#,
            200,
            Op::Promote { room: ROOM, user: OTHER, role: MemberRole::Owner, client_id: key() },
        ),
        case("PUT /v1/rooms/12/members/9/mute", "", 200, mute(None)),
        case("PUT /v1/rooms/12/members/9/mute", r#"{"until": 5}"#, 200, mute(Some(5))),
        case("DELETE /v1/rooms/12/members/9/mute", "", 204, Op::Unmute { room: ROOM, user: OTHER, client_id: key() }),
        case("GET /v1/rooms/12/bans", "", 200, Op::Bans { room: ROOM }),
        case("GET /v1/rooms/12/invites", "", 200, Op::Invites { room: ROOM }),
        case("PUT /v1/rooms/12/bans/9", "{}", 200, ban(None)),
        case("PUT /v1/rooms/12/bans/9", r#"{"until": 6}"#, 200, ban(Some(6))),
        case("DELETE /v1/rooms/12/bans/9", "", 204, Op::Unban { room: ROOM, user: OTHER, client_id }),
        case("POST /v1/rooms/12/invites", "", 201, Op::Invite { room: ROOM, expires_at: None, uses: None }),
        case(
            "POST /v1/rooms/12/invites",
            r#"{"expires_at": 7, "uses": 3}"#,
            201,
            Op::Invite { room: ROOM, expires_at: Some(7), uses: Some(3) },
        ),
        case(
            "DELETE /v1/rooms/12/invites/abcd",
            "",
            204,
            Op::Uninvite { room: ROOM, hash: "abcd".into(), client_id: key() },
        ),
        case("POST /v1/rooms/join", r#"{"code": "xyz"}"#, 200, Op::Join { code: "xyz".into(), client_id: key() }),
    ]
}

fn messages() -> Vec<Case> {
    let client_id = key();
    let content = Content::text("Grüß Gott 👋🏽");
    let reaction = |emoji: &str| (ROOM, 31, emoji.to_owned(), key());
    let react = |(room, seq, emoji, client_id)| Op::React { room, seq, emoji, client_id };
    let unreact = |(room, seq, emoji, client_id)| Op::Unreact { room, seq, emoji, client_id };
    vec![
        case(
            "GET /v1/rooms/12/messages?after=0",
            "",
            200,
            Op::Messages { room: ROOM, before: None, after: Some(0), limit: None, skip: None, read: false },
        ),
        case(
            "GET /v1/rooms/12/messages?limit=20&skip=40&read=true",
            "",
            200,
            Op::Messages { room: ROOM, before: None, after: None, limit: Some(20), skip: Some(40), read: true },
        ),
        case("GET /v1/messages/98304", "", 200, Op::Find { message: MessageId::new(98_304) }),
        case(
            "POST /v1/rooms/12/messages",
            r#"{"content": {"text": "Grüß Gott 👋🏽"}, "reply_to": 3, "mentions": [9], "meta": {"a": "b"}}"#,
            201,
            Op::Send {
                room: ROOM,
                client_id: key(),
                content: content.clone(),
                reply_to: Some(3),
                mentions: vec![OTHER],
                meta: BTreeMap::from([("a".into(), "b".into())]),
            },
        ),
        case("GET /v1/rooms/12/messages/31", "", 200, Op::Message { room: ROOM, seq: 31 }),
        case(
            "PUT /v1/rooms/12/messages/31",
            r#"{"content": {"text": "Grüß Gott 👋🏽"}, "revision": 0}"#,
            200,
            Op::Edit { room: ROOM, seq: 31, revision: Some(0), content, client_id: key() },
        ),
        case("DELETE /v1/rooms/12/messages/31", "", 204, Op::Delete { room: ROOM, seq: 31, client_id }),
        case("GET /v1/rooms/12/messages/31/revisions", "", 200, Op::Revisions { room: ROOM, seq: 31 }),
        case("PUT /v1/rooms/12/messages/31/reactions/%F0%9F%91%8D", "", 200, react(reaction("👍"))),
        case("PUT /v1/rooms/12/messages/31/reactions/a%2Fb", "", 200, react(reaction("a/b"))),
        case("PUT /v1/rooms/12/messages/31/reactions/+1", "", 200, react(reaction("+1"))),
        case("DELETE /v1/rooms/12/messages/31/reactions/%F0%9F%91%8D", "", 204, unreact(reaction("👍"))),
    ]
}

fn others() -> Vec<Case> {
    let ids = vec![OTHER, UserId::new(10)];
    vec![
        case("PUT /v1/rooms/12/read", r#"{"seq": 31}"#, 200, Op::Read { room: ROOM, seq: 31 }),
        case("PUT /v1/rooms/12/read", r#"{"seq": 31.0}"#, 200, Op::Read { room: ROOM, seq: 31 }),
        case("POST /v1/rooms/12/typing", r#"{"on": false}"#, 200, Op::Typing { room: ROOM, on: false }),
        case("GET /v1/stats", "", 200, Op::Stats { all_rooms: false }),
        case("GET /v1/presence?users=9,10", "", 200, Op::Whereabouts { users: ids.clone() }),
        case("GET /v1/presence?users=9%2C10", "", 200, Op::Whereabouts { users: ids.clone() }),
        case("PUT /v1/presence", r#"{"status": "do_not_disturb"}"#, 200, Op::Presence { status: Status::DoNotDisturb }),
        case("GET /v1/users?ids=9,10", "", 200, Op::Users { ids }),
        case("GET /v1/users/9", "", 200, Op::Users { ids: vec![OTHER] }),
    ]
}

/// The calls that have a body: method, path, a good body.
pub fn bodies() -> Vec<(&'static str, &'static str, &'static str)> {
    let all = [rooms(), members(), messages(), others()].into_iter().flatten();
    all.filter_map(|case| Some((case.method, case.path, case.body?))).collect()
}

#[tokio::test]
async fn each_route_asks_for_its_operation() {
    let gate = Gate::new().await;
    let table = rest::table(&all_dialects());
    let mut tried = BTreeSet::new();
    for case in [rooms(), members(), messages(), others()].into_iter().flatten() {
        let place = format!("{} {}", case.method, case.path);
        let Found::Route(route) = table.find(case.method, case.path.split('?').next().unwrap()) else {
            panic!("{place} is in no table")
        };
        let token = gate.bearer("user");
        let mut headers = vec![("authorization", token.as_str())];
        if route.route.keyed || case.method == "GET" {
            headers.push(("idempotency-key", "a key, 1"));
        }
        let got = gate.send_with(case.method, case.path, case.body, &headers).await;
        assert_eq!(got.status, case.status, "{place}: {:?}", got.body);
        let asked: Vec<_> = gate.node.asked.lock().unwrap().drain(..).collect();
        assert_eq!(asked.len(), 1, "{place}");
        assert_eq!((asked[0].0.user, &asked[0].1), (USER, &case.op), "{place}");
        assert_eq!(got.status == 204, got.body.is_empty(), "{place}");
        tried.insert(route.route.id);
    }
    let ops = rest::routes().filter(|r| matches!(r.action, Action::Op(_))).map(|r| r.id);
    let missing: Vec<_> = ops.filter(|id| !tried.contains(id)).collect();
    assert!(missing.is_empty(), "routes without a case: {missing:?}");
}

#[tokio::test]
async fn an_operation_without_a_key_has_none() {
    let gate = Gate::new().await;
    gate.send("POST", "/v1/rooms/12/archive", None).await;
    assert_eq!(gate.node.ops(), [Op::Archive { room: ROOM, client_id: None }]);
}

#[tokio::test]
async fn what_was_there_is_200_and_what_is_new_is_201() {
    let gate = Gate::new().await;
    gate.node.tell(Ok(Answer::Room(Box::new(room()))));
    assert_eq!(gate.send("POST", "/v1/rooms/direct", Some(r#"{"user": 9}"#)).await.status, 200);
    gate.node.tell(Ok(Answer::Opened(Box::new(room()))));
    let new = gate.send("POST", "/v1/rooms/direct", Some(r#"{"user": 9}"#)).await;
    assert_eq!((new.status, new.json()), (201, serde_json::to_value(room()).unwrap()));

    let message = Some(r#"{"content": {"text": "a"}}"#);
    gate.node.tell(Ok(done(true)));
    let again = gate.send("POST", "/v1/rooms/12/messages", message).await;
    assert_eq!((again.status, &again.json()["again"]), (200, &true.into()));
    gate.node.tell(Ok(done(false)));
    assert_eq!(gate.send("POST", "/v1/rooms/12/messages", message).await.status, 201);
}

#[tokio::test]
async fn already_is_a_success_where_http_is_idempotent() {
    let gate = Gate::new().await;
    let settled = [
        ("PUT", "/v1/rooms/12/messages/31/reactions/a", None),
        ("DELETE", "/v1/rooms/12/messages/31/reactions/a", None),
        ("PUT", "/v1/rooms/12/members/9/mute", None),
        ("DELETE", "/v1/rooms/12/members/9/mute", None),
        ("PUT", "/v1/rooms/12/bans/9", None),
        ("DELETE", "/v1/rooms/12/bans/9", None),
        ("PUT", "/v1/rooms/12/members/9/role", Some(r#"{"role": "admin"}"#)),
        ("DELETE", "/v1/rooms/12/invites/ab", None),
        ("DELETE", "/v1/rooms/12/members/9", None),
        ("DELETE", "/v1/rooms/12/messages/31", None),
    ];
    for (method, path, body) in settled {
        gate.node.tell(Err(Fault::already("it is so")));
        let got = gate.send(method, path, body).await;
        assert_eq!((got.status, got.body.len()), (204, 0), "{method} {path}");
    }
    gate.node.tell(Err(Fault::new(Code::Deleted, "it was deleted")));
    assert_eq!(gate.send("DELETE", "/v1/rooms/12/messages/31", None).await.status, 204);
    gate.node.tell(Err(Fault::new(Code::Deleted, "it was deleted")));
    gate.refused("PUT", "/v1/rooms/12/messages/31/reactions/a", None, 409).await;

    for (path, body) in [("/v1/rooms/12/archive", None), ("/v1/rooms/join", Some(r#"{"code": "a"}"#))] {
        gate.node.tell(Err(Fault::already("it is so")));
        assert_eq!(gate.refused("POST", path, body, 409).await.0, "already");
    }
    let unsettled = rest::routes().filter(|r| r.verb == Verb::Delete && !r.settled).count();
    assert_eq!(unsettled, 0);
}

#[tokio::test]
async fn a_user_who_is_not_there_is_not_found() {
    let gate = Gate::new().await;
    gate.node.tell(Ok(Answer::Users { users: vec![] }));
    assert_eq!(gate.refused("GET", "/v1/users/9", None, 404).await.0, "not_found");
}
