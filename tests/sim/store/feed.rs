//! What lets logs be followed, as one node reaches it. Marks, fences and cursors are writes of their own: each may be late, lost, or
//! done with nobody to say so, whatever becomes of the append that they belong to.

use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::store::{
    Begins, Cursor, DeadLetter, DueMark, FeedStore, Filter, LogEnd, MarkOwner, Progress, Registered, StoreError, Thing,
    Walk, WorkMark,
};
use parlance_schema::{Millis, RoomId, Seq};
use tokio::time::sleep;

use super::{Disk, Store, StoreFaults};

impl Store {
    /// Makes a write, and brings the answer back or leaves open what became of it.
    async fn write<T>(&self, write: impl FnOnce(&Disk) -> T + Send + 'static) -> Result<T, StoreError>
    where
        T: Send,
    {
        self.reach().await?;
        let unknown = || Err(StoreError::Unknown("it timed out".into()));
        let fate = self.rng.below(1_000);
        let StoreFaults { unknown_done, unknown_lost, unknown_late, .. } = self.store_faults();
        if fate < unknown_lost {
            self.back(()).await?;
            return unknown();
        }
        if fate < unknown_lost + unknown_late {
            let (disk, wait) = (self.disk.clone(), self.rng.between(5, 4_000));
            tokio::spawn(async move {
                sleep(Duration::from_millis(wait)).await;
                write(&disk);
            });
            self.back(()).await?;
            return unknown();
        }
        let done = write(&self.disk);
        self.back(()).await?;
        if fate < unknown_lost + unknown_late + unknown_done { unknown() } else { Ok(done) }
    }

    async fn read<T: Send>(&self, read: impl FnOnce(&Disk) -> T + Send) -> Result<T, StoreError> {
        self.reach().await?;
        let found = read(&self.disk);
        self.back(found).await
    }
}

#[async_trait]
impl FeedStore for Store {
    async fn open_owner(&self, owner: u64, now: Millis) -> Result<(), StoreError> {
        self.write(move |disk| disk.open_owner(owner, now)).await
    }

    async fn owners(&self) -> Result<Vec<MarkOwner>, StoreError> {
        self.read(Disk::owners).await
    }

    async fn forget_owner(&self, owner: u64) -> Result<(), StoreError> {
        self.write(move |disk| disk.forget_owner(owner)).await
    }

    async fn put_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let marks = marks.to_vec();
        if !self.disk.switches.mark_first {
            // As a mark that is written after the append: it is lost with its node.
            let (disk, gate, wait) = (self.disk.clone(), self.gate.clone(), self.rng.between(500, 3_000));
            tokio::spawn(async move {
                sleep(Duration::from_millis(wait)).await;
                gate.pass().await;
                marks.into_iter().for_each(|mark| disk.put_mark(mark));
            });
            return Ok(());
        }
        self.write(move |disk| marks.into_iter().for_each(|mark| disk.put_mark(mark))).await
    }

    async fn marks(
        &self,
        owner: u64,
        shard: u8,
        after: Option<Thing>,
        limit: usize,
    ) -> Result<Vec<WorkMark>, StoreError> {
        self.read(|disk| disk.work(owner, shard, after, limit)).await
    }

    async fn drop_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError> {
        let marks = marks.to_vec();
        self.write(move |disk| marks.into_iter().for_each(|mark| disk.drop_mark(mark))).await
    }

    async fn put_due(&self, due: DueMark) -> Result<(), StoreError> {
        self.write(move |disk| disk.put_due(due)).await
    }

    async fn due(&self, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError> {
        self.read(|disk| disk.due(shard, now, limit)).await
    }

    async fn drop_due(&self, due: &[DueMark]) -> Result<(), StoreError> {
        let due = due.to_vec();
        self.write(move |disk| due.into_iter().for_each(|due| disk.drop_due(due))).await
    }

    async fn log_end(&self, room: RoomId) -> Result<LogEnd, StoreError> {
        self.read(|disk| disk.log_end(room)).await
    }

    async fn fence(&self, room: RoomId, last: Seq, fence: u64) -> Result<bool, StoreError> {
        self.write(move |disk| disk.fence(room, last, fence)).await
    }

    async fn progress(&self, progress: Progress) -> Result<bool, StoreError> {
        // Rows of several partitions: those of one may come long before those of another, or alone.
        if let Some((mark, _)) = progress.finished {
            self.write(move |disk| disk.drop_mark(mark)).await?;
        }
        self.write(move |disk| progress.cursors.into_iter().for_each(|cursor| disk.raise(cursor))).await?;
        Ok(true)
    }

    async fn cursors(&self, room: RoomId) -> Result<Vec<Cursor>, StoreError> {
        self.read(|disk| disk.cursors(room)).await
    }

    async fn consumers(&self) -> Result<Vec<Registered>, StoreError> {
        let mut all = self.read(Disk::consumers).await?;
        if !self.disk.switches.registered {
            all.retain(|consumer| self.runs.contains(&consumer.name));
        }
        Ok(all)
    }

    async fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError> {
        let (name, filter) = (name.to_owned(), filter.clone());
        self.write(move |disk| disk.register(&name, &filter, begins)).await
    }

    async fn reset(&self, name: &str) -> Result<Option<Registered>, StoreError> {
        let name = name.to_owned();
        self.write(move |disk| disk.reset(&name)).await
    }

    async fn unregister(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |disk| disk.unregister(&name)).await
    }

    async fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> Result<bool, StoreError> {
        let (name, from, to) = (name.to_owned(), from.clone(), to.cloned());
        self.write(move |disk| disk.note_walk(&name, generation, &from, to.as_ref())).await
    }

    async fn walk(&self, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError> {
        self.read(|disk| disk.walk(after, limit)).await
    }

    async fn note_run(&self, name: &str, now: Millis) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |disk| disk.note_run(&name, now)).await
    }

    async fn runs(&self) -> Result<Vec<(String, Millis)>, StoreError> {
        self.read(Disk::runs).await
    }

    async fn put_dead(&self, dead: &DeadLetter) -> Result<(), StoreError> {
        let dead = dead.clone();
        self.write(move |disk| disk.put_dead(&dead)).await
    }

    async fn dead(
        &self,
        consumer: &str,
        after: Option<(RoomId, Seq)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(|disk| disk.dead(consumer, after, limit)).await
    }

    async fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError> {
        let consumer = consumer.to_owned();
        self.write(move |disk| disk.drop_dead(&consumer, room, seq)).await
    }
}
