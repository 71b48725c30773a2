//! Reading rooms from the store: waking, re-reading after a doubt, looking messages up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream};

use parlance_domain::message::Target;
use parlance_domain::room::writer::{Found, Reread, Unread, Wanted, done};
use parlance_domain::room::{Snapshot, State};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{APPEND_ENTRIES_MAX, LOG_BUCKET};
use parlance_schema::{ClientId, RoomId, Seq, UserId};

use crate::ports::Store;
use crate::ports::store::{LogEnd, Range, StoreError, Waking};
use crate::shared::Shared;

/// Items of one look-up that are read at a time.
const READS: usize = 16;

/// Writes a state as a snapshot; `None` when that fails, which costs only time at the next waking.
#[must_use]
pub fn encode_state(state: &State) -> Option<Vec<u8>> {
    let snapshot = Snapshot::of(state);
    rmp_serde::to_vec_named(&snapshot).inspect_err(|error| tracing::error!(%error, "a snapshot can't be written")).ok()
}

/// Reads a room's state, and the number that its snapshot was at; `None` when its log is empty.
///
/// # Errors
/// When the store fails, or the log makes no sense.
pub async fn read_room(store: &dyn Store, room: RoomId) -> Result<Option<(State, Seq)>, StoreError> {
    match store.wake(room).await? {
        Some(waking) => fold(store, room, &waking).await.map(Some),
        None => Ok(None),
    }
}

/// Folds what a room wakes from; gives its state, and the number that its snapshot was at.
async fn fold(store: &dyn Store, room: RoomId, waking: &Waking) -> Result<(State, Seq), StoreError> {
    let kept = waking.snapshot.as_ref().map_or(0, |(at, _)| *at);
    let usable = waking.snapshot.as_ref().and_then(|(_, bytes)| decode_state(bytes));
    let mut folding = Folding { room, state: usable };
    let at = folding.state.as_ref().map_or(0, |state| state.last);
    if at < kept {
        // Another version wrote it, or it can't be read: the log has everything.
        tracing::info!(%room, kept, "the room's snapshot can't be used: its log is folded from the beginning");
        while folding.last() < kept {
            let limit = usize::try_from(LOG_BUCKET).unwrap_or(usize::MAX);
            let range = Range { from: folding.last() + 1, to: kept, limit, backwards: false };
            let entries = store.entries(room, range).await?;
            if entries.is_empty() {
                return Err(folding.corrupt("its log does not reach its snapshot"));
            }
            folding.take(&entries)?;
        }
    }
    folding.take(&waking.tail)?;
    let last = folding.state.take().ok_or_else(|| folding.corrupt("neither snapshot nor entries"))?;
    Ok((last, at))
}

/// Reads a snapshot; `None` for one of another version, or a damaged one.
fn decode_state(bytes: &[u8]) -> Option<State> {
    rmp_serde::from_slice::<Snapshot>(bytes).ok()?.usable()
}

/// A log that is being folded.
struct Folding {
    room: RoomId,
    state: Option<State>,
}

impl Folding {
    fn last(&self) -> Seq {
        self.state.as_ref().map_or(0, |state| state.last)
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("room {}: {what}", self.room))
    }

    fn take(&mut self, entries: &[Arc<Entry>]) -> Result<(), StoreError> {
        for entry in entries {
            if entry.seq != self.last() + 1 {
                return Err(self.corrupt("its log has a gap"));
            }
            match &mut self.state {
                Some(state) => state.fold(entry),
                None => {
                    let opened = State::opened(entry);
                    self.state = Some(opened.ok_or_else(|| self.corrupt("its log does not begin with its opening"))?);
                }
            }
        }
        Ok(())
    }
}

/// Waits for a reading of the store; a store that panics must not leave who waits for it waiting.
pub(crate) async fn guarded<T>(reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let panicked = |_| Err(StoreError::Unavailable("the store panicked".into()));
    AssertUnwindSafe(reading).catch_unwind().await.unwrap_or_else(panicked)
}

impl Shared {
    /// Reads a room's state, and the number that its snapshot was at; `None` when its log is empty.
    pub(crate) async fn read_room(&self, room: RoomId) -> Result<Option<(State, Seq)>, StoreError> {
        read_room(self.store.as_ref(), room).await
    }

    /// The same with where the log ends and the fence there, for a Room that is to append.
    pub(crate) async fn read_log(&self, room: RoomId) -> Result<(Option<(State, Seq)>, LogEnd), StoreError> {
        let Some(waking) = self.store.wake(room).await? else {
            // An append that was to begin the log may have been fenced off.
            return Ok((None, LogEnd { last: 0, ..self.store.log_end(room).await? }));
        };
        let (state, at) = fold(self.store.as_ref(), room, &waking).await?;
        let end = LogEnd { last: state.last, fence: waking.fence };
        Ok((Some((state, at)), end))
    }

    /// Reads a room again after an append that came to nothing or is in doubt, whose first number and append id are `doubt`:
    /// its state, whether the append is in its log, the entries at `pairs`' numbers, and where the log ends.
    pub(crate) async fn reread(
        &self,
        room: RoomId,
        doubt: Option<(Seq, u64)>,
        pairs: Vec<(usize, Seq)>,
    ) -> Result<(Reread, LogEnd), StoreError> {
        let (woken, end) = self.read_log(room).await?;
        let state = woken.map(|(state, _)| state);
        let landed = match doubt {
            Some((first, append)) => self.entry(room, first).await?.is_some_and(|entry| entry.append == append),
            None => false,
        };
        let mut found = Vec::with_capacity(pairs.len());
        for (at, seq) in pairs {
            found.push((at, self.entry(room, seq).await?));
        }
        Ok((Reread { state, landed, found }, end))
    }

    /// Publishes the last append of a log once more, in case its writer died before it could. Who has it drops it.
    pub(crate) async fn announce_last(&self, room: RoomId, last: Seq, append: u64) {
        let from = last.saturating_sub(APPEND_ENTRIES_MAX as Seq - 1).max(1);
        let range = Range { from, to: last, limit: APPEND_ENTRIES_MAX, backwards: false };
        match self.store.entries(room, range).await {
            Ok(entries) => self.announce(room, &entries.into_iter().filter(|entry| entry.append == append).collect()),
            Err(error) => tracing::info!(%room, %error, "the last append was not published again"),
        }
    }

    /// Finds the entry that a client id came to, of those up to `upto` at least.
    pub(crate) async fn done_before(
        &self,
        room: RoomId,
        by: UserId,
        client_id: &ClientId,
        upto: Seq,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        match self.store.find(room, by, client_id, upto).await? {
            Some(seq) => {
                let entry = self.entry(room, seq).await?;
                Ok(entry.filter(|entry| entry.by == by && entry.client_id == *client_id))
            }
            None => Ok(None),
        }
    }

    /// Reads one entry.
    pub(crate) async fn entry(&self, room: RoomId, seq: Seq) -> Result<Option<Arc<Entry>>, StoreError> {
        let range = Range { from: seq, to: seq, limit: 1, backwards: false };
        Ok(self.store.entries(room, range).await?.pop())
    }

    /// Reads what a room's writer must know to decide or refuse commands, some items at a time.
    pub(crate) async fn look_up(&self, room: RoomId, wanted: &Wanted) -> Found {
        let Wanted { targets, client_ids, settled, beyond } = wanted;
        let unread = |error: StoreError| {
            tracing::info!(%room, %error, "what a command needs can't be read");
            Unread
        };
        let target = |seq: Seq| async move { (seq, self.target(room, seq).await.map_err(unread)) };
        let client_id = |key: (UserId, ClientId)| async move {
            let entry = self.done_before(room, key.0, &key.1, *settled).await.map_err(unread);
            (key, entry.map(|entry| entry.map(|entry| done(room, &entry))))
        };
        let look = async {
            let entry = self.entry(room, (*beyond)?).await.map_err(unread);
            Some(entry.map(|entry| entry.map(|entry| entry.append)))
        };
        let targets = stream::iter(targets.iter().copied().map(target)).buffered(READS);
        let client_ids = stream::iter(client_ids.iter().cloned().map(client_id)).buffered(READS);
        let (targets, done, beyond) = tokio::join!(targets.collect(), client_ids.collect(), look);
        Found { targets, done, beyond }
    }

    /// Looks a message up by its number; `None` for a number that is not a message's.
    async fn target(&self, room: RoomId, seq: Seq) -> Result<Option<Target>, StoreError> {
        let range = Range { from: seq, to: seq, limit: 1, backwards: false };
        let message = self.store.messages(room, range).await?.pop();
        let message = message.filter(|m| matches!(m.entry.fact, Fact::Posted { .. }));
        Ok(message.map(|m| Target { by: Some(m.entry.by), state: m.state.unwrap_or_default() }))
    }
}
