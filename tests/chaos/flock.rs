//! A cluster under test: three nodes in namespaces of their own, three NATS servers, a CQL server, rooms whose members are
//! spread over the nodes, and traffic.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cassandra::Cassandra;
use crate::checker;
use crate::client::Client;
use crate::clock::WallClock;
use crate::followed;
use crate::journal::{Journal, read_log};
use crate::nats;
use crate::net::{self, HUB, Place};
use crate::raw::{How, PATIENCE, Raw};
use crate::server::{Server, Setup, User};
use crate::shim;
use crate::text::sentence;
use crate::toxi::Toxi;
use crate::traffic::Traffic;

/// Nodes.
pub const NODES: usize = 3;
/// The node that reaches NATS and the CQL server through a proxy.
pub const PROXIED: usize = 2;
/// The CQL server's port.
pub const CQL: u16 = 9042;
/// Rooms, and members of each: as many on one node as on another.
const ROOMS: usize = 6;
const MEMBERS: usize = 6;
/// Members of each room who send, one on each node.
const SENDERS: usize = 3;
/// Within so long consumers have everything, once nothing is broken any more.
const CATCH_UP: Duration = Duration::from_secs(180);
/// Milliseconds between two messages of a sender.
const PACE: Duration = Duration::from_millis(20);

/// The cluster.
pub struct Flock {
    pub nodes: Vec<Server>,
    pub places: Vec<Place>,
    pub nats: Vec<nats::Server>,
    pub cql: Cassandra,
    pub toxi: Toxi,
    pub clocks: Vec<WallClock>,
    users: Vec<User>,
    rooms: Vec<u64>,
    clients: Vec<Arc<Client>>,
    journals: PathBuf,
    _folder: TempDir,
}

fn setup(folder: &TempDir, place: &Place, at: usize, nats: &[nats::Server], cql: &Cassandra) -> Setup {
    let servers: Vec<String> = nats.iter().map(nats::Server::url).collect();
    let keys = folder.path().join("keys/keys.json");
    let setup = Setup::new(&folder.path().join(format!("node-{at}")));
    followed::SETTINGS
        .iter()
        .fold(setup, |setup, (name, value)| setup.set(name, value))
        .place(&place.name, place.address)
        .over(&cql.address, "parlance_chaos")
        .set("cluster.node", &format!("node-{at}"))
        .set("nats.servers", &servers.join(","))
        .set("nats.replicas", "3")
        .set("auth.keys_file", &keys.to_string_lossy())
        // Longer than a clock is moved: whose token has expired is rightly told to renew it.
        .set("auth.access_token_s", "86400")
}

impl Flock {
    pub async fn start() -> Self {
        net::hub();
        let folder = tempfile::tempdir().unwrap();
        let places: Vec<_> = (0..NODES).map(|at| Place::new(u8::try_from(at).unwrap())).collect();
        let nats = nats::Server::cluster_on(&HUB.to_string());
        let cql = Cassandra::start();
        let ports: Vec<u16> = nats.iter().map(|server| server.port).chain([CQL]).collect();
        let toxi = Toxi::start(&ports).await;
        ports.iter().for_each(|port| places[PROXIED].redirect(*port, Toxi::port(*port)));
        Setup::new(&folder.path().join("keys")).run(&["keys", "rotate"], "");
        let library =
            shim::build("clock/shim.c", folder.path()).expect("a C compiler, as the server's build needs one");
        let clocks: Vec<_> = (0..NODES).map(|at| WallClock::new(folder.path().join(format!("clock-{at}")))).collect();
        let setups: Vec<_> =
            (0..NODES).map(|at| clocks[at].in_use(setup(&folder, &places[at], at, &nats, &cql), &library)).collect();
        let users = setups[0].users(ROOMS * MEMBERS);
        let mut nodes = Vec::new();
        for setup in &setups {
            nodes.push(setup.start().await);
        }
        let journals = folder.path().join("journals");
        std::fs::create_dir(&journals).unwrap();
        let (rooms, clients) = (Vec::new(), Vec::new());
        let mut flock =
            Self { nodes, places, nats, cql, toxi, clocks, users, rooms, clients, journals, _folder: folder };
        flock.settle().await;
        flock.people().await;
        flock
    }

    /// Waits until every node is ready.
    pub async fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while node.get("/health/ready").await.0 != 200 {
                assert!(Instant::now() < deadline, "not ready: {}", node.get("/health").await.1);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn people(&mut self) {
        for (at, users) in self.users.chunks(MEMBERS).enumerate() {
            let mut owner = Raw::ready(self.nodes[at % NODES].address, &users[0].token).await;
            let others: Vec<u64> = users[1..].iter().map(|user| user.id).collect();
            self.rooms.push(owner.create(&format!("room {at}"), &others).await);
        }
        for (at, user) in self.users.iter().enumerate() {
            let how = How { msgpack: at % 3 == 2, ..How::default() };
            let mut addresses: Vec<_> = self.nodes.iter().map(|node| node.address).collect();
            addresses.rotate_left(at % NODES);
            self.clients.push(Arc::new(Client::roaming(addresses, user, &self.journals, how)));
        }
        for (at, client) in self.clients.iter().enumerate() {
            let room = self.rooms[at / MEMBERS];
            client.until("the first resume", |state| state.positions.contains_key(&room)).await;
        }
    }

    fn senders(&self) -> impl Iterator<Item = (u64, &Arc<Client>)> {
        let rooms = self.rooms.iter().zip(self.clients.chunks(MEMBERS));
        rooms.flat_map(|(room, clients)| clients[..SENDERS].iter().map(|client| (*room, client)))
    }

    /// Has the senders send until the traffic is stopped.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for (room, client) in self.senders() {
            let (client, stop) = (client.clone(), traffic.told());
            traffic.spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.send(room, sentence(count));
                    count += 1;
                    tokio::time::sleep(PACE).await;
                    client.until_for(2 * PATIENCE, "room for another message", |state| state.unacked() < 8).await;
                }
                client.until("the last acknowledgements", |state| state.unacked() == 0).await;
            });
        }
        traffic
    }

    /// How long it takes from now until a new message was acknowledged in every room: the quickest sender's in each.
    pub async fn first_acks(&self) -> Duration {
        let (began, mut rooms) = (Instant::now(), JoinSet::new());
        for (room, clients) in self.rooms.iter().zip(self.clients.chunks(MEMBERS)) {
            let mut probes = JoinSet::new();
            for client in &clients[..SENDERS] {
                let (client, id) = (client.clone(), client.send(*room, "is anybody there?"));
                probes.spawn(async move {
                    client.until_for(2 * PATIENCE, "an acknowledgement", |state| !state.waits(&id)).await;
                });
            }
            rooms.spawn(async move {
                probes.join_next().await.unwrap().unwrap();
                let took = began.elapsed();
                // The others' probes are theirs to wait for.
                probes.detach_all();
                took
            });
        }
        rooms.join_all().await.into_iter().max().unwrap()
    }

    /// Waits until everybody has what is in the rooms, and has the checker judge; returns its counts.
    pub async fn judge(self) -> Value {
        let mut log = Journal::new(&self.journals, "log", 0);
        for (at, room) in self.rooms.iter().enumerate() {
            let mut reader = Raw::ready(self.nodes[0].address, &self.users[at * MEMBERS].token).await;
            let last = read_log(&mut reader, *room, &mut log).await;
            for client in &self.clients[at * MEMBERS..(at + 1) * MEMBERS] {
                client.until("the room's last entry", |state| state.seq(*room) == last).await;
            }
        }
        log.end();
        for client in self.clients {
            Arc::into_inner(client).expect("nobody else has the client").stop().await;
        }
        let mut counts = checker::holds(&self.journals);
        counts["followed"] = Self::followed(&self.nodes, &self.journals).await;
        counts
    }

    /// Waits until the consumers' files have what the logs have; says how many entries those are, in how many lines.
    async fn followed(nodes: &[Server], journals: &std::path::Path) -> Value {
        let files: Vec<PathBuf> = nodes.iter().map(|node| node.setup.data.join(followed::FILE)).collect();
        let (log, deadline) = (journals.join("log.jsonl"), Instant::now() + CATCH_UP);
        while let Err(why) = followed::judge(&files, &log) {
            assert!(Instant::now() < deadline, "consumers: {why}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let counts = followed::counts(&files);
        json!({"entries": counts.len(), "lines": counts.values().sum::<usize>()})
    }
}
