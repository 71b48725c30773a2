//! Taking what another store had, while no node uses the keyspace.
//!
//! Each row can be written again: logs by their numbers, accounts and names by whose they are, the rest by timestamps or keys.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use parlance_actors::ports::store::{Account, AccountError, Family, LogStore, ReadMark, StoreError};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, LOG_BUCKET};
use parlance_schema::{RoomId, UserId};
use scylla::deserialize::row::DeserializeRow;

use super::accounts::{self, AT_ONCE, DAY_MS};
use super::append::{bucket, row};
use super::cql::{self, Cas, Values, big, corrupt, int, uint};
use super::{Db, Scylla, claims, families, feed, known_log, projections};
use crate::store::copy::{Place, Progress, Row, STAGES, Stage, Tally, Target};

/// Tables that have something in them once a store is in use.
const IN_USE: [&str; 5] = ["id_block", "claim", "account", "family", "room_log"];
/// How often a write of unknown outcome is tried.
const TRIES: usize = 5;

/// Whether a move was begun and has not come to its end.
pub(super) async fn unfinished(db: &Db) -> Result<bool, StoreError> {
    Ok(begun(db).await?.is_some_and(|(_, _, finished)| !finished))
}

async fn begun(db: &Db) -> Result<Option<(u64, Progress, bool)>, StoreError> {
    let found = cql::row::<(i64, Vec<u8>, bool)>(&db.session, &db.statements.moving, ()).await?;
    found.map(|(source, progress, finished)| Ok((uint(source)?, cql::decode(&progress)?, finished))).transpose()
}

fn refused(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

async fn write(db: &Db, stage: Stage, rows: Vec<Row>) -> Result<(), StoreError> {
    if stage == Stage::Log {
        let entries: Vec<(RoomId, Arc<Entry>)> = rows
            .into_iter()
            .filter_map(|row| if let Row::Entry(room, entry) = row { Some((room, entry)) } else { None })
            .collect();
        for part in entries.chunk_by(|a, b| a.0 == b.0) {
            let entries: Vec<Arc<Entry>> = part.iter().map(|(_, entry)| Arc::clone(entry)).collect();
            write_log(db, part[0].0, &entries).await?;
        }
        return Ok(());
    }
    let writes = futures_util::stream::iter(rows).map(|row| write_row(db, row));
    writes.buffer_unordered(AT_ONCE).try_collect().await
}

async fn write_row(db: &Db, row: Row) -> Result<(), StoreError> {
    let (session, statements) = (&db.session, &db.statements);
    match row {
        Row::Id(kind, next) => write_id(db, &kind, next).await,
        Row::Claim(tenant, kind, key, target) => {
            let holder = claims::claim(db, tenant, &kind, &key, target).await?;
            if holder == target { Ok(()) } else { Err(corrupt(format!("{holder} has a claim that is {target}'s"))) }
        }
        Row::Account(account) => write_account(db, &account).await,
        Row::Family(id, user, current, expires_at, revoked) => {
            let family = Family { id, user, current, expires_at, revoked };
            match families::read(db, &family.id, true).await? {
                Some(there) if there == family => Ok(()),
                _ => families::create(db, &family).await,
            }
        }
        Row::State(room, seq, state, last) => {
            let values = (int(room.get()), int(bucket(seq)), int(seq), int(last), state, int(last));
            cql::write(session, &statements.state_put, values).await
        }
        Row::Snapshot(room, seq, state) => projections::snapshot(db, room, seq, state).await,
        Row::Member(user, room, last) => projections::memberships(db, room, std::iter::once((user, true, last))).await,
        Row::Mark(room, user, mark) => {
            let [seq, posts, own] = [mark.seq, mark.posts, mark.own].map(int);
            cql::write(session, &statements.mark_put, (int(room.get()), int(user.get()), seq, posts, own, seq)).await
        }
        Row::Audit(id, at, by, room, what) => {
            let room = room.map(|room| int(room.get()));
            let values = (int(at / DAY_MS), int(at), int(id), int(by.get()), room, what);
            cql::write(session, &statements.audit_put, values).await
        }
        Row::Consumer(..) | Row::Cursor(..) | Row::DeadLetter(..) | Row::WorkMark(..) | Row::DueMark(..) => {
            feed::receive::write(db, row).await
        }
        Row::Entry(..) => Err(corrupt("an entry among other rows")),
    }
}

async fn write_id(db: &Db, kind: &str, next: u64) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        match cql::cas(&db.session, &db.statements.ids_begin, (kind, int(next))).await {
            Ok(Cas::Applied) => return Ok(()),
            Ok(Cas::Refused(found)) if found.number("next_id") == Some(next) => return Ok(()),
            Ok(Cas::Refused(_)) => return Err(corrupt(format!("ids of kind {kind} are in use"))),
            Err(StoreError::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Unknown("a kind of ids was not decided".to_owned()))
}

async fn write_account(db: &Db, account: &Account) -> Result<(), StoreError> {
    match accounts::kept_serial(db, account.id.get()).await? {
        Some(kept) if kept.open => return Ok(()),
        // The move was interrupted in the middle of it.
        Some(kept) => {
            let values = (int(account.id.get()), int(kept.version));
            cql::cas(&db.session, &db.statements.account_drop, values).await?;
        }
        None => {}
    }
    accounts::create(db, account).await.map_err(|error| match error {
        AccountError::Store(error) => error,
        taken => corrupt(format!("account {}: {taken}", account.id)),
    })
}

/// Writes a stretch of a log, and what finds its messages and client ids.
async fn write_log(db: &Db, room: RoomId, entries: &[Arc<Entry>]) -> Result<(), StoreError> {
    let mut rest = entries;
    while let [first, ..] = rest {
        let (mut bytes, mut rows) = (0, Vec::new());
        for entry in rest.iter().take(APPEND_ENTRIES_MAX).take_while(|e| bucket(e.seq) == bucket(first.seq)) {
            let values = row(room.get(), bucket(entry.seq), entry, false)?;
            bytes += values.iter().flatten().map(|value| value.as_blob().map_or(8, Vec::len)).sum::<usize>();
            if bytes > APPEND_BYTES_MAX && !rows.is_empty() {
                break;
            }
            rows.push(values);
        }
        let (some, other) = rest.split_at(rows.len());
        append(db, room, some, rows).await?;
        rest = other;
    }
    let pairs =
        entries.iter().map(|e| (known_log::generation(e.seq), known_log::hash(e.by, &e.client_id), e.seq)).collect();
    projections::locate(db, room, entries).await?;
    projections::index(db, room, pairs, entries.last().map_or(0, |last| last.seq)).await
}

/// Appends entries of one bucket, unless an earlier try did.
async fn append(db: &Db, room: RoomId, entries: &[Arc<Entry>], rows: Vec<Values>) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
    let bucket = bucket(first.seq);
    let before = first.seq - 1;
    let expected = if before == bucket * LOG_BUCKET { None } else { big(before) };
    for _ in 0..TRIES {
        let mut values = vec![vec![big(last.seq), big(room.get()), big(bucket), expected.clone(), None]];
        values.extend(rows.iter().cloned());
        match cql::cas_batch(&db.session, db.batches.append(rows.len()), values).await {
            Ok(Cas::Applied) => return Ok(()),
            Ok(Cas::Refused(found)) if found.number("last_seq").is_some_and(|there| there >= last.seq) => return Ok(()),
            Ok(Cas::Refused(found)) => {
                let there = found.number("last_seq");
                return Err(corrupt(format!("room {room}: {there:?} is there before {}", first.seq)));
            }
            Err(StoreError::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Unknown(format!("an append to room {room} was not decided")))
}

/// Reads a whole table, page by page.
async fn scan<R>(db: &Db, cql: &str) -> Result<impl futures_util::Stream<Item = Result<R, StoreError>>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let pager = db.session.query_iter(cql, ()).await.map_err(cql::read_failed)?;
    Ok(pager.rows_stream::<R>().map_err(corrupt)?.map_err(cql::read_failed))
}

/// Tallies a table, each of whose rows is a row.
pub(super) async fn tally_table<R>(
    db: &Db,
    cql: &str,
    row: impl Fn(R) -> Result<Row, StoreError>,
) -> Result<Tally, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let mut tally = Tally::default();
    let mut rows = std::pin::pin!(scan::<R>(db, cql).await?);
    while let Some(found) = rows.try_next().await? {
        tally.add(&row(found)?)?;
    }
    Ok(tally)
}

pub(super) fn id<T: TryFrom<u64, Error: std::fmt::Display>>(number: i64) -> Result<T, StoreError> {
    T::try_from(uint(number)?).map_err(corrupt)
}

async fn tally(db: &Db, stage: Stage) -> Result<Tally, StoreError> {
    match stage {
        Stage::Ids => {
            let row = |(kind, next)| Ok(Row::Id(kind, uint(next)?));
            tally_table::<(String, i64)>(db, "SELECT kind, next_id FROM id_block", row).await
        }
        Stage::Claims => {
            let row = |(tenant, kind, key, target)| Ok(Row::Claim(id(tenant)?, kind, key, uint(target)?));
            tally_table::<(i64, String, String, i64)>(db, "SELECT tenant, kind, key, target FROM claim", row).await
        }
        Stage::Accounts => tally_accounts(db).await,
        Stage::Families => {
            let sql = "SELECT family_id, user_id, current, expires_at, revoked FROM family";
            let row =
                |(name, user, current, at, revoked)| Ok(Row::Family(name, id(user)?, current, uint(at)?, revoked));
            tally_table::<(String, i64, String, i64, bool)>(db, sql, row).await
        }
        Stage::Log => tally_log(db).await,
        Stage::States => {
            let row = |(room, seq, state)| Ok(Row::State(id(room)?, uint(seq)?, state, 0));
            tally_table::<(i64, i64, Vec<u8>)>(db, "SELECT room_id, seq, state FROM message_state", row).await
        }
        Stage::Snapshots => {
            let row = |(room, seq, state)| Ok(Row::Snapshot(id(room)?, uint(seq)?, state));
            tally_table::<(i64, i64, Vec<u8>)>(db, "SELECT room_id, seq, state FROM snapshot", row).await
        }
        Stage::Members => {
            let row = |(user, room)| Ok(Row::Member(id(user)?, id(room)?, 0));
            tally_table::<(i64, i64)>(db, "SELECT user_id, room_id FROM member", row).await
        }
        Stage::Marks => {
            let row = |(room, user, seq, posts, own)| {
                let mark = ReadMark { seq: uint(seq)?, posts: uint(posts)?, own: uint(own)? };
                Ok(Row::Mark(id(room)?, id(user)?, mark))
            };
            let sql = "SELECT room_id, user_id, seq, posts, own FROM read_mark";
            tally_table::<(i64, i64, i64, i64, i64)>(db, sql, row).await
        }
        Stage::Audit => {
            let row = |(audit, at, by, room, what): (i64, i64, i64, Option<i64>, String)| {
                Ok(Row::Audit(uint(audit)?, uint(at)?, id(by)?, room.map(id).transpose()?, what))
            };
            let sql = "SELECT audit_id, at, by_user, room_id, what FROM audit";
            tally_table::<(i64, i64, i64, Option<i64>, String)>(db, sql, row).await
        }
        Stage::Consumers | Stage::Cursors | Stage::DeadLetters | Stage::WorkMarks | Stage::DueMarks => {
            feed::receive::tally(db, stage).await
        }
    }
}

/// Accounts are read as nodes read them, and each must be found by its names.
async fn tally_accounts(db: &Db) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let ids = scan::<(i64,)>(db, "SELECT user_id FROM account").await?;
    let read = ids.map(|user| async move {
        let user: UserId = id(user?.0)?;
        let account = accounts::open(db, user).await?.ok_or_else(|| corrupt(format!("account {user} is not open")))?;
        for name in accounts::names(&account) {
            if name.holder(db).await? != Some(user.get()) {
                return Err(corrupt(format!("account {user} is not found by its {}", name.kind)));
            }
        }
        Ok(Row::Account(account))
    });
    let mut read = std::pin::pin!(read.buffer_unordered(AT_ONCE));
    while let Some(row) = read.try_next().await? {
        tally.add(&row)?;
    }
    Ok(tally)
}

/// Entries, for each of which the indexes must have a row.
async fn tally_log(db: &Db) -> Result<Tally, StoreError> {
    let (mut tally, mut posts) = (Tally::default(), 0);
    let mut rows = std::pin::pin!(scan::<(i64, i64, Vec<u8>)>(db, "SELECT room_id, seq, entry FROM room_log").await?);
    while let Some((room, seq, blob)) = rows.try_next().await? {
        let entry: Entry = cql::decode(&blob)?;
        if entry.seq != uint(seq)? {
            return Err(corrupt(format!("the entry at {seq} of room {room} says that it is {}", entry.seq)));
        }
        posts += u64::from(matches!(entry.fact, Fact::Posted { .. }));
        tally.add(&Row::Entry(id(room)?, Arc::new(entry)))?;
    }
    for (sql, wanted) in [("SELECT seq FROM pair", tally.count), ("SELECT seq FROM message", posts)] {
        let count = scan::<(i64,)>(db, sql).await?.try_fold(0, |count, _| async move { Ok(count + 1) }).await?;
        if count != wanted {
            return Err(corrupt(format!("{sql} has {count} rows and not {wanted}")));
        }
    }
    Ok(tally)
}

#[async_trait]
impl Target for Scylla {
    async fn begin(&self, epoch: u64) -> Result<Progress, StoreError> {
        let db = &self.db;
        if begun(db).await?.is_none() {
            for table in IN_USE {
                let found = db.session.query_unpaged(format!("SELECT * FROM {table} LIMIT 1"), ()).await;
                let rows = found.map_err(cql::read_failed)?.into_rows_result().map_err(corrupt)?;
                if rows.rows_num() > 0 {
                    return Err(refused("the keyspace has something in it already: name one that is not there yet"));
                }
            }
            let start = Progress { stage: Some(STAGES[0]), after: Place::default() };
            cql::cas(&db.session, &db.statements.moving_begin, (int(epoch), cql::encode(&start)?)).await?;
        }
        match begun(db).await? {
            Some((source, progress, false)) if source == epoch => Ok(progress),
            Some((_, _, true)) => Err(refused("a store was moved into this keyspace already")),
            Some(_) => Err(refused("another store is being moved into this keyspace")),
            None => Err(StoreError::Unknown("the move was not begun".to_owned())),
        }
    }

    async fn write(&self, stage: Stage, rows: Vec<Row>) -> Result<(), StoreError> {
        write(&self.db, stage, rows).await
    }

    async fn note(&self, progress: &Progress) -> Result<(), StoreError> {
        let source = begun(&self.db).await?.map_or(0, |(source, ..)| source);
        let values = (cql::encode(progress)?, int(source));
        cql::cas(&self.db.session, &self.db.statements.moving_note, values).await.map(drop)
    }

    async fn tally(&self, stage: Stage) -> Result<Tally, StoreError> {
        tally(&self.db, stage).await
    }

    async fn finish(&self, epoch: u64) -> Result<(), StoreError> {
        let (session, statements) = (&self.db.session, &self.db.statements);
        let values = (int(epoch), "epoch", int(LogStore::epoch(self)));
        let moved = cql::cas(session, &statements.meta_set, values).await?;
        let there = cql::row::<(i64,)>(session, &statements.meta, ("epoch",)).await?;
        if there != Some((int(epoch),)) {
            return Err(StoreError::Unknown(format!("the epoch was not moved: {moved:?}")));
        }
        match cql::cas(session, &statements.moving_end, (int(epoch),)).await? {
            Cas::Applied => Ok(()),
            Cas::Refused(_) => Err(refused("another store is being moved into this keyspace")),
        }
    }
}
