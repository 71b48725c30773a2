//! Subscribing to relays: to all of a user's rooms, or to the one that a connection is for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use parlance_schema::id::Position;
use parlance_schema::view::{Outcome, Resumed};
use parlance_schema::{Code, Fault, RoomId};
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::actor::Msg;
use super::registry::Registry;
use crate::link::Link;
use crate::ops;
use crate::relay::{self, Asker, From};
use crate::room::ReplyTo;
use crate::service::After;
use crate::shared::Shared;

/// What the relays of a user's rooms say to a resume. When the last of them has said it, or has ended without a word, the
/// Session is told.
struct Gathering {
    session: ActorRef<Msg>,
    reply: Option<ReplyTo>,
    answers: Mutex<Vec<Option<Result<Resumed, Fault>>>>,
}

impl relay::Gathering for Gathering {
    fn answer(&self, at: usize, answer: Result<Resumed, Fault>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(answer);
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        let answers = std::mem::take(self.answers.get_mut().unwrap_or_else(PoisonError::into_inner));
        let Some(reply) = self.reply.take() else { return };
        match answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(restarting()))).collect() {
            Ok(resumed) => drop(self.session.cast(Msg::Resumed(resumed, Some(reply)))),
            Err(fault) => reply.finish(Err(fault)),
        }
    }
}

/// Asks the relays of all of a user's rooms; the Session is told what they said.
pub(super) async fn subscribe_all(
    sessions: Arc<Registry>,
    link: Arc<Link>,
    session: ActorRef<Msg>,
    reply: ReplyTo,
    positions: Vec<(RoomId, Position)>,
) {
    let rooms = match sessions.node.shared.store.rooms_of(link.principal.user).await {
        Ok(rooms) => rooms,
        Err(error) => return reply.finish(Err(ops::unavailable(error))),
    };
    let mut wanted: Vec<(RoomId, Option<Position>)> = positions.into_iter().map(|(r, p)| (r, Some(p))).collect();
    let named: HashSet<RoomId> = wanted.iter().map(|(room, _)| *room).collect();
    wanted.extend(rooms.into_iter().filter(|room| !named.contains(room)).map(|room| (room, None)));
    let answers = Mutex::new(std::iter::repeat_with(|| None).take(wanted.len()).collect());
    let all = Arc::new(Gathering { session, reply: Some(reply), answers });
    for (at, (room, position)) in wanted.into_iter().enumerate() {
        let asker = Asker::Part(all.clone(), at);
        if let Err(fault) = sessions.node.relays.subscribe(room, link.clone(), From::Position(position), asker) {
            relay::Gathering::answer(&*all, at, Err(fault));
        }
    }
}

/// Where the entries of a connection that is for one room begin; `None` for now. Who names a message that isn't there is told
/// so, and begins now.
pub(crate) async fn position(
    shared: &Shared,
    relays: &Arc<relay::Registry>,
    link: &Link,
    after: Option<After>,
) -> Result<Option<Position>, Fault> {
    let seq = match after {
        None => return Ok(None),
        Some(After::Nothing) => 0,
        Some(After::Message(id)) => {
            let found = shared.store.locate(id).await.map_err(ops::unavailable)?;
            let found = found.filter(|(room, _)| Some(*room) == link.room);
            // One that the user may not read looks like one that isn't there.
            let readable = match found {
                Some((room, seq)) => relays.access(room, link.principal).await.is_ok_and(|(first, _)| seq >= first),
                None => false,
            };
            let Some((_, seq)) = found.filter(|_| readable) else {
                link.refuse(
                    None,
                    Fault::new(Code::Reset, "the room has no entry at the position you gave: load its messages again; new ones will still be pushed here"),
                );
                return Ok(None);
            };
            seq
        }
    };
    Ok(Some(Position { epoch: shared.store.epoch(), seq, append: None }))
}

/// Subscribes a connection to the one room that it is for.
pub(crate) async fn enter(
    relays: &Arc<relay::Registry>,
    link: &Arc<Link>,
    position: Option<Position>,
) -> Result<(), Fault> {
    let room =
        link.room.ok_or_else(|| Fault::internal("server error: this connection's room is not known; reconnect"))?;
    match subscribe(relays, link, room, From::Position(position)).await?.outcome {
        Outcome::Live => Ok(()),
        // Nothing is passed over in silence: the client loads the room page by page.
        Outcome::TooFar | Outcome::Reset => {
            let fault = Fault::new(
                Code::Reset,
                "you missed more than can be resent: load the missing messages; new ones will still be pushed here",
            );
            link.refuse(None, fault);
            Ok(())
        }
        Outcome::Gone => Err(parlance_domain::room::no_room()),
    }
}

pub(super) async fn subscribe(
    relays: &Arc<relay::Registry>,
    link: &Arc<Link>,
    room: RoomId,
    from: From,
) -> Result<Resumed, Fault> {
    let (back, answer) = oneshot::channel();
    relays.subscribe(room, link.clone(), from, Asker::Call(back))?;
    answer.await.map_err(|_| restarting())?
}

fn restarting() -> Fault {
    Fault::busy("the room is being reloaded: send the request again in a moment").after(50)
}
