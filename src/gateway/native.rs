//! The native wires: `parlance.v1.json` in text messages, `parlance.v1.msgpack` in binary ones, the same names in both.
//!
//! Decoding is one pass where the request is good. Where it is not, a second look finds out what to tell the client: the
//! request's number, whether the operation exists, and which field is wrong.

mod explain;
mod json;
mod msgpack;

use std::sync::Arc;

use parlance_actors::wire::Wire;
use parlance_schema::frame::{ReplyOutcome, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK};
use parlance_schema::limits::{DEPTH_MAX, FRAME_BYTES_MAX};
use parlance_schema::{Fault, RoomId};
use serde::Serialize;

pub use self::json::Json;
pub use self::msgpack::Msgpack;
use crate::api::socket::{Delivery, Entrance, Opening, Refusals, Rooms, Socket};

/// `/v1/connect`: all rooms of a user. A client that names no subprotocol speaks JSON.
pub static SOCKET: Socket = Socket {
    path: "/v1/connect",
    subprotocols: &[SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK],
    delivery: Delivery::NATIVE,
    refusals: Refusals::Close,
    open: |opening| Box::pin(async move { Ok(enter(&opening)) }),
};

fn enter(opening: &Opening) -> Entrance {
    let wire: Arc<dyn Wire> = match opening.subprotocol {
        Some(SUBPROTOCOL_MSGPACK) => Arc::new(Msgpack),
        _ => Arc::new(Json),
    };
    Entrance { wire, rooms: Rooms::All }
}

/// [`Push::Entry`], without owning the entry, or what is left of one.
#[derive(Serialize)]
#[serde(tag = "push", rename = "entry")]
struct EntryPush<'a, E> {
    room: RoomId,
    entry: &'a E,
}

/// `parlance_schema::frame::Reply`, without owning the outcome.
#[derive(Serialize)]
struct ReplyFrame<'a> {
    re: u64,
    #[serde(flatten)]
    outcome: &'a ReplyOutcome,
}

fn check_size(payload: &[u8]) -> Result<(), (Option<u64>, Fault)> {
    let fault = || Fault::too_large(format!("a WebSocket message must have at most {FRAME_BYTES_MAX} bytes"));
    if payload.len() > FRAME_BYTES_MAX { Err((None, fault())) } else { Ok(()) }
}

fn too_deep() -> Fault {
    Fault::malformed(format!("a request must be nested at most {DEPTH_MAX} levels deep"))
}
