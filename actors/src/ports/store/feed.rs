//! Following logs durably: marks of unfinished work, fences, consumers, cursors, dead letters.
//!
//! docs/decisions/0023-following-a-log.md has the protocol and why it loses nothing. In short: whoever may append to a log has a
//! *work mark* first; a mark is removed once every consumer that stands in the store has got as far as the log, and no
//! append that was begun earlier can land any more, which a *fence* makes certain.

use async_trait::async_trait;
use parlance_schema::limits::FEED_SHARDS;
use parlance_schema::{Millis, RoomId, Seq, UserId};
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Set in the numbers of owners under which no append is begun: all that their marks tell of is in the log already, and
/// needs no fence.
pub const SETTLED_OWNER: u64 = 1 << 60;

/// The owner of the marks that imports leave: no node's, so that nodes find them.
pub const IMPORT_OWNER: u64 = SETTLED_OWNER;

/// What a mark is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// A room, whose log consumers follow.
    Room(RoomId),
    /// A user.
    User(UserId),
    /// A piece of work with a number of its own.
    Job(u64),
}

impl Thing {
    /// The kind and the number by which a store keeps it.
    #[must_use]
    pub fn code(self) -> (u8, u64) {
        match self {
            Self::Room(room) => (1, room.get()),
            Self::User(user) => (2, user.get()),
            Self::Job(job) => (3, job),
        }
    }

    /// The thing that has this kind and number; `None` where there is none, as a newer version may have written.
    #[must_use]
    pub fn from_code(kind: u8, number: u64) -> Option<Self> {
        match kind {
            1 => RoomId::try_from(number).ok().map(Self::Room),
            2 => UserId::try_from(number).ok().map(Self::User),
            3 => Some(Self::Job(number)),
            _ => None,
        }
    }

    /// The shard that its marks are in.
    #[must_use]
    pub fn shard(self) -> u8 {
        (self.code().1 % u64::from(FEED_SHARDS)) as u8
    }
}

/// A mark that something may be unfinished. One of the same owner and thing that was written later replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkMark {
    /// Whose it is: the incarnation of a node, or another random number that stands for a set of marks.
    pub owner: u64,
    /// What may be unfinished.
    pub thing: Thing,
    /// When it was written: a count of its owner's process, never a clock. It is removed as of then, so that a removal which
    /// comes late takes no later mark with it.
    pub at: u64,
}

/// A mark that is looked at when its time comes, and not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueMark {
    /// When to look.
    pub due: Millis,
    /// What at, and who wrote it when.
    pub mark: WorkMark,
}

/// A set of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkOwner {
    /// Its number.
    pub owner: u64,
    /// When it was last said to be in use; 0 where the store keeps no list of owners but finds them by their marks.
    pub opened_at: Millis,
}

/// Where a log ends, after everything that was begun before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The last number; 0 for an empty log.
    pub last: Seq,
    /// The fence that appends after it must know.
    pub fence: Option<u64>,
}

/// Which entries a consumer is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of these facts alone, by their words, such as `posted`; none is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

/// Where a consumer begins to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begins {
    /// With the first entry of each log.
    #[default]
    Start,
    /// With what is appended from its registration on.
    Now,
}

/// A consumer as it stands in the store. All nodes know it from there, whatever their own settings are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name, unique: a kind and an id, such as `webhook:12`.
    pub name: String,
    /// Which entries it is given.
    pub filter: Filter,
    /// Where it begins.
    pub begins: Begins,
    /// Which following of all logs it is at, from 1; cursors are of a generation.
    pub generation: u64,
    /// How far the walk through the rooms that there were when it was registered has got; `None` once it is done.
    pub walk: Option<Walk>,
}

/// How far a walk through all rooms has got. The bytes are the store's; none is before the first room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk(pub Vec<u8>);

/// How far a consumer has got in a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The room.
    pub room: RoomId,
    /// The consumer's name.
    pub consumer: String,
    /// Its generation.
    pub generation: u64,
    /// All entries up to this number are done.
    pub seq: Seq,
}

/// An entry that a consumer could not be given, and was passed over for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The consumer's name.
    pub consumer: String,
    /// The room.
    pub room: RoomId,
    /// The entry.
    pub seq: Seq,
    /// When it was given up.
    pub at: Millis,
    /// Why; no words of the entry.
    pub reason: String,
}

/// What is written when a room's consumers have got somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Cursors; one that is below what is there is ignored.
    pub cursors: Vec<Cursor>,
    /// The mark that may go, and the last number that the room's log had when that was decided.
    pub finished: Option<(WorkMark, Seq)>,
}

/// What lets logs be followed.
#[async_trait]
pub trait FeedStore: Send + Sync {
    /// Whether an append writes its `mark` with its entries, in one step. Where not, a mark is put before.
    fn marks_with_append(&self) -> bool {
        false
    }

    /// Has an owner's marks found by others, from now on. It comes before the owner's first mark, and now and then again.
    ///
    /// # Errors
    /// When the store fails.
    async fn open_owner(&self, owner: u64, now: Millis) -> Result<(), StoreError>;

    /// Lists the owners that may have marks.
    ///
    /// # Errors
    /// When the store fails.
    async fn owners(&self) -> Result<Vec<MarkOwner>, StoreError>;

    /// Takes an owner off the list that has no marks and writes none any more.
    ///
    /// # Errors
    /// When the store fails.
    async fn forget_owner(&self, owner: u64) -> Result<(), StoreError>;

    /// Writes marks. Each replaces an earlier one of its owner and thing, and never a later one.
    ///
    /// # Errors
    /// When the store fails; after `Unknown` some may be there, or come later.
    async fn put_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError>;

    /// Reads an owner's marks in a shard, by thing, after one.
    ///
    /// # Errors
    /// When the store fails.
    async fn marks(
        &self,
        owner: u64,
        shard: u8,
        after: Option<Thing>,
        limit: usize,
    ) -> Result<Vec<WorkMark>, StoreError>;

    /// Removes marks, each as of when it was written: a later one of the same owner and thing stays.
    ///
    /// # Errors
    /// When the store fails.
    async fn drop_marks(&self, marks: &[WorkMark]) -> Result<(), StoreError>;

    /// Writes a mark for later; its time is not over by the caller's clock.
    ///
    /// # Errors
    /// When the store fails; after `Unknown` it may be there, or come later.
    async fn put_due(&self, due: DueMark) -> Result<(), StoreError>;

    /// Reads marks of a shard whose time has come, the earliest first.
    ///
    /// # Errors
    /// When the store fails.
    async fn due(&self, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError>;

    /// Removes marks for later, each as of when it was written.
    ///
    /// # Errors
    /// When the store fails.
    async fn drop_due(&self, due: &[DueMark]) -> Result<(), StoreError>;

    /// Where a log ends, after everything that was begun before, and the fence there.
    ///
    /// # Errors
    /// When the store fails.
    async fn log_end(&self, room: RoomId) -> Result<LogEnd, StoreError>;

    /// Sets the fence at the end of a log, if that is at `last`; says whether it is. Then no append after `last` that was
    /// begun before lands any more. 0 is the end of an empty log.
    ///
    /// # Errors
    /// When the store fails; after `Unknown` it may be set, or be set later.
    async fn fence(&self, room: RoomId, last: Seq, fence: u64) -> Result<bool, StoreError>;

    /// Writes how far consumers have got in a room, and removes its mark where all is done. Where the store can see in the
    /// same step that the log has gone on, the mark stays, and it says `false`.
    ///
    /// # Errors
    /// When the store fails.
    async fn progress(&self, progress: Progress) -> Result<bool, StoreError>;

    /// How far consumers have got in a room, of all generations.
    ///
    /// # Errors
    /// When the store fails.
    async fn cursors(&self, room: RoomId) -> Result<Vec<Cursor>, StoreError>;

    /// The consumers that are registered, by name: all whose registration was answered before this was asked.
    ///
    /// # Errors
    /// When the store fails.
    async fn consumers(&self) -> Result<Vec<Registered>, StoreError>;

    /// Registers a consumer, or gives one that is there another filter. One that was dropped gets a new generation.
    ///
    /// # Errors
    /// When the store fails.
    async fn register(&self, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError>;

    /// Has a consumer follow all logs anew from their first entries, in a new generation; `None` where there is none of this name.
    ///
    /// # Errors
    /// When the store fails.
    async fn reset(&self, name: &str) -> Result<Option<Registered>, StoreError>;

    /// Unregisters a consumer: marks don't wait for it any more. Says whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    async fn unregister(&self, name: &str) -> Result<bool, StoreError>;

    /// Notes how far a consumer's walk has got, if it is still of that generation and `from` is where it was; `None`: it is
    /// done. Says whether it was so.
    ///
    /// # Errors
    /// When the store fails.
    async fn note_walk(&self, name: &str, generation: u64, from: &Walk, to: Option<&Walk>) -> Result<bool, StoreError>;

    /// Reads some of the rooms that there are, after a place, and the place after them; `None` after the last one.
    ///
    /// # Errors
    /// When the store fails.
    async fn walk(&self, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError>;

    /// Notes that a node runs a consumer.
    ///
    /// # Errors
    /// When the store fails.
    async fn note_run(&self, name: &str, now: Millis) -> Result<(), StoreError>;

    /// When nodes last said that they run a consumer, by name.
    ///
    /// # Errors
    /// When the store fails.
    async fn runs(&self) -> Result<Vec<(String, Millis)>, StoreError>;

    /// Keeps an entry that a consumer was not given.
    ///
    /// # Errors
    /// When the store fails.
    async fn put_dead(&self, dead: &DeadLetter) -> Result<(), StoreError>;

    /// Reads a consumer's dead letters by room and number, after one.
    ///
    /// # Errors
    /// When the store fails.
    async fn dead(
        &self,
        consumer: &str,
        after: Option<(RoomId, Seq)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Removes a dead letter.
    ///
    /// # Errors
    /// When the store fails.
    async fn drop_dead(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError>;
}
