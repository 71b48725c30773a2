//! A node and accounts that record what they are asked, and answer with samples or as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use parlance::gateway::rest::accounts::{Accounts, Credentials, Login, MeChange, PasswordChange, Registration};
use parlance_actors::link::{Link, Receiver};
use parlance_actors::ports::store::StoreHealth;
use parlance_actors::service::{ActorView, Health, Service};
use parlance_schema::account::{MeView, Principal, Role, UserView};
use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::content::{Content, Part};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::event::Status;
use parlance_schema::frame::{Answer, InviteView, PageOf};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::op::Op;
use parlance_schema::view::{Done, MemberView, MessageView, PresenceView, RevisionView, RoomView};
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId, UserId};

/// The user of the token `user`.
pub const USER: UserId = UserId::new(7);

/// A node that records.
pub struct FakeNode {
    /// What was asked, and by whom.
    pub asked: Mutex<Vec<(Principal, Op)>>,
    /// What to answer next; a sample where nothing is told.
    pub told: Mutex<VecDeque<Result<Answer, Fault>>>,
    /// Whether it takes new work, and whether its store takes writes.
    pub state: Mutex<(bool, bool)>,
    /// Whether to panic at the next operation.
    pub panics: Mutex<bool>,
}

impl Default for FakeNode {
    fn default() -> Self {
        let state = Mutex::new((true, true));
        Self { asked: Mutex::default(), told: Mutex::default(), state, panics: Mutex::default() }
    }
}

impl FakeNode {
    /// Takes out what was asked.
    pub fn ops(&self) -> Vec<Op> {
        self.asked.lock().unwrap().drain(..).map(|(_, op)| op).collect()
    }

    /// Says what to answer next.
    pub fn tell(&self, answer: Result<Answer, Fault>) {
        self.told.lock().unwrap().push_back(answer);
    }
}

#[async_trait]
impl Service for FakeNode {
    async fn perform(&self, who: Principal, op: Op) -> Result<Answer, Fault> {
        assert!(!*self.panics.lock().unwrap(), "told to panic");
        let answer = self.told.lock().unwrap().pop_front().unwrap_or_else(|| Ok(sample(&op)));
        self.asked.lock().unwrap().push((who, op));
        answer
    }

    async fn connect(&self, _: Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        Err(Fault::busy("no connections here"))
    }

    fn next_session(&self) -> u64 {
        1
    }

    async fn actors(&self) -> Vec<ActorView> {
        let state = serde_json::json!({"members": 3});
        vec![ActorView { path: "rooms/17".into(), status: "running".into(), mailbox: 0, restarts: 1, state }]
    }

    async fn health(&self) -> Health {
        let (ready, writable) = *self.state.lock().unwrap();
        let store = StoreHealth { backend: "sqlite", writable, durability: "disk" };
        Health { ready, store, bus: "local".into() }
    }
}

/// Accounts that record.
#[derive(Default)]
pub struct FakeAccounts {
    /// What was asked, in words.
    pub asked: Mutex<Vec<String>>,
    /// What to refuse next.
    pub refuses: Mutex<Option<Fault>>,
}

impl FakeAccounts {
    fn note(&self, what: String) -> Result<(), Fault> {
        self.asked.lock().unwrap().push(what);
        self.refuses.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Accounts for FakeAccounts {
    async fn authenticate(&self, token: &str) -> Result<Principal, Fault> {
        let role = match token {
            "user" => Role::User,
            "admin" => Role::TenantAdmin,
            "super" => Role::SuperAdmin,
            "old" => return Err(Fault::new(Code::TokenExpired, "the token has expired")),
            "revoked" => return Err(Fault::new(Code::Revoked, "the token was revoked")),
            _ => return Err(Fault::unauthenticated("the token is not valid")),
        };
        Ok(Principal { user: USER, tenant: TENANT_DEFAULT, role })
    }

    async fn register(&self, form: Registration) -> Result<Login, Fault> {
        self.note(format!("register {} {:?} {:?}", form.username, form.email, form.full_name))?;
        Ok(login())
    }

    async fn login(&self, form: Credentials) -> Result<Login, Fault> {
        self.note(format!("login {}", form.username))?;
        Ok(login())
    }

    async fn refresh(&self, token: &str) -> Result<Login, Fault> {
        self.note(format!("refresh {token}"))?;
        Ok(login())
    }

    async fn logout(&self, token: &str) -> Result<(), Fault> {
        self.note(format!("logout {token}"))
    }

    async fn me(&self, who: Principal) -> Result<MeView, Fault> {
        self.note(format!("me {}", who.user))?;
        Ok(me())
    }

    async fn change_me(&self, who: Principal, change: MeChange) -> Result<MeView, Fault> {
        self.note(format!("change {} {:?} {:?}", who.user, change.full_name, change.email))?;
        Ok(me())
    }

    async fn change_password(&self, who: Principal, change: PasswordChange) -> Result<(), Fault> {
        self.note(format!("password {} {} {}", who.user, change.old_password, change.new_password))
    }

    async fn search(&self, who: Principal, text: &str) -> Result<Vec<UserView>, Fault> {
        self.note(format!("search {} {text}", who.user))?;
        Ok(vec![user(9)])
    }
}

fn login() -> Login {
    Login { user: me(), access_token: "a".into(), refresh_token: "r".into(), expires_in: 1_800 }
}

fn me() -> MeView {
    MeView { user: user(7), email: Some("amira@example.org".into()), role: Role::User, tenant: TENANT_DEFAULT }
}

/// A user.
pub fn user(id: u64) -> UserView {
    let (username, full_name) = (format!("user{id}"), "Амира أميرة".to_owned());
    UserView { id: UserId::new(id), username, full_name, is_active: true, created_at: 5, last_seen: None }
}

/// The answer to a command.
pub fn done(again: bool) -> Answer {
    Answer::Done(Done {
        room: RoomId::new(12),
        seq: 31,
        at: 1_790_000_000_000,
        id: Some(MessageId::new(98_304)),
        again,
    })
}

/// A room.
pub fn room() -> RoomView {
    RoomView {
        id: RoomId::new(12),
        kind: Kind::Group,
        name: "Sternfreunde".into(),
        peer: None,
        epoch: 5_501,
        last: 31,
        members: 3,
        role: Some(MemberRole::Owner),
        first: 1,
        read: 30,
        unread: 1,
        history: History::All,
        archived: false,
        created_at: 1,
        updated_at: 2,
        last_message: Some(message()),
    }
}

fn message() -> MessageView {
    let parts = vec![
        Part::Code { language: "rust".into(), text: "fn main() {}".into() },
        Part::Image { url: "https://example.org/a.png".into(), alt: "a".into() },
        Part::File { url: "https://example.org/a.txt".into(), name: "a".into(), mime: String::new(), size: 0 },
        Part::Data { mime: "text/csv".into(), text: "1,2".into() },
    ];
    MessageView {
        room: RoomId::new(12),
        seq: 31,
        id: MessageId::new(98_304),
        by: USER,
        at: 2,
        client_id: ClientId::new("a1").unwrap(),
        content: Some(Content { text: "Grüß Gott 👋🏽".into(), parts }),
        reply_to: Some(3),
        mentions: vec![UserId::new(8)],
        meta: BTreeMap::from([("lang".to_owned(), "de".to_owned())]),
        revision: 1,
        edited_at: Some(4),
        deleted_at: None,
        reactions: BTreeMap::from([("👍".to_owned(), vec![USER])]),
    }
}

fn entries() -> Vec<Entry> {
    let content = Some(Content::text("مرحبا"));
    let facts = [
        Fact::Created { kind: Kind::Group, name: "a".into(), members: vec![USER], history: History::SinceJoined },
        Fact::Posted {
            id: MessageId::new(1),
            content: content.clone(),
            reply_to: Some(1),
            mentions: vec![USER],
            meta: BTreeMap::new(),
        },
        Fact::Edited { target: 2, revision: 1, content },
        Fact::Deleted { target: 2 },
        Fact::Reacted { target: 2, emoji: "👍".into() },
        Fact::Left { heir: Some(USER) },
        Fact::Promoted { user: USER, role: MemberRole::Admin },
        Fact::Archived,
    ];
    let entry = |(at, fact)| Entry {
        seq: at + 1,
        at: 3,
        by: USER,
        client_id: ClientId::new("c").unwrap(),
        posts: 1,
        append: 77_123,
        fact,
    };
    (0..).zip(facts).map(entry).collect()
}

/// An answer of the kind that the operation has.
pub fn sample(op: &Op) -> Answer {
    match op {
        Op::Rooms => Answer::Rooms { rooms: vec![room()] },
        Op::Room { .. } => Answer::Room(Box::new(room())),
        Op::Create { .. } | Op::Direct { .. } => Answer::Opened(Box::new(room())),
        Op::Members { .. } => {
            let member = MemberView {
                user: USER,
                role: MemberRole::Owner,
                joined_at: 1,
                muted_until: Some(0),
                read: 30,
                status: Status::DoNotDisturb,
            };
            Answer::Members { members: vec![member] }
        }
        Op::Invite { .. } => {
            let (code, hash) = ("k3Jd0sPq".to_owned(), "ab".repeat(32));
            Answer::Invited(InviteView { room: RoomId::new(12), seq: 32, code, hash })
        }
        Op::Message { .. } => Answer::Message(Box::new(message())),
        Op::Messages { .. } => Answer::Messages(PageOf { items: vec![message()], more: true }),
        Op::Entries { .. } => Answer::Entries(PageOf { items: entries(), more: false }),
        Op::Revisions { .. } => {
            let revision = |revision, content| RevisionView { revision, at: 1, content };
            Answer::Revisions { revisions: vec![revision(0, Some(Content::text("a"))), revision(1, None)] }
        }
        Op::Whereabouts { .. } => {
            let view = PresenceView { user: USER, status: Status::Away, last_seen: None };
            Answer::Whereabouts { presence: vec![view] }
        }
        Op::Users { ids } => Answer::Users { users: ids.iter().map(|id| user(id.get())).collect() },
        Op::Read { .. } | Op::Typing { .. } | Op::Presence { .. } => Answer::Empty {},
        _ => done(false),
    }
}
