//! The table: one row for each route and each operation of the WebSocket, with what everybody may and may not.
//!
//! `{name}` in a path and `"$name"` in a query, a body or an operation stand for a value of the scene (`scene.rs`). A path's
//! parameter takes the value of its own name, or the one that `with` names.

use super::grid::*;

/// A route (`METHOD path`), or operations that have none (empty), and all that is tried there.
pub struct Row {
    pub route: &'static str,
    pub cases: &'static [Case],
}

/// One way to ask, and who may.
pub struct Case {
    pub about: &'static str,
    pub grid: &'static Grid,
    pub query: &'static str,
    pub body: Option<&'static str>,
    pub op: Option<&'static str>,
    /// Path parameters that take another value than that of their name.
    pub with: &'static [(&'static str, &'static str)],
    /// Where `s` and `h` look: the lists' field, the field of an item, and the value in question.
    pub shown: (&'static str, &'static str, &'static str),
    /// Whether being done changes something.
    pub changes: bool,
    /// Whether the room is archived.
    pub archived: bool,
}

const fn reads(about: &'static str, grid: &'static Grid) -> Case {
    Case {
        about,
        grid,
        query: "",
        body: None,
        op: None,
        with: &[],
        shown: ("", "", ""),
        changes: false,
        archived: false,
    }
}

const fn changes(about: &'static str, grid: &'static Grid) -> Case {
    let mut case = reads(about, grid);
    case.changes = true;
    case
}

impl Case {
    const fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    const fn body(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }

    const fn op(mut self, op: &'static str) -> Self {
        self.op = Some(op);
        self
    }

    const fn with(mut self, with: &'static [(&'static str, &'static str)]) -> Self {
        self.with = with;
        self
    }

    const fn shown(mut self, list: &'static str, field: &'static str, value: &'static str) -> Self {
        self.shown = (list, field, value);
        self
    }

    const fn archived(mut self) -> Self {
        self.archived = true;
        self
    }
}

const fn row(route: &'static str, cases: &'static [Case]) -> Row {
    Row { route, cases }
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [ACCOUNTS, LISTS, IN_ROOMS, MEMBERSHIP, MESSAGES, CHAT_SERVICE, CHATS, OTHERS].into_iter().flatten()
}

const ACCOUNTS: &[Row] = &[
    row(
        "POST /v1/auth/register",
        &[
            changes("a new name", &ALL).body(r#"{"username": "$fresh", "password": "correct horse"}"#),
            reads("a taken name", &TAKEN).body(r#"{"username": "$name", "password": "correct horse"}"#),
        ],
    ),
    row(
        "POST /v1/auth/login",
        &[
            changes("a good password", &ALL).body(r#"{"username": "guest", "password": "correct horse"}"#),
            reads("a wrong password", &WRONG).body(r#"{"username": "guest", "password": "battery staple"}"#),
            reads("a disabled account", &WRONG).body(r#"{"username": "disabled", "password": "correct horse"}"#),
            reads("another tenant's name", &WRONG).body(r#"{"username": "abroad", "password": "correct horse"}"#),
            changes("the tenant is named", &ALL)
                .body(r#"{"username": "abroad", "password": "correct horse", "tenant": 2}"#),
        ],
    ),
    row(
        "POST /v1/auth/refresh",
        &[
            changes("a good token", &ALL).body(r#"{"refresh_token": "$refresh"}"#),
            reads("no token of ours", &NO_TOKEN).body(r#"{"refresh_token": "rubbish"}"#),
        ],
    ),
    row(
        "POST /v1/auth/logout",
        &[
            changes("a good token", &ALL).body(r#"{"refresh_token": "$refresh"}"#),
            reads("no token of ours", &NO_TOKEN).body(r#"{"refresh_token": "rubbish"}"#),
        ],
    ),
    row("GET /v1/me", &[reads("", &ALL)]),
    row("PATCH /v1/me", &[changes("", &ALL).body(r#"{"full_name": "Somebody Else"}"#)]),
    row("GET /v1/admin/actors", &[reads("", &SUPER)]),
    row("GET /", &[reads("", &ALL)]),
    row("GET /openapi.json", &[reads("", &ALL)]),
    row("GET /health", &[reads("", &ALL)]),
    row("GET /health/live", &[reads("", &ALL)]),
    row("GET /health/ready", &[reads("", &ALL)]),
    row("GET /metrics", &[reads("", &ALL)]),
];

const LISTS: &[Row] = &[
    row("GET /v1/rooms", &[reads("", &LISTED).op(r#"{"op": "rooms"}"#).shown("rooms", "id", "room")]),
    row(
        "POST /v1/rooms",
        &[
            changes("a group", &WRITERS)
                .body(r#"{"kind": "group", "name": "New"}"#)
                .op(r#"{"op": "create", "kind": "group", "name": "New"}"#),
            changes("a conversation", &WRITERS)
                .body(r#"{"kind": "conversation", "name": "New"}"#)
                .op(r#"{"op": "create", "kind": "conversation", "name": "New"}"#),
            changes("with somebody", &OPEN_WITH)
                .body(r#"{"kind": "group", "name": "New", "members": ["$user"]}"#)
                .op(r#"{"op": "create", "kind": "group", "name": "New", "members": ["$user"]}"#),
        ],
    ),
    row(
        "POST /v1/rooms/direct",
        &[changes("", &DIRECT).body(r#"{"user": "$user"}"#).op(r#"{"op": "direct", "user": "$user"}"#)],
    ),
    row(
        "GET /v1/users",
        &[
            reads("by id", &FOUND)
                .query("ids=$user")
                .op(r#"{"op": "users", "ids": ["$user"]}"#)
                .shown("users", "id", "user"),
            reads("by name", &FOUND).query("q=$username").shown("users", "id", "user"),
        ],
    ),
    row("GET /v1/stats", &[reads("", &ALL).op(r#"{"op": "stats"}"#)]),
    row("GET /v1/users/{user}", &[reads("", &SEEN)]),
    row(
        "GET /v1/presence",
        &[reads("", &PRESENT)
            .query("users=$user")
            .op(r#"{"op": "whereabouts", "users": ["$user"]}"#)
            .shown("presence", "user", "user")],
    ),
    row(
        "PUT /v1/presence",
        &[changes("", &ALL).body(r#"{"status": "away"}"#).op(r#"{"op": "presence", "status": "away"}"#)],
    ),
];

const IN_ROOMS: &[Row] = &[
    row("GET /v1/rooms/{room}", &[reads("", &READ).op(r#"{"op": "room", "room": "$room"}"#)]),
    row(
        "PATCH /v1/rooms/{room}",
        &[
            changes("the name", &STAFF)
                .body(r#"{"name": "Renamed"}"#)
                .op(r#"{"op": "rename", "room": "$room", "name": "Renamed"}"#),
            changes("what is shown", &OWNER)
                .body(r#"{"history": "since_joined"}"#)
                .op(r#"{"op": "configure", "room": "$room", "history": "since_joined"}"#),
            changes("the name of an archived one", &CLOSED)
                .archived()
                .body(r#"{"name": "Renamed"}"#)
                .op(r#"{"op": "rename", "room": "$room", "name": "Renamed"}"#),
        ],
    ),
    row("POST /v1/rooms/{room}/archive", &[changes("", &OWNER).op(r#"{"op": "archive", "room": "$room"}"#)]),
    row(
        "POST /v1/rooms/{room}/unarchive",
        &[
            changes("an archived one", &OWNER).archived().op(r#"{"op": "unarchive", "room": "$room"}"#),
            changes("an open one", &OPEN_ALREADY).op(r#"{"op": "unarchive", "room": "$room"}"#),
        ],
    ),
    row("GET /v1/rooms/{room}/entries", &[reads("", &READ).op(r#"{"op": "entries", "room": "$room"}"#)]),
    row(
        "PUT /v1/rooms/{room}/read",
        &[changes("", &MEMBERS).body(r#"{"seq": 1}"#).op(r#"{"op": "read", "room": "$room", "seq": 1}"#)],
    ),
    row(
        "POST /v1/rooms/{room}/typing",
        &[
            changes("", &WRITE).body(r#"{"on": true}"#).op(r#"{"op": "typing", "room": "$room", "on": true}"#),
            changes("in an archived one", &CLOSED)
                .archived()
                .body(r#"{"on": true}"#)
                .op(r#"{"op": "typing", "room": "$room", "on": true}"#),
        ],
    ),
];

const MEMBERSHIP: &[Row] = &[
    row("GET /v1/rooms/{room}/members", &[reads("", &READ).op(r#"{"op": "members", "room": "$room"}"#)]),
    row(
        "POST /v1/rooms/{room}/members",
        &[
            changes("of the room's tenant", &STAFF)
                .body(r#"{"users": ["$newcomer"]}"#)
                .op(r#"{"op": "add", "room": "$room", "users": ["$newcomer"]}"#),
            changes("of another tenant", &NOBODY)
                .body(r#"{"users": ["$foreigner"]}"#)
                .op(r#"{"op": "add", "room": "$room", "users": ["$foreigner"]}"#),
            changes("one who is banned", &ADD_BANNED)
                .body(r#"{"users": ["$outcast"]}"#)
                .op(r#"{"op": "add", "room": "$room", "users": ["$outcast"]}"#),
        ],
    ),
    row(
        "DELETE /v1/rooms/{room}/members/{user}",
        &[
            changes("oneself", &LEAVE).with(&[("user", "me")]).op(r#"{"op": "leave", "room": "$room"}"#),
            changes("a member", &STAFF)
                .with(&[("user", "victim")])
                .op(r#"{"op": "kick", "room": "$room", "user": "$victim"}"#),
            changes("an admin", &OWNER)
                .with(&[("user", "deputy")])
                .op(r#"{"op": "kick", "room": "$room", "user": "$deputy"}"#),
            changes("who is not in it", &STAFF_NOBODY)
                .with(&[("user", "newcomer")])
                .op(r#"{"op": "kick", "room": "$room", "user": "$newcomer"}"#),
        ],
    ),
    row(
        "PUT /v1/rooms/{room}/members/{user}/role",
        &[
            changes("an admin", &OWNER)
                .with(&[("user", "victim")])
                .body(r#"{"role": "admin"}"#)
                .op(r#"{"op": "promote", "room": "$room", "user": "$victim", "role": "admin"}"#),
            changes("the owner", &OWNER)
                .with(&[("user", "victim")])
                .body(r#"{"role": "owner"}"#)
                .op(r#"{"op": "promote", "room": "$room", "user": "$victim", "role": "owner"}"#),
            changes("who is not in it", &OWNER_NOBODY)
                .with(&[("user", "newcomer")])
                .body(r#"{"role": "admin"}"#)
                .op(r#"{"op": "promote", "room": "$room", "user": "$newcomer", "role": "admin"}"#),
        ],
    ),
    row(
        "PUT /v1/rooms/{room}/members/{user}/mute",
        &[
            changes("a member", &STAFF)
                .with(&[("user", "victim")])
                .op(r#"{"op": "mute", "room": "$room", "user": "$victim"}"#),
            changes("an admin", &OWNER)
                .with(&[("user", "deputy")])
                .op(r#"{"op": "mute", "room": "$room", "user": "$deputy"}"#),
            changes("who is not in it", &STAFF_NOBODY)
                .with(&[("user", "newcomer")])
                .op(r#"{"op": "mute", "room": "$room", "user": "$newcomer"}"#),
        ],
    ),
    row(
        "DELETE /v1/rooms/{room}/members/{user}/mute",
        &[
            changes("a muted member", &STAFF)
                .with(&[("user", "hushed")])
                .op(r#"{"op": "unmute", "room": "$room", "user": "$hushed"}"#),
            changes("who is not in it", &STAFF_NOBODY)
                .with(&[("user", "newcomer")])
                .op(r#"{"op": "unmute", "room": "$room", "user": "$newcomer"}"#),
        ],
    ),
    row(
        "PUT /v1/rooms/{room}/bans/{user}",
        &[
            changes("a member", &STAFF)
                .with(&[("user", "victim")])
                .op(r#"{"op": "ban", "room": "$room", "user": "$victim"}"#),
            changes("an admin", &OWNER)
                .with(&[("user", "deputy")])
                .op(r#"{"op": "ban", "room": "$room", "user": "$deputy"}"#),
            changes("who is not in it", &STAFF)
                .with(&[("user", "newcomer")])
                .op(r#"{"op": "ban", "room": "$room", "user": "$newcomer"}"#),
        ],
    ),
    row(
        "DELETE /v1/rooms/{room}/bans/{user}",
        &[changes("", &STAFF)
            .with(&[("user", "outcast")])
            .op(r#"{"op": "unban", "room": "$room", "user": "$outcast"}"#)],
    ),
    row("GET /v1/rooms/{room}/bans", &[reads("", &STAFF_READS).op(r#"{"op": "bans", "room": "$room"}"#)]),
    row("GET /v1/rooms/{room}/invites", &[reads("", &STAFF_READS).op(r#"{"op": "invites", "room": "$room"}"#)]),
    row("POST /v1/rooms/{room}/invites", &[changes("", &STAFF).op(r#"{"op": "invite", "room": "$room"}"#)]),
    row(
        "DELETE /v1/rooms/{room}/invites/{hash}",
        &[changes("", &STAFF).op(r#"{"op": "uninvite", "room": "$room", "hash": "$hash"}"#)],
    ),
    row(
        "POST /v1/rooms/join",
        &[changes("", &JOIN).body(r#"{"code": "$code"}"#).op(r#"{"op": "join", "code": "$code"}"#)],
    ),
];

const MESSAGES: &[Row] = &[
    row("GET /v1/rooms/{room}/messages", &[reads("", &READ).op(r#"{"op": "messages", "room": "$room"}"#)]),
    row(
        "POST /v1/rooms/{room}/messages",
        &[
            changes("", &WRITE)
                .body(r#"{"content": {"text": "a word"}}"#)
                .op(r#"{"op": "send", "room": "$room", "content": {"text": "a word"}}"#),
            changes("into an archived one", &CLOSED)
                .archived()
                .body(r#"{"content": {"text": "a word"}}"#)
                .op(r#"{"op": "send", "room": "$room", "content": {"text": "a word"}}"#),
        ],
    ),
    row(
        "GET /v1/rooms/{room}/messages/{seq}",
        &[reads("", &READ).with(&[("seq", "theirs")]).op(r#"{"op": "message", "room": "$room", "seq": "$theirs"}"#)],
    ),
    row(
        "GET /v1/messages/{message}",
        &[reads("", &READ).with(&[("message", "their_id")]).op(r#"{"op": "find", "message": "$their_id"}"#)],
    ),
    row(
        "PUT /v1/rooms/{room}/messages/{seq}",
        &[
            changes("one's own", &WRITE)
                .with(&[("seq", "mine")])
                .body(r#"{"content": {"text": "another word"}}"#)
                .op(r#"{"op": "edit", "room": "$room", "seq": "$mine", "content": {"text": "another word"}}"#),
            changes("somebody else's", &EDIT_ANOTHERS)
                .with(&[("seq", "theirs")])
                .body(r#"{"content": {"text": "another word"}}"#)
                .op(r#"{"op": "edit", "room": "$room", "seq": "$theirs", "content": {"text": "another word"}}"#),
        ],
    ),
    row(
        "DELETE /v1/rooms/{room}/messages/{seq}",
        &[
            changes("one's own", &DELETE_OWN)
                .with(&[("seq", "mine")])
                .op(r#"{"op": "delete", "room": "$room", "seq": "$mine"}"#),
            changes("somebody else's", &STAFF)
                .with(&[("seq", "theirs")])
                .op(r#"{"op": "delete", "room": "$room", "seq": "$theirs"}"#),
        ],
    ),
    row(
        "GET /v1/rooms/{room}/messages/{seq}/revisions",
        &[reads("", &READ).with(&[("seq", "theirs")]).op(r#"{"op": "revisions", "room": "$room", "seq": "$theirs"}"#)],
    ),
    row(
        "PUT /v1/rooms/{room}/messages/{seq}/reactions/{emoji}",
        &[changes("", &WRITE)
            .with(&[("seq", "theirs"), ("emoji", "heart")])
            .op(r#"{"op": "react", "room": "$room", "seq": "$theirs", "emoji": "$heart"}"#)],
    ),
    row(
        "DELETE /v1/rooms/{room}/messages/{seq}/reactions/{emoji}",
        &[changes("", &TAKE_BACK)
            .with(&[("seq", "theirs"), ("emoji", "thumb")])
            .op(r#"{"op": "unreact", "room": "$room", "seq": "$theirs", "emoji": "$thumb"}"#)],
    ),
];

const CHAT_SERVICE: &[Row] = &[
    row(
        "POST /api/v1/users/register",
        &[
            changes("a new name", &ALL)
                .body(r#"{"username": "$fresh", "email": "$fresh_mail", "password": "correct horse"}"#),
            reads("a taken name", &TAKEN)
                .body(r#"{"username": "$name", "email": "$fresh_mail", "password": "correct horse"}"#),
        ],
    ),
    row(
        "POST /api/v1/users/login",
        &[
            reads("a wrong password", &WRONG).body(r#"{"username": "guest", "password": "battery staple"}"#),
            reads("a disabled account", &WRONG).body(r#"{"username": "disabled", "password": "correct horse"}"#),
            reads("another tenant's name", &WRONG).body(r#"{"username": "abroad", "password": "correct horse"}"#),
            changes("a good password", &ALL).body(r#"{"username": "guest", "password": "correct horse"}"#),
        ],
    ),
    row("GET /api/v1/users/me", &[reads("", &ALL)]),
    row(
        "PUT /api/v1/users/me",
        &[
            changes("the name", &ALL).body(r#"{"full_name": "Somebody Else"}"#),
            reads("a wrong old password", &WRONG)
                .body(r#"{"old_password": "battery staple", "new_password": "correct staple"}"#),
        ],
    ),
    row("GET /api/v1/users/search", &[reads("", &FOUND).query("q=$username").shown("items", "id", "user")]),
    row("GET /api/v1/users/{user_id}", &[reads("", &SEEN).with(&[("user_id", "user")])]),
    row("GET /api/v1/ws/stats", &[reads("", &ALL)]),
    row("GET /api/v1/info", &[reads("", &ALL)]),
];

const CHATS: &[Row] = &[
    row(
        "POST /api/v1/chats/",
        &[
            changes("a group", &WRITERS).body(r#"{"chat_type": "group", "name": "New"}"#),
            changes("with somebody", &OPEN_WITH)
                .body(r#"{"chat_type": "group", "name": "New", "participant_ids": ["$user"]}"#),
            changes("a direct one", &DIRECT).body(r#"{"chat_type": "direct", "participant_ids": ["$user"]}"#),
        ],
    ),
    row("GET /api/v1/chats/", &[reads("", &LISTED).shown("items", "id", "room")]),
    row("GET /api/v1/chats/{chat_id}", &[reads("", &READ).with(&[("chat_id", "room")])]),
    row(
        "PUT /api/v1/chats/{chat_id}",
        &[changes("", &STAFF).with(&[("chat_id", "room")]).body(r#"{"name": "Renamed"}"#)],
    ),
    row("DELETE /api/v1/chats/{chat_id}", &[changes("", &LEAVE).with(&[("chat_id", "room")])]),
    row("GET /api/v1/chats/{chat_id}/participants", &[reads("", &READ).with(&[("chat_id", "room")])]),
    row(
        "POST /api/v1/chats/{chat_id}/participants",
        &[
            changes("of the chat's tenant", &STAFF).with(&[("chat_id", "room")]).body(r#"{"user_ids": ["$newcomer"]}"#),
            changes("of another tenant", &NOBODY).with(&[("chat_id", "room")]).body(r#"{"user_ids": ["$foreigner"]}"#),
            changes("one who is banned", &ADD_BANNED)
                .with(&[("chat_id", "room")])
                .body(r#"{"user_ids": ["$outcast"]}"#),
        ],
    ),
    row(
        "DELETE /api/v1/chats/{chat_id}/participants",
        &[
            changes("oneself", &LEAVE).with(&[("chat_id", "room")]).query("user_id=$me"),
            changes("a member", &STAFF).with(&[("chat_id", "room")]).query("user_id=$victim"),
            changes("an admin", &OWNER).with(&[("chat_id", "room")]).body(r#"{"user_id": "$deputy"}"#),
        ],
    ),
    row("GET /api/v1/ws/chat/{chat_id}/online", &[reads("", &READ).with(&[("chat_id", "room")])]),
    row(
        "POST /api/v1/messages/",
        &[
            changes("", &WRITE).body(r#"{"chat_id": "$room", "content": "a word"}"#),
            changes("into an archived one", &CLOSED).archived().body(r#"{"chat_id": "$room", "content": "a word"}"#),
        ],
    ),
    // What is shown counts as read.
    row("GET /api/v1/messages/chat/{chat_id}", &[changes("", &READ).with(&[("chat_id", "room")])]),
    row(
        "PUT /api/v1/messages/{message_id}",
        &[
            changes("one's own", &WRITE).with(&[("message_id", "my_id")]).body(r#"{"content": "another word"}"#),
            changes("somebody else's", &EDIT_ANOTHERS)
                .with(&[("message_id", "their_id")])
                .body(r#"{"content": "another word"}"#),
        ],
    ),
    row(
        "DELETE /api/v1/messages/{message_id}",
        &[
            changes("one's own", &DELETE_OWN).with(&[("message_id", "my_id")]),
            changes("somebody else's", &STAFF).with(&[("message_id", "their_id")]),
        ],
    ),
];

/// What only sockets have, and what ends a caller's tokens, which therefore comes last.
const OTHERS: &[Row] = &[
    row("", &[reads("", &ALL).op(r#"{"op": "ping"}"#)]),
    row(
        "",
        &[
            reads("one's own", &ALL).op(r#"{"op": "token", "token": "$token"}"#),
            reads("another's", &FORBIDDEN).op(r#"{"op": "token", "token": "$anothers_token"}"#),
            reads("one that has expired", &EXPIRED).op(r#"{"op": "token", "token": "$expired_token"}"#),
            reads("no token of ours", &NO_TOKEN).op(r#"{"op": "token", "token": "rubbish"}"#),
        ],
    ),
    row(
        "",
        &[reads("a status that nobody gives themselves", &INVALID).op(r#"{"op": "presence", "status": "offline"}"#)],
    ),
    row(
        "",
        &[reads("", &LISTED)
            .op(r#"{"op": "resume", "positions": {"$room": {"epoch": 1, "seq": 1}}}"#)
            .shown("resumed", "room", "room")],
    ),
    row(
        "PUT /v1/me/password",
        &[
            reads("a wrong old password", &WRONG)
                .body(r#"{"old_password": "battery staple", "new_password": "correct staple"}"#),
            changes("the right one", &ALL)
                .body(r#"{"old_password": "correct horse", "new_password": "correct staple"}"#),
        ],
    ),
];
