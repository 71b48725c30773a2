//! A log as SQLite sees it: its writes are gathered, all else goes to the default VFS's file behind it.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::slice;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_filename, sqlite3_io_methods, sqlite3_vfs};

use crate::gather::{Code, Gather, Sink};

/// What SQLite allocates for a file: this, and the default VFS's own file after it.
#[repr(C)]
struct LogFile {
    base: sqlite3_file,
    gather: *mut Gather,
}

/// Bytes that are ours in front of the default VFS's file; a multiple of eight, as that needs.
pub(crate) const HEAD_BYTES: c_int = size_of::<LogFile>().next_multiple_of(8) as c_int;

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Shared memory and mapped pages are asked of the database's file alone.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Opens a file: a log as ours, all others as the default VFS does.
///
/// # Safety
/// As SQLite calls it: `file` has as many bytes as the VFS says, and `vfs` is the one of this crate.
pub(crate) unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: a null name asks for the default VFS, which was there when ours was made of it.
    let Some(default) = (unsafe { ffi::sqlite3_vfs_find(std::ptr::null()).as_ref() }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let Some(open) = default.xOpen else { return ffi::SQLITE_CANTOPEN };
    if flags & ffi::SQLITE_OPEN_WAL == 0 {
        // SAFETY: the arguments are SQLite's own; `vfs` is a copy of the default one, and `file` has more room than that needs.
        return unsafe { open(vfs, name, file, flags, out) };
    }
    let log = file.cast::<LogFile>();
    // SAFETY: `file` has room for both.
    unsafe { log.write(LogFile { base: sqlite3_file { pMethods: std::ptr::null() }, gather: std::ptr::null_mut() }) };
    // SAFETY: as above.
    let real = unsafe { behind(file) };
    // SAFETY: so that a failed opening leaves nothing there that looks open.
    unsafe { real.write(sqlite3_file { pMethods: std::ptr::null() }) };
    // SAFETY: as for other files, with the room that the default VFS asked for.
    let code = unsafe { open(vfs, name, real, flags, out) };
    if code != ffi::SQLITE_OK {
        // SAFETY: SQLite closes what a failed opening left open, and won't for a file that has no methods.
        if let Some(close) = unsafe { methods(real) }.and_then(|methods| methods.xClose) {
            // SAFETY: as above.
            unsafe { close(real) };
        }
        return code;
    }
    let opened = LogFile { base: sqlite3_file { pMethods: &METHODS }, gather: Box::into_raw(Box::default()) };
    // SAFETY: `file` has room for it.
    unsafe { log.write(opened) };
    code
}

/// The default VFS's file behind ours.
///
/// # Safety
/// `file` was allocated by SQLite for this VFS.
unsafe fn behind(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: both lie in one allocation.
    unsafe { file.byte_add(HEAD_BYTES as usize) }
}

/// The methods of an open file.
///
/// # Safety
/// `file` is one, or was zeroed.
unsafe fn methods<'a>(file: *mut sqlite3_file) -> Option<&'a sqlite3_io_methods> {
    // SAFETY: methods are static.
    unsafe { (*file).pMethods.as_ref() }
}

/// A log's file in use by one call. SQLite uses a file from one thread at a time.
struct Open<'a> {
    gather: &'a mut Gather,
    real: Real,
}

/// The default VFS's file.
struct Real(*mut sqlite3_file);

impl Sink for Real {
    fn write(&mut self, bytes: &[u8], at: i64) -> Result<(), Code> {
        // A gathered write is far below the limit, and a page is below it, too.
        let length = c_int::try_from(bytes.len()).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let written = self.call(
            |methods| methods.xWrite,
            // SAFETY: the file is open, and the bytes are there during the call.
            |write, file| unsafe { write(file, bytes.as_ptr().cast(), length, at) },
        );
        if written == ffi::SQLITE_OK { Ok(()) } else { Err(written) }
    }
}

impl Real {
    /// What one of the file's methods returns; `None` where it has none of that kind.
    fn ask<F>(
        &self,
        which: impl Fn(&sqlite3_io_methods) -> Option<F>,
        with: impl FnOnce(F, *mut sqlite3_file) -> c_int,
    ) -> Option<c_int> {
        // SAFETY: the file is open as long as ours is.
        let method = unsafe { methods(self.0) }.and_then(which);
        method.map(|method| with(method, self.0))
    }

    /// Calls one of the file's methods; what it returns is a code.
    fn call<F>(
        &self,
        which: impl Fn(&sqlite3_io_methods) -> Option<F>,
        with: impl FnOnce(F, *mut sqlite3_file) -> c_int,
    ) -> c_int {
        self.ask(which, with).unwrap_or(ffi::SQLITE_IOERR)
    }
}

fn code(done: Result<(), Code>) -> c_int {
    done.err().unwrap_or(ffi::SQLITE_OK)
}

/// An open log.
///
/// # Safety
/// `file` was opened by [`open`] as a log, is not closed, and is in use by nobody else during `'a`.
unsafe fn opened<'a>(file: *mut sqlite3_file) -> Open<'a> {
    // SAFETY: as promised.
    let gather = unsafe { &mut *(*file.cast::<LogFile>()).gather };
    // SAFETY: as promised.
    Open { gather, real: Real(unsafe { behind(file) }) }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let mut log = unsafe { opened(file) };
    log.gather.flush(&mut log.real);
    if let Err(lost) = log.gather.holds(at.saturating_add(i64::from(length))) {
        return lost;
    }
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xRead, |method, real| unsafe { method(real, to, length, at) })
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let mut log = unsafe { opened(file) };
    let Ok(length) = usize::try_from(length) else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: SQLite says how many bytes there are, for the time of this call.
    let bytes = unsafe { slice::from_raw_parts(from.cast::<u8>(), length) };
    code(log.gather.write(bytes, at, &mut log.real))
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let mut log = unsafe { opened(file) };
    log.gather.flush(&mut log.real);
    let flushed = log.gather.tell();
    // SAFETY: the file is closed once.
    let closed = log.real.call(|methods| methods.xClose, |method, real| unsafe { method(real) });
    let log = file.cast::<LogFile>();
    // SAFETY: it is still SQLite's memory.
    let gather = unsafe { (*log).gather };
    // SAFETY: it came from a box, and nobody uses it any more.
    drop(unsafe { Box::from_raw(gather) });
    // SAFETY: as above; a file without methods is a closed one.
    unsafe { (*log).base.pMethods = std::ptr::null() };
    flushed.err().unwrap_or(closed)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let mut log = unsafe { opened(file) };
    log.gather.flush(&mut log.real);
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xTruncate, |method, real| unsafe { method(real, length) })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, how: c_int) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let mut log = unsafe { opened(file) };
    log.gather.flush(&mut log.real);
    if let Err(lost) = log.gather.tell() {
        return lost;
    }
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xSync, |method, real| unsafe { method(real, how) })
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, to: *mut i64) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let mut log = unsafe { opened(file) };
    log.gather.flush(&mut log.real);
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xFileSize, |method, real| unsafe { method(real, to) })
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let log = unsafe { opened(file) };
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xLock, |method, real| unsafe { method(real, level) })
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let log = unsafe { opened(file) };
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xUnlock, |method, real| unsafe { method(real, level) })
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, to: *mut c_int) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let log = unsafe { opened(file) };
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xCheckReservedLock, |method, real| unsafe { method(real, to) })
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, what: c_int, with: *mut c_void) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let log = unsafe { opened(file) };
    // SAFETY: the arguments are SQLite's, the method is the file's.
    log.real.call(|methods| methods.xFileControl, |method, real| unsafe { method(real, what, with) })
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let log = unsafe { opened(file) };
    // SAFETY: the method is the file's.
    log.real.ask(|methods| methods.xSectorSize, |method, real| unsafe { method(real) }).unwrap_or(0)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it with a log that is open.
    let log = unsafe { opened(file) };
    // SAFETY: the method is the file's.
    log.real.ask(|methods| methods.xDeviceCharacteristics, |method, real| unsafe { method(real) }).unwrap_or(0)
}
