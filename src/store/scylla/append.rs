//! The hot path: a conditional append to one room's log.
//!
//! What the log says so far is known from [`super::known_log`]: whether a (sender, client id) pair is in it is looked up for
//! the state `expected`, and since the append is conditional on `expected`, what was found is true of the log that it is
//! appended to. Then it is one Paxos round, however many entries there are. Beside it, where the messages are is written:
//! if the append is refused, those rows tell of entries that don't exist, which whoever reads them finds out.

use std::collections::HashSet;
use std::sync::Arc;

use parlance_actors::ports::store::{Append, AppendError, StoreError};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{RoomId, Seq};
use scylla::value::CqlValue;

use super::cql::{self, Cas, Values, big, encode, int};
use super::known_log::{self, KnownLog};
use super::{Db, log, projections, repair};

/// Entries that may be without an index before that is written.
const UNINDEXED_MAX: u64 = 256;
/// Entries that may be without an index before an append waits for that.
const UNINDEXED_BUSY_MAX: u64 = 4_096;

/// Hashes that one question to the index may have; ScyllaDB takes up to 100 unless told otherwise.
const HASHES_MAX: usize = 64;

/// The bucket of the log that a number is in.
pub(super) fn bucket(seq: Seq) -> u64 {
    (seq - 1) / LOG_BUCKET
}

/// Appends, or says why not.
pub(super) async fn append(db: &Arc<Db>, append: Append) -> Result<(), AppendError> {
    crate::store::check(&append)?;
    let held = db.known_logs.of(append.room);
    let mut slot = held.lock().await;
    if !slot.loaded || slot.stale || slot.known < append.expected {
        repair::load(db, append.room, &mut slot).await?;
    }
    if slot.known != append.expected {
        return Err(AppendError::Conflict { last: slot.known });
    }
    let hashes: Vec<i64> = append.entries.iter().map(|e| known_log::hash(e.by, &e.client_id)).collect();
    let duplicates = duplicates(db, &append, &slot, &hashes).await?;
    if !duplicates.is_empty() {
        return Err(AppendError::Duplicate(duplicates));
    }
    check_messages(db, &append).await?;
    let rows = rows(&append)?;
    let (done, located) = tokio::join!(
        cql::cas_batch(&db.session, db.batches.append(append.entries.len()), rows),
        projections::locate(db, append.room, &append.entries)
    );
    match done {
        Ok(Cas::Applied) => {}
        Ok(Cas::Refused(found)) => {
            slot.stale = true;
            if found.number("last_seq").unwrap_or(bucket(append.expected + 1) * LOG_BUCKET) == append.expected {
                return Err(AppendError::Fenced);
            }
            let last = log::end(db, append.room, append.expected, false).await;
            return Err(AppendError::Conflict { last: last.ok().or(found.number("last_seq")).unwrap_or(slot.known) });
        }
        Err(error) => {
            slot.stale = true;
            // If it was done after all, what follows is to be written though nobody may append here for long.
            if matches!(error, StoreError::Unknown(_)) {
                repair::later(Arc::clone(db), append.room);
            }
            return Err(error.into());
        }
    }
    for (entry, hash) in append.entries.iter().zip(hashes) {
        slot.push(hash, entry.seq);
    }
    let followed = projections::of_append(db, &append).await;
    if let Err(error) = located.and(followed) {
        tracing::warn!(room = %append.room, %error, "what follows from an append was not written; it is repaired later");
        slot.forget();
        repair::later(Arc::clone(db), append.room);
        return Ok(());
    }
    index(db, append, &mut slot).await;
    Ok(())
}

/// Has a snapshot kept, and the index written where it is time, without waiting for either.
async fn index(db: &Arc<Db>, append: Append, slot: &mut KnownLog) {
    let room = append.room;
    let unindexed = slot.known - slot.indexed;
    if append.snapshot.is_none() && (unindexed < UNINDEXED_MAX || (slot.busy().await && unindexed < UNINDEXED_BUSY_MAX))
    {
        return;
    }
    slot.await_background().await;
    let (db, upto, pairs) = (Arc::clone(db), slot.known, slot.unindexed());
    let work = tokio::spawn(async move {
        let snapshot = async {
            match append.snapshot {
                Some(state) => projections::snapshot(&db, room, upto, state).await,
                None => Ok(()),
            }
        };
        let (kept, indexed) = tokio::join!(snapshot, projections::index(&db, room, pairs, upto));
        let done = kept.and(indexed);
        if let Err(error) = &done {
            tracing::info!(%room, %error, "a snapshot or index was not written; the next one will be");
        }
        done.is_ok()
    });
    slot.leave(upto, work).await;
}

/// Which of an append's entries are in the log already, by their client ids, and where.
async fn duplicates(
    db: &Db,
    append: &Append,
    slot: &KnownLog,
    hashes: &[i64],
) -> Result<Vec<(usize, Seq)>, StoreError> {
    let mut candidates: Vec<(usize, Seq)> = Vec::new();
    for (at, hash) in hashes.iter().enumerate() {
        candidates.extend(slot.find(*hash).map(|seq| (at, seq)));
    }
    for (hash, seq) in indexed(db, append.room, slot.generations(), hashes).await? {
        candidates.extend(hashes.iter().enumerate().filter(|(_, own)| **own == hash).map(|(at, _)| (at, seq)));
    }
    candidates.sort_unstable();
    candidates.dedup();
    let mut duplicates: Vec<(usize, Seq)> = Vec::new();
    for (at, seq) in candidates {
        let entry = &append.entries[at];
        if log::is_named(db, append.room, seq, (entry.by, &entry.client_id)).await? {
            duplicates.push((at, seq));
        }
    }
    Ok(duplicates)
}

/// What the index says of pairs' hashes.
pub(super) async fn indexed(
    db: &Db,
    room: RoomId,
    generations: std::ops::Range<u64>,
    hashes: &[i64],
) -> Result<Vec<(i64, Seq)>, StoreError> {
    let read = async |(generation, some): (u64, &[i64])| {
        let key = (int(room.get()), int(generation), some);
        cql::rows::<(i64, i64)>(&db.session, &db.statements.pairs, key).await
    };
    let questions = generations.flat_map(|generation| hashes.chunks(HASHES_MAX).map(move |some| (generation, some)));
    let all = futures_util::future::try_join_all(questions.map(read)).await?;
    all.into_iter().flatten().map(|(hash, seq)| Ok((hash, cql::uint(seq)?))).collect()
}

/// Refuses message ids that are in use. An id that this process took and has not used yet is in use nowhere.
async fn check_messages(db: &Db, append: &Append) -> Result<(), StoreError> {
    let mut own = HashSet::new();
    for entry in append.entries.iter() {
        let Fact::Posted { id, .. } = entry.fact else { continue };
        let unused = db.unused_ids.take(id.get());
        if !own.insert(id) || (!unused && log::locate(db, id).await?.is_some()) {
            return Err(StoreError::Corrupt(format!("message {id} is there already")));
        }
    }
    Ok(())
}

/// An append in the form of its rows: first the condition, then the entries.
fn rows(append: &Append) -> Result<Vec<Values>, StoreError> {
    let (room, last) = (append.room.get(), crate::store::last(append));
    let bucket = bucket(last);
    let expected = if append.expected == bucket * LOG_BUCKET { None } else { big(append.expected) };
    let mut rows = Vec::with_capacity(append.entries.len() + 1);
    rows.push(vec![big(last), big(room), big(bucket), expected, append.fence.and_then(big)]);
    for entry in append.entries.iter() {
        rows.push(row(room, bucket, entry, append.erase.contains(&entry.seq))?);
    }
    Ok(rows)
}

/// An entry's row; without its words where the same append takes them out again.
pub(super) fn row(room: u64, bucket: u64, entry: &Entry, erased: bool) -> Result<Values, StoreError> {
    let message = if let Fact::Posted { id, .. } = &entry.fact { big(id.get()) } else { None };
    let blob = if erased {
        let mut entry = entry.clone();
        entry.erase();
        encode(&entry)?
    } else {
        encode(entry)?
    };
    let client_id = CqlValue::Text(entry.client_id.as_str().to_owned());
    let (seq, by, append) = (big(entry.seq), big(entry.by.get()), big(entry.append));
    Ok(vec![big(room), big(bucket), seq, by, Some(client_id), message, append, Some(CqlValue::Blob(blob))])
}
