//! The store on a CQL server with lightweight transactions: ScyllaDB, or Apache Cassandra.
//!
//! A room's log is the truth, and its appends are conditional: `append` has the hot path, `known_log` what this process knows of a
//! log, `projections` what is written beside it, `repair` how that is made good. `log`, `claims`, `accounts` (with `names`,
//! `directory`, `families`), `feed` and `bulk` are the port. `connect` opens a session, `migrate` has the schema's versions,
//! `statements` all statements, `cql` what answers and failures mean, `unused_ids` which message ids nobody can have used, `receive`
//! takes what another store had.
//! Why it is done so stands in docs/decisions/0014-conditional-append.md.

mod accounts;
mod append;
mod bulk;
mod claims;
mod connect;
mod cql;
mod directory;
mod families;
mod feed;
mod known_log;
mod log;
mod migrate;
mod name_keys;
mod names;
mod projections;
mod receive;
mod repair;
mod statements;
mod unused_ids;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metrics::Histogram;
use parlance_actors::ports::store::{Store, StoreHealth};
use parlance_schema::limits::LOG_BUCKET;
use scylla::client::session::Session;
use scylla::statement::batch::Batch;
use scylla::statement::prepared::PreparedStatement;

pub use connect::{OpenError, Options, Tls};
pub use migrate::Server;

use known_log::KnownLogs;
use statements::Statements;
use unused_ids::UnusedIds;

/// How often `/health` writes; in between it repeats itself.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a write may take before `/health` calls the store not writable.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);
/// How often servers are asked whether they sync before they answer.
const SYNCED_EVERY: Duration = Duration::from_secs(60);

/// The store in a keyspace.
pub struct Scylla {
    db: Arc<Db>,
    epoch: u64,
    server: Server,
    options: Options,
    health: tokio::sync::Mutex<Probe>,
    /// From an append's arrival to its being decided.
    append_seconds: Histogram,
}

/// What statements are sent with, and what is remembered between them.
struct Db {
    session: Session,
    statements: Box<Statements>,
    batches: Batches,
    known_logs: KnownLogs,
    unused_ids: UnusedIds,
    hours: feed::Hours,
    /// Whose turn it is to take ids.
    turns: tokio::sync::Mutex<()>,
}

/// The batches of appends, by how many entries they have: made once, since it costs more than to send one.
struct Batches {
    advance: PreparedStatement,
    insert: PreparedStatement,
    made: Vec<OnceLock<Batch>>,
}

/// What `/health` found last.
#[derive(Default)]
struct Probe {
    writable: Option<(Instant, bool)>,
    synced: Option<(Instant, bool)>,
}

impl Batches {
    fn new(statements: &Statements) -> Self {
        let made = (0..=LOG_BUCKET).map(|_| OnceLock::new()).collect();
        Self { advance: statements.advance.clone(), insert: statements.log_insert.clone(), made }
    }

    /// The batch of an append with so many entries, at most a bucket's.
    fn append(&self, entries: usize) -> &Batch {
        self.made[entries].get_or_init(|| {
            let inserts = (0..entries).map(|_| self.insert.clone());
            statements::cas_batch(std::iter::once(self.advance.clone()).chain(inserts))
        })
    }
}

impl Scylla {
    /// Opens the store: connects, makes the keyspace if it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// When no server answers, refuses what is needed, or the keyspace belongs to something newer.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let store = Box::pin(Self::open_to_move(options)).await?;
        if receive::unfinished(&store.db).await.map_err(|error| OpenError::Other(error.to_string()))? {
            let say =
                "the move into this keyspace has not come to its end: run `parlance migrate sqlite-to-scylla` again";
            return Err(OpenError::Other(say.to_owned()));
        }
        Ok(store)
    }

    /// Opens the store as one that another store's rows go to; no node uses it yet.
    ///
    /// # Errors
    /// As for [`Scylla::open`].
    pub async fn open_to_move(options: Options) -> Result<Self, OpenError> {
        let (session, server) = connect::open(&options).await?;
        let statements = Box::pin(Statements::prepare(&session)).await?;
        let epoch = connect::epoch(&session, &statements).await?;
        let batches = Batches::new(&statements);
        let (known_logs, unused_ids, turns) =
            (KnownLogs::default(), UnusedIds::default(), tokio::sync::Mutex::default());
        let hours = feed::Hours::default();
        let db = Arc::new(Db { session, statements, batches, known_logs, unused_ids, hours, turns });
        Box::pin(name_keys::run(&db)).await.map_err(|error| OpenError::Other(error.to_string()))?;
        let append_seconds = metrics::histogram!("parlance_store_append_seconds");
        Ok(Self { db, epoch, server, options, health: tokio::sync::Mutex::default(), append_seconds })
    }

    /// Which server it is on.
    #[must_use]
    pub fn server(&self) -> Server {
        self.server
    }

    async fn probe(&self) -> bool {
        let write = cql::write(&self.db.session, &self.db.statements.probe_put, (cql::int(accounts::now()),));
        matches!(tokio::time::timeout(PROBE_DEADLINE, write).await, Ok(Ok(())))
    }
}

#[async_trait]
impl Store for Scylla {
    async fn health(&self) -> StoreHealth {
        let mut probe = self.health.lock().await;
        let writable = match probe.writable {
            Some((at, writable)) if at.elapsed() < PROBE_EVERY => writable,
            _ => {
                let writable = self.probe().await;
                probe.writable = Some((Instant::now(), writable));
                writable
            }
        };
        let synced = match probe.synced {
            Some((at, synced)) if at.elapsed() < SYNCED_EVERY => synced,
            _ => {
                let synced = connect::synced(&self.db.session, self.server, &self.options).await;
                probe.synced = Some((Instant::now(), synced));
                synced
            }
        };
        StoreHealth { backend: "scylla", writable, durability: if synced { "disk" } else { "memory" } }
    }
}
