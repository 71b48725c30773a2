//! Accounts, refresh tokens, and the audit.

use async_trait::async_trait;
use parlance_schema::user::Role;
use parlance_schema::{Millis, RoomId, TenantId, UserId};

use super::StoreError;

/// A user's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Never changes, and is never given to another user.
    pub id: UserId,
    /// Never changes.
    pub tenant: TenantId,
    /// Unique per tenant, compared without regard to case.
    pub username: String,
    /// Unique per tenant, compared without regard to case.
    pub email: Option<String>,
    /// The name to show.
    pub full_name: String,
    /// The password's hash in PHC form; absent for those who can't log in with one.
    pub password: Option<String>,
    /// The role in the installation.
    pub role: Role,
    /// False once disabled.
    pub active: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When the user was last connected.
    pub last_seen: Option<Millis>,
    /// Access tokens issued before are void.
    pub valid_after: Millis,
}

impl Account {
    /// Whether what can be changed is the same: when somebody was last seen is noted on another way.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        *self == Self { last_seen: self.last_seen, ..other.clone() }
    }
}

/// By what an account is found.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// By id, whatever the tenant.
    Id(UserId),
    /// By username.
    Username(TenantId, &'a str),
    /// By e-mail address.
    Email(TenantId, &'a str),
}

/// Why an account was not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountError {
    /// Another account has this username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another account has this e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The account is not what it was thought to be; nothing was written.
    #[error("the account was changed meanwhile")]
    Changed,
    /// As for every other call.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A family of refresh tokens: one login, renewed again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its random id.
    pub id: String,
    /// The user whose login it is.
    pub user: UserId,
    /// SHA-256 of the one token that is good now, in hexadecimal.
    pub current: String,
    /// The last moment at which it can be renewed.
    pub expires_at: Millis,
    /// Revoked once, revoked for ever.
    pub revoked: bool,
}

/// Accounts and refresh tokens. Every call fails with a [`StoreError`] where the store does; where more can go wrong, it says so.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Writes a new account.
    ///
    /// # Errors
    /// When a name is taken, or the store fails.
    async fn create_account(&self, account: &Account) -> Result<(), AccountError>;

    /// Replaces an account's fields, all but id, tenant, `created_at` and `last_seen`.
    ///
    /// # Errors
    /// When a name is taken, or the store fails.
    async fn update_account(&self, account: &Account) -> Result<(), AccountError>;

    /// Replaces an account's fields as [`AccountStore::update_account`] does, if they are still what they were `before`,
    /// in one step.
    ///
    /// # Errors
    /// [`AccountError::Changed`] when they are not; else as for [`AccountStore::update_account`].
    async fn replace_account(&self, before: &Account, after: &Account) -> Result<(), AccountError>;

    /// Finds an account.
    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError>;

    /// Reads several accounts; those that don't exist are left out.
    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError>;

    /// Finds active accounts of a tenant whose username or full name has `text` in it, prefixes of the username first.
    async fn search_accounts(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError>;

    /// Notes when users were last connected.
    async fn seen(&self, users: &[(UserId, Millis)]) -> Result<(), StoreError>;

    /// Begins a family.
    async fn create_family(&self, family: &Family) -> Result<(), StoreError>;

    /// Reads a family.
    async fn family(&self, id: &str) -> Result<Option<Family>, StoreError>;

    /// Replaces a family's current token if it is `from` and not revoked; says whether it did.
    async fn rotate_family(&self, id: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, StoreError>;

    /// Revokes a family.
    async fn revoke_family(&self, id: &str) -> Result<(), StoreError>;

    /// Revokes all families of a user, but for the one that is named.
    async fn revoke_families(&self, user: UserId, except: Option<&str>) -> Result<(), StoreError>;

    /// Removes families that expired before `now`, at most 1,000; says how many.
    async fn sweep_families(&self, now: Millis) -> Result<usize, StoreError>;

    /// Notes what a moderator did outside their own rooms.
    async fn audit(&self, at: Millis, by: UserId, room: Option<RoomId>, what: &str) -> Result<(), StoreError>;
}
