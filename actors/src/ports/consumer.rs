//! Who follows logs: a destination outside (a file, a service, an index), to which entries are given.
//!
//! It is given each entry at least once, and the first arrivals of a room's entries in their order. What it makes of an entry must
//! be named by (epoch, room, number), or be a value folded up to a number: an entry that comes again changes nothing. After a
//! restore from a backup the epoch is another one, and numbers may stand for other entries.
//!
//! An entry may come without its words, as they were erased before; an erasure may come for an entry whose words never came.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlance_schema::entry::Entry;
use parlance_schema::{RoomId, Seq};

use super::store::{Begins, Filter};

/// Some entries of a room, in order. Between them may be others, which the consumer's filter leaves out.
#[derive(Clone, Debug)]
pub struct Page {
    /// The store's epoch.
    pub epoch: u64,
    /// The room.
    pub room: RoomId,
    /// At least one, and at most `FEED_PAGE_ENTRIES_MAX`.
    pub entries: Vec<Arc<Entry>>,
}

/// How much of a page was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// All of it: it will have its effect whatever happens from now on.
    All,
    /// The entries up to this number.
    UpTo(Seq),
    /// The entries up to this number; the others are to come again after this time, a year at most. Once the room sleeps, or another
    /// node takes over, that goes by the wall clocks, of the node that wrote it down and of the one that looks.
    Later(Seq, Duration),
}

/// Why a page was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Undelivered {
    /// The destination can't be reached, or is not able to take anything now. All entries are given again later.
    #[error("{0}")]
    Unavailable(String),
    /// It does not take the entry with this number; those before it are done. After some tries it is passed over.
    #[error("entry {seq} was refused: {reason}")]
    Refused {
        /// The entry.
        seq: Seq,
        /// Why; it holds no words of the entry, as it is kept and shown to operators.
        reason: String,
    },
}

/// A consumer.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Its name, unique, with a kind before a colon where there are several of one: `file:audit`, `webhook:12`.
    fn name(&self) -> &str;

    /// Which entries it is given.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// Where it begins when it is registered for the first time.
    fn begins(&self) -> Begins {
        Begins::Start
    }

    /// Takes some entries of a room. For one room it is called again only when the call before has ended.
    ///
    /// # Errors
    /// See [`Undelivered`].
    async fn deliver(&self, page: &Page) -> Result<Delivered, Undelivered>;
}
