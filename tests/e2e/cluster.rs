//! What the nodes of a cluster share: a NATS server of its own, and a keyspace on the CQL server that there is.
//!
//! A keyspace takes seconds to make, so that one that a test is done with is emptied for the next.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::nats;
use crate::process::Setup;

/// Nodes.
pub const NODES: usize = 3;
/// The variable that says where the CQL server answers, and that there are to be clusters; `NATS_SERVER` names a binary.
const SERVER: &str = "PARLANCE_TEST_CLUSTER";
/// Seconds that the nodes' leases hold: a node that was killed comes back when its lease has run out.
const LEASE_MS: &str = "2000";

/// Keyspaces that nobody uses.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the nodes share.
pub struct Cluster {
    nats: nats::Server,
    cql: String,
    keyspace: Keyspace,
}

/// A keyspace with empty tables, or one that the first node makes; free again when dropped.
struct Keyspace(String);

impl Keyspace {
    fn take(cql: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let free = FREE.lock().unwrap().pop();
        match free {
            Some(name) => {
                let runtime = tokio::runtime::Handle::current();
                tokio::task::block_in_place(|| runtime.block_on(empty(cql, &name)));
                Self(name)
            }
            None => Self(format!("parlance_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))),
        }
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        FREE.lock().unwrap().push(self.0.clone());
    }
}

/// A session with the CQL server.
pub async fn session(cql: &str) -> Session {
    SessionBuilder::new().known_node(cql).fetch_schema_metadata(false).build().await.unwrap()
}

/// The names of a keyspace's tables.
pub async fn tables(session: &Session, keyspace: &str) -> Vec<String> {
    let query = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let found = session.query_unpaged(query, (keyspace,)).await.unwrap().into_rows_result().unwrap();
    found.rows::<(String,)>().unwrap().map(|row| row.unwrap().0).collect()
}

/// Takes everything out of a keyspace but what says which schema it has.
async fn empty(cql: &str, keyspace: &str) {
    let session = session(cql).await;
    let tables = tables(&session, keyspace).await;
    assert!(tables.iter().any(|table| table == "room_log"), "{tables:?}");
    let emptied = tables.iter().filter(|table| *table != "migration").map(async |table| {
        let first = session.query_unpaged(format!("SELECT * FROM {keyspace}.{table} LIMIT 1"), ()).await.unwrap();
        if first.into_rows_result().unwrap().rows_num() > 0 {
            session.query_unpaged(format!("TRUNCATE {keyspace}.{table}"), ()).await.unwrap();
        }
    });
    join_all(emptied).await;
}

impl Cluster {
    /// A cluster, where the environment asks for one.
    pub fn wanted() -> Option<Self> {
        let cql = server()?;
        Some(Self { nats: nats::Server::start(), keyspace: Keyspace::take(&cql), cql })
    }

    /// The name of the keyspace.
    pub fn keyspace(&self) -> &str {
        &self.keyspace.0
    }

    /// Adds what all nodes have, and the command line: the stores, the bus, and the keys, which are made here.
    pub fn settle(&self, setup: Setup) -> Setup {
        setup.run(&["keys", "rotate"], "");
        let keys = setup.data.join("keys.json");
        setup
            .over(&self.cql, self.keyspace())
            .set("nats.servers", &self.nats.url())
            .set("nats.required", "true")
            .set("cluster.lease_ms", LEASE_MS)
            .set("auth.keys_file", &keys.to_string_lossy())
    }

    /// A node's name.
    pub fn name(at: usize) -> String {
        format!("node-{at}")
    }

    /// How to start one node, which has a data folder of its own.
    pub fn node(setup: &Setup, at: usize) -> Setup {
        let name = Self::name(at);
        let mut node = setup.clone().set("cluster.node", &name);
        node.data = setup.data.with_file_name(name);
        node
    }
}

/// Where the CQL server answers; none where one node is asked for.
pub fn server() -> Option<String> {
    std::env::var(SERVER).ok().filter(|server| !server.is_empty())
}

/// The tests that stay with one node, and why: what `./test cluster` leaves out.
const ALONE: &str = include_str!("alone.txt");

#[test]
fn what_stays_with_one_node_is_there_and_has_its_reason() {
    let tests = std::process::Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let tests = String::from_utf8(tests.stdout).unwrap();
    let tests: Vec<_> = tests.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let alone: Vec<_> = ALONE.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &alone {
        let (test, reason) = line.split_once(": ").expect("a test and its reason");
        assert!(tests.contains(&test) && reason.len() > 20, "{line}");
    }
    assert!(alone.is_sorted() && alone.len() < tests.len() / 3, "{} of {} tests", alone.len(), tests.len());
}
