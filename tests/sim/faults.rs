//! What goes wrong in a run. Each seed has a few kinds of trouble and leaves others out, so that rare ones get room.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use parlance_actors::node::Victim;
use parlance_actors::service::Service;
use parlance_schema::RoomId;
use tokio::time::{Instant, sleep};

use crate::bus::{BusFaults, name};
use crate::cluster::{Cluster, Node};
use crate::consumer::Whims;
use crate::rng::Rng;
use crate::store::StoreFaults;

/// A network on a good day.
pub const FAIR: BusFaults = BusFaults { lost: 0, twice: 0, overtaking: 0, late_ms: 5 };

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An actor panics, or is killed.
    Crash,
    /// A node is killed, and started again later.
    Kill,
    /// A node stops for a while, and goes on as if nothing had been.
    Pause,
    /// A node can't reach the store.
    StoreAway,
    /// No node can reach the store.
    StoreDown,
    /// A node's way to the store is slow.
    StoreSlow,
    /// Nothing passes from one node to another, in one direction or both.
    Cut,
    /// A node can't reach the bus.
    BusAway,
    /// A node's wall clock jumps by an hour.
    Clock,
    /// All leases end at once.
    Expiry,
    /// A node believes that others are not there, and takes their rooms.
    Delusion,
    /// A node is drained and started again, as in a rolling restart.
    Drain,
}

const KINDS: [Kind; 12] = [
    Kind::Crash,
    Kind::Kill,
    Kind::Pause,
    Kind::StoreAway,
    Kind::StoreDown,
    Kind::StoreSlow,
    Kind::Cut,
    Kind::BusAway,
    Kind::Clock,
    Kind::Expiry,
    Kind::Delusion,
    Kind::Drain,
];

/// How little goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calm {
    /// Nothing at all but clients who don't read for a while: all is done at once.
    Wholly,
    /// Actors crash, and nothing else: no connection ends for it.
    Crashes,
    /// Anything may go wrong.
    No,
}

/// What a seed's run is like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: usize,
    pub kinds: Vec<Kind>,
    pub store_faults: StoreFaults,
    pub bus_faults: BusFaults,
    pub whims: Whims,
    /// What clients may then rely on.
    pub calm: Calm,
    /// Milliseconds of work under trouble.
    pub work_ms: u64,
    pub room_idle_ms: u64,
}

impl Plan {
    pub fn new(rng: &Rng) -> Self {
        let some = |most: u64| if rng.chance(500) { rng.below(most + 1) } else { 0 };
        let kinds = KINDS.into_iter().filter(|_| rng.chance(330)).collect();
        let store_faults = StoreFaults {
            unknown_done: some(60),
            unknown_lost: some(60),
            unknown_late: some(60),
            unavailable: some(40),
            unread: some(20),
            blind: some(500),
            slow: some(20),
        };
        let bus_faults = BusFaults {
            lost: some(150),
            twice: some(100),
            overtaking: some(100),
            late_ms: if rng.chance(800) { rng.between(1, 40) } else { rng.between(40, 900) },
        };
        let calm = match rng.below(20) {
            0 => Calm::Wholly,
            1 => Calm::Crashes,
            _ => Calm::No,
        };
        let whims = Whims {
            away: some(500),
            unknown: some(100),
            part: some(300),
            later: some(200),
            panic: some(20),
            slow: some(200),
        };
        let (kinds, store_faults, bus_faults, whims) = match calm {
            Calm::Wholly => (Vec::new(), StoreFaults::default(), FAIR, Whims::default()),
            Calm::Crashes => (vec![Kind::Crash; 3], StoreFaults::default(), FAIR, whims),
            Calm::No => (kinds, store_faults, bus_faults, whims),
        };
        let room_idle_ms = if rng.chance(500) { rng.between(1_500, 5_000) } else { 60_000 };
        Self {
            nodes: rng.between(2, 4) as usize,
            kinds,
            store_faults,
            bus_faults,
            whims,
            calm,
            work_ms: rng.between(10_000, 25_000),
            room_idle_ms,
        }
    }
}

/// Makes all the trouble of a plan, until it is over. Nothing is mended that is not over by then.
pub async fn trouble(cluster: Arc<Cluster>, plan: Plan, rng: &Rng, rooms: Arc<Vec<u64>>) {
    let until = Instant::now() + Duration::from_millis(plan.work_ms);
    let makers: Vec<_> = plan
        .kinds
        .iter()
        .map(|kind| {
            let rng = rng.fork(&format!("{kind:?}"));
            tokio::spawn(make(cluster.clone(), *kind, rng, until, rooms.clone()))
        })
        .collect();
    for maker in makers {
        let _ = maker.await;
    }
    tokio::time::sleep_until(until).await;
}

async fn make(cluster: Arc<Cluster>, kind: Kind, rng: Rng, until: Instant, rooms: Arc<Vec<u64>>) {
    let pause = async |from, to| sleep(Duration::from_millis(rng.between(from, to))).await;
    pause(0, 4_000).await;
    while Instant::now() < until {
        let at = rng.below(cluster.nodes as u64) as usize;
        let hold = if rng.chance(300) { rng.between(3_000, 9_000) } else { rng.between(100, 3_000) };
        if let Some(node) = cluster.node(at) {
            cluster.journal.note(format!("{kind:?} at node {at} for {hold} ms"));
            strike(&cluster, kind, &node, &rng, (hold, &rooms)).await;
        }
        pause(200, 5_000).await;
    }
}

/// Does something to a node, and takes it back after `hold` milliseconds.
async fn strike(cluster: &Arc<Cluster>, kind: Kind, node: &Arc<Node>, rng: &Rng, (hold, rooms): (u64, &[u64])) {
    let held = sleep(Duration::from_millis(hold));
    let gate = &node.gate;
    match kind {
        Kind::Crash => crash(cluster, node, rng, rooms).await,
        Kind::Kill => {
            cluster.kill(node.at);
            held.await;
            cluster.boot(node.at).await;
        }
        Kind::Pause => {
            gate.pause(true);
            held.await;
            gate.pause(false);
            cluster.journal.note(format!("node {} goes on", node.at));
        }
        Kind::StoreAway => {
            gate.store_away.store(true, SeqCst);
            held.await;
            gate.store_away.store(false, SeqCst);
        }
        Kind::StoreDown => {
            let all = cluster.all();
            all.iter().for_each(|node| node.gate.store_away.store(true, SeqCst));
            held.await;
            all.iter().for_each(|node| node.gate.store_away.store(false, SeqCst));
        }
        Kind::StoreSlow => {
            gate.store_slow_ms.store(rng.between(50, 1_500), SeqCst);
            held.await;
            gate.store_slow_ms.store(0, SeqCst);
        }
        Kind::Cut => {
            let to = (node.at + 1 + rng.below(cluster.nodes as u64 - 1) as usize) % cluster.nodes;
            let both = rng.chance(500);
            cluster.fabric.cut(node.at, to, true);
            cluster.fabric.cut(to, node.at, both);
            held.await;
            cluster.fabric.cut(node.at, to, false);
            cluster.fabric.cut(to, node.at, false);
        }
        Kind::BusAway => {
            cluster.fabric.away(node.at, true);
            held.await;
            cluster.fabric.away(node.at, false);
        }
        Kind::Clock => {
            let hour = 3_600_000;
            let skew = if rng.chance(500) { hour } else { -hour };
            gate.skew_ms.store(skew, SeqCst);
            held.await;
            gate.skew_ms.store(if rng.chance(500) { 0 } else { skew }, SeqCst);
        }
        Kind::Expiry => cluster.leases.expire(),
        Kind::Delusion => {
            let others = (0..cluster.nodes).filter(|at| *at == node.at || rng.chance(400)).map(name).collect();
            node.seat.mislead(Some(others));
            held.await;
            node.seat.mislead(None);
        }
        Kind::Drain => {
            node.leaving.store(true, SeqCst);
            node.handle.drain(rng.between(100, 2_000)).await;
            cluster.kill(node.at);
            held.await;
            cluster.boot(node.at).await;
        }
    }
}

/// Ends an actor of a node; what others see of it is judged like everything else.
async fn crash(cluster: &Cluster, node: &Node, rng: &Rng, rooms: &[u64]) {
    let Some(room) = rng.pick(rooms).map(|room| RoomId::new(*room)) else { return };
    let victim = match rng.below(3) {
        0 => Victim::Room(room),
        1 => Victim::Relay(room),
        _ => {
            let actors = node.handle.actors().await;
            let sessions: Vec<u64> =
                actors.iter().filter_map(|actor| actor.path.strip_prefix("sessions/")?.parse().ok()).collect();
            let Some(session) = rng.pick(&sessions) else { return };
            Victim::Session(*session)
        }
    };
    let there = node.handle.end(victim, rng.chance(500));
    cluster.journal.note(format!("{victim:?} at node {} is ended: {there}", node.at));
}

/// Ends all trouble: whoever is down is started, whoever is cut off comes back, and the store does what it should.
pub async fn mend(cluster: &Arc<Cluster>) {
    for at in 0..cluster.nodes {
        match cluster.node(at) {
            None => cluster.boot(at).await,
            Some(node) => {
                node.gate.pause(false);
                node.gate.store_away.store(false, SeqCst);
                node.gate.store_slow_ms.store(0, SeqCst);
                node.seat.mislead(None);
                cluster.fabric.away(at, false);
            }
        }
    }
    cluster.fabric.heal();
    *cluster.store_faults.lock().unwrap() = StoreFaults::default();
    cluster.destination.set(Whims::default());
    cluster.fabric.set_bus_faults(FAIR);
    cluster.journal.note("all trouble ends");
}
