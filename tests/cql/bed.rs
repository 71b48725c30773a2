//! Stores to test, on the server that there is.

use std::sync::Arc;
use std::time::Duration;

use parlance::store::Scylla;
use parlance::store::scylla::Options;
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Append, MessageState};
use parlance_schema::entry::Fact;
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{RoomId, Seq, UserId};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::{CqlValue, Row};
use tokio::sync::{Mutex, MutexGuard};

/// The variable that says where a server answers.
const SERVER: &str = "PARLANCE_TEST_CQL";

/// The keyspace that tests share: they take ids of their own in it, one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// A test's turn.
pub struct Turn(#[expect(dead_code, reason = "it ends when this is dropped")] MutexGuard<'static, ()>);

/// Waits for one's turn.
pub async fn turn() -> Turn {
    Turn(TURN.lock().await)
}

/// A store for one test.
pub struct Bed {
    pub store: Arc<dyn Store>,
    _turn: Turn,
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

/// The keyspace of all tests that don't need one to themselves.
pub const KEYSPACE: &str = "parlance_tests";

/// A store, before anybody has asked it anything.
pub async fn open() -> Arc<Scylla> {
    Arc::new(Scylla::open(options(KEYSPACE)).await.unwrap())
}

/// Writes rows as a node does that dies half-way, or wakes up late.
pub struct Raw(pub Session);

impl Raw {
    pub async fn open() -> Self {
        let session = SessionBuilder::new().known_node(&options(KEYSPACE).nodes[0]).build().await.unwrap();
        session.use_keyspace(KEYSPACE, false).await.unwrap();
        Self(session)
    }

    /// Appends to the log and writes nothing that follows.
    pub async fn append(&self, append: &Append) {
        let (room, bucket) = (append.room.get() as i64, (append.expected / LOG_BUCKET) as i64);
        let mut batch = Batch::new(BatchType::Unlogged);
        let last = append.expected + append.entries.len() as Seq;
        let before = append.expected.checked_rem(LOG_BUCKET).filter(|at| *at > 0).map(|_| append.expected as i64);
        let mut values: Vec<Vec<Option<CqlValue>>> = vec![vec![
            big(last),
            Some(CqlValue::BigInt(room)),
            Some(CqlValue::BigInt(bucket)),
            before.map(CqlValue::BigInt),
        ]];
        batch.append_statement("UPDATE room_log SET last_seq = ? WHERE room_id = ? AND bucket = ? IF last_seq = ?");
        for entry in append.entries.iter() {
            batch.append_statement(
                "INSERT INTO room_log (room_id, bucket, seq, by_user, client_id, message_id, append_id, entry) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            );
            let message = if let Fact::Posted { id, .. } = entry.fact { big(id.get()) } else { None };
            values.push(vec![
                Some(CqlValue::BigInt(room)),
                Some(CqlValue::BigInt(bucket)),
                big(entry.seq),
                big(entry.by.get()),
                Some(CqlValue::Text(entry.client_id.as_str().to_owned())),
                message,
                big(entry.append),
                Some(CqlValue::Blob(rmp_serde::to_vec_named(&**entry).unwrap())),
            ]);
        }
        let answer = self.0.batch(&batch, values).await.unwrap().into_rows_result().unwrap();
        let row = answer.first_row::<Row>().unwrap();
        assert_eq!(row.columns[0], Some(CqlValue::Boolean(true)), "appended");
    }

    /// Writes that a user has joined a room, as of an entry.
    pub async fn member(&self, user: UserId, room: RoomId, seq: Seq) {
        let cql = "INSERT INTO member (user_id, room_id) VALUES (?, ?) USING TIMESTAMP ?";
        self.0.query_unpaged(cql, (user.get() as i64, room.get() as i64, seq as i64)).await.unwrap();
    }

    /// Writes what became of a message in the first bucket, as of an entry.
    pub async fn state(&self, room: RoomId, seq: Seq, upto: Seq, state: &MessageState) {
        let cql =
            "INSERT INTO message_state (room_id, bucket, seq, upto, state) VALUES (?, 0, ?, ?, ?) USING TIMESTAMP ?";
        let blob = rmp_serde::to_vec_named(state).unwrap();
        let values = (room.get() as i64, seq as i64, upto as i64, blob, upto as i64);
        self.0.query_unpaged(cql, values).await.unwrap();
    }
}

fn big(number: u64) -> Option<CqlValue> {
    Some(CqlValue::BigInt(number as i64))
}

/// A store for one test, when it is its turn.
pub fn shared() -> Bed {
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            let turn = turn().await;
            Bed { store: open().await, _turn: turn }
        })
    })
}
