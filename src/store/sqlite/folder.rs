//! The data folder: made, locked against other processes, its database opened and brought up to date.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::{Options, Synchronous, migrate};

/// The database's name in the data folder.
pub(super) const DATABASE: &str = "parlance.db";
/// The name of the file whose lock says that a process has the folder.
const LOCK: &str = "lock";
/// How long a statement waits for another connection's lock; only a checkpoint ever meets one.
const BUSY: Duration = Duration::from_millis(250);
/// A process that was killed, or a child between its fork and its exec, may hold the folder's lock a moment longer: so often
/// it is tried again.
const LOCK_TRIES: u32 = 20;
/// How long to wait in between.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Statements that each connection keeps prepared.
const STATEMENTS_MAX: usize = 128;

/// Why a data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It can't be made, read or written.
    #[error("data folder {path} can't be used: {error}", path = .path.display())]
    Io {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// It, or the database in it, may be read and not written.
    #[error("data folder {path} is read-only", path = .path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("data folder {path} is in use by another process{holder}", path = .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Which process, where it could be told.
        holder: String,
    },
    /// Its database was written by a newer version.
    #[error("{file} has schema version {found}, this version of parlance knows up to {known}: use a newer one", file = .file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i32,
        /// The newest version known here.
        known: i32,
    },
    /// The file there is something else.
    #[error("{file} is not a database of parlance", file = .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// SQLite can't open or migrate it.
    #[error("the database can't be opened: {0}")]
    Sql(#[from] rusqlite::Error),
    /// No random number could be had for the epoch.
    #[error("no randomness: {0}")]
    Random(String),
}

impl OpenError {
    pub(super) fn io(path: &Path, error: std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
            _ => OpenError::Io { path, error },
        }
    }
}

/// Whether a folder has a database in it.
#[must_use]
pub fn is_there(folder: &Path) -> bool {
    folder.join(DATABASE).is_file()
}

/// An opened folder's connections, and the lock that is held as long as they are used.
pub(super) struct Opened {
    pub writer: Connection,
    pub readers: Vec<Connection>,
    pub epoch: u64,
    pub lock: File,
}

/// Opens a folder; see [`super::Sqlite::open`].
pub(super) fn open(folder: &Path, options: &Options) -> Result<Opened, OpenError> {
    create(folder).map_err(|e| OpenError::io(folder, e))?;
    let lock = lock(folder)?;
    let file = folder.join(DATABASE);
    migrate::check(&file)?;
    // SQLite gives its files beside this one the same mode.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(&file);
    drop(made.map_err(|e| OpenError::io(folder, e))?);
    let writer = connect_writer(&file, options)?;
    if writer.is_readonly("main")? {
        return Err(OpenError::ReadOnly { path: folder.to_owned() });
    }
    prepare_writer(&writer, options)?;
    migrate::run(&writer)?;
    set_pages_max(&writer, options.pages_max)?;
    let epoch = writer.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| super::fail::uint(row, 0))?;
    let mut readers = Vec::new();
    for _ in 0..options.readers.max(1) {
        let reader = connect(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        set_cache(&reader, options.reader_cache_bytes)?;
        readers.push(reader);
    }
    Ok(Opened { writer, readers, epoch, lock })
}

/// Makes the folder, and makes sure that a power failure doesn't take it away again.
fn create(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(|e| OpenError::io(folder, e))?;
    let mut taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
    for _ in 0..LOCK_TRIES {
        if taken != Err(rustix::io::Errno::WOULDBLOCK) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
    }
    match taken {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // The holder's number is a help, no more; it may be missing for a moment after it took the lock.
            let known = file.read_to_string(&mut text).is_ok() && text.trim().parse::<u32>().is_ok();
            let holder = if known { format!(" ({})", text.trim()) } else { String::new() };
            return Err(OpenError::InUse { path: folder.to_owned(), holder });
        }
        Err(error) => return Err(OpenError::io(folder, error.into())),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    match written {
        // A full disk doesn't keep the store from starting: it can be read, and old rooms may be deleted.
        Err(error) if error.kind() != ErrorKind::StorageFull => Err(OpenError::io(folder, error)),
        _ => Ok(file),
    }
}

/// Opens one connection; no two threads ever use the same one.
pub(super) fn connect(file: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    set_up(Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

/// Opens the connection that writes. Where each commit is synced, the frames of its log go out in few writes.
fn connect_writer(file: &Path, options: &Options) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    if options.synchronous == Synchronous::Off {
        return connect(file, flags);
    }
    parlance_wal::register()?;
    set_up(Connection::open_with_flags_and_vfs(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX, parlance_wal::NAME)?)
}

fn set_up(db: Connection) -> Result<Connection, OpenError> {
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(db)
}

fn prepare_writer(db: &Connection, options: &Options) -> Result<(), OpenError> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Sql(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!("no write-ahead log here, only {mode}")),
        )));
    }
    let level = if options.synchronous == Synchronous::Full { "FULL" } else { "OFF" };
    db.pragma_update(None, "synchronous", level)?;
    // Where the operating system's fsync leaves data in the drive's cache, as on macOS.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    // The writer thread checkpoints by itself, after it has answered.
    db.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    // What was erased is overwritten, not only given free.
    db.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    set_cache(db, options.writer_cache_bytes)
}

fn set_cache(db: &Connection, bytes: usize) -> Result<(), OpenError> {
    // Negative: KiB; positive would be pages.
    Ok(db.pragma_update(None, "cache_size", -i64::try_from(bytes / 1024).unwrap_or(i64::MAX))?)
}

/// Limits how far the database may grow; SQLite never goes below what is there.
pub(super) fn set_pages_max(db: &Connection, pages: Option<u32>) -> rusqlite::Result<()> {
    // 4294967294 is SQLite's own upper limit.
    db.query_row(&format!("PRAGMA max_page_count = {}", pages.unwrap_or(u32::MAX - 1)), [], |_| Ok(()))
}
