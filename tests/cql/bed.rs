//! Stores to test, on the server that there is.

use std::sync::Arc;
use std::time::Duration;

use parlance::store::Scylla;
use parlance::store::scylla::Options;
use parlance_actors::ports::Store;
use tokio::sync::{Mutex, MutexGuard};

/// The variable that says where a server answers.
const SERVER: &str = "PARLANCE_TEST_CQL";

/// The keyspace that tests share: they take ids of their own in it, one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// A store for one test.
pub struct Bed {
    pub store: Arc<dyn Store>,
    _turn: MutexGuard<'static, ()>,
}

/// Settings for the server that there is.
pub fn options(keyspace: &str) -> Options {
    let server =
        std::env::var(SERVER).unwrap_or_else(|_| panic!("{SERVER} says nothing: `./test cql` starts a server"));
    Options {
        nodes: vec![server],
        keyspace: keyspace.to_owned(),
        datacenter: String::new(),
        user: String::new(),
        password: String::new(),
        tls: None,
        replicas: 1,
        request: Duration::from_secs(12),
        synced: false,
    }
}

/// A store, before anybody has asked it anything.
pub async fn open() -> Arc<Scylla> {
    Arc::new(Scylla::open(options("parlance_conformance")).await.unwrap())
}

/// A store for one test, when it is its turn.
pub fn shared() -> Bed {
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            let turn = TURN.lock().await;
            Bed { store: open().await, _turn: turn }
        })
    })
}
