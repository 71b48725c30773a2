//! A node to test with, and clients that connect, ask, and check what they are pushed.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parlance::gateway::native::Json;
use parlance_actors::ids::Ids;
use parlance_actors::link::{Delivery, Link, Receiver, ticks};
use parlance_actors::node::{self, Handle, Options, Ports};
use parlance_actors::ports::membership::Alone;
use parlance_actors::ports::store::{AccountStore, LogStore, Range};
use parlance_actors::ports::{Authority, Bus, Clock, Membership, Random};
use parlance_actors::service::{After, Service};
use parlance_actors::wire::Wire;
use parlance_schema::account::{Principal, Role};
use parlance_schema::entry::Entry;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::{Fault, Millis, RoomId, Seq, TenantId, UserId};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::cluster::net::Net;
use super::faults::{Faulty, Lossy};
use super::session::{account, frames};

/// What connections for one room get.
pub const BOUND: Delivery = Delivery { reads: true, announces: true, ends_on_removal: true, echoes: true };
const START: Millis = 1_790_000_000_000;
/// When tokens expire that nobody renews.
pub const EXPIRES: Millis = START + 3_600_000;

/// A clock that moves with the runtime's, and random numbers that are the same each time.
pub struct Ticker {
    since: Instant,
    seed: AtomicU64,
}

impl Clock for Ticker {
    fn now(&self) -> Millis {
        START + self.since.elapsed().as_millis() as u64
    }
}

impl Random for Ticker {
    fn bits(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Whose a token is, is written in it: a user's number.
struct Naive;

#[async_trait]
impl Authority for Naive {
    async fn check(&self, token: &str, _: usize) -> Result<(Principal, Millis), Fault> {
        let id = token.parse().map_err(|_| Fault::unauthenticated("no such token"))?;
        Ok((principal(id), EXPIRES + 3_600_000))
    }
}

/// Users 1 to 99 are of the default tenant (90 reads only, 91 moderates it), 100 and on of tenant 2; 99 is the operator.
pub fn principal(id: u64) -> Principal {
    let role = match id {
        90 => Role::Readonly,
        91 => Role::TenantAdmin,
        99 => Role::SuperAdmin,
        _ => Role::User,
    };
    let tenant = if id < 100 { TENANT_DEFAULT } else { TenantId::new(2) };
    Principal { user: UserId::new(id), tenant, role }
}

/// A store in which users 1 to 120 are.
pub async fn populated() -> Arc<Faulty> {
    // The common origin of all links' clocks, before any test's clock moves.
    let _ = ticks();
    let store = Arc::new(Faulty::default());
    for id in 1..=120 {
        store.create_account(&account(principal(id), START)).await.unwrap();
    }
    store
}

pub struct Bed {
    pub store: Arc<Faulty>,
    pub bus: Arc<Lossy>,
    pub node: Handle,
}

impl Bed {
    pub async fn new() -> Self {
        Self::with(Options { commands_per_s: 0, ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        Self::over(populated().await, options).await
    }

    /// A node of a cluster.
    pub async fn join(store: Arc<Faulty>, net: &Arc<Net>, name: &str, incarnation: u64, options: Options) -> Self {
        let (bus, membership) = net.join(name, incarnation);
        Self::on(store, bus, membership, incarnation, options).await
    }

    /// A node on a store that is there already.
    pub async fn over(store: Arc<Faulty>, options: Options) -> Self {
        let lossy = Arc::new(Lossy::default());
        let bed = Self::on(store, lossy.clone(), Arc::new(Alone::new(1)), 7, options).await;
        Self { bus: lossy, ..bed }
    }

    async fn on(
        store: Arc<Faulty>,
        bus: Arc<dyn Bus>,
        membership: Arc<dyn Membership>,
        seed: u64,
        options: Options,
    ) -> Self {
        let _ = ticks();
        let ticker = Arc::new(Ticker { since: Instant::now(), seed: AtomicU64::new(seed) });
        let ports = Ports {
            store: store.clone(),
            bus,
            membership,
            clock: ticker.clone(),
            random: ticker,
            authority: Arc::new(Naive),
            ids: Arc::new(Ids::new(store.clone())),
        };
        Self { store, bus: Arc::default(), node: node::start(ports, options).await.unwrap() }
    }

    /// A client that has not said where it is.
    pub async fn connect(&self, id: u64) -> Client {
        let link = Link::new(self.node.next_session(), principal(id), Arc::new(Json), EXPIRES);
        let receiver = self.node.connect(link.clone()).await.unwrap();
        Client::new(id, link, receiver)
    }

    /// A client whose connection is for one room.
    pub async fn enter(&self, id: u64, room: u64, wire: Arc<dyn Wire>, after: Option<After>) -> Result<Client, Fault> {
        let link =
            Link::serving(Some(RoomId::new(room)), BOUND, self.node.next_session(), principal(id), wire, EXPIRES);
        let receiver = self.node.enter(link.clone(), after).await?;
        Ok(Client::new(id, link, receiver))
    }

    /// A client that gets what comes from now on.
    pub async fn client(&self, id: u64) -> Client {
        let mut client = self.connect(id).await;
        client.resume(json!({})).await;
        client
    }

    /// A request over no connection.
    pub async fn perform(&self, id: u64, op: Value) -> Result<Value, Fault> {
        let answer = self.node.perform(principal(id), serde_json::from_value(op).unwrap()).await?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    /// A group of `owner` and `members`.
    pub async fn group(&self, owner: u64, members: &[u64]) -> u64 {
        let create = json!({"op": "create", "kind": "group", "name": "Tea", "members": members});
        self.perform(owner, create).await.unwrap()["id"].as_u64().unwrap()
    }

    pub async fn log(&self, room: u64) -> Vec<Arc<Entry>> {
        let range = Range { from: 1, to: Seq::MAX >> 1, limit: usize::MAX, backwards: false };
        self.store.inner.entries(RoomId::new(room), range).await.unwrap()
    }

    /// What the messages in the log say, in order.
    pub async fn said(&self, room: u64) -> Vec<String> {
        let entries = self.log(room).await;
        let values = entries.iter().map(|entry| serde_json::to_value(&**entry).unwrap());
        values
            .filter(|e| e["fact"] == "posted")
            .map(|e| e["content"]["text"].as_str().unwrap_or("").to_owned())
            .collect()
    }

    /// The state that an actor shows of itself; null when there is none.
    pub async fn picture(&self, path: &str) -> Value {
        let actors = self.node.actors().await;
        actors.into_iter().find(|actor| actor.path == path).map_or(Value::Null, |actor| actor.state)
    }
}

/// Lets time pass, and all that is due in it happen.
pub async fn pass(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// Waits until something holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub fn send(room: u64, text: &str) -> Value {
    json!({"op": "send", "room": room, "content": {"text": text}})
}

pub fn send_as(room: u64, text: &str, client_id: &str) -> Value {
    json!({"op": "send", "room": room, "client_id": client_id, "content": {"text": text}})
}

pub struct Client {
    pub id: u64,
    pub link: Arc<Link>,
    pub receiver: Box<dyn Receiver>,
    pub n: u64,
    inbox: VecDeque<Value>,
    /// Everything that was pushed, in order.
    pub pushes: Vec<Value>,
    /// Replies by request: exactly one each.
    pub replies: BTreeMap<u64, Value>,
    /// The code with which the connection was closed.
    pub close: Option<u16>,
}

impl Client {
    fn new(id: u64, link: Arc<Link>, receiver: Box<dyn Receiver>) -> Self {
        let (inbox, pushes, replies) = (VecDeque::new(), Vec::new(), BTreeMap::new());
        Self { id, link, receiver, n: 0, inbox, pushes, replies, close: None }
    }

    /// Waits until so many frames of a wire that has no pushes were sent.
    pub async fn frames(&mut self, count: usize) -> &[Value] {
        while self.pushes.len() < count {
            self.read().await;
        }
        &self.pushes
    }

    /// Asks for something; its reply comes under the number returned.
    pub fn tell(&mut self, mut op: Value) -> u64 {
        self.n += 1;
        op["n"] = self.n.into();
        self.receiver.message(&self.link, true, op.to_string().as_bytes());
        self.n
    }

    pub async fn reply(&mut self, n: u64) -> Value {
        loop {
            if let Some(reply) = self.replies.get(&n) {
                return reply.clone();
            }
            self.read().await;
        }
    }

    /// Asks and waits for a good answer.
    pub async fn ask(&mut self, op: Value) -> Value {
        let n = self.tell(op.clone());
        let reply = self.reply(n).await;
        assert!(reply.get("ok").is_some(), "{op}: {reply}");
        reply["ok"].clone()
    }

    /// Asks and waits for a refusal; its code.
    pub async fn refused(&mut self, op: Value) -> String {
        let n = self.tell(op.clone());
        let reply = self.reply(n).await;
        reply["fault"]["code"].as_str().unwrap_or_else(|| panic!("{op} was done: {reply}")).to_owned()
    }

    pub async fn resume(&mut self, positions: Value) -> Value {
        self.ask(json!({"op": "resume", "positions": positions})).await["resumed"].clone()
    }

    /// Waits for at least one frame, and takes all that are there.
    async fn read(&mut self) {
        let link = self.link.clone();
        let there = poll_fn(|context| {
            link.register(context.waker());
            if link.queued_bytes() > 0 || link.is_closed() { Poll::Ready(()) } else { Poll::Pending }
        });
        let waited = timeout(Duration::from_secs(120), there).await;
        assert!(waited.is_ok(), "client {} waits in vain; it has {:?}", self.id, self.pushes.last());
        assert!(self.drain() > 0 || self.close.is_none(), "client {} was closed: {:?}", self.id, self.close);
    }

    /// Takes all frames that are queued, as a socket does that writes at once. Says how many.
    pub fn drain(&mut self) -> usize {
        let (mut written, mut count) = (0, 0);
        loop {
            let mut frames = VecDeque::new();
            let taken = self.link.take(written, &mut frames);
            if taken.catch_up {
                self.receiver.drained(&self.link);
            }
            written = frames.iter().map(Bytes::len).sum();
            frames.iter().for_each(|frame| self.unpack(frame));
            while let Some(value) = self.inbox.pop_front() {
                count += 1;
                self.sort(value);
            }
            if written == 0 {
                return count;
            }
        }
    }

    fn unpack(&mut self, bytes: &[u8]) {
        for (opcode, payload) in frames(bytes) {
            match opcode {
                1 => self.inbox.push_back(serde_json::from_slice(payload).unwrap()),
                8 => self.close = Some(u16::from_be_bytes([payload[0], payload[1]])),
                9 => self.inbox.push_back(json!({"push": "ping"})),
                other => panic!("a frame with opcode {other}"),
            }
        }
    }

    fn sort(&mut self, value: Value) {
        match value["re"].as_u64() {
            Some(n) => {
                let second = self.replies.insert(n, value);
                assert!(second.is_none(), "request {n} was answered twice");
            }
            None => self.pushes.push(value),
        }
    }

    /// The numbers of a room's entries that were pushed.
    pub fn seqs(&self, room: u64) -> Vec<u64> {
        self.entries(room).map(|entry| entry["seq"].as_u64().unwrap()).collect()
    }

    pub fn entries(&self, room: u64) -> impl Iterator<Item = &Value> {
        let of = move |push: &&Value| push["push"] == "entry" && push["room"] == room;
        self.pushes.iter().filter(of).map(|push| &push["entry"])
    }

    /// Pushes of a kind.
    pub fn pushed(&self, kind: &str) -> Vec<&Value> {
        self.pushes.iter().filter(|push| push["push"] == kind).collect()
    }

    /// Waits until a room's entry with this number was pushed, and checks that all came once and in order.
    pub async fn reach(&mut self, room: u64, seq: u64) {
        while self.seqs(room).last().is_none_or(|last| *last < seq) {
            self.read().await;
        }
        self.contiguous(room);
    }

    pub fn contiguous(&self, room: u64) {
        let seqs = self.seqs(room);
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "client {} got {seqs:?}", self.id);
    }

    /// Waits for a push of a kind.
    pub async fn push(&mut self, kind: &str) -> Value {
        while self.pushed(kind).is_empty() {
            self.read().await;
        }
        self.pushed(kind)[0].clone()
    }

    /// Waits until the connection is closed; the code.
    pub async fn closed(&mut self) -> u16 {
        while self.close.is_none() {
            self.read_or_close().await;
        }
        self.close.unwrap_or(0)
    }

    async fn read_or_close(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(600);
        while self.drain() == 0 && self.close.is_none() {
            assert!(Instant::now() < deadline, "never closed");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a client keeps of a room between connections.
    pub fn position(&self, room: u64) -> Value {
        let last = self.entries(room).last().unwrap();
        json!({"epoch": 1, "seq": last["seq"], "append": last["append"]})
    }

    /// Goes away.
    pub fn leave(mut self) -> Vec<Value> {
        self.link.gone();
        self.receiver.closed(&self.link);
        self.pushes
    }
}
