//! Rooms' logs: appending on a condition, reading, and what is derived from a log.

use std::sync::Arc;

use async_trait::async_trait;
use parlance_schema::entry::Entry;
pub use parlance_schema::message::MessageState;
use parlance_schema::{ClientId, MessageId, RoomId, Seq, TenantId, UserId};
use serde::{Deserialize, Serialize};

use super::{StoreError, WorkMark};

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
    /// The log's end has another fence than the one that the append knows; nothing was written. Reading the log again tells it.
    #[error("the log's end is fenced")]
    Fenced,
    /// As for every other call.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conditional append to one room's log, with what follows from it. Done whole or not at all.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room whose log it goes to.
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
    /// The fence of the bucket that the entries go to, as it was read.
    pub fence: Option<u64>,
    /// A mark that is written in the same step, where the store does that
    /// ([`FeedStore::marks_with_append`](super::FeedStore::marks_with_append)).
    pub mark: Option<WorkMark>,
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
    /// The fence that appends after the last entry must know.
    pub fence: Option<u64>,
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
    /// The lowest number.
    pub from: Seq,
    /// The highest number; it may lie beyond the end of the log.
    pub to: Seq,
    /// At most so many.
    pub limit: usize,
    /// Whether to begin at the end; the answer is in the order read.
    pub backwards: bool,
}

/// The rooms' logs. Every call fails with a [`StoreError`] where the store does; where more can go wrong, it says so.
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
    async fn wake(&self, room: RoomId) -> Result<Option<Waking>, StoreError>;

    /// Keeps a state that was folded up to `seq`; an older one never replaces a newer one.
    async fn save_snapshot(&self, room: RoomId, seq: Seq, state: Vec<u8>) -> Result<(), StoreError>;

    /// Reads entries of a log.
    async fn entries(&self, room: RoomId, range: Range) -> Result<Vec<Arc<Entry>>, StoreError>;

    /// Reads messages: `posted` entries in the range with what became of them.
    async fn messages(&self, room: RoomId, range: Range) -> Result<Vec<StoredMessage>, StoreError>;

    /// Reads single messages of any rooms, in the order asked for; `None` where no message is there.
    async fn messages_at(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Option<StoredMessage>>, StoreError>;

    /// Counts messages after `after` that `by` sent.
    async fn count_posts(&self, room: RoomId, after: Seq, by: UserId) -> Result<u64, StoreError>;

    /// Finds a message by its id.
    async fn locate(&self, message: MessageId) -> Result<Option<(RoomId, Seq)>, StoreError>;

    /// Finds the entry that a sender's client id made in a room, of those up to `upto` at least; `Seq::MAX`: of all that there are.
    async fn find(&self, room: RoomId, by: UserId, client_id: &ClientId, upto: Seq) -> Result<Option<Seq>, StoreError>;

    /// Lists the rooms that a user is in. A projection: the room's log decides.
    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError>;

    /// Lists the rooms of several users, in the order asked for, as [`LogStore::rooms_of`] does of one.
    async fn rooms_of_each(&self, users: &[UserId]) -> Result<Vec<Vec<RoomId>>, StoreError>;

    /// Raises read marks; one that is below what is there is ignored. The bytes are the caller's.
    async fn mark_read(&self, room: RoomId, marks: Vec<(UserId, ReadMark)>) -> Result<(), StoreError>;

    /// Reads a room's read marks.
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
