//! One call of a consumer: the next page of a room, given to it, and what came of that.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parlance_schema::entry::Entry;
use parlance_schema::limits::FEED_PAGE_ENTRIES_MAX;
use parlance_schema::{Millis, RoomId, Seq};

use super::Registry;
use crate::ports::consumer::{Consumer, Delivered, Page, Undelivered};
use crate::ports::store::{Cursor, Filter, Range, StoreError};

/// How long a consumer may take for a page.
const DELIVER_MAX: Duration = Duration::from_secs(30);

/// The longest time after which a consumer can have entries again.
const LATER_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a call is to do.
pub(super) struct Call {
    pub registry: Arc<Registry>,
    pub consumer: Arc<dyn Consumer>,
    pub filter: Filter,
    pub generation: u64,
    pub room: RoomId,
    /// How far the consumer has got; `None`: the store says.
    pub done: Option<Seq>,
    /// The last number that the log has for certain: nothing beyond it is shown to anybody.
    pub end: Seq,
    /// Whether it is given one entry alone, since a page had it panic.
    pub single: bool,
}

/// What came of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Entries up to this number are done.
    UpTo(Seq),
    /// So are these; the rest is to come after this pause, at this time by the wall clock.
    Later(Seq, Duration, Millis),
    /// The destination takes nothing now.
    Unavailable(String),
    /// Entries before this number are done, and it is not taken.
    Refused(Seq, String),
    /// The consumer panicked over a page that begins with this number; whether it was one entry alone.
    Panicked(Seq, bool),
    /// The store failed, or does not show yet what the log has.
    Store(String),
}

impl Call {
    /// Does it; gives where the consumer was before, too.
    pub async fn run(self) -> (Seq, Outcome) {
        let done = match self.done {
            Some(done) => done,
            None => match self.cursor().await {
                Ok(done) => done,
                Err(error) => return (0, Outcome::Store(error.to_string())),
            },
        };
        (done, self.page(done).await)
    }

    async fn cursor(&self) -> Result<Seq, StoreError> {
        let cursors = self.registry.shared.store.cursors(self.room).await?;
        let own = |of: &&Cursor| of.consumer == self.consumer.name() && of.generation == self.generation;
        Ok(cursors.iter().find(own).map_or(0, |cursor| cursor.seq))
    }

    async fn page(&self, done: Seq) -> Outcome {
        if done >= self.end {
            return Outcome::UpTo(done);
        }
        let limit = if self.single { 1 } else { FEED_PAGE_ENTRIES_MAX };
        let at_home = self.registry.shared.cluster.elsewhere(self.room).is_none();
        let at_hand = at_home.then(|| self.registry.recent().page(self.room, (done + 1, self.end), limit)).flatten();
        let range = Range { from: done + 1, to: self.end, limit, backwards: false };
        let entries = match at_hand {
            Some(entries) => entries,
            None => match self.registry.shared.store.entries(self.room, range).await {
                Ok(entries) => entries,
                Err(error) => return Outcome::Store(error.to_string()),
            },
        };
        // A server that is behind may not show all of it yet.
        let last = entries.iter().zip(done + 1..).take_while(|(entry, seq)| entry.seq == *seq).count() as Seq + done;
        if last == done {
            return Outcome::Store("the log does not show yet what it has".to_owned());
        }
        let entries: Vec<Arc<Entry>> =
            entries.into_iter().filter(|entry| entry.seq <= last && passes(&self.filter, entry)).collect();
        let Some(first) = entries.first().map(|entry| entry.seq) else { return Outcome::UpTo(last) };
        let page = Page { epoch: self.registry.shared.store.epoch(), room: self.room, entries };
        let delivery = AssertUnwindSafe(self.consumer.deliver(&page)).catch_unwind();
        match tokio::time::timeout(DELIVER_MAX, delivery).await {
            Err(_) => Outcome::Unavailable("it took too long".to_owned()),
            Ok(Err(_)) => Outcome::Panicked(first, page.entries.len() == 1),
            Ok(Ok(Ok(Delivered::All))) => Outcome::UpTo(last),
            Ok(Ok(Ok(Delivered::UpTo(seq)))) => Outcome::UpTo(seq.clamp(done, last)),
            Ok(Ok(Ok(Delivered::Later(seq, pause)))) => self.later(seq.clamp(done, last), pause),
            Ok(Ok(Err(Undelivered::Unavailable(why)))) => Outcome::Unavailable(why),
            Ok(Ok(Err(Undelivered::Refused { seq, reason }))) => Outcome::Refused(seq.clamp(first, last), reason),
        }
    }

    fn later(&self, seq: Seq, pause: Duration) -> Outcome {
        let pause = pause.min(LATER_MAX);
        Outcome::Later(seq, pause, self.registry.shared.clock.now() + pause.as_millis() as u64)
    }
}

/// Whether a consumer with this filter is given an entry.
fn passes(filter: &Filter, entry: &Entry) -> bool {
    if filter.facts.is_empty() {
        return true;
    }
    let word = serde_json::to_value(&entry.fact).ok().and_then(|fact| Some(fact.get("fact")?.as_str()?.to_owned()));
    word.is_none_or(|word| filter.facts.contains(&word))
}

/// Waits for what may panic; `None` when it did.
pub(super) async fn settled<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}
