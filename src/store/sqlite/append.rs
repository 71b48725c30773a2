//! The hot path: a conditional append to one room's log, with all that follows from it, in the writer's transaction.

use parlance_actors::ports::store::{Append, AppendError, MessageState, WorkMark};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{ClientId, Seq};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::fail::{Fail, corrupt, int, uint};
use super::feed;
use super::writer::Size;

/// Why nothing was appended, as the transaction saw it.
pub(super) enum Refused {
    Conflict(Seq),
    Duplicate(Vec<(usize, Seq)>),
    Fenced,
}

impl From<Refused> for AppendError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Conflict(last) => AppendError::Conflict { last },
            Refused::Duplicate(which) => AppendError::Duplicate(which),
            Refused::Fenced => AppendError::Fenced,
        }
    }
}

/// An append in the form of its rows, made by the caller's thread so that the writer's has less to do.
pub(super) struct Rows {
    pub room: i64,
    tenant: i64,
    pub expected: Seq,
    last: i64,
    pub entries: Vec<EntryRow>,
    snapshot: Option<Vec<u8>>,
    messages: Vec<(i64, Vec<u8>)>,
    members: Vec<(i64, bool)>,
    erase: Vec<i64>,
    fence: Option<u64>,
    mark: Option<WorkMark>,
}

/// An entry in the form of its rows.
pub(super) struct EntryRow {
    pub seq: i64,
    pub by: i64,
    pub client_id: ClientId,
    pub message: Option<i64>,
    pub entry: Vec<u8>,
}

impl Rows {
    /// Encodes an append.
    pub fn new(append: Append) -> Result<Self, Fail> {
        let last = int(crate::store::last(&append));
        let entries = append.entries.iter().map(|e| EntryRow::new(e)).collect::<Result<_, _>>()?;
        let state = |(seq, state): &(Seq, MessageState)| Ok((int(*seq), encode(state)?));
        Ok(Self {
            room: int(append.room.get()),
            tenant: int(append.tenant.get()),
            expected: append.expected,
            last,
            entries,
            snapshot: append.snapshot,
            messages: append.messages.iter().map(state).collect::<Result<_, Fail>>()?,
            members: append.members.iter().map(|(user, there)| (int(user.get()), *there)).collect(),
            erase: append.erase.iter().map(|seq| int(*seq)).collect(),
            fence: append.fence,
            mark: append.mark,
        })
    }

    /// How much it writes, near enough.
    pub fn size(&self) -> Size {
        let entries: usize = self.entries.iter().map(|e| e.entry.len()).sum();
        let states: usize = self.messages.iter().map(|(_, state)| state.len()).sum();
        let bytes = entries + states + self.snapshot.as_ref().map_or(0, Vec::len);
        Size { entries: self.entries.len(), bytes }
    }

    /// Writes it, or refuses and writes nothing.
    pub fn write(&self, db: &Connection) -> Result<Result<(), Refused>, Fail> {
        let fenced = feed::fence_after(db, self.room, self.expected)? != self.fence;
        if fenced || !self.advance(db)? {
            let mut select = db.prepare_cached("SELECT last_seq FROM room WHERE room_id = ?1")?;
            let last = select.query_row([self.room], |row| uint(row, 0)).optional()?.unwrap_or(0);
            let refused = if last == self.expected { Refused::Fenced } else { Refused::Conflict(last) };
            return Ok(Err(refused));
        }
        let duplicates = self.name(db)?;
        if !duplicates.is_empty() {
            self.take_back(db, &duplicates)?;
            return Ok(Err(Refused::Duplicate(duplicates)));
        }
        self.write_entries(db)?;
        self.write_rest(db)?;
        self.write_mark(db)?;
        Ok(Ok(()))
    }

    /// What follows from the entries.
    pub fn write_rest(&self, db: &Connection) -> Result<(), Fail> {
        for (seq, state) in &self.messages {
            execute(db, "REPLACE INTO message_state VALUES (?1, ?2, ?3)")?.execute(params![self.room, seq, state])?;
        }
        for (user, there) in &self.members {
            let sql = if *there {
                "INSERT OR IGNORE INTO member VALUES (?1, ?2)"
            } else {
                "DELETE FROM member WHERE user_id = ?1 AND room_id = ?2"
            };
            execute(db, sql)?.execute([user, &self.room])?;
        }
        if let Some(state) = &self.snapshot {
            keep_snapshot(db, self.room, self.last, state)?;
        }
        for seq in &self.erase {
            erase(db, self.room, *seq)?;
        }
        Ok(())
    }

    /// The mark that goes with the entries.
    pub fn write_mark(&self, db: &Connection) -> Result<(), Fail> {
        self.mark.as_ref().map_or(Ok(()), |mark| feed::mark(db, mark))
    }

    /// Moves the log's end, if it is where the room thinks.
    pub fn advance(&self, db: &Connection) -> Result<bool, Fail> {
        let moved = if self.expected == 0 {
            let sql = "INSERT INTO room VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            execute(db, sql)?.execute([self.room, self.tenant, self.last])?
        } else {
            let sql = "UPDATE room SET last_seq = ?2 WHERE room_id = ?1 AND last_seq = ?3";
            execute(db, sql)?.execute([self.room, self.last, int(self.expected)])?
        };
        Ok(moved == 1)
    }

    /// Notes the entries' client ids; says which of them are taken, and by which entry.
    fn name(&self, db: &Connection) -> Result<Vec<(usize, Seq)>, Fail> {
        let mut taken = Vec::new();
        let mut dedup = execute(db, "INSERT INTO dedup VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?;
        for (at, row) in self.entries.iter().enumerate() {
            let is_post = row.message.is_some();
            if dedup.execute(params![self.room, row.by, row.client_id.as_str(), row.seq, is_post])? == 0 {
                let mut select = db.prepare_cached(FIND)?;
                let key = params![self.room, row.by, row.client_id.as_str()];
                taken.push((at, select.query_row(key, |row| uint(row, 0))?));
            }
        }
        Ok(taken)
    }

    /// Undoes what was written so far of an append whose client ids were taken: it writes nothing.
    fn take_back(&self, db: &Connection, taken: &[(usize, Seq)]) -> Result<(), Fail> {
        let mut delete = execute(db, "DELETE FROM dedup WHERE room_id = ?1 AND by_user = ?2 AND client_id = ?3")?;
        for (at, row) in self.entries.iter().enumerate() {
            if !taken.iter().any(|(place, _)| *place == at) {
                delete.execute(params![self.room, row.by, row.client_id.as_str()])?;
            }
        }
        if self.expected == 0 {
            execute(db, "DELETE FROM room WHERE room_id = ?1")?.execute([self.room])?;
        } else {
            execute(db, "UPDATE room SET last_seq = ?2 WHERE room_id = ?1")?
                .execute([self.room, int(self.expected)])?;
        }
        Ok(())
    }

    fn write_entries(&self, db: &Connection) -> Result<(), Fail> {
        let mut log = execute(db, "INSERT INTO room_log VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut message = execute(db, "INSERT INTO message VALUES (?1, ?2, ?3)")?;
        for row in &self.entries {
            let is_post = row.message.is_some();
            log.execute(params![self.room, row.seq, row.by, is_post, row.entry])?;
            if let Some(id) = row.message {
                message.execute([id, self.room, row.seq])?;
            }
        }
        Ok(())
    }
}

impl EntryRow {
    fn new(entry: &Entry) -> Result<Self, Fail> {
        let message = if let Fact::Posted { id, .. } = &entry.fact { Some(int(id.get())) } else { None };
        let (seq, by, client_id) = (int(entry.seq), int(entry.by.get()), entry.client_id.clone());
        Ok(Self { seq, by, client_id, message, entry: encode(entry)? })
    }
}

/// Finds the entry that a client id made.
pub(super) const FIND: &str = "SELECT seq FROM dedup WHERE room_id = ?1 AND by_user = ?2 AND client_id = ?3";

/// Keeps a snapshot, unless a newer one is there.
pub(super) fn keep_snapshot(db: &Connection, room: i64, seq: i64, state: &[u8]) -> Result<(), Fail> {
    let sql = "INSERT INTO snapshot VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET seq = excluded.seq, state = excluded.state \
               WHERE excluded.seq > snapshot.seq";
    execute(db, sql)?.execute(params![room, seq, state])?;
    Ok(())
}

/// Takes the words out of an entry; one that retention has removed has none left.
fn erase(db: &Connection, room: i64, seq: i64) -> Result<(), Fail> {
    let mut select = db.prepare_cached("SELECT entry FROM room_log WHERE room_id = ?1 AND seq = ?2")?;
    let Some(mut entry) =
        select.query_row([room, seq], |row| Ok(decode::<Entry>(row.get_ref(0)?.as_blob()?))).optional()?
    else {
        return Ok(());
    };
    if let Ok(entry) = &mut entry {
        entry.erase();
    }
    let sql = "UPDATE room_log SET entry = ?3 WHERE room_id = ?1 AND seq = ?2";
    execute(db, sql)?.execute(params![room, seq, encode(&entry?)?])?;
    Ok(())
}

fn execute<'a>(db: &'a Connection, sql: &str) -> Result<CachedStatement<'a>, Fail> {
    Ok(db.prepare_cached(sql)?)
}

/// A value as the blob that is kept of it.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Fail> {
    rmp_serde::to_vec_named(value).map_err(corrupt)
}

/// The value of a blob.
pub(super) fn decode<T: serde::de::DeserializeOwned>(blob: &[u8]) -> Result<T, Fail> {
    rmp_serde::from_slice(blob).map_err(corrupt)
}
