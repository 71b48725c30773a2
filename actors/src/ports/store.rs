//! The store: rooms' logs, what is derived from them, accounts and tokens. A file for each part; [`Store`] is all of them.
//!
//! The log decides. Everything else here is a projection of it, or a claim that it completes.

pub mod accounts;
pub mod bulk;
pub mod claims;
pub mod feed;
pub mod health;
pub mod log;

use async_trait::async_trait;

pub use accounts::{Account, AccountError, AccountStore, Family, Who};
pub use bulk::{Bulk, BulkError, BulkStore, Record, Taken};
pub use claims::{ClaimKind, ClaimStore, IdKind};
pub use feed::{
    Begins, Cursor, DeadLetter, DueMark, FeedStore, Filter, IMPORT_OWNER, LogEnd, MarkOwner, Progress, Registered,
    SETTLED_OWNER, Thing, Walk, WorkMark,
};
pub use health::StoreHealth;
pub use log::{Answer, Append, AppendError, LogStore, MessageState, Range, ReadMark, StoredMessage, Waking};

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, is full, or refuses writes; certainly nothing was done.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// It may or may not have been done.
    #[error("store outcome unknown: {0}")]
    Unknown(String),
    /// What it holds can't be read as what it should be.
    #[error("store corrupt: {0}")]
    Corrupt(String),
}

/// All that a node keeps.
#[async_trait]
pub trait Store: LogStore + ClaimStore + AccountStore + BulkStore + FeedStore {
    /// Tries the store out with a write that changes nothing.
    async fn health(&self) -> StoreHealth;
}
