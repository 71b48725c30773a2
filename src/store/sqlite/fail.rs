//! What went wrong in SQLite, sorted by what it means to a caller, and whether the process can go on.

use parlance_actors::ports::store::StoreError;
use rusqlite::{ErrorCode, ffi};

/// Why a statement, a job or a read did not come to its end.
#[derive(Debug)]
pub(super) enum Fail {
    /// SQLite says so.
    Sql(rusqlite::Error),
    /// What was read, or asked for, makes no sense.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Fail::Sql(error)
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Self {
        Fail::Store(error)
    }
}

impl From<Fail> for StoreError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Store(error) => error,
            Fail::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation) | None => {
                    StoreError::Corrupt(error.to_string())
                }
                Some(_) => StoreError::Unavailable(error.to_string()),
            },
        }
    }
}

impl Fail {
    /// Whether the disk did not confirm a sync: what it holds is no longer known, whichever statement it was.
    pub fn sync(&self) -> bool {
        matches!(self.extended(), Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
    }

    /// Whether it is an input or output error of any kind; at the end of a transaction this leaves its fate open.
    pub fn io(&self) -> bool {
        self.extended().is_some_and(|code| code & 0xff == ffi::SQLITE_IOERR)
    }

    fn extended(&self) -> Option<i32> {
        match self {
            Fail::Sql(error) => error.sqlite_error().map(|e| e.extended_code),
            Fail::Store(_) => None,
        }
    }
}

/// A blob or column that can't be what was written.
pub(super) fn corrupt(what: impl std::fmt::Display) -> Fail {
    Fail::Store(StoreError::Corrupt(what.to_string()))
}

/// SQLite's integer for an unsigned one; whatever is too large stands for "no end".
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The unsigned integer of a column.
pub(super) fn uint(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}
