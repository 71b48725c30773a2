//! The schema and its versions. A migration that was released is never changed; a new one is added.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, name_keys};

/// All migrations, in order; the first makes version 1.
const MIGRATIONS: [Migration; 4] = [
    Migration::Statements(include_str!("../../../schema/sqlite/0001_initial.sql")),
    Migration::Statements(include_str!("../../../schema/sqlite/0002_import.sql")),
    Migration::Rows(name_keys::run),
    Migration::Statements(include_str!("../../../schema/sqlite/0004_feed.sql")),
];

/// How a database gets from one version to the next.
enum Migration {
    /// By a file of statements.
    Statements(&'static str),
    /// By changing its rows in a way that SQL can't.
    Rows(fn(&Connection) -> rusqlite::Result<()>),
}

/// What a database of parlance carries in its header: `PARL` in ASCII.
const APPLICATION_ID: i32 = 0x5041_524c;

/// The version that this binary writes.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Bytes of the header that are read, and where two numbers are in it (sqlite.org/fileformat2.html, 1.3).
const HEADER_BYTES: usize = 100;
const VERSION_AT: usize = 60;
const APPLICATION_AT: usize = 68;

/// Refuses a file that is not a database of this or an earlier version, without a change to it or beside it.
pub(super) fn check(file: &Path) -> Result<(), OpenError> {
    use std::io::Read;

    let mut header = Vec::new();
    match std::fs::File::open(file) {
        Ok(opened) => opened.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|e| OpenError::io(file, e))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io(file, error)),
    };
    if header.is_empty() {
        return Ok(());
    }
    if header.len() < HEADER_BYTES || !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    let (version, application) = (number(&header, VERSION_AT), number(&header, APPLICATION_AT));
    judge(file, version, application)?;
    // What a process left in its WAL is not in the file's header yet.
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    if application == 0 || std::fs::metadata(&wal).is_ok_and(|m| m.len() > 0) {
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        check_open(&db, file)?;
    }
    Ok(())
}

/// The same for a database that is open, where its WAL counts too.
pub(super) fn check_open(db: &Connection, file: &Path) -> Result<(), OpenError> {
    let application = pragma(db, "application_id")?;
    judge(file, pragma(db, "user_version")?, application)?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && tables > 0 {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    Ok(())
}

fn judge(file: &Path, version: i32, application: i32) -> Result<(), OpenError> {
    // A database that was begun and not finished has neither number yet, and no table.
    if application != APPLICATION_ID && (application, version) != (0, 0) {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    if version > VERSION {
        return Err(OpenError::Newer { file: file.to_owned(), found: version, known: VERSION });
    }
    Ok(())
}

fn number(header: &[u8], at: usize) -> i32 {
    header[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | i32::from(*byte))
}

fn pragma(db: &Connection, name: &str) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, name, |row| row.get(0))
}

/// Brings a database to this binary's version, in one transaction.
pub(super) fn run(db: &Connection) -> Result<(), OpenError> {
    let before = pragma(db, "user_version")?;
    if before == VERSION {
        return Ok(());
    }
    let transaction = db.unchecked_transaction()?;
    for migration in &MIGRATIONS[usize::try_from(before).unwrap_or_default()..] {
        match migration {
            Migration::Statements(statements) => transaction.execute_batch(statements)?,
            Migration::Rows(change) => change(&transaction)?,
        }
    }
    if before == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        set_epoch(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    // From here on the file's own header tells the version.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    tracing::info!(from = before, to = VERSION, "database migrated");
    Ok(())
}

/// Gives a database another epoch: a random number from 1 to 2^53 - 1.
pub(super) fn set_epoch(db: &Connection) -> Result<(), OpenError> {
    let random = getrandom::u64().map_err(|e| OpenError::Random(e.to_string()))?;
    let epoch = (random >> 11).max(1);
    db.execute(
        "INSERT INTO meta VALUES ('epoch', ?1) ON CONFLICT DO UPDATE SET value = excluded.value",
        [epoch as i64],
    )?;
    Ok(())
}
