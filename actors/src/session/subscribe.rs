//! Subscribing to relays: to all of a user's rooms, or to the one that a connection is for.

use std::sync::Arc;

use parlance_schema::id::Position;
use parlance_schema::view::{Outcome, Resumed};
use parlance_schema::{Code, Fault, RoomId};
use tokio::sync::oneshot;

use crate::link::Link;
use crate::node::Shared;
use crate::ops;
use crate::relay::{self, From};
use crate::service::After;

pub(super) async fn subscribe_all(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    positions: Vec<(RoomId, Position)>,
) -> Result<Vec<Resumed>, Fault> {
    let rooms = shared.store.rooms_of(link.principal.user).await.map_err(ops::unavailable)?;
    let mut wanted: Vec<(RoomId, Option<Position>)> = positions.into_iter().map(|(r, p)| (r, Some(p))).collect();
    let named: std::collections::HashSet<RoomId> = wanted.iter().map(|(room, _)| *room).collect();
    wanted.extend(rooms.into_iter().filter(|room| !named.contains(room)).map(|room| (room, None)));
    let mut answers = Vec::with_capacity(wanted.len());
    for (room, position) in wanted {
        answers.push(ask_relay(shared, link, room, From::Position(position))?);
    }
    let mut resumed = Vec::with_capacity(answers.len());
    for answer in answers {
        resumed.push(answer.await.map_err(|_| restarting())??);
    }
    Ok(resumed)
}

/// Where the entries of a connection that is for one room begin; `None` for now. Who names a message that isn't there is told
/// so, and begins now.
pub(crate) async fn position(shared: &Shared, link: &Link, after: Option<After>) -> Result<Option<Position>, Fault> {
    let seq = match after {
        None => return Ok(None),
        Some(After::Nothing) => 0,
        Some(After::Message(id)) => {
            let found = shared.store.locate(id).await.map_err(ops::unavailable)?;
            let Some((_, seq)) = found.filter(|(room, _)| Some(*room) == link.room) else {
                link.refuse(None, Fault::new(Code::Reset, "the room has no such message; live entries follow"));
                return Ok(None);
            };
            seq
        }
    };
    Ok(Some(Position { epoch: shared.store.epoch(), seq, append: None }))
}

/// Subscribes a connection to the one room that it is for.
pub(crate) async fn enter(shared: &Arc<Shared>, link: &Arc<Link>, position: Option<Position>) -> Result<(), Fault> {
    let room = link.room.ok_or_else(|| Fault::internal("the connection is for no room"))?;
    match subscribe(shared, link, room, From::Position(position)).await?.outcome {
        Outcome::Live => Ok(()),
        // Nothing is passed over in silence: the client loads the room page by page.
        Outcome::TooFar | Outcome::Reset => {
            let fault = Fault::new(Code::Reset, "too much was missed; live entries follow, load what was before");
            link.refuse(None, fault);
            Ok(())
        }
        Outcome::Gone => Err(Fault::not_found("there is no such room, or you are not in it")),
    }
}

pub(super) async fn subscribe(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    room: RoomId,
    from: From,
) -> Result<Resumed, Fault> {
    ask_relay(shared, link, room, from)?.await.map_err(|_| restarting())?
}

fn ask_relay(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    room: RoomId,
    from: From,
) -> Result<oneshot::Receiver<Result<Resumed, Fault>>, Fault> {
    let (back, answer) = oneshot::channel();
    shared.relays.tell(shared, room, relay::Msg::Subscribe { link: link.clone(), from, back })?;
    Ok(answer)
}

fn restarting() -> Fault {
    Fault::busy("a relay was restarted; try again").after(50)
}
