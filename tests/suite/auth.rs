//! Accounts and tokens, against a real store: what each call promises, and what it refuses.

mod admin;
mod cli;
mod foreign;
mod login;
mod profile;
mod refresh;
mod tokens;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use parlance::auth::{Accounts, Authenticated, Grant, KeyRing, Login, Ports, Register};
use parlance::config;
use parlance::store::{Memory, Sqlite, sqlite};
use parlance_actors::ids::Ids;
use parlance_actors::ports::bus::{RoomEvent, Sink, Subscription};
use parlance_actors::ports::{Bus, Clock, Random, Store};
use parlance_schema::notice::Notice;
use parlance_schema::{Code, Fault, Millis, RoomId, UserId};
use tempfile::TempDir;

/// The password of everybody here.
const PASSWORD: &str = "correct horse";

/// A clock that moves when told.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

/// The operating system's randomness.
struct Urandom;

impl Random for Urandom {
    fn bits(&self) -> u64 {
        getrandom::u64().unwrap()
    }
}

type Sinks = HashMap<UserId, HashMap<u64, Sink<Notice>>>;

/// A bus of users' notices that remembers them all.
#[derive(Default)]
struct Heard {
    notices: Mutex<Vec<(UserId, Notice)>>,
    sinks: Arc<Mutex<Sinks>>,
    next: AtomicU64,
}

impl Heard {
    fn revoked(&self, user: UserId) -> Vec<Millis> {
        let notices = self.notices.lock().unwrap();
        let of_user = notices.iter().filter(|(to, _)| *to == user);
        of_user.filter_map(|(_, n)| if let Notice::Revoked { before } = n { Some(*before) } else { None }).collect()
    }
}

/// Ends a subscription when dropped.
struct Ends(Arc<Mutex<Sinks>>, UserId, u64);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(sinks) = self.0.lock().unwrap().get_mut(&self.1) {
            sinks.remove(&self.2);
        }
    }
}

impl Bus for Heard {
    fn publish_room(&self, _: RoomId, _: RoomEvent) {}

    fn publish_user(&self, user: UserId, notice: Notice) {
        self.notices.lock().unwrap().push((user, notice.clone()));
        // The lock is held while the sinks run: a sink that came back to the bus would hang here, as on any real one.
        for sink in self.sinks.lock().unwrap().get(&user).into_iter().flat_map(HashMap::values) {
            sink(notice.clone());
        }
    }

    fn subscribe_room(&self, _: RoomId, _: Sink<RoomEvent>) -> Subscription {
        Box::new(())
    }

    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        self.sinks.lock().unwrap().entry(user).or_default().insert(id, sink);
        Box::new(Ends(self.sinks.clone(), user, id))
    }
}

/// An installation: a store, a data folder, a bus, and accounts on them.
struct World {
    dir: TempDir,
    store: Arc<Memory>,
    clock: Arc<Hand>,
    bus: Arc<Heard>,
    config: config::Auth,
    accounts: Accounts,
}

impl World {
    fn new() -> Self {
        let argon2 = config::Argon2 { memory_kib: 64, iterations: 1, lanes: 1 };
        Self::with(config::Auth { argon2, ..config::Auth::default() })
    }

    fn with(config: config::Auth) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Memory::new());
        let clock = Arc::new(Hand(AtomicU64::new(1_790_000_000_000)));
        let bus = Arc::new(Heard::default());
        let accounts = node(&dir, store.clone(), &clock, &bus, &config);
        Self { dir, store, clock, bus, config, accounts }
    }

    /// The same accounts as another node sees them: same store, same bus, same keys, a memory of its own.
    fn other_node(&self) -> Accounts {
        node(&self.dir, self.store.clone(), &self.clock, &self.bus, &self.config)
    }

    /// Accounts of their own on the embedded store, where every call waits for another thread.
    fn embedded(&self) -> Accounts {
        let store = Sqlite::open(self.dir.path(), &sqlite::Options::default()).unwrap();
        node(&self.dir, Arc::new(store), &self.clock, &self.bus, &self.config)
    }

    fn pass(&self, ms: Millis) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    async fn register(&self, username: &str) -> Grant {
        self.accounts.register(register(username)).await.unwrap()
    }

    async fn who(&self, token: &Grant) -> Result<Authenticated, Fault> {
        self.accounts.authenticate(token.access_token.reveal()).await
    }
}

fn node(dir: &TempDir, store: Arc<dyn Store>, clock: &Arc<Hand>, bus: &Arc<Heard>, config: &config::Auth) -> Accounts {
    let ids = Arc::new(Ids::new(store.clone()));
    let ports = Ports { store, clock: clock.clone(), random: Arc::new(Urandom), bus: bus.clone() };
    let keys = KeyRing::open(dir.path(), &Urandom, clock.now()).unwrap();
    Accounts::new(ports, ids, keys, config).unwrap()
}

fn register(username: &str) -> Register {
    Register { username: username.into(), password: PASSWORD.into(), email: None, full_name: None }
}

fn login(username: &str, password: &str) -> Login {
    Login { username: username.into(), password: password.into(), tenant: None }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Fault>) -> Code {
    outcome.unwrap_err().code
}
