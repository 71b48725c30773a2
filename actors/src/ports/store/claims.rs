//! Unique names, and blocks of ids.

use async_trait::async_trait;
use parlance_schema::TenantId;

use super::StoreError;

/// What a unique name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// The direct room of a pair: key `a:b`, the smaller id first.
    Direct,
    /// The room that a user's client id opened: key `user:client_id`.
    Create,
    /// The user whom another issuer's tokens call so: key `issuer:subject`.
    Subject,
}

/// Ids are taken in blocks, per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// Users.
    User,
    /// Rooms.
    Room,
    /// Messages.
    Message,
}

/// Unique names and id blocks.
#[async_trait]
pub trait ClaimStore: Send + Sync {
    /// Claims a key for a target, or tells who has it. However many try at once, all get the same answer.
    ///
    /// # Errors
    /// When the store fails.
    async fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, StoreError>;

    /// Takes a block of ids: the first of `count` numbers that nobody else gets.
    ///
    /// # Errors
    /// When the store fails; the ids of a block whose fate is unknown are never used.
    async fn take_ids(&self, kind: IdKind, count: u64) -> Result<u64, StoreError>;
}
