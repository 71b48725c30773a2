//! What follows from entries, written beside the log: where messages are and what became of them, who is in the room,
//! words that go, snapshots, the index of client ids.
//!
//! All of it can be written again and by several at once: rows are written with the number that they tell of as their
//! timestamp, or say the same whoever writes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parlance_actors::ports::store::{Append, MessageState, StoreError};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{RoomId, Seq, UserId};
use scylla::value::CqlValue;

use super::append::bucket;
use super::cql::{self, Cas, Values, big, encode, int};
use super::{Db, log};

/// Ids of messages in one partition of the table that says where they are.
pub(super) const MESSAGE_BLOCK: u64 = 1_024;
/// Rows of one partition that are written together.
const BATCH_ROWS: usize = 128;
/// How often an erasure of unknown outcome is tried.
const ERASE_TRIES: usize = 4;

/// Writes where the entries' messages are.
pub(super) async fn locate(db: &Db, room: RoomId, entries: &[Arc<Entry>]) -> Result<(), StoreError> {
    let mut blocks: BTreeMap<u64, Vec<Values>> = BTreeMap::new();
    for entry in entries {
        let Fact::Posted { id, .. } = entry.fact else { continue };
        let (block, seq) = (id.get() / MESSAGE_BLOCK, entry.seq);
        blocks.entry(block).or_default().push(vec![big(block), big(id.get()), big(room.get()), big(seq), big(seq)]);
    }
    let write = |rows| partition(db, RowKind::Message, rows);
    futures_util::future::try_join_all(blocks.into_values().map(write)).await?;
    Ok(())
}

/// Writes what follows from an append that is in the log, but for what [`locate`] writes.
pub(super) async fn of_append(db: &Db, append: &Append) -> Result<(), StoreError> {
    let last = crate::store::last(append);
    let members: HashMap<UserId, bool> = append.members.iter().copied().collect();
    let members = members.into_iter().map(|(user, there)| (user, there, last));
    let states = append.messages.iter().map(|(seq, state)| (*seq, last, state));
    // Those of its own entries were never written.
    let erase: Vec<Seq> = append.erase.iter().copied().filter(|seq| *seq <= append.expected).collect();
    tokio::try_join!(memberships(db, append.room, members), messages(db, append.room, states), async {
        erased(db, append.room, erase).await
    })?;
    Ok(())
}

/// Writes who is in the room and who isn't, each as of an entry.
pub(super) async fn memberships(
    db: &Db,
    room: RoomId,
    members: impl Iterator<Item = (UserId, bool, Seq)>,
) -> Result<(), StoreError> {
    let write = async |(user, there, seq): (UserId, bool, Seq)| {
        let (user, room, seq) = (int(user.get()), int(room.get()), int(seq));
        if there {
            cql::write(&db.session, &db.statements.member_put, (user, room, seq)).await
        } else {
            cql::write(&db.session, &db.statements.member_drop, (seq, user, room)).await
        }
    };
    futures_util::future::try_join_all(members.map(write)).await?;
    Ok(())
}

/// Writes what became of messages, each as of an entry.
pub(super) async fn messages<'a>(
    db: &Db,
    room: RoomId,
    states: impl Iterator<Item = (Seq, Seq, &'a MessageState)>,
) -> Result<(), StoreError> {
    let mut buckets: BTreeMap<u64, Vec<Values>> = BTreeMap::new();
    for (seq, upto, state) in states {
        let blob = Some(CqlValue::Blob(encode(state)?));
        let row = vec![big(room.get()), big(bucket(seq)), big(seq), big(upto), blob, big(upto)];
        buckets.entry(bucket(seq)).or_default().push(row);
    }
    for rows in buckets.into_values() {
        partition(db, RowKind::State, rows).await?;
    }
    Ok(())
}

/// Takes the words out of entries; one that retention has removed has none left.
pub(super) async fn erased(db: &Db, room: RoomId, mut seqs: Vec<Seq>) -> Result<(), StoreError> {
    seqs.sort_unstable();
    seqs.dedup();
    for seqs in seqs.chunk_by(|a, b| bucket(*a) == bucket(*b)) {
        for some in seqs.chunks(BATCH_ROWS) {
            erase_in(db, room, some).await?;
        }
    }
    Ok(())
}

/// The same for entries of one bucket, in one conditional batch.
async fn erase_in(db: &Db, room: RoomId, seqs: &[Seq]) -> Result<(), StoreError> {
    let mut failed = None;
    for _ in 0..ERASE_TRIES {
        let mut rows = Vec::new();
        for seq in seqs {
            let Some(there) = log::one(db, room, *seq).await? else { continue };
            let mut entry = Entry::clone(&there);
            entry.erase();
            if entry != *there {
                let blob = Some(CqlValue::Blob(encode(&entry)?));
                rows.push(vec![blob, big(room.get()), big(bucket(*seq)), big(*seq), big(entry.append)]);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let batch = super::statements::cas_batch(rows.iter().map(|_| db.statements.log_erase.clone()));
        match cql::cas_batch(&db.session, &batch, rows).await {
            Ok(Cas::Applied) => return Ok(()),
            // What is there now is looked at again.
            Ok(Cas::Refused(_)) => failed = None,
            Err(StoreError::Unknown(why)) => failed = Some(why),
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Unknown(failed.unwrap_or_else(|| format!("words of room {room} change while they are erased"))))
}

/// Keeps a snapshot; an older one never replaces a newer one.
pub(super) async fn snapshot(db: &Db, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError> {
    let values = (int(room.get()), int(seq), state, int(seq));
    cql::write(&db.session, &db.statements.snapshot_put, values).await
}

/// Writes pairs (generation, hash, number) to the index, and then that all up to `upto` is indexed.
pub(super) async fn index(db: &Db, room: RoomId, pairs: Vec<(u64, i64, Seq)>, upto: Seq) -> Result<(), StoreError> {
    let mut generations: BTreeMap<u64, Vec<Values>> = BTreeMap::new();
    for (generation, hash, seq) in pairs {
        let row = vec![big(room.get()), big(generation), Some(CqlValue::BigInt(hash)), big(seq), big(seq)];
        generations.entry(generation).or_default().push(row);
    }
    for rows in generations.into_values() {
        partition(db, RowKind::Pair, rows).await?;
    }
    let values = (int(upto), int(upto), int(upto), int(room.get()));
    cql::write(&db.session, &db.statements.room_mark, values).await
}

/// Rows that are written many at a time, by their table.
#[derive(Clone, Copy)]
pub(super) enum RowKind {
    Message,
    State,
    Pair,
    Mark,
}

/// Writes rows of one partition, some at a time.
pub(super) async fn partition(db: &Db, table: RowKind, rows: Vec<Values>) -> Result<(), StoreError> {
    let statement = match table {
        RowKind::Message => &db.statements.message_put,
        RowKind::State => &db.statements.state_put,
        RowKind::Pair => &db.statements.pair_put,
        RowKind::Mark => &db.statements.mark_put,
    };
    let mut rows = rows;
    while !rows.is_empty() {
        let some: Vec<Values> = rows.drain(..rows.len().min(BATCH_ROWS)).collect();
        let batch = super::statements::plain_batch(some.iter().map(|_| statement.clone()));
        cql::write_batch(&db.session, &batch, some).await?;
    }
    Ok(())
}
