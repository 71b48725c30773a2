//! The keyspace, the schema and its versions. A migration that was released is never changed; a new one is added.
//!
//! Nodes that start together migrate one after the other: whoever writes the lock's row does it, the others wait. A holder that
//! died lets the lock go by its time to live. Each statement can be repeated, so that the next holder begins where it likes.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError, UseKeyspaceError};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row};

use super::OpenError;

/// All migrations, in order; the first makes version 1.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../../schema/scylla/0001_initial.cql"), include_str!("../../../schema/scylla/0002_feed.cql")];

/// The version that this binary writes.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Seconds after which a holder's lock is free, unless it renewed it; one statement must be done in that time.
const LOCK_S: i32 = 60;
/// How long one waits for others to migrate.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// How long a keyspace that was just made may take until it can be used.
const ENTER_MAX: Duration = Duration::from_secs(10);
/// How often one looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Which server answers, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// ScyllaDB.
    Scylla,
    /// Apache Cassandra, or something that says nothing else.
    Cassandra,
}

/// Asks which server it is: only ScyllaDB has a table of its versions.
pub(super) async fn server(db: &Session) -> Server {
    match db.query_unpaged("SELECT version FROM system.versions WHERE key = 'local'", ()).await {
        Ok(_) => Server::Scylla,
        Err(_) => Server::Cassandra,
    }
}

/// Makes the keyspace where there is none. One that is there stays as it is: its replication is the operator's.
pub(super) async fn keyspace(db: &Session, name: &str, replicas: u8, server: Server) -> Result<(), OpenError> {
    let there = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found = db.query_unpaged(there, (name,)).await?.into_rows_result().map_err(OpenError::answer)?;
    if found.rows_num() > 0 {
        return Ok(());
    }
    let create = format!(
        "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
    );
    // ScyllaDB before 2025.4 has no conditional statements on tablets; before 6.0 it knows no tablets at all.
    if server == Server::Scylla {
        match db.query_unpaged(format!("{create} AND tablets = {{'enabled': false}}"), ()).await {
            Err(error) if invalid(&error) => {}
            done => return done.map(drop).map_err(OpenError::from),
        }
    }
    db.query_unpaged(create, ()).await?;
    Ok(())
}

fn invalid(error: &ExecutionError) -> bool {
    matches!(error, ExecutionError::LastAttemptError(error) if is_invalid(error))
}

fn is_invalid(error: &RequestAttemptError) -> bool {
    matches!(error, RequestAttemptError::DbError(DbError::SyntaxError | DbError::Invalid | DbError::ConfigError, _))
}

/// Uses the keyspace. A server shows one that another node has just made in its tables before it lets anybody use it.
pub(super) async fn enter(db: &Session, name: &str) -> Result<(), OpenError> {
    let begun = tokio::time::Instant::now();
    loop {
        match db.use_keyspace(name, false).await {
            Err(UseKeyspaceError::RequestError(error)) if is_invalid(&error) && begun.elapsed() < ENTER_MAX => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            done => return done.map_err(OpenError::from),
        }
    }
}

/// Brings the keyspace that is in use to this binary's version.
pub(super) async fn run(db: &Session) -> Result<(), OpenError> {
    lock_table(db).await?;
    let lock = Lock { db, holder: format!("{:016x}", getrandom::u64().map_err(OpenError::answer)?) };
    let begun = tokio::time::Instant::now();
    loop {
        let version = lock.version().await?;
        if version > VERSION {
            return Err(OpenError::Newer { found: version, known: VERSION });
        }
        if version == VERSION {
            return Ok(());
        }
        if lock.take().await? {
            let done = lock.migrate().await;
            lock.let_go().await;
            done?;
        } else if begun.elapsed() > WAIT_MAX {
            return Err(OpenError::Other("another node holds the migrations' lock".to_owned()));
        } else {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Makes the table that the lock is in. Two who make it at the same time make it twice over on some servers, so that one who
/// finds it makes none.
async fn lock_table(db: &Session) -> Result<(), OpenError> {
    if db.query_unpaged("SELECT name FROM migration WHERE name = 'schema'", ()).await.is_ok() {
        return Ok(());
    }
    db.query_unpaged("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, holder text, version int)", ())
        .await?;
    db.await_schema_agreement().await.map_err(OpenError::answer)?;
    Ok(())
}

/// The lock that migrations are made under.
struct Lock<'a> {
    db: &'a Session,
    holder: String,
}

impl Lock<'_> {
    async fn migrate(&self) -> Result<(), OpenError> {
        // Whoever had the lock before may have done it meanwhile.
        let before = self.version().await?;
        for (at, text) in MIGRATIONS.iter().enumerate().skip(usize::try_from(before).unwrap_or_default()) {
            for statement in statements(text) {
                if !self.is_done(&statement).await? {
                    self.db.query_unpaged(statement, ()).await?;
                }
                if !self.renew().await? {
                    return Err(OpenError::Other("the migrations' lock was lost".to_owned()));
                }
            }
            self.db.await_schema_agreement().await.map_err(OpenError::answer)?;
            self.note(i32::try_from(at).unwrap_or_default()).await?;
        }
        tracing::info!(from = before, to = VERSION, "database migrated");
        Ok(())
    }

    /// Whether a statement adds a column that is there: not every server can be told to add it only where it isn't.
    async fn is_done(&self, statement: &str) -> Result<bool, OpenError> {
        let Some((table, column)) = added(statement) else { return Ok(false) };
        let keyspace = self.db.get_keyspace().map(|keyspace| keyspace.to_string()).unwrap_or_default();
        let there = "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ? AND column_name = ?";
        let found = self.db.query_unpaged(there, (keyspace, table, column)).await?;
        Ok(found.into_rows_result().map_err(OpenError::answer)?.rows_num() > 0)
    }

    /// The version that the database is at; 0 before the first migration.
    async fn version(&self) -> Result<i32, OpenError> {
        let mut select = Statement::new("SELECT version FROM migration WHERE name = 'schema'");
        select.set_consistency(Consistency::LocalSerial);
        let found = self.db.query_unpaged(select, ()).await?.into_rows_result().map_err(OpenError::answer)?;
        let row = found.maybe_first_row::<(Option<i32>,)>().map_err(OpenError::answer)?;
        Ok(row.and_then(|(version,)| version).unwrap_or(0))
    }

    /// Notes that the database has gone from `version` to the next one. One who lost the lock may have done so, too.
    async fn note(&self, version: i32) -> Result<(), OpenError> {
        let next = version + 1;
        if version == 0 {
            let sql = format!("INSERT INTO migration (name, version) VALUES ('schema', {next}) IF NOT EXISTS");
            self.applied(&sql).await?;
        } else {
            let sql = format!("UPDATE migration SET version = {next} WHERE name = 'schema' IF version = {version}");
            self.applied(&sql).await?;
        }
        Ok(())
    }

    async fn take(&self) -> Result<bool, OpenError> {
        let sql = format!(
            "INSERT INTO migration (name, holder) VALUES ('lock', '{}') IF NOT EXISTS USING TTL {LOCK_S}",
            self.holder
        );
        self.applied(&sql).await
    }

    async fn renew(&self) -> Result<bool, OpenError> {
        let holder = &self.holder;
        let sql = format!(
            "UPDATE migration USING TTL {LOCK_S} SET holder = '{holder}' WHERE name = 'lock' IF holder = '{holder}'"
        );
        self.applied(&sql).await
    }

    async fn let_go(&self) {
        let sql = format!("DELETE FROM migration WHERE name = 'lock' IF holder = '{}'", self.holder);
        if let Err(error) = self.applied(&sql).await {
            tracing::info!(%error, "the migrations' lock was not let go; it ends by itself");
        }
    }

    async fn applied(&self, cql: &str) -> Result<bool, OpenError> {
        let mut statement = Statement::new(cql);
        statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        statement.set_retry_policy(Some(std::sync::Arc::new(FallthroughRetryPolicy::new())));
        let answer = self.db.query_unpaged(statement, ()).await?.into_rows_result().map_err(OpenError::answer)?;
        let row = answer.first_row::<Row>().map_err(OpenError::answer)?;
        Ok(row.columns.first().and_then(Option::as_ref).and_then(CqlValue::as_boolean) == Some(true))
    }
}

/// The table and the column of a statement that adds one.
fn added(statement: &str) -> Option<(&str, &str)> {
    let mut words = statement.strip_prefix("ALTER TABLE ")?.split_whitespace();
    let table = words.next()?;
    (words.next()? == "ADD").then_some((table, words.next()?))
}

/// The statements of a file, without its comments.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    code.join("\n").split(';').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_split_into_statements() {
        assert_eq!(statements("-- a; b\nCREATE x; -- ;\n\nCREATE\n y;\n"), ["CREATE x", "CREATE\n y"]);
        let all: Vec<String> = MIGRATIONS.iter().flat_map(|text| statements(text)).collect();
        let again = |one: &String| one.starts_with("CREATE TABLE IF NOT EXISTS ") || added(one).is_some();
        assert!(all.iter().all(again), "each can be repeated: {all:?}");
        assert_eq!(added("ALTER TABLE room_log ADD fence bigint STATIC"), Some(("room_log", "fence")));
    }
}
