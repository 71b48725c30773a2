//! Filling a room's log with messages, to measure what a long log costs. The rows are those that a Room writes.

use std::sync::Arc;

use parlance_domain::feed::Tenure;
use parlance_domain::room::State;
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{APPEND_ENTRIES_MAX, LOG_BUCKET, SNAPSHOT_EVERY};
use parlance_schema::{ClientId, MessageId, Millis, RoomId, Seq, UserId};

use crate::ids::Ids;
use crate::ports::Store;
use crate::ports::store::{Append, AppendError, IMPORT_OWNER, IdKind, StoreError, Thing, WorkMark};
use crate::room::{encode_state, read_room};

/// Why a log was not filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// There is nobody to write as.
    #[error("the room does not exist, or nobody is in it")]
    Empty,
    /// The store failed, or somebody else writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A client id could not be made.
    #[error(transparent)]
    ClientId(#[from] parlance_schema::id::BadClientId),
}

impl From<StoreError> for FillError {
    fn from(error: StoreError) -> Self {
        Self::Append(error.into())
    }
}

/// Brings a room's log up to `entries` entries with messages of its members in turn, and says how many were added.
///
/// # Errors
/// When the room has no members, or the store fails.
pub async fn fill(store: &dyn Store, ids: &Ids, now: Millis, room: RoomId, entries: Seq) -> Result<Seq, FillError> {
    let (mut state, mut kept) = read_room(store, room).await?.ok_or(FillError::Empty)?;
    let members: Vec<UserId> = state.members.keys().copied().collect();
    let began = state.last;
    let mut tenure = Tenure::default();
    tenure.read(began, store.log_end(room).await?.fence);
    // No node has this room: whoever starts next finds the mark.
    store.open_owner(IMPORT_OWNER, now).await?;
    let mark = WorkMark { owner: IMPORT_OWNER, thing: Thing::Room(room), at: entries };
    store.put_marks(&[mark]).await?;
    while state.last < entries {
        let left = (entries - state.last).min(LOG_BUCKET - state.last % LOG_BUCKET).min(APPEND_ENTRIES_MAX as u64);
        let expected = state.last;
        let mut batch: Vec<Arc<Entry>> = Vec::new();
        for _ in 0..left {
            let by = *members.get(state.last as usize % members.len().max(1)).ok_or(FillError::Empty)?;
            let entry = message(&state, ids.next(IdKind::Message).await?, by, now)?;
            state.fold(&entry);
            batch.push(Arc::new(entry));
        }
        let due = state.last >= kept + SNAPSHOT_EVERY;
        if due {
            kept = state.last;
        }
        let append = Append {
            room,
            tenant: state.tenant,
            expected,
            entries: batch.into(),
            snapshot: if due { encode_state(&state) } else { None },
            messages: Vec::new(),
            members: Vec::new(),
            erase: Vec::new(),
            fence: tenure.fence(expected),
            mark: None,
        };
        store.append(append).await?;
    }
    Ok(state.last - began)
}

fn message(state: &State, id: u64, by: UserId, now: Millis) -> Result<Entry, FillError> {
    let seq = state.last + 1;
    let content =
        Some(Content::text(format!("Message {seq} of a long conversation. Nachricht {seq}. رسالة {seq}. 📜")));
    Ok(Entry {
        seq,
        at: now,
        by,
        client_id: ClientId::new(format!("fill-{seq}"))?,
        posts: state.posts + 1,
        append: seq,
        fact: Fact::Posted {
            id: MessageId::new(id),
            content,
            reply_to: None,
            mentions: Vec::new(),
            meta: parlance_schema::content::Meta::new(),
        },
    })
}
