//! Bringing data in from elsewhere: many rows in one transaction, with how far the import has got.

use async_trait::async_trait;
use parlance_schema::{RoomId, Seq, TenantId, UserId};

use super::{Account, Append, ClaimKind, IdKind, ReadMark, StoreError};

/// A piece of an import, written whole or not at all, on the condition that the import has written `step` pieces before.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    /// The import's name.
    pub import: String,
    /// How many pieces it has written before this one; 0 begins it.
    pub step: u64,
    /// What it needs to know to go on after this piece; the bytes are its own.
    pub progress: Vec<u8>,
    /// New accounts.
    pub accounts: Vec<Account>,
    /// Unique names: tenant, kind, key, target.
    pub claims: Vec<(TenantId, ClaimKind, String, u64)>,
    /// Appends to logs, in order; a room may occur more than once.
    pub appends: Vec<Append>,
    /// Read marks; one that is below what is there is ignored.
    pub marks: Vec<(RoomId, UserId, ReadMark)>,
    /// Ids up to and including these are not handed out any more.
    pub past: Vec<(IdKind, u64)>,
    /// Notes that the import keeps; one of the same kind and key is replaced.
    pub records: Vec<Record>,
}

/// A note of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about; the importer's own numbering.
    pub kind: u8,
    /// Its key within the kind, below 2^63.
    pub key: u64,
    /// The importer's own bytes.
    pub value: Vec<u8>,
}

/// What of a piece is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// The id of the account at this place.
    User(usize),
    /// The username of the account at this place.
    Username(usize),
    /// The e-mail address of the account at this place.
    Email(usize),
    /// The claim at this place, and who has it.
    Claim(usize, u64),
    /// The room of the append at this place, which would begin a log.
    Room(usize),
    /// In the append at this place, the message's id or the (sender, client id) of the entry with this number.
    Entry(usize, Seq),
}

/// Why a piece was not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BulkError {
    /// The import has written another number of pieces; nothing was written.
    #[error("the import has written {0} pieces")]
    Step(u64),
    /// Some of it is there already; nothing was written. In the order of [`Taken`], all of them, but for what a row that is
    /// named here would have taken itself.
    #[error("{} ids or names are taken", .0.len())]
    Taken(Vec<Taken>),
    /// As for every other call.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writing many rows at once.
#[async_trait]
pub trait BulkStore: Send + Sync {
    /// Writes a piece of an import. When it returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// See [`BulkError`]; only `Store(Unknown)` leaves open whether it was done, which [`BulkStore::import`] tells.
    async fn bulk(&self, bulk: Bulk) -> Result<(), BulkError>;

    /// How many pieces an import has written, and its progress after the last one; `None` when it was never begun.
    ///
    /// # Errors
    /// When the store fails.
    async fn import(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError>;

    /// Reads an import's notes of one kind, by key, from a key on.
    ///
    /// # Errors
    /// When the store fails.
    async fn records(&self, import: &str, kind: u8, from: u64, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Those of `ids` that are in use; for rooms also those that a claim holds for a log that was not begun yet.
    ///
    /// # Errors
    /// When the store fails.
    async fn taken(&self, kind: IdKind, ids: &[u64]) -> Result<Vec<u64>, StoreError>;
}
