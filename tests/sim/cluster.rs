//! The simulated nodes: real actors over simulated ports, started, killed, stopped for a while, and started again.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ids::Ids;
use parlance_actors::node::{self, Handle, Options, Ports};
use parlance_actors::ports::store::IdKind;
use parlance_actors::ports::{Authority, Clock, Consumer, Random};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Fault, Millis, RoomId, Seq, UserId};
use tokio::time::Instant;

use super::bus::{BusFaults, Fabric};
use super::consumer::{Destination, Simulated};
use super::disk::Disk;
use super::gate::Gate;
use super::journal::Journal;
use super::leases::{LeaseSeat, Leases};
use super::rng::Rng;
use super::session::account;
use super::store::{Store, StoreFaults};

const START: Millis = 1_790_000_000_000;
/// No clock of a simulated node ever gets so far.
pub const EXPIRES: Millis = START + 365 * 24 * 3_600_000;
/// Who reads all logs in the end, without being a member.
pub const MODERATOR: u64 = 99;

pub fn principal(user: u64) -> Principal {
    let role = if user == MODERATOR { Role::SuperAdmin } else { Role::User };
    Principal { user: UserId::new(user), tenant: TENANT_DEFAULT, role }
}

/// A node's wall clock, which may be wrong.
struct Wall {
    since: Instant,
    gate: Arc<Gate>,
}

/// What a right clock shows in a run that began then.
fn right(since: Instant) -> Millis {
    START + since.elapsed().as_millis() as u64
}

impl Clock for Wall {
    fn now(&self) -> Millis {
        right(self.since).saturating_add_signed(self.gate.skew_ms.load(SeqCst))
    }
}

struct Dice(Rng);

impl Random for Dice {
    fn bits(&self) -> u64 {
        self.0.bits()
    }
}

struct Nobody;

#[async_trait]
impl Authority for Nobody {
    async fn check(&self, _: &str, _: usize) -> Result<(Principal, Millis), Fault> {
        Err(Fault::unauthenticated("tokens have no part in the simulation"))
    }
}

/// One start of a node.
pub struct Node {
    pub at: usize,
    pub gate: Arc<Gate>,
    pub handle: Handle,
    pub seat: Arc<LeaseSeat>,
    /// Whether it is told to stop: no client should come here.
    pub leaving: std::sync::atomic::AtomicBool,
}

pub struct Cluster {
    pub journal: Arc<Journal>,
    pub disk: Arc<Disk>,
    pub fabric: Arc<Fabric>,
    pub leases: Arc<Leases>,
    pub options: Options,
    pub nodes: usize,
    /// How the store misbehaves, seen from all nodes.
    pub store_faults: Arc<Mutex<StoreFaults>>,
    /// Where consumers give entries to.
    pub destination: Arc<Destination>,
    /// The consumers that each node's settings name; some only from its second start on.
    follows: Vec<Vec<(String, bool)>>,
    booted: Mutex<Vec<bool>>,
    running: Mutex<Vec<Option<Arc<Node>>>>,
    rng: Rng,
    began: Instant,
}

/// Which consumers each node's settings name: one all nodes have, one that some lack, one that comes later.
fn follows(nodes: usize, rng: &Rng) -> Vec<Vec<(String, bool)>> {
    let lucky = rng.below(nodes as u64) as usize;
    let of_node = |at: usize| {
        let all = ("all".to_owned(), false);
        let some = (at == lucky || rng.chance(400)).then(|| ("some".to_owned(), false));
        let late = rng.chance(300).then(|| ("late".to_owned(), true));
        std::iter::once(all).chain(some).chain(late).collect()
    };
    (0..nodes).map(of_node).collect()
}

impl Cluster {
    pub async fn start(
        nodes: usize,
        rng: &Rng,
        (disk, journal): (Arc<Disk>, Arc<Journal>),
        options: Options,
        (store_faults, bus_faults): (StoreFaults, BusFaults),
    ) -> Arc<Self> {
        for id in (1..=20).chain([MODERATOR]) {
            disk.put_account(&account(principal(id), START));
        }
        disk.take_ids(IdKind::User, 100);
        let cluster = Arc::new(Self {
            journal,
            disk,
            fabric: Fabric::new(nodes, rng.fork("bus"), bus_faults),
            leases: Arc::default(),
            options,
            nodes,
            store_faults: Arc::new(Mutex::new(store_faults)),
            destination: Arc::default(),
            follows: follows(nodes, &rng.fork("consumers")),
            booted: Mutex::new(vec![false; nodes]),
            running: Mutex::new((0..nodes).map(|_| None).collect()),
            rng: rng.fork("nodes"),
            began: Instant::now(),
        });
        for at in 0..nodes {
            cluster.boot(at).await;
        }
        cluster
    }

    /// How long it is, by a right clock, until the last of what consumers left for later in a room is looked at.
    pub fn until_last_due(&self, room: RoomId) -> Duration {
        Duration::from_millis(self.disk.last_due(room).saturating_sub(right(self.began)))
    }

    /// Starts a node in place of one that was killed, or for the first time.
    pub async fn boot(self: &Arc<Self>, at: usize) {
        self.kill(at);
        let gate = Arc::new(Gate::default());
        let rng = self.rng.fork(&format!("node {at}"));
        let again = std::mem::replace(&mut self.booted.lock().unwrap_or_else(PoisonError::into_inner)[at], true);
        let runs: Vec<String> =
            self.follows[at].iter().filter(|(_, late)| again || !late).map(|(name, _)| name.clone()).collect();
        let clock = Arc::new(Wall { since: self.began, gate: gate.clone() });
        let consumers = runs.iter().map(|name| {
            let simulated = Simulated {
                name: name.clone(),
                destination: self.destination.clone(),
                gate: gate.clone(),
                rng: rng.fork(name),
                effect_first: self.disk.switches.effect_first,
            };
            Arc::new(simulated) as Arc<dyn Consumer>
        });
        let consumers = consumers.collect();
        let store = self.store(&gate, &rng, runs);
        let seat = LeaseSeat::take(self.leases.clone(), gate.clone(), at, rng.fork("lease"));
        let ports = Ports {
            store: store.clone(),
            bus: self.fabric.plug(at, gate.clone()),
            membership: seat.clone(),
            clock,
            random: Arc::new(Dice(rng.fork("dice"))),
            authority: Arc::new(Nobody),
            ids: Arc::new(Ids::with_block(store, 512)),
            consumers,
        };
        let handle = node::start(ports, self.options).await.unwrap();
        let node = Arc::new(Node { at, gate, handle, seat, leaving: false.into() });
        self.running.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(node);
        self.journal.note(format!("node {at} starts"));
    }

    fn store(&self, gate: &Arc<Gate>, rng: &Rng, runs: Vec<String>) -> Arc<Store> {
        let (disk, gate, store_faults) = (self.disk.clone(), gate.clone(), self.store_faults.clone());
        Arc::new(Store { disk, gate, rng: Arc::new(rng.fork("store")), store_faults, runs })
    }

    /// Makes a room's log long, while nobody is there.
    pub async fn fill(&self, room: RoomId, entries: Seq) {
        let store = self.store(&Arc::default(), &self.rng.fork("fill"), Vec::new());
        let ids = Ids::with_block(store.clone(), 512);
        node::fill(store.as_ref(), &ids, START, room, entries).await.unwrap();
    }

    /// Kills a node: what it had begun is never heard of again.
    pub fn kill(&self, at: usize) {
        let node = self.running.lock().unwrap_or_else(PoisonError::into_inner)[at].take();
        if let Some(node) = node {
            self.journal.note(format!("node {at} is killed"));
            node.gate.kill();
        }
    }

    /// Whether a node runs consumers from its second start on that it doesn't before.
    pub fn has_latecomers(&self) -> bool {
        self.follows.iter().flatten().any(|(_, late)| *late)
    }

    pub fn node(&self, at: usize) -> Option<Arc<Node>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)[at].clone()
    }

    /// The nodes that run.
    pub fn all(&self) -> Vec<Arc<Node>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect()
    }
}
