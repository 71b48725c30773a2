//! The log's side of the port: what is read of logs, and what is written beside them.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Answer, Append, AppendError, LogStore, MessageState, Range, ReadMark, StoreError, StoredMessage, Waking,
};
use parlance_schema::entry::Entry;
use parlance_schema::{ClientId, MessageId, RoomId, Seq, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::oneshot;

use super::Sqlite;
use super::append::{FIND, Rows, decode, keep_snapshot};
use super::fail::{Fail, corrupt, int, uint};
use super::writer::Size;

/// Up to so many entries are looked through one by one to count a sender's; beyond that the sender's own are.
const COUNT_SCAN_MAX: u64 = 1_000;

impl Sqlite {
    /// Hands an append to the writer, who answers it.
    fn begin(&self, append: Append, answer: Answer) {
        let begun = Instant::now();
        let members: Vec<UserId> = append.members.iter().map(|(user, _)| *user).collect();
        let rows = match crate::store::check(&append).and_then(|()| Rows::new(append).map_err(StoreError::from)) {
            Ok(rows) => rows,
            Err(error) => return answer.send(Err(error.into())),
        };
        let (seconds, memberships) = (self.append_seconds.clone(), self.memberships.clone());
        self.writer.submit(
            rows.size(),
            move |db| rows.write(db),
            move |done| {
                seconds.record(begun.elapsed().as_secs_f64());
                memberships.changed(members.into_iter());
                answer.send(match done {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(refused)) => Err(refused.into()),
                    Err(error) => Err(error.into()),
                });
            },
        );
    }
}

#[async_trait]
impl LogStore for Sqlite {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        let (done, outcome) = oneshot::channel();
        self.begin(append, Answer::new(move |outcome| drop(done.send(outcome))));
        let gone = |_| StoreError::Unknown("the store's writer ended during the write".to_owned());
        outcome.await.map_err(gone)?
    }

    fn submit(self: Arc<Self>, append: Append, answer: Answer) {
        self.begin(append, answer);
    }

    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError> {
        self.readers.run_at_once(move |db| wake(db, room)).await
    }

    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError> {
        let size = Size { entries: 1, bytes: state.len() };
        let work = move |db: &Connection| {
            let last = last_seq(db, room)?.unwrap_or(0);
            if seq == 0 || seq > last {
                return Err(corrupt(format!("room {room}: a snapshot at {seq} of a log that ends at {last}")));
            }
            keep_snapshot(db, int(room.get()), int(seq), &state)
        };
        self.writer.run(size, work).await
    }

    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError> {
        self.readers.run(move |db| entries(db, room, range)).await
    }

    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError> {
        self.readers.run(move |db| messages(db, room, range)).await
    }

    async fn messages_at(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Option<StoredMessage>>, StoreError> {
        let places = places.to_vec();
        let read = move |db: &Connection| {
            let one =
                |(room, seq)| Ok(messages(db, room, Range { from: seq, to: seq, limit: 1, backwards: false })?.pop());
            places.into_iter().map(one).collect()
        };
        self.readers.run(read).await
    }

    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError> {
        self.readers.run_at_once(move |db| count_posts(db, room, after, by)).await
    }

    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError> {
        let read = move |db: &Connection| {
            let mut select = db.prepare_cached("SELECT room_id, seq FROM message WHERE message_id = ?1")?;
            let found = select.query_row([int(message.get())], |row| Ok((uint(row, 0)?, uint(row, 1)?))).optional()?;
            found.map(|(room, seq)| Ok((RoomId::try_from(room).map_err(corrupt)?, seq))).transpose()
        };
        self.readers.run(read).await
    }

    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId, _: Seq) -> Result<Option<Seq>, StoreError> {
        let client_id = client_id.clone();
        let read = move |db: &Connection| {
            let key = params![int(room.get()), int(by.get()), client_id.as_str()];
            Ok(db.prepare_cached(FIND)?.query_row(key, |row| uint(row, 0)).optional()?)
        };
        self.readers.run(read).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        if let Some(rooms) = self.memberships.of(user) {
            return Ok(rooms);
        }
        let before = self.memberships.now();
        let rooms = self.readers.run(move |db| rooms_of(db, user)).await?;
        self.memberships.keep(user, &rooms, before);
        Ok(rooms)
    }

    async fn rooms_of_each(&self, users: &[UserId]) -> Result<Vec<Vec<RoomId>>, StoreError> {
        let mut known: Vec<_> = users.iter().map(|user| self.memberships.of(*user)).collect();
        let unknown = users.iter().zip(&known).filter(|(_, rooms)| rooms.is_none()).map(|(user, _)| *user);
        let unknown: Vec<UserId> = unknown.collect();
        if !unknown.is_empty() {
            let before = self.memberships.now();
            let read = move |db: &Connection| {
                unknown.into_iter().map(|user| Ok((user, rooms_of(db, user)?))).collect::<Result<Vec<_>, Fail>>()
            };
            let mut found = self.readers.run(read).await?.into_iter();
            for rooms in known.iter_mut().filter(|rooms| rooms.is_none()) {
                let Some((user, read)) = found.next() else { break };
                self.memberships.keep(user, &read, before);
                *rooms = Some(read);
            }
        }
        Ok(known.into_iter().map(Option::unwrap_or_default).collect())
    }

    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError> {
        let work = move |db: &Connection| {
            let sql = "INSERT INTO read_mark VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
                       SET seq = excluded.seq, posts = excluded.posts, own = excluded.own WHERE excluded.seq > read_mark.seq";
            let mut upsert = db.prepare_cached(sql)?;
            for (user, mark) in &marks {
                upsert.execute([room.get(), user.get(), mark.seq, mark.posts, mark.own].map(int))?;
            }
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }

    async fn read_marks(&self, room: RoomId) -> Result<Vec<(UserId, ReadMark)>, StoreError> {
        let read = move |db: &Connection| {
            let sql = "SELECT user_id, seq, posts, own FROM read_mark WHERE room_id = ?1 ORDER BY user_id";
            let mut select = db.prepare_cached(sql)?;
            let marks = select.query_map([int(room.get())], |row| {
                Ok((uint(row, 0)?, ReadMark { seq: uint(row, 1)?, posts: uint(row, 2)?, own: uint(row, 3)? }))
            })?;
            marks
                .map(|row| row.map_err(Fail::from).and_then(|(id, m)| Ok((UserId::try_from(id).map_err(corrupt)?, m))))
                .collect()
        };
        self.readers.run(read).await
    }
}

fn rooms_of(db: &Connection, user: UserId) -> Result<Vec<RoomId>, Fail> {
    let mut select = db.prepare_cached("SELECT room_id FROM member WHERE user_id = ?1 ORDER BY room_id")?;
    let rooms = select.query_map([int(user.get())], |row| uint(row, 0))?;
    rooms.map(|room| RoomId::try_from(room?).map_err(corrupt)).collect()
}

fn last_seq(db: &Connection, room: RoomId) -> Result<Option<Seq>, Fail> {
    let mut select = db.prepare_cached("SELECT last_seq FROM room WHERE room_id = ?1")?;
    Ok(select.query_row([int(room.get())], |row| uint(row, 0)).optional()?)
}

fn wake(db: &Connection, room: RoomId) -> Result<Option<Waking>, Fail> {
    let Some(last) = last_seq(db, room)? else { return Ok(None) };
    let mut select = db.prepare_cached("SELECT seq, state FROM snapshot WHERE room_id = ?1")?;
    let snapshot = select.query_row([int(room.get())], |row| Ok((uint(row, 0)?, row.get(1)?))).optional()?;
    let from = snapshot.as_ref().map_or(0, |(seq, _): &(Seq, Vec<u8>)| *seq) + 1;
    let tail = entries(db, room, Range { from, to: Seq::MAX, limit: usize::MAX, backwards: false })?;
    let whole = from + tail.len() as Seq == last + 1 && tail.iter().zip(from..).all(|(entry, seq)| entry.seq == seq);
    if !whole {
        return Err(corrupt(format!("room {room}: the log from {from} to {last} has {} entries", tail.len())));
    }
    let fence = super::feed::fence_after(db, int(room.get()), last)?;
    Ok(Some(Waking { snapshot, tail, fence }))
}

fn entries(db: &Connection, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, Fail> {
    let mut select = db.prepare_cached(if range.backwards {
        "SELECT seq, entry FROM room_log WHERE room_id = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq DESC LIMIT ?4"
    } else {
        "SELECT seq, entry FROM room_log WHERE room_id = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4"
    })?;
    let mut rows = select.query(bounds(room, range))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(entry(row)?);
    }
    Ok(found)
}

fn messages(db: &Connection, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, Fail> {
    let mut select = db.prepare_cached(if range.backwards {
        "SELECT seq, entry, state FROM room_log LEFT JOIN message_state USING (room_id, seq) \
         WHERE room_id = ?1 AND seq BETWEEN ?2 AND ?3 AND is_post ORDER BY seq DESC LIMIT ?4"
    } else {
        "SELECT seq, entry, state FROM room_log LEFT JOIN message_state USING (room_id, seq) \
         WHERE room_id = ?1 AND seq BETWEEN ?2 AND ?3 AND is_post ORDER BY seq LIMIT ?4"
    })?;
    let mut rows = select.query(bounds(room, range))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let state = row.get_ref(2)?.as_blob_or_null().map_err(corrupt)?;
        found.push(StoredMessage { entry: entry(row)?, state: state.map(decode::<MessageState>).transpose()? });
    }
    Ok(found)
}

fn bounds(room: RoomId, range: Range) -> [i64; 4] {
    [room.get(), range.from, range.to, range.limit as u64].map(int)
}

fn entry(row: &Row<'_>) -> Result<Arc<Entry>, Fail> {
    let entry: Entry = decode(row.get_ref(1)?.as_blob().map_err(corrupt)?)?;
    let seq = uint(row, 0)?;
    if entry.seq != seq {
        return Err(corrupt(format!("the entry at {seq} says that it is {}", entry.seq)));
    }
    Ok(Arc::new(entry))
}

fn count_posts(db: &Connection, room: RoomId, after: Seq, by: UserId) -> Result<u64, Fail> {
    let last = last_seq(db, room)?.unwrap_or(0);
    let sql = if last.saturating_sub(after) <= COUNT_SCAN_MAX {
        "SELECT count(*) FROM room_log WHERE room_id = ?1 AND by_user = ?2 AND seq > ?3 AND is_post"
    } else {
        "SELECT count(*) FROM dedup WHERE room_id = ?1 AND by_user = ?2 AND seq > ?3 AND is_post"
    };
    Ok(db.prepare_cached(sql)?.query_row([room.get(), by.get(), after].map(int), |row| uint(row, 0))?)
}
