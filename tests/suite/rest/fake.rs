//! A node and accounts that record what they are asked, and answer with samples or as told.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use parlance::auth::{Accounts, KeyRing, Ports};
use parlance::config;
use parlance::store::Memory;
use parlance_actors::ids::Ids;
use parlance_actors::link::{Link, Receiver};
use parlance_actors::ports::bus::{RoomEvent, Sink, Subscription};
use parlance_actors::ports::store::StoreHealth;
use parlance_actors::ports::{Bus, Clock, Random};
use parlance_actors::service::{ActorView, After, ClusterHealth, Health, Service, What};
use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::content::{Content, Part};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::frame::{Answer, InviteView, PageOf};
use parlance_schema::limits::ID_MAX;
use parlance_schema::message::{MessageView, RevisionView};
use parlance_schema::node::{NodeId, NodeState};
use parlance_schema::notice::Notice;
use parlance_schema::op::Op;
use parlance_schema::user::Status;
use parlance_schema::user::{Principal, UserView};
use parlance_schema::view::{BanView, Done, MemberView, OpenInvite, PresenceView, RoomView, StatsView};
use parlance_schema::{ClientId, Fault, MessageId, Millis, RoomId, UserId};
use tokio::sync::Semaphore;

/// The account `user`.
pub const USER: UserId = UserId::new(1);

/// A node that records.
pub struct FakeNode {
    /// What was asked, and by whom.
    pub asked: Mutex<Vec<(Principal, Op)>>,
    /// What to answer next; a sample where nothing is told.
    pub told: Mutex<VecDeque<Result<Answer, Fault>>>,
    /// Whether it takes new work, and whether its store takes writes.
    pub state: Mutex<(bool, bool)>,
    /// How many ids have been given out of those that there are.
    pub ids_spent: AtomicU64,
    /// Whether to panic at the next operation.
    pub panics: Mutex<bool>,
    /// Where it is there, each operation waits for a permit of it.
    pub held: Mutex<Option<Arc<Semaphore>>>,
}

impl Default for FakeNode {
    fn default() -> Self {
        let state = Mutex::new((true, true));
        Self {
            asked: Mutex::default(),
            told: Mutex::default(),
            state,
            ids_spent: AtomicU64::default(),
            panics: Mutex::default(),
            held: Mutex::default(),
        }
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
        let held = self.held.lock().unwrap().clone();
        if let Some(held) = held {
            held.acquire().await.unwrap().forget();
        }
        let answer = self.told.lock().unwrap().pop_front().unwrap_or_else(|| Ok(sample(&op)));
        self.asked.lock().unwrap().push((who, op));
        answer
    }

    async fn connect(&self, _: Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        Err(Fault::busy("no connections here"))
    }

    async fn enter(&self, _: Arc<Link>, _: Option<After>) -> Result<Box<dyn Receiver>, Fault> {
        Err(Fault::busy("no connections here"))
    }

    async fn is_there(&self, _: Principal, _: What) -> Result<bool, Fault> {
        Ok(false)
    }

    fn next_session(&self) -> u64 {
        1
    }

    async fn actors(&self) -> Vec<ActorView> {
        let state = serde_json::json!({"members": 3});
        vec![ActorView { path: "rooms/17".into(), status: "running".into(), state }]
    }

    async fn health(&self) -> Health {
        let (ready, writable) = *self.state.lock().unwrap();
        let store = StoreHealth { backend: "sqlite", writable, durability: "disk" };
        let cluster = ClusterHealth {
            node: NodeId::single(),
            state: NodeState::Ready,
            connected: true,
            renewed: true,
            nodes: [(NodeId::single(), NodeState::Ready)].into(),
        };
        let ids_left = ID_MAX - self.ids_spent.load(Ordering::SeqCst);
        Health { ready, store, ids_left, bus: "local".into(), cluster }
    }
}

/// A clock that stands still until it is moved.
pub struct FakeClock(pub AtomicU64);

impl Clock for FakeClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

/// Numbers that are different, and always the same.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
    }
}

/// A bus with nobody on it.
struct NoBus;

impl Bus for NoBus {
    fn publish_room(&self, _: RoomId, _: RoomEvent) {}

    fn publish_user(&self, _: UserId, _: Notice) {}

    fn subscribe_room(&self, _: RoomId, _: Sink<RoomEvent>) -> Subscription {
        Box::new(())
    }

    fn subscribe_user(&self, _: UserId, _: Sink<Notice>) -> Subscription {
        Box::new(())
    }
}

/// Accounts in memory, whose passwords cost little.
pub fn accounts(clock: Arc<FakeClock>, data: &Path) -> Accounts {
    let random: Arc<dyn Random> = Arc::new(Counting::default());
    let store = Arc::new(Memory::new());
    let keys = KeyRing::open(data, &*random, clock.now()).unwrap();
    let ids = Arc::new(Ids::new(store.clone()));
    let config =
        config::Auth { argon2: config::Argon2 { memory_kib: 8, iterations: 1, lanes: 1 }, ..Default::default() };
    Accounts::new(Ports { store, clock, random, bus: Arc::new(NoBus) }, ids, keys, &config).unwrap()
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
        messages: 20,
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
        Fact::Created {
            tenant: parlance_schema::id::TENANT_DEFAULT,
            kind: Kind::Group,
            name: "a".into(),
            members: vec![USER],
            history: History::SinceJoined,
        },
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
    (0u64..).zip(facts).map(entry).collect()
}

/// An answer of the kind that the operation has.
pub fn sample(op: &Op) -> Answer {
    match op {
        Op::Rooms {} => Answer::Rooms { rooms: vec![room()] },
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
        Op::Bans { .. } => Answer::Bans { bans: vec![BanView { user: USER, seq: 31, until: Some(5) }] },
        Op::Invites { .. } => {
            let invite = OpenInvite { hash: "ab".repeat(32), by: USER, expires_at: Some(5), left: Some(2) };
            Answer::Invites { invites: vec![invite] }
        }
        Op::Invite { .. } => {
            let (code, hash) = ("k3Jd0sPq".to_owned(), "ab".repeat(32));
            Answer::Invited(InviteView { room: RoomId::new(12), seq: 32, code, hash })
        }
        Op::Stats { .. } => {
            Answer::Stats(StatsView { connections: 3, open_rooms: 1, per_room: [(RoomId::new(12), 2)].into() })
        }
        Op::Message { .. } | Op::Find { .. } => Answer::Message(Box::new(message())),
        Op::Messages { .. } => Answer::Messages(PageOf { items: vec![message()], more: true }),
        Op::Entries { .. } => {
            Answer::Entries(PageOf { items: entries().into_iter().map(Into::into).collect(), more: false })
        }
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
