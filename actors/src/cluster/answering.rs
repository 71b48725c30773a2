//! What other nodes are answered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parlance_schema::{Code, Fault, RoomId, Seq};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::forwarding;
use crate::ops;
use crate::ports::bus::{Question, Reply, Responder};
use crate::ports::store::Range;
use crate::room;
use crate::room::guarded;
use crate::shared::Shared;

/// Rooms whose last numbers one question may ask for.
pub(crate) const LAST_MAX: usize = 256;

/// Answers questions for as long as the node is there.
pub(crate) fn responder(shared: &Arc<Shared>) -> Responder {
    let shared = Arc::downgrade(shared);
    Arc::new(move |_, question| {
        let Some(shared) = shared.upgrade() else {
            return async { Reply::Refused(Fault::new(Code::Restarting, "the node stops")) }.boxed();
        };
        match question {
            Question::Commands { room, commands } => forwarding::commands(&shared, room, &commands).boxed(),
            Question::Last { mut rooms } => async move {
                rooms.truncate(LAST_MAX);
                Reply::Last(last(&shared, rooms).await)
            }
            .boxed(),
            Question::Presence => {
                let news = shared.presence.snapshot(shared.cluster.incarnation());
                async { Reply::Presence(news) }.boxed()
            }
            Question::Stats { tenant } => {
                let stats = ops::connections(&shared, tenant);
                async { Reply::Stats(stats) }.boxed()
            }
        }
    })
}

/// The last numbers of rooms' logs, as far as they can be told: by a room that is awake here, else by the store.
pub(crate) async fn last(shared: &Arc<Shared>, rooms: Vec<RoomId>) -> Vec<(RoomId, Seq)> {
    let mut known = Vec::with_capacity(rooms.len());
    for room in rooms {
        let awake = match shared.rooms.get(room) {
            Some(actor) => {
                let (back, last) = oneshot::channel();
                let sent = actor.cast(room::Msg::Last(back)).is_ok();
                let told = timeout(Duration::from_millis(if sent { 500 } else { 0 }), last).await;
                told.ok().and_then(Result::ok)
            }
            None => None,
        };
        match awake {
            Some(last) => known.push((room, last)),
            None => match guarded(shared.read_room(room)).await {
                Ok(Some((state, _))) => known.push((room, state.last)),
                Ok(None) => {}
                Err(error) => tracing::info!(%room, %error, "its last number can't be told"),
            },
        }
    }
    known
}

/// The last numbers of rooms, as their logs have them.
pub(crate) async fn logged(shared: &Arc<Shared>, rooms: Vec<RoomId>) -> Vec<(RoomId, Seq)> {
    let mut known = Vec::with_capacity(rooms.len());
    let range = Range { from: 1, to: Seq::MAX >> 1, limit: 1, backwards: true };
    for room in rooms {
        match guarded(shared.store.entries(room, range)).await {
            Ok(entries) => known.extend(entries.first().map(|entry| (room, entry.seq))),
            Err(error) => tracing::info!(%room, %error, "its last number can't be read"),
        }
    }
    known
}
