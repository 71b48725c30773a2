//! What other nodes are answered.

use std::sync::Arc;

use futures_util::FutureExt;
use parlance_schema::{Code, Fault, RoomId, Seq};

use super::registries::Registries;
use crate::ports::bus::{self, Question, Reply};
use crate::ports::store::Range;
use crate::room::guarded;

/// Rooms whose last numbers one question may ask for.
pub(crate) const LAST_MAX: usize = 256;

impl Registries {
    /// Answers questions for as long as the node is there.
    pub(crate) fn respond(self: &Arc<Self>) -> bus::Responder {
        let node = Arc::downgrade(self);
        Arc::new(move |_, question| {
            let Some(node) = node.upgrade() else {
                return async {
                    Reply::Refused(Fault::new(
                        Code::Restarting,
                        "the server is shutting down: send the request again in a moment",
                    ))
                }
                .boxed();
            };
            match question {
                Question::Commands { room, commands } => node.lanes.commands(room, &commands).boxed(),
                Question::Last { mut rooms } => async move {
                    rooms.truncate(LAST_MAX);
                    Reply::Last(node.last(rooms).await)
                }
                .boxed(),
                Question::Presence => {
                    let news = node.presence.snapshot(node.shared.cluster.incarnation());
                    async { Reply::Presence(news) }.boxed()
                }
                Question::Stats { tenant } => {
                    let stats = node.connections(tenant);
                    async { Reply::Stats(stats) }.boxed()
                }
            }
        })
    }

    /// The last numbers of rooms' logs, as far as they can be told: by a room that is awake here, else by the store.
    pub(super) async fn last(&self, rooms: Vec<RoomId>) -> Vec<(RoomId, Seq)> {
        let mut known = Vec::with_capacity(rooms.len());
        for room in rooms {
            match self.lanes.rooms.last(room).await {
                Some(last) => known.push((room, last)),
                None => match guarded(self.shared.read_room(room)).await {
                    Ok(Some((state, _))) => known.push((room, state.last)),
                    Ok(None) => {}
                    Err(error) => tracing::info!(%room, %error, "its last number can't be told"),
                },
            }
        }
        known
    }

    /// The last numbers of rooms, as their logs have them.
    pub(super) async fn logged(&self, rooms: Vec<RoomId>) -> Vec<(RoomId, Seq)> {
        let mut known = Vec::with_capacity(rooms.len());
        let range = Range { from: 1, to: Seq::MAX >> 1, limit: 1, backwards: true };
        for room in rooms {
            match guarded(self.shared.store.entries(room, range)).await {
                Ok(entries) => known.extend(entries.first().map(|entry| (room, entry.seq))),
                Err(error) => tracing::info!(%room, %error, "its last number can't be read"),
            }
        }
        known
    }
}
