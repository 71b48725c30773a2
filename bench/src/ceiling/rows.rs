//! The rows of one message, and the statements that write them.

use std::path::Path;

use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{ClientId, MessageId, UserId};
use rusqlite::{CachedStatement, Connection, params};

use crate::{Failure, sentences};

/// KiB of pages kept in memory, as many as the server keeps.
const CACHE_KIB: i64 = 32 * 1024;
/// Pages of the write-ahead log after which it is copied back, as for the server.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Opens a database as the server does: WAL, every commit synced, checkpoints by [`checkpoint`] only.
///
/// # Errors
/// When it can't be opened.
pub fn open(dir: &Path) -> Result<Connection, Failure> {
    let db = Connection::open(dir.join("bare.sqlite"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    Ok(db)
}

/// Copies the write-ahead log back into the database where it has grown long; to be called when nobody waits.
///
/// # Errors
/// When the database fails.
pub fn checkpoint(db: &Connection) -> Result<(), Failure> {
    let pages: i64 = db.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| row.get(1))?;
    if pages >= CHECKPOINT_PAGES {
        db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// Makes the tables and `rooms` empty rooms, numbered from 1.
///
/// # Errors
/// When they are there already.
pub fn create(db: &mut Connection, rooms: i64) -> Result<(), Failure> {
    let tx = db.transaction()?;
    tx.execute_batch(include_str!("rows.sql"))?;
    for room in 1..=rooms {
        tx.execute("INSERT INTO room VALUES (?1, 1, 0)", [room])?;
    }
    tx.commit()?;
    Ok(())
}

/// Stored entries of the measurement's messages, made beforehand: encoding is not what is measured.
///
/// # Errors
/// When an entry can't be encoded.
pub fn blobs() -> Result<Vec<Vec<u8>>, Failure> {
    let entry = |text| Entry {
        seq: 1_000,
        at: 1_767_225_600_000,
        by: UserId::new(1_000),
        client_id: ClientId::new("b100000").expect("printable ASCII"),
        posts: 1_000,
        append: (1 << 52) - 1,
        fact: Fact::Posted {
            id: MessageId::new(100_000),
            content: Some(Content::text(text)),
            reply_to: None,
            mentions: Vec::new(),
            meta: Default::default(),
        },
    };
    sentences::texts().into_iter().map(|text| Ok(rmp_serde::to_vec_named(&entry(text))?)).collect()
}

/// The statements of an append.
pub struct Statements<'a> {
    room: CachedStatement<'a>,
    log: CachedStatement<'a>,
    dedup: CachedStatement<'a>,
    message: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    /// Prepares them.
    ///
    /// # Errors
    /// When the tables are missing.
    pub fn prepare(db: &'a Connection) -> Result<Self, Failure> {
        Ok(Self {
            room: db.prepare_cached("UPDATE room SET last_seq = ?3 WHERE room_id = ?1 AND last_seq = ?2")?,
            log: db.prepare_cached("INSERT INTO room_log VALUES (?1, ?2, ?3, 1, ?4)")?,
            dedup: db.prepare_cached("INSERT INTO dedup VALUES (?1, ?2, ?3, ?4, 1)")?,
            message: db.prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3)")?,
        })
    }

    /// Moves a room's last number from `from` to `to`; once an append, however many entries it has.
    ///
    /// # Errors
    /// When the room's log is not at `from`.
    pub fn advance(&mut self, room: i64, from: i64, to: i64) -> Result<(), Failure> {
        let moved = self.room.execute([room, from, to])?;
        if moved == 1 { Ok(()) } else { Err(Failure::new("a room's log is not where it should be")) }
    }

    /// Writes a message's rows; `id` is the message's and makes its client id.
    ///
    /// # Errors
    /// When they are there already.
    pub fn insert(&mut self, room: i64, seq: i64, id: i64, blob: &[u8]) -> Result<(), Failure> {
        self.insert_as(room, seq, room, id, &format!("b{id}"), blob)
    }

    /// As [`Statements::insert`], from a sender under a client id.
    ///
    /// # Errors
    /// When they are there already.
    pub fn insert_as(
        &mut self,
        room: i64,
        seq: i64,
        by: i64,
        id: i64,
        client_id: &str,
        blob: &[u8],
    ) -> Result<(), Failure> {
        self.log.execute(params![room, seq, by, blob])?;
        self.dedup.execute(params![room, by, client_id, seq])?;
        self.message.execute([id, room, seq])?;
        Ok(())
    }
}
