//! What lets logs be followed: marks, fences, consumers, cursors, dead letters.
//!
//! Marks are written with a count of their owner's process as their timestamp and removed as of that, so that a removal that
//! comes late takes no later mark with it. A fence stands in the log's own partition, where appends see it in their condition.

mod consumers;
mod hours;
pub(super) mod receive;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Begins, Cursor, DeadLetter, DueMark, FeedStore, Filter, LogEnd, MarkOwner, Progress, Registered, StoreError, Thing,
    Walk, WorkMark,
};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{Millis, RoomId, Seq};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlValue;

use super::cql::{self, Cas, Values, big, corrupt, int, uint};
use super::{Db, Scylla, log, statements};

pub(super) use hours::Hours;

/// Marks that are written or removed together; each may go to a partition of its own.
const MARKS_AT_ONCE: usize = 32;

/// The mark's row: its key, and its timestamp at the end.
fn put(mark: &WorkMark) -> Values {
    let (kind, thing) = mark.thing.code();
    let shard = u64::from(mark.thing.shard());
    vec![big(mark.owner), big(shard), big(u64::from(kind)), big(thing), big(mark.at), big(mark.at)]
}

/// The row of a mark's removal: its timestamp, and the key.
fn drop_of(mark: &WorkMark) -> Values {
    let (kind, thing) = mark.thing.code();
    let shard = u64::from(mark.thing.shard());
    vec![big(mark.at), big(mark.owner), big(shard), big(u64::from(kind)), big(thing)]
}

/// A mark that was read.
fn mark(owner: u64, kind: i64, thing: i64, at: i64) -> Result<Option<WorkMark>, StoreError> {
    let kind = u8::try_from(kind).map_err(corrupt)?;
    let (thing, at) = (Thing::from_code(kind, uint(thing)?), uint(at)?);
    Ok(thing.map(|thing| WorkMark { owner, thing, at }))
}

/// Writes rows, some at a time.
async fn write_all(db: &Db, statement: &PreparedStatement, rows: Vec<Values>) -> Result<(), StoreError> {
    for some in rows.chunks(MARKS_AT_ONCE) {
        let batch = statements::plain_batch(some.iter().map(|_| statement.clone()));
        cql::write_batch(&db.session, &batch, some.to_vec()).await?;
    }
    Ok(())
}

#[async_trait]
impl FeedStore for Scylla {
    async fn open_owner(&self, owner: u64, now: Millis) -> Result<(), StoreError> {
        cql::write(&self.db.session, &self.db.statements.owner_put, (int(owner), int(now))).await
    }

    async fn owners(&self) -> Result<Vec<MarkOwner>, StoreError> {
        let rows = cql::rows::<(i64, Option<i64>)>(&self.db.session, &self.db.statements.owners, ()).await?;
        let owner =
            |(owner, at): (i64, Option<i64>)| Ok(MarkOwner { owner: uint(owner)?, opened_at: uint(at.unwrap_or(0))? });
        rows.into_iter().map(owner).collect()
    }

    async fn forget_owner(&self, owner: u64) -> Result<(), StoreError> {
        cql::write(&self.db.session, &self.db.statements.owner_drop, (int(owner),)).await
    }

    async fn put_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        write_all(&self.db, &self.db.statements.work_put, marks.iter().map(put).collect()).await
    }

    async fn marks(
        &self,
        owner: u64,
        shard: u8,
        after: Option<Thing>,
        limit: usize,
    ) -> Result<Vec<WorkMark>, StoreError> {
        let (kind, thing) = after.map_or((0, 0), Thing::code);
        let limit_rows = i32::try_from(limit).unwrap_or(i32::MAX);
        let key = (int(owner), i64::from(shard), i64::from(kind), int(thing), limit_rows);
        let statement = &self.db.statements.work;
        let rows = cql::some_rows::<(i64, i64, i64)>(&self.db.session, statement, key, limit).await?;
        rows.into_iter().filter_map(|(kind, thing, at)| mark(owner, kind, thing, at).transpose()).collect()
    }

    async fn drop_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        write_all(&self.db, &self.db.statements.work_drop, marks.iter().map(drop_of).collect()).await
    }

    async fn put_due(&self, due: DueMark) -> Result<(), StoreError> {
        hours::put(&self.db, due).await
    }

    async fn due(&self, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError> {
        hours::due(&self.db, shard, now, limit).await
    }

    async fn drop_due(&self, due: &[DueMark]) -> Result<(), StoreError> {
        hours::drop_all(&self.db, due).await
    }

    async fn log_end(&self, room: RoomId) -> Result<LogEnd, StoreError> {
        let hints = log::hints(&self.db, room).await?;
        log::end_and_fence(&self.db, room, hints.last, true).await
    }

    async fn fence(&self, room: RoomId, last: Seq, fence: u64) -> Result<bool, StoreError> {
        let bucket = last / LOG_BUCKET;
        let expected = (last != bucket * LOG_BUCKET).then(|| int(last));
        let values = (int(fence), int(room.get()), int(bucket), expected);
        let done = cql::cas(&self.db.session, &self.db.statements.fence_set, values).await?;
        Ok(matches!(done, Cas::Applied))
    }

    async fn progress(&self, progress: Progress) -> Result<bool, StoreError> {
        let statements = &self.db.statements;
        let mut batch = Vec::new();
        for cursor in &progress.cursors {
            let consumer = Some(CqlValue::Text(cursor.consumer.clone()));
            let (room, seq) = (big(cursor.room.get()), big(cursor.seq));
            batch.push((&statements.cursor_put, vec![room, consumer, big(cursor.generation), seq.clone(), seq]));
        }
        if let Some((mark, _)) = &progress.finished {
            batch.push((&statements.work_drop, drop_of(mark)));
        }
        for some in batch.chunks(MARKS_AT_ONCE) {
            let made = statements::plain_batch(some.iter().map(|(statement, _)| (*statement).clone()));
            let rows = some.iter().map(|(_, row)| row.clone()).collect();
            cql::write_batch(&self.db.session, &made, rows).await?;
        }
        Ok(true)
    }

    async fn cursors(&self, room: RoomId) -> Result<Vec<Cursor>, StoreError> {
        let key = (int(room.get()),);
        let rows = cql::rows::<(String, i64, i64)>(&self.db.session, &self.db.statements.cursors, key).await?;
        let cursor =
            |(consumer, generation, seq)| Ok(Cursor { room, consumer, generation: uint(generation)?, seq: uint(seq)? });
        rows.into_iter().map(cursor).collect()
    }

    async fn consumers(&self) -> Result<Vec<Registered>, StoreError> {
        consumers::all(&self.db).await
    }

    async fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError> {
        consumers::register(&self.db, name, filter, begins).await
    }

    async fn reset(&self, name: &str) -> Result<Option<Registered>, StoreError> {
        consumers::reset(&self.db, name).await
    }

    async fn unregister(&self, name: &str) -> Result<bool, StoreError> {
        consumers::unregister(&self.db, name).await
    }

    async fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> Result<bool, StoreError> {
        consumers::note_walk(&self.db, name, generation, from, to).await
    }

    async fn walk(&self, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError> {
        consumers::walk(&self.db, after, limit).await
    }

    async fn note_run(&self, name: &str, now: Millis) -> Result<(), StoreError> {
        cql::write(&self.db.session, &self.db.statements.run_put, (name, int(now))).await
    }

    async fn runs(&self) -> Result<Vec<(String, Millis)>, StoreError> {
        let rows = cql::rows::<(String, i64)>(&self.db.session, &self.db.statements.runs, ()).await?;
        rows.into_iter().map(|(name, at)| Ok((name, uint(at)?))).collect()
    }

    async fn put_dead(&self, dead: &DeadLetter) -> Result<(), StoreError> {
        let DeadLetter { consumer, room, seq, at, reason } = dead;
        let values = (consumer, int(room.get()), int(*seq), int(*at), reason);
        cql::write(&self.db.session, &self.db.statements.dead_put, values).await
    }

    async fn dead(
        &self,
        consumer: &str,
        after: Option<(RoomId, Seq)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (room, seq) = after.map_or((0, 0), |(room, seq)| (room.get(), seq));
        let key = (consumer, int(room), int(seq), i32::try_from(limit).unwrap_or(i32::MAX));
        let statement = &self.db.statements.dead;
        let rows = cql::some_rows::<(i64, i64, i64, String)>(&self.db.session, statement, key, limit).await?;
        let letter = |(room, seq, at, reason): (i64, i64, i64, String)| {
            let room = RoomId::try_from(uint(room)?).map_err(corrupt)?;
            Ok(DeadLetter { consumer: consumer.to_owned(), room, seq: uint(seq)?, at: uint(at)?, reason })
        };
        rows.into_iter().map(letter).collect()
    }

    async fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError> {
        let values = (consumer, int(room.get()), int(seq));
        cql::write(&self.db.session, &self.db.statements.dead_drop, values).await
    }
}
