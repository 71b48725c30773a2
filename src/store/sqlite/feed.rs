//! What lets logs be followed: marks, fences, consumers, cursors, dead letters.
//!
//! One process writes, through one queue: a mark is in the transaction of the append that needs it, and is removed in one that
//! sees whether the log has gone on.

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Begins, Cursor, DeadLetter, DueMark, FeedStore, Filter, LogEnd, MarkOwner, Progress, Registered, StoreError, Thing,
    Walk, WorkMark,
};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{Millis, RoomId, Seq};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use super::append::{decode, encode};
use super::fail::{Fail, corrupt, int, uint};
use super::writer::Size;
use crate::store::{begins_of, begins_word};

/// Writes a mark, unless a later one is there.
pub(super) fn mark(db: &Connection, mark: &WorkMark) -> Result<(), Fail> {
    let sql = "INSERT INTO work_mark VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET at = excluded.at \
               WHERE excluded.at > work_mark.at";
    let (kind, thing) = mark.thing.code();
    let values = params![int(mark.owner), mark.thing.shard(), kind, int(thing), int(mark.at)];
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn unmark(db: &Connection, mark: &WorkMark) -> Result<(), Fail> {
    let sql = "DELETE FROM work_mark WHERE owner = ?1 AND shard = ?2 AND kind = ?3 AND thing = ?4 AND at <= ?5";
    let (kind, thing) = mark.thing.code();
    let values = params![int(mark.owner), mark.thing.shard(), kind, int(thing), int(mark.at)];
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// The fence that holds for an append after a number.
pub(super) fn fence_after(db: &Connection, room: i64, last: Seq) -> Result<Option<u64>, Fail> {
    let mut select = db.prepare_cached("SELECT fence FROM fence WHERE room_id = ?1 AND bucket = ?2")?;
    Ok(select.query_row([room, int(last / LOG_BUCKET)], |row| uint(row, 0)).optional()?)
}

fn last_seq(db: &Connection, room: RoomId) -> Result<Seq, Fail> {
    let mut select = db.prepare_cached("SELECT last_seq FROM room WHERE room_id = ?1")?;
    Ok(select.query_row([int(room.get())], |row| uint(row, 0)).optional()?.unwrap_or(0))
}

fn raise(db: &Connection, cursor: &Cursor) -> Result<(), Fail> {
    let sql = "INSERT INTO feed_cursor VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET seq = excluded.seq \
               WHERE excluded.seq > feed_cursor.seq";
    let values = params![int(cursor.room.get()), cursor.consumer, int(cursor.generation), int(cursor.seq)];
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn thing(row: &Row<'_>, kind: usize) -> Result<Option<Thing>, Fail> {
    Ok(Thing::from_code(row.get(kind)?, uint(row, kind + 1)?))
}

const CONSUMER: &str = "SELECT name, generation, begins, filter, walk FROM consumer WHERE dropped = 0";

fn registered(row: &Row<'_>) -> Result<Registered, Fail> {
    Ok(Registered {
        name: row.get(0)?,
        generation: uint(row, 1)?,
        begins: begins_of(&row.get::<_, String>(2)?)?,
        filter: decode(row.get_ref(3)?.as_blob().map_err(corrupt)?)?,
        walk: row.get::<_, Option<Vec<u8>>>(4)?.map(Walk),
    })
}

fn consumer(db: &Connection, name: &str) -> Result<Option<Registered>, Fail> {
    let mut select = db.prepare_cached(&format!("{CONSUMER} AND name = ?1"))?;
    let mut rows = select.query([name])?;
    rows.next()?.map(registered).transpose()
}

fn marks(db: &Connection, owner: u64, shard: u8, after: Option<Thing>, limit: usize) -> Result<Vec<WorkMark>, Fail> {
    let sql = "SELECT kind, thing, at FROM work_mark WHERE owner = ?1 AND shard = ?2 AND (kind, thing) > (?3, ?4) \
               ORDER BY kind, thing LIMIT ?5";
    let (kind, number) = after.map_or((0, 0), Thing::code);
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![int(owner), shard, kind, int(number), int(limit as u64)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(thing) = thing(row, 0)? {
            found.push(WorkMark { owner, thing, at: uint(row, 2)? });
        }
    }
    Ok(found)
}

fn due(db: &Connection, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, Fail> {
    let sql = "SELECT kind, thing, due, owner, at FROM due_mark WHERE shard = ?1 AND due <= ?2 ORDER BY due LIMIT ?3";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![shard, int(now), int(limit as u64)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(thing) = thing(row, 0)? {
            found.push(DueMark {
                due: uint(row, 2)?,
                mark: WorkMark { owner: uint(row, 3)?, thing, at: uint(row, 4)? },
            });
        }
    }
    Ok(found)
}

/// Writes how far consumers have got; the mark goes if the log ends where it was thought to.
fn write(db: &Connection, progress: &Progress) -> Result<bool, Fail> {
    for cursor in &progress.cursors {
        raise(db, cursor)?;
    }
    let Some((mark, last)) = &progress.finished else { return Ok(true) };
    if let Thing::Room(room) = mark.thing
        && last_seq(db, room)? != *last
    {
        return Ok(false);
    }
    unmark(db, mark)?;
    Ok(true)
}

fn register(db: &Connection, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, Fail> {
    let empty: &[u8] = &[];
    let sql = "INSERT INTO consumer VALUES (?1, 1, 0, ?2, ?3, ?4, NULL) ON CONFLICT DO UPDATE SET filter = excluded.filter, \
               generation = generation + dropped, walk = iif(dropped, excluded.walk, walk), \
               begins = iif(dropped, excluded.begins, begins), dropped = 0";
    db.prepare_cached(sql)?.execute(params![name, begins_word(begins), encode(filter)?, empty])?;
    consumer(db, name)?.ok_or_else(|| corrupt("a consumer that was registered is not there"))
}

fn walk(db: &Connection, after: u64, limit: usize) -> Result<Vec<RoomId>, Fail> {
    let mut select = db.prepare_cached("SELECT room_id FROM room WHERE room_id > ?1 ORDER BY room_id LIMIT ?2")?;
    let rooms = select.query_map([after, limit as u64].map(int), |row| uint(row, 0))?;
    rooms.map(|room| RoomId::try_from(room?).map_err(corrupt)).collect()
}

#[async_trait]
impl FeedStore for Sqlite {
    fn marks_with_append(&self) -> bool {
        true
    }

    async fn open_owner(&self, _: u64, _: Millis) -> Result<(), StoreError> {
        Ok(())
    }

    async fn owners(&self) -> Result<Vec<MarkOwner>, StoreError> {
        let read = |db: &Connection| {
            let mut select = db.prepare_cached("SELECT DISTINCT owner FROM work_mark ORDER BY owner")?;
            let owners = select.query_map([], |row| Ok(MarkOwner { owner: uint(row, 0)?, opened_at: 0 }))?;
            Ok(owners.collect::<Result<_, _>>()?)
        };
        self.readers.run(read).await
    }

    async fn forget_owner(&self, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn put_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let marks = marks.to_vec();
        let size = Size { entries: marks.len(), bytes: 0 };
        self.writer.run(size, move |db| marks.iter().try_for_each(|one| mark(db, one))).await
    }

    async fn marks(
        &self,
        owner: u64,
        shard: u8,
        after: Option<Thing>,
        limit: usize,
    ) -> Result<Vec<WorkMark>, StoreError> {
        self.readers.run(move |db| marks(db, owner, shard, after, limit)).await
    }

    async fn drop_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let marks = marks.to_vec();
        let size = Size { entries: marks.len(), bytes: 0 };
        self.writer.run(size, move |db| marks.iter().try_for_each(|one| unmark(db, one))).await
    }

    async fn put_due(&self, due: DueMark) -> Result<(), StoreError> {
        let work = move |db: &Connection| {
            let sql = "INSERT INTO due_mark VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET at = excluded.at \
                       WHERE excluded.at > due_mark.at";
            let DueMark { due, mark } = due;
            let (kind, thing) = mark.thing.code();
            let values = params![mark.thing.shard(), int(due), kind, int(thing), int(mark.owner), int(mark.at)];
            db.prepare_cached(sql)?.execute(values)?;
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }

    async fn due(&self, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError> {
        self.readers.run(move |db| due(db, shard, now, limit)).await
    }

    async fn drop_due(&self, due: &[DueMark]) -> Result<(), StoreError> {
        let due = due.to_vec();
        let work = move |db: &Connection| {
            let sql = "DELETE FROM due_mark WHERE shard = ?1 AND due = ?2 AND kind = ?3 AND thing = ?4 AND owner = ?5 \
                       AND at <= ?6";
            let mut delete = db.prepare_cached(sql)?;
            for DueMark { due, mark } in &due {
                let (kind, thing) = mark.thing.code();
                delete.execute(params![
                    mark.thing.shard(),
                    int(*due),
                    kind,
                    int(thing),
                    int(mark.owner),
                    int(mark.at)
                ])?;
            }
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }

    async fn log_end(&self, room: RoomId) -> Result<LogEnd, StoreError> {
        let read = move |db: &Connection| {
            let last = last_seq(db, room)?;
            Ok(LogEnd { last, fence: fence_after(db, int(room.get()), last)? })
        };
        // By the writer, behind every append that was begun before.
        self.writer.run(Size::default(), read).await
    }

    async fn fence(&self, room: RoomId, last: Seq, fence: u64) -> Result<bool, StoreError> {
        let work = move |db: &Connection| {
            if last_seq(db, room)? != last {
                return Ok(false);
            }
            let values = [room.get(), last / LOG_BUCKET, fence].map(int);
            db.prepare_cached("REPLACE INTO fence VALUES (?1, ?2, ?3)")?.execute(values)?;
            Ok(true)
        };
        self.writer.run(Size::default(), work).await
    }

    async fn progress(&self, progress: Progress) -> Result<bool, StoreError> {
        let size = Size { entries: progress.cursors.len(), bytes: 0 };
        self.writer.run(size, move |db| write(db, &progress)).await
    }

    async fn cursors(&self, room: RoomId) -> Result<Vec<Cursor>, StoreError> {
        let read = move |db: &Connection| {
            let sql = "SELECT consumer, generation, seq FROM feed_cursor WHERE room_id = ?1";
            let mut select = db.prepare_cached(sql)?;
            let cursors = select.query_map([int(room.get())], |row| {
                Ok(Cursor { room, consumer: row.get(0)?, generation: uint(row, 1)?, seq: uint(row, 2)? })
            })?;
            Ok(cursors.collect::<Result<_, _>>()?)
        };
        self.readers.run(read).await
    }

    async fn consumers(&self) -> Result<Vec<Registered>, StoreError> {
        let read = |db: &Connection| {
            let mut select = db.prepare_cached(&format!("{CONSUMER} ORDER BY name"))?;
            let mut rows = select.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(registered(row)?);
            }
            Ok(found)
        };
        self.readers.run(read).await
    }

    async fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError> {
        let (name, filter) = (name.to_owned(), filter.clone());
        self.writer.run(Size::default(), move |db| register(db, &name, &filter, begins)).await
    }

    async fn reset(&self, name: &str) -> Result<Option<Registered>, StoreError> {
        let name = name.to_owned();
        let work = move |db: &Connection| {
            let sql = "UPDATE consumer SET generation = generation + 1, begins = 'start', walk = x'' \
                       WHERE name = ?1 AND dropped = 0";
            db.prepare_cached(sql)?.execute([&name])?;
            consumer(db, &name)
        };
        self.writer.run(Size::default(), work).await
    }

    async fn unregister(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let work = move |db: &Connection| {
            let sql = "UPDATE consumer SET dropped = 1 WHERE name = ?1 AND dropped = 0";
            Ok(db.prepare_cached(sql)?.execute([&name])? == 1)
        };
        self.writer.run(Size::default(), work).await
    }

    async fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> Result<bool, StoreError> {
        let (name, from, to) = (name.to_owned(), from.0.clone(), to.map(|to| to.0.clone()));
        let work = move |db: &Connection| {
            let sql = "UPDATE consumer SET walk = ?4 WHERE name = ?1 AND dropped = 0 AND generation = ?2 AND walk = ?3";
            Ok(db.prepare_cached(sql)?.execute(params![name, int(generation), from, to])? == 1)
        };
        self.writer.run(Size::default(), work).await
    }

    async fn walk(&self, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError> {
        let after = after.0.as_slice().try_into().map(u64::from_be_bytes).unwrap_or(0);
        let rooms = self.readers.run(move |db| walk(db, after, limit)).await?;
        let next = rooms.last().map(|room| Walk(room.get().to_be_bytes().to_vec()));
        Ok((rooms, next))
    }

    async fn note_run(&self, name: &str, now: Millis) -> Result<(), StoreError> {
        let name = name.to_owned();
        let work = move |db: &Connection| {
            let sql = "UPDATE consumer SET ran_at = ?2 WHERE name = ?1";
            db.prepare_cached(sql)?.execute(params![name, int(now)])?;
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }

    async fn runs(&self) -> Result<Vec<(String, Millis)>, StoreError> {
        let read = |db: &Connection| {
            let sql = "SELECT name, ran_at FROM consumer WHERE ran_at IS NOT NULL ORDER BY name";
            let mut select = db.prepare_cached(sql)?;
            let runs = select.query_map([], |row| Ok((row.get(0)?, uint(row, 1)?)))?;
            Ok(runs.collect::<Result<_, _>>()?)
        };
        self.readers.run(read).await
    }

    async fn put_dead(&self, dead: &DeadLetter) -> Result<(), StoreError> {
        let dead = dead.clone();
        let work = move |db: &Connection| {
            let values = params![dead.consumer, int(dead.room.get()), int(dead.seq), int(dead.at), dead.reason];
            db.prepare_cached("REPLACE INTO dead_letter VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(values)?;
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }

    async fn dead(
        &self,
        consumer: &str,
        after: Option<(RoomId, Seq)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (consumer, after) = (consumer.to_owned(), after.map_or((0, 0), |(room, seq)| (room.get(), seq)));
        let read = move |db: &Connection| {
            let sql = "SELECT room_id, seq, at, reason FROM dead_letter WHERE consumer = ?1 AND (room_id, seq) > (?2, ?3) \
                       ORDER BY room_id, seq LIMIT ?4";
            let mut select = db.prepare_cached(sql)?;
            let mut rows = select.query(params![consumer, int(after.0), int(after.1), int(limit as u64)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let room = RoomId::try_from(uint(row, 0)?).map_err(corrupt)?;
                let (seq, at, reason) = (uint(row, 1)?, uint(row, 2)?, row.get(3)?);
                found.push(DeadLetter { consumer: consumer.clone(), room, seq, at, reason });
            }
            Ok(found)
        };
        self.readers.run(read).await
    }

    async fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError> {
        let consumer = consumer.to_owned();
        let work = move |db: &Connection| {
            let sql = "DELETE FROM dead_letter WHERE consumer = ?1 AND room_id = ?2 AND seq = ?3";
            db.prepare_cached(sql)?.execute(params![consumer, int(room.get()), int(seq)])?;
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }
}
