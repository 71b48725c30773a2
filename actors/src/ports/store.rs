//! The store: rooms' logs, what is derived from them, accounts and tokens.
//!
//! The log decides. Everything else here is a projection of it, or a claim that it completes.

pub mod bulk;

use std::sync::Arc;

use async_trait::async_trait;
use parlance_schema::account::Role;
use parlance_schema::entry::Entry;
pub use parlance_schema::message::MessageState;
use parlance_schema::{ClientId, MessageId, Millis, RoomId, Seq, TenantId, UserId};
use serde::{Deserialize, Serialize};

pub use bulk::{Bulk, BulkError, BulkStore, Record, Taken};

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

/// Why an append was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The log's last number is another one; nothing was written.
    #[error("the log is at {last}")]
    Conflict {
        /// The log's last number.
        last: Seq,
    },
    /// Some entries' (sender, client id) are in the log already; nothing was written. Pairs of an entry's place in the
    /// append and the number of the entry that has its client id.
    #[error("{} entries are in the log already", .0.len())]
    Duplicate(Vec<(usize, Seq)>),
    /// As for every other call.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conditional append to one room's log, with what follows from it. Done whole or not at all.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room.
    pub room: RoomId,
    /// The room's tenant.
    pub tenant: TenantId,
    /// The log's last number before; 0 for a new log.
    pub expected: Seq,
    /// The entries, numbered from `expected + 1`, all with the same append id; at least one, and all in one bucket of
    /// `LOG_BUCKET` numbers.
    pub entries: Arc<[Arc<Entry>]>,
    /// The state folded up to the last entry, where it is time to keep it.
    pub snapshot: Option<Vec<u8>>,
    /// Messages as they are after these entries, where an entry changed one.
    pub messages: Vec<(Seq, MessageState)>,
    /// Users who became members (true) or stopped being ones (false), in order.
    pub members: Vec<(UserId, bool)>,
    /// Numbers of earlier entries whose words are to be erased.
    pub erase: Vec<Seq>,
}

/// Who is told what an append came to. Dropped without an answer (a store that panicked), it says that this is unknown.
pub struct Answer(Option<Tell>);

type Tell = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

impl Answer {
    /// Has `tell` called, once, on whatever thread the store finds convenient; it must not block.
    pub fn new(tell: impl FnOnce(Result<(), AppendError>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Tells the outcome.
    pub fn send(mut self, outcome: Result<(), AppendError>) {
        if let Some(tell) = self.0.take() {
            tell(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err(StoreError::Unknown("the store gave no answer".to_owned()).into()));
        }
    }
}

/// A room's snapshot and the entries after it, as a room wakes from.
#[derive(Clone, Debug)]
pub struct Waking {
    /// The number that the snapshot was folded up to, and its bytes.
    pub snapshot: Option<(Seq, Vec<u8>)>,
    /// All entries after the snapshot, in order.
    pub tail: Vec<Arc<Entry>>,
}

/// A message: its `posted` entry and what became of it.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// The `posted` entry.
    pub entry: Arc<Entry>,
    /// Changes since, where there were any.
    pub state: Option<MessageState>,
}

/// A stretch of numbers to read, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// First number.
    pub from: Seq,
    /// Last number.
    pub to: Seq,
    /// At most so many.
    pub limit: usize,
    /// Whether to begin at the end; the answer is in the order read.
    pub backwards: bool,
}

/// The rooms' logs.
#[async_trait]
pub trait LogStore: Send + Sync {
    /// The store's epoch: it changes when the store was restored from a backup.
    fn epoch(&self) -> u64;

    /// Appends on the condition that the log ends at `expected` and holds none of the (sender, client id) pairs.
    /// When it returns `Ok`, the entries are on disk.
    ///
    /// # Errors
    /// See [`AppendError`]; only `Unknown` leaves open whether it was done.
    async fn append(&self, append: Append) -> Result<(), AppendError>;

    /// Appends as [`LogStore::append`] does, and tells the outcome from wherever it becomes known. A store that has a
    /// thread of its own spares a task for each append by it.
    fn submit(self: Arc<Self>, append: Append, answer: Answer)
    where
        Self: 'static,
    {
        tokio::spawn(async move { answer.send(self.append(append).await) });
    }

    /// Reads what a room needs to wake; `None` when its log is empty. Costs the same however long the log is.
    ///
    /// # Errors
    /// When the store fails.
    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError>;

    /// Keeps a state that was folded up to `seq`; an older one never replaces a newer one.
    ///
    /// # Errors
    /// When the store fails.
    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError>;

    /// Reads entries of a log.
    ///
    /// # Errors
    /// When the store fails.
    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError>;

    /// Reads messages: `posted` entries in the range with what became of them.
    ///
    /// # Errors
    /// When the store fails.
    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError>;

    /// Counts messages after `after` that `by` sent.
    ///
    /// # Errors
    /// When the store fails.
    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError>;

    /// Finds a message by its id.
    ///
    /// # Errors
    /// When the store fails.
    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError>;

    /// Finds the entry that a sender's client id made in a room.
    ///
    /// # Errors
    /// When the store fails.
    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId) -> Result<Option<Seq>, StoreError>;

    /// Lists the rooms that a user is in. A projection: the room's log decides.
    ///
    /// # Errors
    /// When the store fails.
    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError>;

    /// Raises read marks; one that is below what is there is ignored. The bytes are the caller's.
    ///
    /// # Errors
    /// When the store fails.
    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError>;

    /// Reads a room's read marks.
    ///
    /// # Errors
    /// When the store fails.
    async fn read_marks(&self, room: RoomId) -> Result<Vec<(UserId, ReadMark)>, StoreError>;
}

/// How far a member has read, with the counts there, so that unread is a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// Everything up to this number was read.
    pub seq: Seq,
    /// Messages in the room up to there.
    pub posts: u64,
    /// The member's own messages up to there.
    pub own: u64,
}

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

/// A user's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub id: UserId,
    /// The tenant.
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

/// Which account.
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
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the one token that is good now, in hexadecimal.
    pub current: String,
    /// When it expires.
    pub expires_at: Millis,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Accounts and refresh tokens.
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

    /// Replaces an account's fields as [`AccountStore::update_account`] does, if they are still what they were `before`. A
    /// store to which several processes write does both in one step; what is provided here does for one.
    ///
    /// # Errors
    /// [`AccountError::Changed`] when they are not; else as for [`AccountStore::update_account`].
    async fn replace_account(&self, before: &Account, after: &Account) -> Result<(), AccountError> {
        match self.account(Who::Id(before.id)).await? {
            Some(now) if now.is_as(before) => self.update_account(after).await,
            _ => Err(AccountError::Changed),
        }
    }

    /// Finds an account.
    ///
    /// # Errors
    /// When the store fails.
    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError>;

    /// Reads several accounts; those that don't exist are left out.
    ///
    /// # Errors
    /// When the store fails.
    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError>;

    /// Finds active accounts of a tenant whose username or full name has `text` in it, prefixes of the username first.
    ///
    /// # Errors
    /// When the store fails.
    async fn search_accounts(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError>;

    /// Notes when users were last connected.
    ///
    /// # Errors
    /// When the store fails.
    async fn seen(&self, users: &[(UserId, Millis)]) -> Result<(), StoreError>;

    /// Begins a family.
    ///
    /// # Errors
    /// When the store fails.
    async fn create_family(&self, family: &Family) -> Result<(), StoreError>;

    /// Reads a family.
    ///
    /// # Errors
    /// When the store fails.
    async fn family(&self, id: &str) -> Result<Option<Family>, StoreError>;

    /// Replaces a family's current token if it is `from` and not revoked; says whether it did.
    ///
    /// # Errors
    /// When the store fails.
    async fn rotate_family(&self, id: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, StoreError>;

    /// Revokes a family.
    ///
    /// # Errors
    /// When the store fails.
    async fn revoke_family(&self, id: &str) -> Result<(), StoreError>;

    /// Revokes all families of a user, but for the one that is named.
    ///
    /// # Errors
    /// When the store fails.
    async fn revoke_families(&self, user: UserId, except: Option<&str>) -> Result<(), StoreError>;

    /// Removes families that expired before `now`, at most 1,000; says how many.
    ///
    /// # Errors
    /// When the store fails.
    async fn sweep_families(&self, now: Millis) -> Result<usize, StoreError>;

    /// Notes what a moderator did outside their own rooms.
    ///
    /// # Errors
    /// When the store fails.
    async fn audit(&self, at: Millis, by: UserId, room: Option<RoomId>, what: &str) -> Result<(), StoreError>;
}

/// Whether a store can be used, for `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreHealth {
    /// `sqlite`, `memory`, `scylla`.
    pub backend: &'static str,
    /// Whether a write would be taken.
    pub writable: bool,
    /// `disk`, or `memory` where an acknowledgement outlives the process only by luck.
    pub durability: &'static str,
}

/// All that a node keeps.
#[async_trait]
pub trait Store: LogStore + ClaimStore + AccountStore + BulkStore {
    /// Tries the store out with a write that changes nothing.
    async fn health(&self) -> StoreHealth;
}
