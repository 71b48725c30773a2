//! A consistent copy of the database, made while a server uses it, from this process or another one.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::folder::{self, DATABASE, OpenError};
use super::migrate;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something has that name already.
    #[error("{to} exists already", to = .0.display())]
    Exists(PathBuf),
    /// The folder holds no database.
    #[error("{path} holds no database of parlance", path = .0.display())]
    Missing(PathBuf),
    /// The copy can't be written.
    #[error("{path} can't be written: {error}", path = .path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The database can't be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite could not read the one or write the other.
    #[error("the copy failed: {0}")]
    Sql(#[from] rusqlite::Error),
}

/// Copies the database in `folder` to the new file `to`; a server may go on using it. The copy has an epoch of its own, so
/// that a server started on it tells its clients that what they remember may never have been.
///
/// Put back into an empty folder under the name `parlance.db`, the copy is a store again.
///
/// # Errors
/// When `to` exists or can't be written, or the database can't be read.
pub fn backup(folder: &Path, to: &Path) -> Result<(), BackupError> {
    let file = folder.join(DATABASE);
    if !file.is_file() {
        return Err(BackupError::Missing(folder.to_owned()));
    }
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let partial = beside(to, ".partial");
    // What is left of a copy that was broken off.
    remove(&partial)?;
    let done = create(&partial).and_then(|()| copy(&file, &partial)).and_then(|()| publish(&partial, to));
    if done.is_err() {
        // The first error is the one to tell.
        let _ = remove(&partial);
    }
    done
}

/// Makes the file that SQLite then fills: nobody else may read the hashes of passwords in it.
fn create(partial: &Path) -> Result<(), BackupError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial);
    made.map(drop).map_err(|error| BackupError::Io { path: partial.to_owned(), error })
}

fn copy(file: &Path, partial: &Path) -> Result<(), BackupError> {
    let db = folder::connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    migrate::check_open(&db, file)?;
    // One read transaction from beginning to end; pages that were given free are not copied.
    db.execute("VACUUM INTO ?1", [partial.to_str().ok_or_else(|| not_utf8(partial))?])?;
    drop(db);
    let copy = Connection::open_with_flags(partial, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    migrate::set_epoch(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Gives the finished copy its name, unless somebody took it meanwhile.
fn publish(partial: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::Io { path: to.to_owned(), error };
    File::open(partial).and_then(|f| f.sync_all()).map_err(failed)?;
    // A rename would replace what is there; a second name for the same file is refused instead. Some file systems have no
    // second names.
    match std::fs::hard_link(partial, to) {
        Ok(()) => remove(partial)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(BackupError::Exists(to.to_owned())),
        Err(_) => std::fs::rename(partial, to).map_err(failed)?,
    }
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|f| f.sync_all()).map_err(failed)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BackupError::Io { path: path.to_owned(), error }),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn not_utf8(path: &Path) -> BackupError {
    BackupError::Io { path: path.to_owned(), error: ErrorKind::InvalidFilename.into() }
}
