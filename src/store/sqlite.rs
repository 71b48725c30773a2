//! The store on one SQLite file: one thread writes, a few read, and an acknowledgement means that it is on disk.
//!
//! `folder` opens and locks the data folder, `migrate` has the schema's versions, `writer` and `reader` the threads,
//! `append` the hot path, `bulk` that of imports, `log`, `claims`, `accounts` and `feed` the rest of the port, `backup` copies while all of it runs, `export` reads it all.

mod accounts;
mod append;
mod backup;
mod bulk;
mod claims;
mod export;
mod fail;
mod families;
mod feed;
mod folder;
mod log;
mod memberships;
mod migrate;
mod name_keys;
mod reader;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metrics::Histogram;
use parlance_actors::ports::store::{Store, StoreError, StoreHealth};

pub use backup::{BackupError, backup};
pub use folder::{OpenError, is_there};
pub use writer::Fatal;

use memberships::Memberships;
use reader::Readers;
use writer::{Size, Writer};

/// How often `/health` writes; in between it repeats itself.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a write may take before `/health` calls the store not writable.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// When an acknowledged write is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Before it is acknowledged.
    #[default]
    Full,
    /// When the operating system likes: a power failure loses acknowledged writes. Only for showing that tests notice.
    Off,
}

/// Settings of an embedded store.
#[derive(Clone)]
pub struct Options {
    /// When an acknowledged write is on disk.
    pub synchronous: Synchronous,
    /// Threads that read; at least one.
    pub readers: usize,
    /// Bytes of pages that the writer keeps in memory.
    pub writer_cache_bytes: usize,
    /// Bytes of pages that each reader keeps in memory.
    pub reader_cache_bytes: usize,
    /// Pages in the write-ahead log after which it is copied back into the database.
    pub checkpoint_pages: u32,
    /// Pages (of 4 KiB) that the database may grow to; absent: as far as the disk goes.
    pub pages_max: Option<u32>,
    /// Called when a sync failed, so that it is no longer known what the disk holds. It should not return.
    pub fatal: Fatal,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            readers: 2,
            writer_cache_bytes: 32 * 1024 * 1024,
            reader_cache_bytes: 8 * 1024 * 1024,
            checkpoint_pages: 4_000,
            pages_max: None,
            fatal: Arc::new(|why| {
                tracing::error!(why, "it is not known what the disk holds; ending at once");
                std::process::abort();
            }),
        }
    }
}

/// The store in a data folder. Dropping it waits for what was queued, and then lets the folder go.
pub struct Sqlite {
    // Dropped in this order: the last connection to close tidies the write-ahead log away, which only the writer may do.
    readers: Readers,
    writer: Writer,
    folder: PathBuf,
    epoch: u64,
    synchronous: Synchronous,
    probe: tokio::sync::Mutex<Option<(Instant, bool)>>,
    memberships: Arc<Memberships>,
    /// From an append's arrival to its commit.
    append_seconds: Histogram,
}

impl Sqlite {
    /// Opens the store in `folder`, which is made (mode 0700) if it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// When the folder can't be written, belongs to another process, or holds something else or newer.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let opened = folder::open(folder, options)?;
        let threads = |e| OpenError::io(folder, e);
        let readers = Readers::start(opened.readers).map_err(threads)?;
        let fatal = Arc::clone(&options.fatal);
        let writer = Writer::start(opened.writer, options.checkpoint_pages, fatal, opened.lock).map_err(threads)?;
        let (epoch, synchronous) = (opened.epoch, options.synchronous);
        Ok(Self {
            readers,
            writer,
            folder: folder.to_owned(),
            epoch,
            synchronous,
            probe: tokio::sync::Mutex::default(),
            memberships: Arc::default(),
            append_seconds: metrics::histogram!("parlance_store_append_seconds"),
        })
    }

    /// Copies the store to a new file while it runs; the copy gets an epoch of its own.
    ///
    /// # Errors
    /// When `to` exists or can't be written, or the store can't be read.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let (from, to) = (self.folder.clone(), to.to_owned());
        match tokio::task::spawn_blocking(move || backup(&from, &to)).await {
            Ok(done) => done,
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        }
    }

    /// Changes how many pages the database may grow to; absent: as far as the disk goes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_pages_max(&self, pages: Option<u32>) -> Result<(), StoreError> {
        self.writer.run(Size::default(), move |db| Ok(folder::set_pages_max(db, pages)?)).await
    }

    async fn probe(&self) -> bool {
        let write = self.writer.run(Size::default(), |db| {
            let sql = "INSERT INTO meta VALUES ('probe', 1) ON CONFLICT DO UPDATE SET value = 1 - value";
            db.prepare_cached(sql)?.execute([])?;
            Ok(())
        });
        matches!(tokio::time::timeout(PROBE_DEADLINE, write).await, Ok(Ok(())))
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn health(&self) -> StoreHealth {
        let mut probe = self.probe.lock().await;
        let writable = match *probe {
            Some((at, writable)) if at.elapsed() < PROBE_EVERY => writable,
            _ => {
                let writable = self.probe().await;
                *probe = Some((Instant::now(), writable));
                writable
            }
        };
        let durability = if self.synchronous == Synchronous::Full { "disk" } else { "memory" };
        StoreHealth { backend: "sqlite", writable, durability }
    }
}
