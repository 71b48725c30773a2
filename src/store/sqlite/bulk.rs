//! Imports: many rows in one transaction, with the import's progress.
//!
//! What is taken is found by the inserts themselves, which costs nothing where nothing is; then a savepoint takes it all back.
//! Each table's rows go in in the order of their keys: then most of them go to the page that the one before went to.

use std::collections::HashSet;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Account, Append, Bulk, BulkError, BulkStore, ClaimKind, IdKind, Record, StoreError, Taken,
};
use parlance_schema::Seq;
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::append::{EntryRow, Rows};
use super::fail::{Fail, corrupt, int, uint};
use super::writer::Size;
use super::{accounts, claims};
use crate::store::{claim_word, id_word};

/// Why a piece was not written, as the transaction saw it.
enum Refused {
    Step(u64),
    Taken(Vec<Taken>),
}

impl From<Refused> for BulkError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Step(step) => BulkError::Step(step),
            Refused::Taken(taken) => BulkError::Taken(taken),
        }
    }
}

/// A piece in the form of its rows; the logs' are made by the caller's thread.
struct Piece {
    bulk: Bulk,
    logs: Vec<Rows>,
    /// The entries in the order of their senders' names for them, and the messages in that of their ids.
    names: Vec<Place>,
    messages: Vec<(i64, Place)>,
}

/// Where an entry is: the log's place in the piece, and the entry's in the log.
type Place = (usize, usize);

#[async_trait]
impl BulkStore for Sqlite {
    async fn bulk(&self, mut bulk: Bulk) -> Result<(), BulkError> {
        bulk.appends.iter().try_for_each(crate::store::check_numbers)?;
        let members: Vec<_> =
            bulk.appends.iter().flat_map(|append| append.members.iter().map(|(user, _)| *user)).collect();
        let appends = std::mem::take(&mut bulk.appends).into_iter();
        let marked = appends.map(|append| Append { mark: Some(crate::store::imported(&append)), ..append });
        let logs = marked.map(Rows::new).collect::<Result<Vec<_>, _>>();
        let piece = Piece::new(bulk, logs.map_err(StoreError::from)?);
        let done = self.writer.run(piece.size(), move |db| piece.write(db)).await;
        self.memberships.changed(members.into_iter());
        Ok(done??)
    }

    async fn import(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let name = name.to_owned();
        let read = move |db: &Connection| {
            let mut select = db.prepare_cached("SELECT step, progress FROM import WHERE name = ?1")?;
            Ok(select.query_row([name], |row| Ok((uint(row, 0)?, row.get(1)?))).optional()?)
        };
        self.readers.run(read).await
    }

    async fn records(&self, import: &str, kind: u8, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let import = import.to_owned();
        let read = move |db: &Connection| {
            let sql = "SELECT key, value FROM import_record WHERE import = ?1 AND kind = ?2 AND key >= ?3 \
                       ORDER BY key LIMIT ?4";
            let mut select = db.prepare_cached(sql)?;
            let found = select.query_map(params![import, kind, int(from), int(limit as u64)], |row| {
                Ok(Record { kind, key: uint(row, 0)?, value: row.get(1)? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        };
        self.readers.run(read).await
    }

    async fn taken(&self, kind: IdKind, ids: &[u64]) -> Result<Vec<u64>, StoreError> {
        let ids = ids.to_vec();
        self.readers.run_at_once(move |db| taken(db, kind, &ids)).await
    }
}

impl Piece {
    fn new(bulk: Bulk, logs: Vec<Rows>) -> Self {
        let places = || logs.iter().enumerate().flat_map(|(at, log)| (0..log.entries.len()).map(move |row| (at, row)));
        let name = |(at, row): &Place| {
            let entry = &logs[*at].entries[*row];
            (logs[*at].room, entry.by, entry.client_id.as_str())
        };
        let mut names: Vec<_> = places().collect();
        // Of two that have the same name or id, the earlier one has it, as it would one by one.
        names.sort_by(|a, b| name(a).cmp(&name(b)));
        let id = |place: Place| Some((logs[place.0].entries[place.1].message?, place));
        let mut messages: Vec<_> = places().filter_map(id).collect();
        messages.sort_unstable();
        Self { bulk, logs, names, messages }
    }

    fn size(&self) -> Size {
        let logs = self.logs.iter().map(Rows::size);
        let (entries, bytes) = logs.fold((0, 0), |(e, b), size| (e + size.entries, b + size.bytes));
        let rows = self.bulk.accounts.len() + self.bulk.records.len() + self.bulk.marks.len();
        Size { entries: entries + rows, bytes: bytes + 256 * rows }
    }

    /// Writes it, or refuses and writes nothing.
    fn write(&self, db: &Connection) -> Result<Result<(), Refused>, Fail> {
        let mut select = db.prepare_cached("SELECT step FROM import WHERE name = ?1")?;
        let step = select.query_row([&self.bulk.import], |row| uint(row, 0)).optional()?.unwrap_or(0);
        if step != self.bulk.step {
            return Ok(Err(Refused::Step(step)));
        }
        db.execute_batch("SAVEPOINT bulk")?;
        let taken = self.rows(db)?;
        let refused = !taken.is_empty();
        db.execute_batch(if refused { "ROLLBACK TO bulk; RELEASE bulk" } else { "RELEASE bulk" })?;
        Ok(if refused { Err(Refused::Taken(taken)) } else { Ok(()) })
    }

    /// Writes all rows but those that are there already, which it returns.
    fn rows(&self, db: &Connection) -> Result<Vec<Taken>, Fail> {
        let bulk = &self.bulk;
        let mut taken = Vec::new();
        for (at, account) in bulk.accounts.iter().enumerate() {
            write_account(db, at, account, &mut taken)?;
        }
        for (at, (tenant, kind, key, target)) in bulk.claims.iter().enumerate() {
            let holder = claims::claim(db, *tenant, *kind, key, *target)?;
            taken.extend((holder != *target).then_some(Taken::Claim(at, holder)));
        }
        self.write_logs(db, &mut taken)?;
        let sql = "INSERT INTO read_mark VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
                   SET seq = excluded.seq, posts = excluded.posts, own = excluded.own WHERE excluded.seq > read_mark.seq";
        let mut upsert = db.prepare_cached(sql)?;
        for (room, user, mark) in &bulk.marks {
            upsert.execute([room.get(), user.get(), mark.seq, mark.posts, mark.own].map(int))?;
        }
        let sql =
            "INSERT INTO id_block VALUES (?1, ?2) ON CONFLICT DO UPDATE SET next_id = max(next_id, excluded.next_id)";
        for (kind, last) in &bulk.past {
            db.prepare_cached(sql)?.execute(params![id_word(*kind), int(last.saturating_add(1))])?;
        }
        let mut record = db.prepare_cached("REPLACE INTO import_record VALUES (?1, ?2, ?3, ?4)")?;
        for Record { kind, key, value } in &bulk.records {
            record.execute(params![bulk.import, kind, int(*key), value])?;
        }
        let values = params![bulk.import, int(bulk.step + 1), bulk.progress];
        db.prepare_cached("REPLACE INTO import VALUES (?1, ?2, ?3)")?.execute(values)?;
        Ok(taken)
    }
}

impl Piece {
    /// Writes what the logs have: their own rows, then the names, then the messages.
    fn write_logs(&self, db: &Connection, taken: &mut Vec<Taken>) -> Result<(), Fail> {
        // Logs that are there already, with what would follow in them.
        let mut shut = HashSet::new();
        let mut begun = Vec::with_capacity(self.logs.len());
        for (at, log) in self.logs.iter().enumerate() {
            let open = !shut.contains(&log.room) && begin(db, log)?;
            if !open {
                shut.insert(log.room);
                taken.extend((log.expected == 0).then_some(Taken::Room(at)));
            }
            begun.push(open);
        }
        let mut doubles = HashSet::new();
        let mut insert = db.prepare_cached("INSERT INTO dedup VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?;
        for place in self.names.iter().filter(|(at, _)| begun[*at]) {
            let (log, row) = self.entry(*place);
            let is_post = row.message.is_some();
            if insert.execute(params![log.room, row.by, row.client_id.as_str(), row.seq, is_post])? == 0 {
                doubles.insert(*place);
            }
        }
        let mut insert = db.prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
        for (id, place) in self.messages.iter().filter(|(_, (at, _))| begun[*at]) {
            let (log, row) = self.entry(*place);
            if !doubles.contains(place) && insert.execute([*id, log.room, row.seq])? == 0 {
                doubles.insert(*place);
            }
        }
        let mut doubles: Vec<_> = doubles.into_iter().collect();
        doubles.sort_unstable();
        taken.extend(doubles.into_iter().map(|place| Taken::Entry(place.0, self.entry(place).1.seq as Seq)));
        Ok(())
    }

    fn entry(&self, (at, row): Place) -> (&Rows, &EntryRow) {
        (&self.logs[at], &self.logs[at].entries[row])
    }
}

/// Writes a log's own rows; `false` where there is a log already that it would begin.
fn begin(db: &Connection, log: &Rows) -> Result<bool, Fail> {
    if !log.advance(db)? {
        let mut select = db.prepare_cached("SELECT last_seq FROM room WHERE room_id = ?1")?;
        let last = select.query_row([log.room], |row| uint(row, 0)).optional()?.unwrap_or(0);
        let elsewhere = || corrupt(format!("the log of room {} is at {last} and not at {}", log.room, log.expected));
        return if log.expected == 0 { Ok(false) } else { Err(elsewhere()) };
    }
    let mut insert = db.prepare_cached("INSERT INTO room_log VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in &log.entries {
        insert.execute(params![log.room, row.seq, row.by, row.message.is_some(), row.entry])?;
    }
    log.write_rest(db)?;
    log.write_mark(db)?;
    Ok(true)
}

fn write_account(db: &Connection, at: usize, account: &Account, taken: &mut Vec<Taken>) -> Result<(), Fail> {
    let before = taken.len();
    let mut select = db.prepare_cached("SELECT 1 FROM account WHERE user_id = ?1")?;
    taken.extend(select.exists([int(account.id.get())])?.then_some(Taken::User(at)));
    let names = accounts::names_taken(db, account)?;
    taken.extend(names.username.then_some(Taken::Username(at)));
    taken.extend(names.email.then_some(Taken::Email(at)));
    if taken.len() == before { accounts::insert(db, account) } else { Ok(()) }
}

fn taken(db: &Connection, kind: IdKind, ids: &[u64]) -> Result<Vec<u64>, Fail> {
    let sql = match kind {
        IdKind::User => "SELECT 1 FROM account WHERE user_id = ?1",
        IdKind::Room => "SELECT 1 FROM room WHERE room_id = ?1",
        IdKind::Message => "SELECT 1 FROM message WHERE message_id = ?1",
    };
    let mut claimed = HashSet::new();
    if kind == IdKind::Room {
        // Whoever claimed a room may have died before it was opened; it will be opened at the next try.
        let sql = "SELECT target FROM claim WHERE target NOT IN (SELECT room_id FROM room) AND kind IN (?1, ?2)";
        let kinds = [ClaimKind::Direct, ClaimKind::Create].map(claim_word);
        let mut select = db.prepare_cached(sql)?;
        for target in select.query_map(kinds, |row| uint(row, 0))? {
            claimed.insert(target?);
        }
    }
    let mut select = db.prepare_cached(sql)?;
    let mut found = Vec::new();
    for id in ids {
        let raw = i64::try_from(*id).map_err(corrupt)?;
        if claimed.contains(id) || select.exists([raw])? {
            found.push(*id);
        }
    }
    Ok(found)
}
