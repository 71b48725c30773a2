//! `/api/v1/ws/{chat_id}`: a connection that is for one chat.

use std::sync::Arc;

use parlance_schema::{Fault, RoomId};

use super::wire::Frames;
use crate::api::socket::{After, Delivery, Entrance, Opening, Refusals, Rooms, Socket};

/// The socket of a chat. What is pushed on it counts as read, the others are told who comes and goes, and leaving the chat
/// closes it.
pub const SOCKET: Socket = Socket {
    path: "/api/v1/ws/{chat_id}",
    subprotocols: &[],
    delivery: Delivery { reads: true, announces: true, ends_on_removal: true, echoes: true },
    refusals: Refusals::Close,
    open: |opening| Box::pin(async move { enter(&opening) }),
};

fn enter(opening: &Opening) -> Result<Entrance, Fault> {
    let room: RoomId = opening.param("chat_id").parse().map_err(|_| Fault::not_found("there is no such chat"))?;
    let after = resume_from(opening)?;
    Ok(Entrance { wire: Arc::new(Frames::new(opening.wire, room)), rooms: Rooms::One(room, after) })
}

/// The last message that the client has, where it wants what it missed: its id, or 0 for everything.
fn resume_from(opening: &Opening) -> Result<Option<After>, Fault> {
    match opening.asked("resume_from")?.as_deref() {
        None => Ok(None),
        Some("0") => Ok(Some(After::Nothing)),
        Some(text) => {
            let id = text.parse().map_err(|_| Fault::invalid("`resume_from` must be 0 or a message id"))?;
            Ok(Some(After::Message(id)))
        }
    }
}
