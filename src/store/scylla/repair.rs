//! Learning what a log says, and writing what follows from its latest entries once more.
//!
//! Whoever appended them may have died before it wrote what follows, or may be doing so now. Nobody needs to know which:
//! the mark `indexed_upto` says up to where it was done, and doing the rest again changes nothing that was done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlance_actors::ports::store::{MessageState, StoreError};
use parlance_domain::message;
use parlance_schema::entry::Entry;
use parlance_schema::{RoomId, Seq};

use super::append::bucket;
use super::cql::{self, int};
use super::known_log::{self, KnownLog};
use super::{Db, log, projections};

/// How often a repair is tried where nobody waits for it; the next append tries it again anyway.
const LATER_TRIES: u32 = 8;

/// Learns what the log says now, and repairs what follows from what is new.
pub(super) async fn load(db: &Db, room: RoomId, slot: &mut KnownLog) -> Result<(), StoreError> {
    slot.await_background().await;
    let mut from = slot.known;
    if !slot.loaded {
        let hints = log::hints(db, room).await?;
        slot.begin(hints.indexed);
        from = hints.last;
    }
    slot.stale = true;
    let last = log::end(db, room, from.max(slot.known), true).await?;
    if last > slot.known {
        let tail = log::whole(db, room, slot.known + 1, last).await?;
        again(db, room, &tail).await?;
        for entry in &tail {
            slot.push(known_log::hash(entry.by, &entry.client_id), entry.seq);
        }
        projections::index(db, room, slot.unindexed(), last).await?;
        slot.indexed_upto(last);
    }
    slot.stale = false;
    Ok(())
}

/// Tries to repair a room's latest entries until it is done, or many times.
pub(super) fn later(db: Arc<Db>, room: RoomId) {
    tokio::spawn(async move {
        for attempt in 0..LATER_TRIES {
            tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
            let held = db.known_logs.of(room);
            let mut slot = held.lock().await;
            if slot.loaded && !slot.stale {
                return;
            }
            match load(&db, room, &mut slot).await {
                Ok(()) => return,
                Err(error) => tracing::info!(%room, %error, "what follows from a room's log is still not written"),
            }
        }
    });
}

/// Writes what follows from entries, once more or for the first time.
async fn again(db: &Db, room: RoomId, entries: &[Arc<Entry>]) -> Result<(), StoreError> {
    let members = entries.iter().flat_map(|entry| entry.membership().map(|(who, is)| (who, is, entry.seq)));
    let mut changed: BTreeMap<Seq, (Seq, MessageState)> = BTreeMap::new();
    let mut erase = Vec::new();
    for entry in entries {
        let Some(target) = entry.message().filter(|target| *target != entry.seq) else { continue };
        if let std::collections::btree_map::Entry::Vacant(place) = changed.entry(target) {
            place.insert(state(db, room, target).await?);
        }
        let Some((upto, state)) = changed.get_mut(&target) else { continue };
        if *upto < entry.seq {
            message::fold(state, entry);
            *upto = entry.seq;
        }
        erase.extend(message::erased(state, entry));
    }
    let states = changed.iter().map(|(seq, (upto, state))| (*seq, *upto, state));
    tokio::try_join!(
        projections::locate(db, room, entries),
        projections::memberships(db, room, members),
        projections::messages(db, room, states),
    )?;
    projections::erased(db, room, erase).await
}

/// What became of a message so far, and up to which entry that is folded.
async fn state(db: &Db, room: RoomId, seq: Seq) -> Result<(Seq, MessageState), StoreError> {
    let key = (int(room.get()), int(bucket(seq)), int(seq));
    match cql::row::<(i64, Vec<u8>)>(&db.session, &db.statements.state, key).await? {
        Some((upto, state)) => Ok((cql::uint(upto)?, cql::decode(&state)?)),
        None => Ok((0, MessageState::default())),
    }
}
