//! The threads that read, each with a connection of its own that can't write. A read sees what was committed before it began.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use parlance_actors::ports::store::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fail::Fail;

/// Reads that wait in the queue; beyond that, callers wait to enter it.
const QUEUE_MAX: usize = 1_024;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// A handle to the reader threads; dropping it waits for the reads under way.
pub(super) struct Readers {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts a thread for each connection.
    pub fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for db in connections {
            let queue = Arc::clone(&queue);
            threads.push(std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || {
                while let Some(job) = next(&queue) {
                    // A panic in one read is that read's; the next one finds the connection as it was.
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&db))).is_err() {
                        tracing::error!("a read panicked");
                    }
                    if !db.is_autocommit() {
                        let _ = db.execute_batch("ROLLBACK");
                    }
                }
            })?);
        }
        Ok(Self { jobs: Some(jobs), threads })
    }

    /// Runs a single statement, or something for which it does not matter that commits may fall in between.
    pub async fn run<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the store's readers have ended".to_owned());
        let job = Box::new(move |db: &Connection| {
            if !reply.is_closed() {
                let _ = reply.send(read(db).map_err(StoreError::from));
            }
        });
        self.jobs.as_ref().ok_or_else(gone)?.send(job).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a read was broken off".to_owned())))
    }

    /// Runs several statements that all see the same commit.
    pub async fn run_at_once<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    {
        self.run(move |db| {
            db.prepare_cached("BEGIN")?.execute([])?;
            let result = read(db);
            db.prepare_cached("COMMIT")?.execute([])?;
            result
        })
        .await
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}
