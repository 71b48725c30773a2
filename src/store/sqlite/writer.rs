//! The one thread that writes: it takes every job that waits, runs them in one transaction, and answers them all after the
//! commit. So one fsync serves everybody who waited for the one before.
//!
//! A job that refuses (a conflict, a name taken) writes nothing and says so in its own result. Where a job fails half-way
//! the whole transaction is rolled back and its jobs are run again one by one, so that it harms no neighbour and the usual
//! way needs no savepoints.

use std::sync::Arc;
use std::thread::JoinHandle;

use metrics::{Gauge, Histogram};
use parlance_actors::ports::store::StoreError;
use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::fail::Fail;

/// Jobs that wait in the queue; beyond that, callers wait to enter it.
const QUEUE_MAX: usize = 1_024;
/// How often the writer gives way to those who are about to write, before it begins a group.
const YIELDS_MAX: usize = 8;
/// Entries committed together.
const GROUP_ENTRIES_MAX: usize = 512;
/// Bytes committed together.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Pages that a job changes beside those that its bytes fill, reckoned rather high.
const PAGES_PER_JOB: i64 = 8;
/// Bytes of a page.
const PAGE_BYTES: i64 = 4_096;

/// What is called when it is no longer known what the disk holds; it should end the process.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;

/// How much a job writes, so that groups are bounded.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    pub entries: usize,
    pub bytes: usize,
}

/// A piece of writing, all of it within one transaction.
trait Job: Send {
    /// Runs its statements; may be called again after a rollback.
    fn run(&mut self, db: &Connection) -> Result<(), Fail>;
    /// Tells the caller what the commit came to.
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
    fn size(&self) -> Size;
}

struct Task<T, F, A> {
    work: F,
    size: Size,
    result: Option<T>,
    answer: A,
}

impl<T, F, A> Job for Task<T, F, A>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, Fail> + Send,
    A: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, db: &Connection) -> Result<(), Fail> {
        self.result = Some((self.work)(db)?);
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        let lost = || StoreError::Unknown("a write has no result".to_owned());
        answer(end.and_then(|()| result.ok_or_else(lost)));
    }

    fn size(&self) -> Size {
        self.size
    }
}

/// A handle to the writer thread; dropping it waits until all that was queued is written.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on a connection that may write.
    pub fn start(db: Connection, checkpoint_pages: u32, fatal: Fatal, keep: std::fs::File) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let worker = Worker {
            db,
            queue,
            checkpoints: Checkpoints::new(checkpoint_pages),
            refusing: false,
            fatal,
            waiting: metrics::gauge!("parlance_store_queue"),
            group_size: metrics::histogram!("parlance_store_group_size"),
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            worker.run();
            // The folder's lock is let go only when nobody here writes any more.
            drop(keep);
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` in the next group and returns once that is committed.
    pub async fn run<T, F>(&self, size: Size, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fail> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // A caller that went away does not want its answer.
        self.submit(size, work, move |done| drop(reply.send(done)));
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Unknown("the store's writer ended during the write".to_owned())))
    }

    /// Runs `work` in the next group and calls `answer` in the writer's thread once that is committed; an answer that is
    /// dropped uncalled says that the outcome is unknown.
    pub fn submit<T, F, A>(&self, size: Size, work: F, answer: A)
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fail> + Send + 'static,
        A: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        let gone = |job: Box<dyn Job>| {
            job.answer(Err(StoreError::Unavailable("the store's writer has ended".to_owned())));
        };
        let job: Box<dyn Job> = Box::new(Task { work, size, result: None, answer });
        let Some(jobs) = &self.jobs else { return gone(job) };
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Closed(job)) => gone(job),
            Err(TrySendError::Full(job)) => {
                let jobs = jobs.clone();
                tokio::spawn(async move {
                    if let Err(closed) = jobs.send(job).await {
                        gone(closed.0);
                    }
                });
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It ends by itself when its queue is empty; where it panicked the hook has said so.
            let _ = thread.join();
        }
    }
}

struct Worker {
    db: Connection,
    queue: mpsc::Receiver<Box<dyn Job>>,
    checkpoints: Checkpoints,
    /// Whether the last write was refused.
    refusing: bool,
    fatal: Fatal,
    /// Jobs that wait when a group is begun, and those that are in it.
    waiting: Gauge,
    group_size: Histogram,
}

/// Why a group was not committed.
enum Stop {
    /// Nothing was done, and the transaction could not even begin.
    NotBegun(StoreError),
    /// Nothing was done: one of the jobs, or the commit, failed.
    RolledBack(StoreError),
    /// It may or may not have been done.
    Unknown(String),
}

impl Worker {
    fn run(mut self) {
        let alarm = Alarm(Arc::clone(&self.fatal));
        while let Some(first) = self.queue.blocking_recv() {
            let group = self.gather(first);
            let pages = group.iter().map(|job| PAGES_PER_JOB + job.size().bytes as i64 / PAGE_BYTES).sum();
            // On a full disk the log's space can be used again as soon as there is room to copy it back.
            let before = if self.checkpoints.pressed { self.checkpoint(0) } else { Ok(()) };
            if before.and_then(|()| self.commit(group)).and_then(|()| self.checkpoint(pages)).is_err() {
                break;
            }
        }
        // After a fatal error nothing that still waits is begun.
        self.queue.close();
        while let Some(job) = self.queue.blocking_recv() {
            job.answer(Err(StoreError::Unavailable("the store's writer has ended".to_owned())));
        }
        drop(alarm);
    }

    /// Copies the write-ahead log back where it is time; an error ends the thread.
    fn checkpoint(&mut self, written: i64) -> Result<(), ()> {
        let done = self.checkpoints.run(&self.db, written);
        done.map_err(|fail| (self.fatal)(&format!("checkpoint failed: {}", StoreError::from(fail))))
    }

    /// Those whose writes were just answered are about to write again: while more come, the processor is theirs. A larger
    /// group costs one sync all the same. Where nobody else wants the processor this returns at once.
    fn let_others_come(&self) {
        for _ in 0..YIELDS_MAX {
            let before = self.queue.len();
            std::thread::yield_now();
            if self.queue.len() == before {
                return;
            }
        }
    }

    /// Takes what waits, up to the bounds of a group.
    fn gather(&mut self, first: Box<dyn Job>) -> Vec<Box<dyn Job>> {
        self.let_others_come();
        self.waiting.set(self.queue.len() as f64 + 1.0);
        let Size { mut entries, mut bytes } = first.size();
        let mut group = vec![first];
        while entries < GROUP_ENTRIES_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(job) = self.queue.try_recv() else { break };
            entries += job.size().entries.max(1);
            bytes += job.size().bytes;
            group.push(job);
        }
        self.group_size.record(group.len() as f64);
        group
    }

    /// Commits a group and answers its jobs; an error ends the thread.
    fn commit(&mut self, mut group: Vec<Box<dyn Job>>) -> Result<(), ()> {
        match self.attempt(&mut group) {
            Ok(()) => {
                if std::mem::take(&mut self.refusing) {
                    tracing::info!("writes are taken again");
                }
                group.into_iter().for_each(|job| job.answer(Ok(())));
            }
            Err(Stop::Unknown(why)) => {
                (self.fatal)(&why);
                group.into_iter().for_each(|job| job.answer(Err(StoreError::Unknown(why.clone()))));
                return Err(());
            }
            Err(Stop::RolledBack(_)) if group.len() > 1 => {
                for job in group {
                    self.commit(vec![job])?;
                }
            }
            Err(Stop::RolledBack(error) | Stop::NotBegun(error)) => {
                self.checkpoints.pressed = true;
                // Once, however many are refused until it is better.
                if !std::mem::replace(&mut self.refusing, true) {
                    tracing::warn!(%error, "writes are refused");
                }
                group.into_iter().for_each(|job| job.answer(Err(error.clone())));
            }
        }
        Ok(())
    }

    fn attempt(&self, group: &mut [Box<dyn Job>]) -> Result<(), Stop> {
        if let Err(fail) = self.execute("BEGIN IMMEDIATE") {
            return Err(self.undone(fail, Stop::NotBegun));
        }
        for job in group {
            if let Err(fail) = job.run(&self.db) {
                return Err(self.undone(fail, Stop::RolledBack));
            }
        }
        match self.execute("COMMIT") {
            Ok(()) => Ok(()),
            Err(fail) if fail.io() => Err(Stop::Unknown(format!("commit failed: {}", StoreError::from(fail)))),
            Err(fail) => Err(self.undone(fail, Stop::RolledBack)),
        }
    }

    /// Makes sure that nothing of the transaction stays.
    fn undone(&self, fail: Fail, stop: fn(StoreError) -> Stop) -> Stop {
        if fail.sync() {
            return Stop::Unknown(format!("sync failed: {}", StoreError::from(fail)));
        }
        // SQLite has rolled back by itself after some errors, such as a full disk.
        if !self.db.is_autocommit()
            && let Err(second) = self.execute("ROLLBACK")
        {
            return Stop::Unknown(format!("rollback failed: {}", StoreError::from(second)));
        }
        stop(fail.into())
    }

    fn execute(&self, sql: &str) -> Result<(), Fail> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// Calls the hook when the writer thread panics: jobs that it held have an unknown fate.
struct Alarm(Fatal);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)("the store's writer panicked");
        }
    }
}

/// When the WAL is copied back into the database: after answers were given, so that nobody waits for it.
struct Checkpoints {
    /// Pages in the WAL that call for a checkpoint.
    pages: i64,
    /// Pages at which the next one is tried; readers may have held up the last one.
    next: i64,
    /// Pages that may still be written before it is worth asking how many there are.
    unasked: i64,
    /// Whether a write was refused since all of it was last copied back.
    pressed: bool,
}

impl Checkpoints {
    fn new(pages: u32) -> Self {
        Self { pages: i64::from(pages), next: i64::from(pages), unasked: 0, pressed: false }
    }

    /// Checkpoints where it is time after at most so many more pages, or when pressed for room. Only errors after which it
    /// is not known what the disk holds are returned.
    fn run(&mut self, db: &Connection, written: i64) -> Result<(), Fail> {
        self.unasked -= written;
        if self.unasked > 0 && !self.pressed {
            return Ok(());
        }
        match self.attempt(db) {
            Err(fail) if fail.io() => Err(fail),
            Err(fail) => {
                // A full disk: the WAL keeps what is acknowledged, and the next checkpoint tries again.
                tracing::debug!(error = %StoreError::from(fail), "checkpoint put off");
                self.next += self.pages;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn attempt(&mut self, db: &Connection) -> Result<(), Fail> {
        let state = |sql: &str| -> Result<(i64, i64), Fail> {
            Ok(db.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?)
        };
        let (log, _) = state("PRAGMA wal_checkpoint(NOOP)")?;
        if log < self.pages {
            self.next = self.pages;
        }
        if log < self.next && !self.pressed {
            self.unasked = self.next - log;
            return Ok(());
        }
        // Readers that follow one another without a pause keep a passive checkpoint from ever reaching the WAL's end, so
        // that it would grow for good. Waiting for them helps; not too often, since a backup reads for long.
        let (log, done) = if log < 4 * self.pages {
            state("PRAGMA wal_checkpoint(PASSIVE)")?
        } else {
            state("PRAGMA wal_checkpoint(RESTART)")?
        };
        // Once all of it is copied back, the next write begins it anew.
        self.next = if done < log { log + self.pages } else { self.pages };
        self.unasked = self.pages;
        self.pressed &= done < log;
        Ok(())
    }
}
