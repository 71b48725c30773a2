//! Reading rooms from the store: waking, re-reading after a doubt, looking messages up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use parlance_domain::message::Target;
use parlance_domain::room::State;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::APPEND_ENTRIES_MAX;
use parlance_schema::{ClientId, RoomId, Seq, UserId};

use super::actor::Reread;
use crate::ports::Store;
use crate::ports::store::{LogEnd, Range, StoreError, Waking};
use crate::shared::Shared;

/// Writes a state as a snapshot; `None` when that fails, which costs only time at the next waking.
#[must_use]
pub fn encode_state(state: &State) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(state).inspect_err(|error| tracing::error!(%error, "a snapshot can't be written")).ok()
}

/// Reads a room's state, and the number that its snapshot was at; `None` when its log is empty.
///
/// # Errors
/// When the store fails, or the log makes no sense.
pub async fn read_room(store: &dyn Store, room: RoomId) -> Result<Option<(State, Seq)>, StoreError> {
    let Some(waking) = store.wake(room).await? else { return Ok(None) };
    fold(room, &waking).map(Some)
}

/// Folds what a room wakes from; gives the state, and the number that its snapshot was at.
fn fold(room: RoomId, waking: &Waking) -> Result<(State, Seq), StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("room {room}: {what}"));
    let (mut state, at, tail) = match &waking.snapshot {
        Some((at, bytes)) => {
            let state: State = rmp_serde::from_slice(bytes).map_err(|_| corrupt("its snapshot can't be read"))?;
            (state, *at, &waking.tail[..])
        }
        None => {
            let first = waking.tail.first().ok_or_else(|| corrupt("neither snapshot nor entries"))?;
            let state = State::opened(first).ok_or_else(|| corrupt("its log does not begin with its opening"))?;
            (state, 0, &waking.tail[1..])
        }
    };
    for entry in tail {
        if entry.seq != state.last + 1 {
            return Err(corrupt("its log has a gap"));
        }
        state.fold(entry);
    }
    Ok((state, at))
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

    /// The same with where the log ends and the fence there, for who is to append.
    pub(crate) async fn read_log(&self, room: RoomId) -> Result<(Option<(State, Seq)>, LogEnd), StoreError> {
        let Some(waking) = self.store.wake(room).await? else {
            // An append that was to begin the log may have been fenced off.
            return Ok((None, LogEnd { last: 0, ..self.store.log_end(room).await? }));
        };
        let fence = waking.fence;
        let (state, at) = fold(room, &waking)?;
        let last = state.last;
        Ok((Some((state, at)), LogEnd { last, fence }))
    }

    /// Reads a room again after an append that came to nothing or is in doubt: its state, whether the append is in its
    /// log, and the entries at `pairs`' numbers.
    pub(crate) async fn reread(
        &self,
        room: RoomId,
        first: Seq,
        append: u64,
        pairs: Vec<(usize, Seq)>,
    ) -> Result<Reread, StoreError> {
        let (read, end) = self.read_log(room).await?;
        let folded = read.map(|(state, _)| state);
        let landed = self.entry(room, first).await?.is_some_and(|entry| entry.append == append);
        let mut found = Vec::with_capacity(pairs.len());
        for (at, seq) in pairs {
            found.push((at, self.entry(room, seq).await?));
        }
        Ok(Reread { folded, end, landed, found })
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

    /// Finds the entry that a client id came to.
    pub(crate) async fn done_before(
        &self,
        room: RoomId,
        by: UserId,
        client_id: &ClientId,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        match self.store.find(room, by, client_id).await? {
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

    /// Looks messages up by their numbers; `None` for a number that is not a message's.
    pub(crate) async fn look_up(&self, room: RoomId, seqs: &[Seq]) -> Result<Vec<(Seq, Option<Target>)>, StoreError> {
        let mut found = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let range = Range { from: *seq, to: *seq, limit: 1, backwards: false };
            let message = self.store.messages(room, range).await?.pop();
            let target = message
                .filter(|m| matches!(m.entry.fact, Fact::Posted { .. }))
                .map(|m| Target { by: Some(m.entry.by), state: m.state.unwrap_or_default() });
            found.push((*seq, target));
        }
        Ok(found)
    }
}
