//! What the tests talk to: a server alone, with the embedded store; or, where `PARLANCE_TEST_CLUSTER` asks for it, three nodes
//! that stand for one server. Those share a NATS server and a keyspace on a CQL server, and each connection and each request
//! goes to another one of them in turn, so that the members of every room are spread over all.
//!
//! Which tests stay with one node, and why, stands in `alone.txt`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, NODES};
use crate::process;
pub use crate::process::{User, skip};
use crate::raw::PATIENCE;

/// How to start a server.
#[derive(Clone)]
pub struct Setup {
    /// The data folder; of a cluster, that of the command line.
    pub data: PathBuf,
    process: process::Setup,
    cluster: Option<Arc<Cluster>>,
}

impl Setup {
    /// A server on a data folder, that logs warnings.
    pub fn new(data: &Path) -> Self {
        let (process, cluster) = (process::Setup::new(data), Cluster::wanted().map(Arc::new));
        let process = match &cluster {
            Some(cluster) => cluster.settle(process),
            None => process,
        };
        Self { data: data.to_owned(), process, cluster }
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.process = self.process.argument(argument);
        self
    }

    /// Adds a variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.process = self.process.variable(name, value);
        self
    }

    /// Sets a setting, such as `limits.slow_close_ms`.
    pub fn set(mut self, setting: &str, value: &str) -> Self {
        self.process = self.process.set(setting, value);
        self
    }

    /// Runs one of the binary's other commands, with a password where it asks for one; what it printed.
    pub fn run(&self, words: &[&str], password: &str) -> String {
        self.process.run(words, password)
    }

    /// Makes accounts; no server may run.
    pub fn users(&self, count: usize) -> Vec<User> {
        self.process.users(count)
    }

    /// The same in a tenant.
    pub fn users_of(&self, tenant: u64, count: usize) -> Vec<User> {
        self.process.users_of(tenant, count)
    }

    /// The keyspace that the nodes share; none where there is one node.
    pub fn keyspace(&self) -> Option<&str> {
        self.cluster.as_ref().map(|cluster| cluster.keyspace())
    }

    /// How many nodes there will be.
    pub fn nodes(&self) -> usize {
        self.cluster.as_ref().map_or(1, |_| NODES)
    }

    /// How to start each process.
    fn processes(&self) -> Vec<process::Setup> {
        match &self.cluster {
            Some(_) => (0..NODES).map(|at| Cluster::node(&self.process, at)).collect(),
            None => vec![self.process.clone()],
        }
    }

    /// Starts a server on free ports.
    pub async fn start(&self) -> Server {
        let processes = self.processes();
        let nodes = join_all(processes.iter().map(process::Setup::start)).await;
        let doors = Doors { addresses: nodes.iter().map(|node| node.address).collect(), turn: Arc::default() };
        let server = Server { setup: self.clone(), nodes, doors };
        server.meet().await;
        server
    }

    /// Starts a server that must refuse, and returns what it said.
    pub async fn refused(&self) -> String {
        self.process.refused().await
    }
}

/// Where a server is reached: at each of its nodes in turn.
#[derive(Clone)]
pub struct Doors {
    addresses: Arc<[SocketAddr]>,
    turn: Arc<AtomicUsize>,
}

impl Doors {
    /// The next one.
    pub fn next(&self) -> SocketAddr {
        self.addresses[self.turn.fetch_add(1, Ordering::Relaxed) % self.addresses.len()]
    }

    /// Whether it has several nodes: what isn't stored takes a moment from one to another.
    pub fn are_several(&self) -> bool {
        self.addresses.len() > 1
    }
}

/// A running server; killed when dropped.
pub struct Server {
    pub setup: Setup,
    /// Its nodes; one, where it is alone.
    pub nodes: Vec<process::Server>,
    doors: Doors,
}

impl Server {
    /// Where it is reached; of several nodes, each in turn.
    pub fn address(&self) -> SocketAddr {
        self.doors.next()
    }

    /// All places where it is reached.
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    fn next(&self) -> &process::Server {
        let address = self.address();
        self.nodes.iter().find(|node| node.address == address).expect("a node for each address")
    }

    /// Waits until each node takes work and knows of all the others.
    async fn meet(&self) {
        if self.nodes.len() == 1 {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        let all: serde_json::Map<_, _> = (0..NODES).map(|at| (Cluster::name(at), json!("ready"))).collect();
        for node in &self.nodes {
            loop {
                let (status, health) = node.get("/health/ready").await;
                let (_, seen) = node.get("/health").await;
                let seen: Value = serde_json::from_str(&seen).unwrap();
                if status == 200 && seen["checks"]["cluster"]["nodes"] == json!(all) {
                    break;
                }
                assert!(Instant::now() < deadline, "the nodes have not met: {health} {seen}");
                sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }

    /// Ends it as `kill -9` does: all nodes at once.
    pub fn kill(&mut self) {
        self.nodes.iter_mut().for_each(process::Server::kill);
    }

    /// Kills what a number says: each node in its turn, and then all of them.
    pub fn kill_in_turn(&mut self, round: usize) {
        match self.nodes.get_mut(round % (NODES + 1)) {
            Some(node) => node.kill(),
            None => self.kill(),
        }
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        self.nodes.iter().for_each(process::Server::terminate);
    }

    /// Waits until it has ended; the first status that is no success, if there is one.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut worst = self.nodes[0].ended().await;
        for node in &mut self.nodes[1..] {
            let status = node.ended().await;
            worst = if worst.success() { status } else { worst };
        }
        worst
    }

    /// Starts what has ended again, on the same folder and port.
    pub async fn restart(&mut self) {
        self.restart_as(self.setup.clone()).await;
    }

    /// Starts what has ended again, set up in another way.
    pub async fn restart_as(&mut self, setup: Setup) {
        let restarts = self.nodes.iter_mut().zip(setup.processes()).map(async |(node, setup)| {
            if node.has_ended() {
                node.restart_as(setup).await;
            }
        });
        join_all(restarts).await;
        self.setup = setup;
        self.meet().await;
    }

    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        self.nodes.iter().map(process::Server::said).collect()
    }

    /// The same, all of it, once it has ended.
    pub fn said_in_the_end(&mut self) -> String {
        self.nodes.iter_mut().map(process::Server::said_in_the_end).collect()
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.nodes.iter().map(process::Server::resident_bytes).sum()
    }

    /// The CPU time that it has used so far.
    pub fn cpu(&self) -> std::time::Duration {
        self.nodes.iter().map(process::Server::cpu).sum()
    }

    /// Gets a path; status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.next().get(path).await
    }

    /// Posts JSON, with a token where there is one; status and body.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        self.next().post(path, token, body).await
    }

    /// Ends an actor, on whichever node it is; what the last one asked answered: 204, or that there is no such actor.
    pub async fn strike(&self, blow: &Value) -> (u16, Value) {
        let mut last = (0, Value::Null);
        for node in &self.nodes {
            last = node.post("/dev/fault", "", blow).await;
            if last.0 == 204 {
                break;
            }
        }
        last
    }

    /// A metric's value, the nodes' together; 0 where it was never set.
    pub async fn metric(&self, name: &str) -> f64 {
        join_all(self.nodes.iter().map(|node| node.metric(name))).await.iter().sum()
    }
}
