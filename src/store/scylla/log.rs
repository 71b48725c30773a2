//! The log's side of the port: what is read of logs, and what is written beside them.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use parlance_actors::ports::store::{
    Append, AppendError, LogEnd, LogStore, MessageState, Range, ReadMark, StoreError, StoredMessage, Waking,
};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{ClientId, MessageId, RoomId, Seq, UserId};

use super::accounts::AT_ONCE;
use super::append::bucket;
use super::cql::{self, big, corrupt, int, uint};
use super::{Db, Scylla, append, known_log, projections};

/// Buckets that are read at the same time.
const BUCKETS_AT_ONCE: usize = 8;

/// What is known of a log without looking at it: each number is at or below the truth.
#[derive(Clone, Copy, Default)]
pub(super) struct Hints {
    /// The log goes at least so far.
    pub last: Seq,
    /// What follows from entries up to here is written.
    pub indexed: Seq,
}

/// Reads a room's hints.
pub(super) async fn hints(db: &Db, room: RoomId) -> Result<Hints, StoreError> {
    let found = cql::row::<(Option<i64>, Option<i64>)>(&db.session, &db.statements.room, (int(room.get()),)).await?;
    let Some((last, indexed)) = found else { return Ok(Hints::default()) };
    Ok(Hints { last: uint(last.unwrap_or(0))?, indexed: uint(indexed.unwrap_or(0))? })
}

/// The log's last number, looked for from a number on that it is known to have; 0 when it is empty.
///
/// `serial` is for whoever decides by it: nothing that was begun before and isn't in it then can come into it any more, but
/// for what a server takes up later, and that is refused by its condition or is the next entry.
pub(super) async fn end(db: &Db, room: RoomId, from: Seq, serial: bool) -> Result<Seq, StoreError> {
    Ok(end_and_fence(db, room, from, serial).await?.last)
}

/// The same, with the fence that the next append must know.
pub(super) async fn end_and_fence(db: &Db, room: RoomId, from: Seq, serial: bool) -> Result<LogEnd, StoreError> {
    let statement = if serial { &db.statements.end_serial } else { &db.statements.end };
    let mut bucket = bucket(from.max(1));
    loop {
        let key = (int(room.get()), int(bucket));
        let found = cql::row::<(Option<i64>, Option<i64>)>(&db.session, statement, key).await?;
        let (last, fence) = found.unwrap_or_default();
        let fence = fence.map(uint).transpose()?;
        match last.map(uint).transpose()? {
            None => return Ok(LogEnd { last: bucket * LOG_BUCKET, fence }),
            Some(last) if last == (bucket + 1) * LOG_BUCKET => bucket += 1,
            Some(last) => return Ok(LogEnd { last, fence }),
        }
    }
}

/// The log's last number, as readers see it.
async fn last(db: &Db, room: RoomId) -> Result<Seq, StoreError> {
    // What this process appends to, it knows; if it is busy there, the hints will do.
    let known =
        db.known_logs.get(room).and_then(|slot| slot.try_lock().ok().filter(|slot| slot.loaded).map(|slot| slot.known));
    let from = match known {
        Some(known) => known,
        None => hints(db, room).await?.last,
    };
    end(db, room, from, false).await
}

/// Reads one entry, after all that was begun before.
pub(super) async fn one(db: &Db, room: RoomId, seq: Seq) -> Result<Option<Arc<Entry>>, StoreError> {
    if seq == 0 {
        return Ok(None);
    }
    let key = (int(room.get()), int(bucket(seq)), int(seq));
    let found = cql::row::<(Option<Vec<u8>>,)>(&db.session, &db.statements.one_entry, key).await?;
    found.and_then(|(entry,)| entry).map(|blob| entry(seq, &blob)).transpose()
}

/// Reads a stretch of a log that must be there.
pub(super) async fn whole(db: &Db, room: RoomId, from: Seq, to: Seq) -> Result<Vec<Arc<Entry>>, StoreError> {
    let tail = read(db, room, Range { from, to, limit: usize::MAX, backwards: false }, false).await?;
    if from + tail.len() as Seq == to + 1 && tail.iter().zip(from..).all(|(entry, seq)| entry.seq == seq) {
        return Ok(tail);
    }
    Err(corrupt(format!("room {room}: the log from {from} to {to} has {} entries", tail.len())))
}

/// Finds a message: the log's entry must say that it is there.
pub(super) async fn locate(db: &Db, id: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError> {
    let key = (int(id.get() / projections::MESSAGE_BLOCK), vec![int(id.get())]);
    for (_, room, seq) in cql::rows::<(i64, i64, i64)>(&db.session, &db.statements.messages, key).await? {
        let (room, seq) = (RoomId::try_from(uint(room)?).map_err(corrupt)?, uint(seq)?);
        let entry = one(db, room, seq).await?;
        if entry.is_some_and(|entry| matches!(entry.fact, Fact::Posted { id: there, .. } if there == id)) {
            return Ok(Some((room, seq)));
        }
    }
    Ok(None)
}

fn entry(seq: Seq, blob: &[u8]) -> Result<Arc<Entry>, StoreError> {
    let entry: Entry = cql::decode(blob)?;
    if entry.seq != seq {
        return Err(corrupt(format!("the entry at {seq} says that it is {}", entry.seq)));
    }
    Ok(Arc::new(entry))
}

/// Reads entries, or only messages.
async fn read(db: &Db, room: RoomId, range: Range, posts: bool) -> Result<Vec<Arc<Entry>>, StoreError> {
    let from = range.from.max(1);
    let mut to = range.to;
    if from > to || range.limit == 0 {
        return Ok(Vec::new());
    }
    // Beyond a bucket or two it is worth knowing where the log ends.
    if to - from > 2 * LOG_BUCKET {
        to = to.min(last(db, room).await?);
        if from > to {
            return Ok(Vec::new());
        }
    }
    let statements = &db.statements;
    let statement = match (posts, range.backwards) {
        (false, false) => &statements.log_up,
        (false, true) => &statements.log_down,
        (true, false) => &statements.posts_up,
        (true, true) => &statements.posts_down,
    };
    let (first, last) = (bucket(from), bucket(to));
    let mut found: Vec<Arc<Entry>> = Vec::new();
    for step in 0..=last - first {
        let bucket = if range.backwards { last - step } else { first + step };
        let wanted = range.limit - found.len();
        let limit = i32::try_from(wanted).unwrap_or(i32::MAX);
        let key = (int(room.get()), int(bucket), int(from), int(to), limit);
        for (seq, blob) in cql::some_rows::<(i64, Vec<u8>)>(&db.session, statement, key, wanted).await? {
            found.push(entry(uint(seq)?, &blob)?);
        }
        if found.len() >= range.limit {
            break;
        }
    }
    Ok(found)
}

/// What became of messages, beside them.
async fn with_states(db: &Db, room: RoomId, posts: Vec<Arc<Entry>>) -> Result<Vec<StoredMessage>, StoreError> {
    let mut found: Vec<StoredMessage> = Vec::with_capacity(posts.len());
    for posts in posts.chunk_by(|a, b| bucket(a.seq) == bucket(b.seq)) {
        let (one, other) = (posts[0].seq, posts[posts.len() - 1].seq);
        let key = (int(room.get()), int(bucket(one)), int(one.min(other)), int(one.max(other)));
        let rows = cql::rows::<(i64, Vec<u8>)>(&db.session, &db.statements.states, key).await?;
        let mut states: std::collections::HashMap<i64, Vec<u8>> = rows.into_iter().collect();
        for entry in posts {
            let state = states.remove(&int(entry.seq)).map(|blob| cql::decode::<MessageState>(&blob)).transpose()?;
            found.push(StoredMessage { entry: Arc::clone(entry), state });
        }
    }
    Ok(found)
}

async fn wake(db: &Db, room: RoomId) -> Result<Option<Waking>, StoreError> {
    // A snapshot that an append here has left to be written is waited for, unless another append is under way.
    if let Some(slot) = db.known_logs.get(room)
        && let Ok(mut slot) = slot.try_lock()
    {
        slot.await_background().await;
    }
    let key = (int(room.get()),);
    let snapshot = cql::row::<(i64, Vec<u8>)>(&db.session, &db.statements.snapshot, key);
    let (snapshot, hints) = tokio::try_join!(snapshot, hints(db, room))?;
    let snapshot = snapshot.map(|(seq, state)| Ok::<_, StoreError>((uint(seq)?, state))).transpose()?;
    let at = snapshot.as_ref().map_or(0, |(seq, _)| *seq);
    let LogEnd { last, fence } = end_and_fence(db, room, hints.last.max(at), true).await?;
    if last == 0 {
        return Ok(None);
    }
    let tail = if at == last { Vec::new() } else { whole(db, room, at + 1, last).await? };
    Ok(Some(Waking { snapshot, tail, fence }))
}

/// Whether an entry is the one that a sender gave this client id. The log's row decides: a hash may be another pair's.
pub(super) async fn is_named(
    db: &Db,
    room: RoomId,
    seq: Seq,
    (by, client_id): (UserId, &ClientId),
) -> Result<bool, StoreError> {
    let there = one(db, room, seq).await?;
    Ok(there.is_some_and(|there| there.by == by && there.client_id == *client_id))
}

async fn find(
    db: &Db,
    room: RoomId,
    (by, client_id): (UserId, &ClientId),
    upto: Seq,
) -> Result<Option<Seq>, StoreError> {
    if upto == 0 {
        return Ok(None);
    }
    let hash = known_log::hash(by, client_id);
    let in_memory = if upto < Seq::MAX { db.known_logs.pairs_upto(room, hash, upto).await } else { None };
    let (mut candidates, generations, hints) = match in_memory {
        Some((candidates, generations)) => (candidates, generations, None),
        None => {
            let hints = hints(db, room).await?;
            let generations = if hints.indexed == 0 { 0 } else { known_log::generation(hints.indexed) + 1 };
            (Vec::new(), 0..generations, Some(hints))
        }
    };
    candidates.extend(append::indexed(db, room, generations, &[hash]).await?.into_iter().map(|(_, seq)| seq));
    for seq in candidates {
        if is_named(db, room, seq, (by, client_id)).await? {
            return Ok(Some(seq));
        }
    }
    let Some(hints) = hints else { return Ok(None) };
    // What is not indexed yet is looked for in the log itself.
    let last = end(db, room, hints.last, false).await?;
    for bucket in bucket(hints.indexed + 1)..=bucket(last.max(1)) {
        let key = (int(room.get()), int(bucket), int(hints.indexed), int(by.get()), client_id.as_str());
        if let Some((seq,)) = cql::rows::<(i64,)>(&db.session, &db.statements.named, key).await?.pop() {
            return Ok(Some(uint(seq)?));
        }
    }
    Ok(None)
}

async fn count_posts(db: &Db, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError> {
    let last = last(db, room).await?;
    if after >= last {
        return Ok(0);
    }
    let count = |bucket: u64| async move {
        let key = (int(room.get()), int(bucket), int(after), int(by.get()));
        let found = cql::row::<(i64,)>(&db.session, &db.statements.posts_count, key).await?;
        uint(found.map_or(0, |(count,)| count))
    };
    let buckets = stream::iter((bucket(after + 1)..=bucket(last)).map(count));
    buckets.buffer_unordered(BUCKETS_AT_ONCE).try_fold(0, |sum, count| async move { Ok(sum + count) }).await
}

#[async_trait]
impl LogStore for Scylla {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        let begun = Instant::now();
        let done = append::append(&self.db, append).await;
        self.append_seconds.record(begun.elapsed().as_secs_f64());
        done
    }

    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError> {
        wake(&self.db, room).await
    }

    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError> {
        let last = last(&self.db, room).await?;
        if seq == 0 || seq > last {
            return Err(corrupt(format!("room {room}: a snapshot at {seq} of a log that ends at {last}")));
        }
        projections::snapshot(&self.db, room, seq, state).await?;
        // A room that goes to sleep leaves nothing to repair.
        let Some(slot) = self.db.known_logs.get(room) else { return Ok(()) };
        let mut slot = slot.lock().await;
        slot.await_background().await;
        if slot.loaded && slot.known > slot.indexed {
            let upto = slot.known;
            projections::index(&self.db, room, slot.unindexed(), upto).await?;
            slot.indexed_upto(upto);
        }
        Ok(())
    }

    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError> {
        // One entry is what is asked for in doubt.
        if range.from == range.to && range.limit > 0 {
            return Ok(one(&self.db, room, range.from).await?.into_iter().collect());
        }
        read(&self.db, room, range, false).await
    }

    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError> {
        let posts = read(&self.db, room, range, true).await?;
        with_states(&self.db, room, posts).await
    }

    async fn messages_at(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Option<StoredMessage>>, StoreError> {
        let read = |(room, seq): (RoomId, Seq)| async move {
            let range = Range { from: seq, to: seq, limit: 1, backwards: false };
            Ok(self.messages(room, range).await?.pop())
        };
        stream::iter(places.to_vec()).map(read).buffered(AT_ONCE).try_collect().await
    }

    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError> {
        count_posts(&self.db, room, after, by).await
    }

    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError> {
        locate(&self.db, message).await
    }

    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId, upto: Seq) -> Result<Option<Seq>, StoreError> {
        find(&self.db, room, (by, client_id), upto).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        let rooms = cql::rows::<(i64,)>(&self.db.session, &self.db.statements.member, (int(user.get()),)).await?;
        rooms.into_iter().map(|(room,)| RoomId::try_from(uint(room)?).map_err(corrupt)).collect()
    }

    async fn rooms_of_each(&self, users: &[UserId]) -> Result<Vec<Vec<RoomId>>, StoreError> {
        stream::iter(users.to_vec()).map(|user| self.rooms_of(user)).buffered(AT_ONCE).try_collect().await
    }

    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError> {
        let row = |(user, mark): (UserId, ReadMark)| {
            vec![big(room.get()), big(user.get()), big(mark.seq), big(mark.posts), big(mark.own), big(mark.seq)]
        };
        projections::partition(&self.db, projections::RowKind::Mark, marks.into_iter().map(row).collect()).await
    }

    async fn read_marks(&self, room: RoomId) -> Result<Vec<(UserId, ReadMark)>, StoreError> {
        let key = (int(room.get()),);
        let rows = cql::rows::<(i64, i64, i64, i64)>(&self.db.session, &self.db.statements.marks, key).await?;
        let mark = |(user, seq, posts, own)| {
            let mark = ReadMark { seq: uint(seq)?, posts: uint(posts)?, own: uint(own)? };
            Ok((UserId::try_from(uint(user)?).map_err(corrupt)?, mark))
        };
        rows.into_iter().map(mark).collect()
    }
}
