//! Fewer system calls for SQLite's write-ahead log.
//!
//! SQLite writes each frame of its log in two calls, a header of 24 bytes and then a page: with small transactions a third of a
//! commit's processor time. [`register`] adds a VFS (<https://sqlite.org/vfs.html>) which is the default one but for the log,
//! where it takes writes that follow one another together until SQLite reads, syncs or closes the file. A commit with
//! `synchronous = FULL` syncs before anybody is shown its frames, so that nobody ever looks for a frame that is not there;
//! without that setting this VFS must not be used.

mod gather;
mod log_file;

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use rusqlite::ffi;

/// The VFS's name, for [`rusqlite::Connection::open_with_flags_and_vfs`].
pub const NAME: &CStr = c"parlance";

/// Adds the VFS to this process's SQLite; once is enough, and more does no harm.
///
/// # Errors
/// SQLite's code when there is no default VFS, or SQLite has no memory.
pub fn register() -> Result<(), rusqlite::Error> {
    static DONE: OnceLock<c_int> = OnceLock::new();
    match *DONE.get_or_init(add) {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

fn add() -> c_int {
    // SAFETY: a null name asks for the default VFS; SQLite initialises itself where it has not yet.
    let default = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    if default.is_null() {
        return ffi::SQLITE_ERROR;
    }
    // SAFETY: a registered VFS is valid and unchanging for as long as it is registered, which the default one always is.
    let mut vfs = unsafe { std::ptr::read(default) };
    // All else is the default one's, which keeps its own data behind `pAppData` and asks nothing of who calls it.
    vfs.pNext = std::ptr::null_mut();
    vfs.zName = NAME.as_ptr();
    vfs.szOsFile += log_file::HEAD_BYTES;
    vfs.xOpen = Some(log_file::open);
    // SAFETY: it lives for ever, as SQLite asks.
    unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) }
}
