//! The rooms' logs in memory.

use std::sync::Arc;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Append, AppendError, LogStore, Range, ReadMark, StoreError, StoredMessage, Waking,
};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{ClientId, MessageId, RoomId, Seq, UserId};

use super::{All, Log, Memory};

#[async_trait]
impl LogStore for Memory {
    fn epoch(&self) -> u64 {
        1
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        crate::store::check(&append)?;
        let mut all = self.lock();
        all.judge(&append)?;
        all.write(append);
        Ok(())
    }

    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError> {
        let all = self.lock();
        let Some(log) = all.rooms.get(&room) else { return Ok(None) };
        let fence = all.feed.fence_after(room, all.last(room));
        let snapshot = log.snapshot.clone();
        let from = snapshot.as_ref().map_or(0, |(seq, _)| *seq) + 1;
        Ok(Some(Waking {
            snapshot,
            tail: log.range(Range { from, to: Seq::MAX, limit: usize::MAX, backwards: false }),
            fence,
        }))
    }

    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError> {
        let mut all = self.lock();
        let last = all.last(room);
        if seq == 0 || seq > last {
            let what = format!("room {room}: a snapshot at {seq} of a log that ends at {last}");
            return Err(StoreError::Corrupt(what));
        }
        if let Some(log) = all.rooms.get_mut(&room) {
            log.keep(seq, state);
        }
        Ok(())
    }

    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError> {
        Ok(self.lock().rooms.get(&room).map(|log| log.range(range)).unwrap_or_default())
    }

    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError> {
        let all = self.lock();
        let Some(log) = all.rooms.get(&room) else { return Ok(Vec::new()) };
        let posts =
            log.range(Range { limit: usize::MAX, ..range }).into_iter().filter(|e| is_post(e)).take(range.limit);
        Ok(posts.map(|entry| StoredMessage { state: log.states.get(&entry.seq).cloned(), entry }).collect())
    }

    async fn messages_at(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Option<StoredMessage>>, StoreError> {
        let mut found = Vec::with_capacity(places.len());
        for (room, seq) in places {
            let range = Range { from: *seq, to: *seq, limit: 1, backwards: false };
            found.push(self.messages(*room, range).await?.pop());
        }
        Ok(found)
    }

    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError> {
        let all = self.lock();
        let entries = all.rooms.get(&room).into_iter().flat_map(|log| &log.entries);
        Ok(entries.filter(|e| e.seq > after && e.by == by && is_post(e)).count() as u64)
    }

    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError> {
        Ok(self.lock().messages.get(&message).copied())
    }

    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId, _: Seq) -> Result<Option<Seq>, StoreError> {
        let all = self.lock();
        Ok(all.rooms.get(&room).and_then(|log| log.dedup.get(&(by, client_id.clone())).copied()))
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        let all = self.lock();
        Ok(all.members.iter().filter(|(member, _)| *member == user).map(|(_, room)| *room).collect())
    }

    async fn rooms_of_each(&self, users: &[UserId]) -> Result<Vec<Vec<RoomId>>, StoreError> {
        let mut found = Vec::with_capacity(users.len());
        for user in users {
            found.push(self.rooms_of(*user).await?);
        }
        Ok(found)
    }

    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError> {
        let mut all = self.lock();
        for (user, mark) in marks {
            let kept = all.marks.entry((room, user)).or_insert(mark);
            if mark.seq > kept.seq {
                *kept = mark;
            }
        }
        Ok(())
    }

    async fn read_marks(&self, room: RoomId) -> Result<Vec<(UserId, ReadMark)>, StoreError> {
        let all = self.lock();
        Ok(all.marks.iter().filter(|((of, _), _)| *of == room).map(|((_, user), mark)| (*user, *mark)).collect())
    }
}

fn is_post(entry: &Entry) -> bool {
    matches!(entry.fact, Fact::Posted { .. })
}

impl All {
    pub(super) fn last(&self, room: RoomId) -> Seq {
        self.rooms.get(&room).map_or(0, |log| log.entries.len() as Seq)
    }

    /// Refuses what may not be written, before anything is.
    fn judge(&self, append: &Append) -> Result<(), AppendError> {
        let last = self.last(append.room);
        if last != append.expected {
            return Err(AppendError::Conflict { last });
        }
        if self.feed.fence_after(append.room, last) != append.fence {
            return Err(AppendError::Fenced);
        }
        if let Some(log) = self.rooms.get(&append.room) {
            let known = |(at, e): (usize, &Arc<Entry>)| Some((at, *log.dedup.get(&(e.by, e.client_id.clone()))?));
            let duplicates: Vec<_> = append.entries.iter().enumerate().filter_map(known).collect();
            if !duplicates.is_empty() {
                return Err(AppendError::Duplicate(duplicates));
            }
        }
        let mut ids = std::collections::HashSet::new();
        for id in
            append.entries.iter().filter_map(|e| if let Fact::Posted { id, .. } = e.fact { Some(id) } else { None })
        {
            if self.messages.contains_key(&id) || !ids.insert(id) {
                return Err(StoreError::Corrupt(format!("message {id} is there already")).into());
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, append: Append) {
        let last = crate::store::last(&append);
        if let Some(mark) = append.mark {
            self.feed.mark(mark);
        }
        let log = self.rooms.entry(append.room).or_default();
        for entry in append.entries.iter() {
            log.dedup.insert((entry.by, entry.client_id.clone()), entry.seq);
            if let Fact::Posted { id, .. } = entry.fact {
                self.messages.insert(id, (append.room, entry.seq));
            }
            log.entries.push(Arc::clone(entry));
        }
        log.states.extend(append.messages);
        if let Some(state) = append.snapshot {
            log.keep(last, state);
        }
        for seq in append.erase {
            if let Some(entry) = log.entries.get_mut(seq as usize - 1) {
                Arc::make_mut(entry).erase();
            }
        }
        for (user, there) in append.members {
            if there {
                self.members.insert((user, append.room));
            } else {
                self.members.remove(&(user, append.room));
            }
        }
    }
}

impl Log {
    fn keep(&mut self, seq: Seq, state: Vec<u8>) {
        if self.snapshot.as_ref().is_none_or(|(kept, _)| seq > *kept) {
            self.snapshot = Some((seq, state));
        }
    }

    fn range(&self, range: Range) -> Vec<Arc<Entry>> {
        let last = self.entries.len();
        // Numbers begin at 1; the entry with number n is at n - 1.
        let begin = usize::try_from(range.from.max(1) - 1).unwrap_or(last).min(last);
        let end = usize::try_from(range.to).unwrap_or(last).clamp(begin, last);
        let within = self.entries[begin..end].iter().cloned();
        if range.backwards { within.rev().take(range.limit).collect() } else { within.take(range.limit).collect() }
    }
}
