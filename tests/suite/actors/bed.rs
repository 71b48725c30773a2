//! A node to test with.

mod client;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parlance::gateway::native::Json;
use parlance_actors::ids::Ids;
use parlance_actors::link::{Delivery, Link, ticks};
use parlance_actors::node::{self, Handle, Options, Ports};
use parlance_actors::ports::membership::SingleNode;
use parlance_actors::ports::store::{AccountStore, LogStore, Range};
use parlance_actors::ports::{Authority, Bus, Clock, Consumer, Membership, Random};
use parlance_actors::service::{After, Service};
use parlance_actors::wire::Wire;
use parlance_schema::entry::Entry;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Fault, Millis, RoomId, Seq, TenantId, UserId};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cluster::net::Net;
use super::faults::{Faulty, Lossy};
use super::session::account;

pub use client::Client;

/// What connections for one room get.
pub const BOUND: Delivery = Delivery { reads: true, announces: true, ends_on_removal: true, echoes: true };
pub const START: Millis = 1_790_000_000_000;
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
        Self::on(store, bus, membership, incarnation, (options, Vec::new())).await
    }

    /// A node on a store that is there already.
    pub async fn over(store: Arc<Faulty>, options: Options) -> Self {
        let lossy = Arc::new(Lossy::default());
        let bed = Self::on(store, lossy.clone(), Arc::new(SingleNode::new(1)), 7, (options, Vec::new())).await;
        Self { bus: lossy, ..bed }
    }

    /// A node, alone, that runs consumers; each start of it is another incarnation.
    pub async fn following(
        store: Arc<Faulty>,
        incarnation: u64,
        consumers: Vec<Arc<dyn Consumer>>,
        options: Options,
    ) -> Self {
        let lossy = Arc::new(Lossy::default());
        let membership = Arc::new(SingleNode::new(incarnation));
        let bed = Self::on(store, lossy.clone(), membership, incarnation, (options, consumers)).await;
        Self { bus: lossy, ..bed }
    }

    async fn on(
        store: Arc<Faulty>,
        bus: Arc<dyn Bus>,
        membership: Arc<dyn Membership>,
        seed: u64,
        (options, consumers): (Options, Vec<Arc<dyn Consumer>>),
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
            consumers,
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
