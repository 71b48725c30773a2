//! The bare group commit on a CQL server: for all who wait one conditional batch, and what the server's append writes
//! besides, with its statements, on its tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use parlance_schema::limits::{APPEND_ENTRIES_MAX, LOG_BUCKET};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row as Columns};
use tokio::runtime::Runtime;

use super::rows;
use super::store::{self, Load, Measured, Row};
use crate::Failure;

const KEYSPACE: &str = "parlance_bench_bare";
/// The server's own tables.
const SCHEMA: &str = include_str!("../../../schema/scylla/0001_initial.cql");
/// Those of them that a message's append writes to.
const TABLES: [&str; 3] = ["room_log", "pair", "message"];
/// Ids of messages in one partition.
const MESSAGE_BLOCK: i64 = 1_024;
/// Messages after which their client ids are written to the index, all at once.
const UNINDEXED_MAX: usize = 256;
/// Rows of one batch without a condition.
const BATCH_ROWS: usize = 128;

/// What to write.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The CQL server, as `host:port`.
    #[arg(long)]
    pub server: String,
    /// Whether nothing is written but the log, as a conditional batch.
    #[arg(long)]
    pub log_alone: bool,
    /// The load; its rooms are one.
    #[command(flatten)]
    pub load: Load,
}

type Values = Vec<Option<CqlValue>>;

fn cql(error: impl std::fmt::Display) -> Failure {
    Failure::Cql(error.to_string())
}

fn big(number: i64) -> Option<CqlValue> {
    Some(CqlValue::BigInt(number))
}

/// The statements of an append, and the session that they are prepared on.
struct Statements {
    session: Session,
    advance: PreparedStatement,
    log: PreparedStatement,
    message: PreparedStatement,
    pair: PreparedStatement,
}

/// The statements that make the tables.
fn tables() -> Vec<String> {
    let schema: Vec<&str> = SCHEMA.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let wanted = |statement: &&str| {
        let rest = statement.strip_prefix("CREATE TABLE IF NOT EXISTS ");
        rest.and_then(|rest| rest.split(' ').next()).is_some_and(|name| TABLES.contains(&name))
    };
    schema.join("\n").split(';').map(str::trim).filter(wanted).map(str::to_owned).collect()
}

async fn open(server: &str) -> Result<Statements, Failure> {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .build();
    let builder = SessionBuilder::new().known_node(server).default_execution_profile_handle(profile.into_handle());
    let session = builder.build().await.map_err(cql)?;
    let keyspace = format!(
        "CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}}"
    );
    session.query_unpaged(keyspace, ()).await.map_err(cql)?;
    session.use_keyspace(KEYSPACE, false).await.map_err(cql)?;
    for table in tables() {
        session.query_unpaged(table, ()).await.map_err(cql)?;
    }
    session.await_schema_agreement().await.map_err(cql)?;
    let prepare = async |text: &str| session.prepare(text).await.map_err(cql);
    let advance = prepare("UPDATE room_log SET last_seq = ? WHERE room_id = ? AND bucket = ? IF last_seq = ?").await?;
    let log = prepare(
        "INSERT INTO room_log (room_id, bucket, seq, by_user, client_id, message_id, append_id, entry) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .await?;
    let message =
        prepare("INSERT INTO message (block, message_id, room_id, seq) VALUES (?, ?, ?, ?) USING TIMESTAMP ?").await?;
    let pair =
        prepare("INSERT INTO pair (room_id, generation, hash, seq) VALUES (?, ?, ?, ?) USING TIMESTAMP ?").await?;
    Ok(Statements { session, advance, log, message, pair })
}

impl Statements {
    /// Appends rows in one conditional batch.
    async fn append(&self, rows: Vec<Values>) -> Result<(), Failure> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.append_statement(self.advance.clone());
        rows.iter().skip(1).for_each(|_| batch.append_statement(self.log.clone()));
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        batch.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
        let answer = self.session.batch(&batch, rows).await.map_err(cql)?.into_rows_result().map_err(cql)?;
        let applied = answer.first_row::<Columns>().map_err(cql)?.columns.first().cloned().flatten();
        let applied = applied.as_ref().and_then(CqlValue::as_boolean) == Some(true);
        if applied { Ok(()) } else { Err(Failure::new("the log is not where it should be")) }
    }

    /// Writes rows of one partition.
    async fn write(&self, statement: &PreparedStatement, rows: Vec<Values>) -> Result<(), Failure> {
        for some in rows.chunks(BATCH_ROWS) {
            let mut batch = Batch::new(BatchType::Unlogged);
            some.iter().for_each(|_| batch.append_statement(statement.clone()));
            self.session.batch(&batch, some).await.map_err(cql)?;
        }
        Ok(())
    }
}

/// A log of its own, and what is to be written to the index.
struct Log {
    room: i64,
    last: i64,
    pairs: Vec<Values>,
    blobs: Vec<Vec<u8>>,
}

impl Log {
    async fn commit(&mut self, db: &Statements, group: &[Row], alone: bool) -> Result<(), Failure> {
        let (before, bucket) = (self.last, self.last / LOG_BUCKET as i64);
        self.last += group.len() as i64;
        let expected = (before != bucket * LOG_BUCKET as i64).then_some(CqlValue::BigInt(before));
        let mut rows = vec![vec![big(self.last), big(self.room), big(bucket), expected]];
        let mut blocks: BTreeMap<i64, Vec<Values>> = BTreeMap::new();
        for (seq, row) in (before + 1..).zip(group) {
            // Numbers of messages that no other room has.
            let (id, block) = (self.room + seq, (self.room + seq) / MESSAGE_BLOCK);
            let (client_id, blob) = (CqlValue::Text(format!("b{id}")), self.blobs[row.blob % self.blobs.len()].clone());
            let columns = [big(self.room), big(bucket), big(seq), big(seq % 64), Some(client_id), big(id), big(before)];
            rows.push(columns.into_iter().chain([Some(CqlValue::Blob(blob))]).collect());
            blocks.entry(block).or_default().push(vec![big(block), big(id), big(self.room), big(seq), big(seq)]);
            self.pairs.push(vec![big(self.room), big(0), big(id), big(seq), big(seq)]);
        }
        if alone {
            return db.append(rows).await;
        }
        let messages = async {
            for rows in blocks.into_values() {
                db.write(&db.message, rows).await?;
            }
            Ok(())
        };
        tokio::try_join!(db.append(rows), messages)?;
        Ok(())
    }
}

fn commit_all(db: Statements, log_alone: bool, runtime: &Runtime, rows: &Receiver<Row>) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A room of one's own: no two runs are so close together.
    let mut log = Log { room: now.as_micros() as i64, last: 0, pairs: Vec::new(), blobs: rows::blobs()? };
    let mut indexing: Option<tokio::task::JoinHandle<Result<(), Failure>>> = None;
    let db = Arc::new(db);
    while let Ok(first) = rows.recv() {
        let mut group = vec![first];
        // A batch stays within its bucket.
        let room = LOG_BUCKET as usize - log.last as usize % LOG_BUCKET as usize;
        group.extend(rows.try_iter().take(room.min(APPEND_ENTRIES_MAX) - 1));
        runtime.block_on(log.commit(&db, &group, log_alone))?;
        for row in group {
            // A writer that has stopped waiting needs no answer.
            let _ = row.done.send(());
        }
        if !log_alone && log.pairs.len() >= UNINDEXED_MAX {
            if let Some(before) = indexing.take() {
                runtime.block_on(before).map_err(cql)??;
            }
            let (db, pairs) = (Arc::clone(&db), std::mem::take(&mut log.pairs));
            indexing = Some(runtime.spawn(async move { db.write(&db.pair, pairs).await }));
        }
    }
    Ok(())
}

/// Writes for a while and tells what came of it.
///
/// # Errors
/// When the server fails.
pub fn main(options: &Options) -> Result<Measured, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Before the writers begin: the first to come makes the tables.
    let db = runtime.block_on(open(&options.server))?;
    store::measure(&options.load, |rows| commit_all(db, options.log_alone, &runtime, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_tables_are_found() {
        let all = tables();
        assert_eq!(all.len(), TABLES.len(), "{all:?}");
        assert!(all[0].contains("last_seq   bigint STATIC") && all.iter().all(|table| table.ends_with(')')), "{all:?}");
    }
}
