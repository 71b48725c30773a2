//! What lets a log be followed durably, as far as it is decided without a store: when a Room needs a mark of unfinished work, which
//! fence its appends must know, and when its mark may go.
//!
//! docs/decisions/0023-following-a-log.md has the protocol as a whole.

use parlance_schema::Seq;
use parlance_schema::limits::LOG_BUCKET;

/// What a Room knows of its own appends since it woke, as far as its mark and its fence are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tenure {
    /// The log's end when it was read last, and the fence there; absent until it is read.
    read: Option<(Seq, Option<u64>)>,
    /// The last number of an append that was acknowledged, if none was given to the store since.
    own: Option<Seq>,
    /// Whether an append was given to the store at all.
    sent: bool,
    /// Whether an append was acknowledged since the mark was written last.
    marked: bool,
}

/// How a Room's log stands when the Room ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The last entry is one that this Room appended and had acknowledged: nothing begun earlier can come after it.
    Settled(Seq),
    /// This Room has given no append to the store. What was begun before it woke is as open as it was; this is the last number
    /// that it read, if it did.
    Untouched(Option<Seq>),
    /// Something begun earlier, by whomever, may still come into the log: it must be fenced before its mark goes.
    Open,
}

impl Tenure {
    /// The log was read: when the Room woke, or after an append that was refused or of unknown fate. It may be refused since another
    /// node took this one for gone, and removed its mark: so that is written again.
    pub fn read(&mut self, last: Seq, fence: Option<u64>) {
        (self.read, self.own, self.marked) = (Some((last, fence)), None, false);
    }

    /// The fence that an append after `expected` must know. A bucket that begins after the log was read has none: it could
    /// only be fenced by somebody who came later, and then the append is refused.
    #[must_use]
    pub fn fence(&self, expected: Seq) -> Option<u64> {
        let (last, fence) = self.read?;
        if bucket_after(expected) == bucket_after(last) { fence } else { None }
    }

    /// Whether an append must bring the Room's mark with it, or come after it was written.
    #[must_use]
    pub fn needs_mark(&self) -> bool {
        !self.marked
    }

    /// An append was given to the store: until it is acknowledged, nobody knows whether and when it comes into the log.
    pub fn sent(&mut self) {
        (self.own, self.sent) = (None, true);
    }

    /// The append was acknowledged, and the log goes up to `last`. It brought the mark with it, if that was not there.
    pub fn acknowledged(&mut self, last: Seq) {
        (self.own, self.marked) = (Some(last), true);
    }

    /// How the log stands if the Room ends now.
    #[must_use]
    pub fn rest(&self) -> Rest {
        match (self.own, self.sent) {
            (Some(last), _) => Rest::Settled(last),
            (None, false) => Rest::Untouched(self.read.map(|(last, _)| last)),
            (None, true) => Rest::Open,
        }
    }
}

/// The bucket of the log that the entry after a number goes to.
#[must_use]
pub fn bucket_after(last: Seq) -> u64 {
    last / LOG_BUCKET
}

/// What is known of a room with a mark, when it is decided whether the mark may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Whether somebody here may still append.
    pub awake: bool,
    /// Whether the list of consumers was read after the last append was acknowledged.
    pub consumers_are_known: bool,
    /// The log's last number.
    pub end: Seq,
    /// Whether something that was begun earlier may still come after it.
    pub open: bool,
    /// How far the consumers that this node runs have all got; one that has left the rest for later has a mark for that.
    pub own: Seq,
    /// How far all the others have got that stand in the store.
    pub others: Seq,
}

/// What is to be done about a room's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays: there is work, or somebody may still make some.
    Keep,
    /// It stays until the log's end is fenced.
    Fence,
    /// Consumers that this node doesn't run have work: a mark that other nodes find takes its place.
    Leave,
    /// It goes.
    Remove,
}

/// Decides about a mark.
#[must_use]
pub fn judge(what: &Unfinished) -> Verdict {
    if what.awake || !what.consumers_are_known || what.own < what.end {
        Verdict::Keep
    } else if what.open {
        Verdict::Fence
    } else if what.others < what.end {
        Verdict::Leave
    } else {
        Verdict::Remove
    }
}
