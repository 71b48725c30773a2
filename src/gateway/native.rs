//! The native wires: `parlance.v1.json` in text messages, `parlance.v1.msgpack` in binary ones, the same names in both.
//!
//! Decoding is one pass where the request is good. Where it is not, a second look finds out what to tell the client: the
//! request's number, whether the operation exists, and which field is wrong.

mod explain;

use std::sync::Arc;

use bytes::Bytes;
use parlance_actors::wire::{Around, Asked, Missing, Wire};
use parlance_schema::entry::Entry;
use parlance_schema::event::Ephemeral;
use parlance_schema::frame::{Push, ReplyOutcome, Request, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK};
use parlance_schema::limits::{DEPTH_MAX, FRAME_BYTES_MAX};
use parlance_schema::shown::Hidden;
use parlance_schema::{Fault, Millis, RoomId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::api::frame::{json, msgpack};
use crate::api::number;
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

/// The wire `parlance.v1.json`.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// The wire `parlance.v1.msgpack`.
#[derive(Clone, Copy, Debug)]
pub struct Msgpack;

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

impl Wire for Json {
    fn index(&self) -> usize {
        0
    }

    fn decode(&self, text: bool, payload: &[u8]) -> Result<Request, (Option<u64>, Fault)> {
        if !text {
            return Err((None, Fault::malformed("this connection takes JSON in text messages, not binary ones")));
        }
        check_size(payload)?;
        if is_too_deep(payload) {
            return Err((None, too_deep()));
        }
        serde_json::from_slice(payload).or_else(|error| match number::rewritten(payload) {
            Some(rewritten) => serde_json::from_slice(&rewritten).map_err(|error| explain::json(&rewritten, &error)),
            None => Err(explain::json(payload, &error)),
        })
    }

    fn entry(&self, room: RoomId, entry: &Entry, _: &Around<'_>) -> Result<Option<Bytes>, Missing> {
        Ok(json(&EntryPush { room, entry: &entry.shown() }))
    }

    fn hidden(&self, room: RoomId, hidden: &Hidden) -> Option<Bytes> {
        json(&EntryPush { room, entry: hidden })
    }

    fn ephemeral(&self, event: &Ephemeral, _: Millis) -> Option<Bytes> {
        json(event)
    }

    fn push(&self, push: &Push) -> Option<Bytes> {
        json(push)
    }

    fn reply(&self, asked: Asked, outcome: &ReplyOutcome) -> Option<Bytes> {
        json(&ReplyFrame { re: asked.n, outcome })
    }
}

impl Wire for Msgpack {
    fn index(&self) -> usize {
        1
    }

    fn decode(&self, text: bool, payload: &[u8]) -> Result<Request, (Option<u64>, Fault)> {
        if text {
            return Err((
                None,
                Fault::malformed("this connection takes MessagePack in binary messages, not text ones"),
            ));
        }
        check_size(payload)?;
        let mut reader = msgpack_reader(payload);
        let request = Request::deserialize(&mut reader).map_err(|error| explain::msgpack(payload, &error))?;
        // Only where nothing is left can no marker be read.
        match IgnoredAny::deserialize(&mut reader) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(request),
            _ => Err((
                Some(request.n),
                Fault::malformed("there are extra bytes after the request: send one request per message"),
            )),
        }
    }

    fn entry(&self, room: RoomId, entry: &Entry, _: &Around<'_>) -> Result<Option<Bytes>, Missing> {
        Ok(msgpack(&EntryPush { room, entry: &entry.shown() }))
    }

    fn hidden(&self, room: RoomId, hidden: &Hidden) -> Option<Bytes> {
        msgpack(&EntryPush { room, entry: hidden })
    }

    fn ephemeral(&self, event: &Ephemeral, _: Millis) -> Option<Bytes> {
        msgpack(event)
    }

    fn push(&self, push: &Push) -> Option<Bytes> {
        msgpack(push)
    }

    fn reply(&self, asked: Asked, outcome: &ReplyOutcome) -> Option<Bytes> {
        msgpack(&ReplyFrame { re: asked.n, outcome })
    }
}

type MsgpackReader<'a> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'a, [u8]>>;

fn msgpack_reader(payload: &[u8]) -> MsgpackReader<'_> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
    reader.set_max_depth(DEPTH_MAX + 1);
    reader
}

fn check_size(payload: &[u8]) -> Result<(), (Option<u64>, Fault)> {
    let fault = || Fault::too_large(format!("a WebSocket message must have at most {FRAME_BYTES_MAX} bytes"));
    if payload.len() > FRAME_BYTES_MAX { Err((None, fault())) } else { Ok(()) }
}

fn too_deep() -> Fault {
    Fault::malformed(format!("a request must be nested at most {DEPTH_MAX} levels deep"))
}

/// Whether brackets outside strings are nested deeper than [`DEPTH_MAX`].
fn is_too_deep(json: &[u8]) -> bool {
    // Hardly any request has that many brackets at all, and counting them is quick.
    if json.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
