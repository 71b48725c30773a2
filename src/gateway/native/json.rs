//! The wire `parlance.v1.json`: JSON in text messages.

use bytes::Bytes;
use parlance_actors::wire::{Around, Asked, Missing, Wire};
use parlance_schema::entry::Entry;
use parlance_schema::frame::{ReplyOutcome, Request};
use parlance_schema::limits::DEPTH_MAX;
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::shown::Hidden;
use parlance_schema::{Fault, Millis, RoomId};

use super::{EntryPush, ReplyFrame, check_size, explain, too_deep};
use crate::api::frame::json;
use crate::api::number;

/// The wire `parlance.v1.json`.
#[derive(Clone, Copy, Debug)]
pub struct Json;

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
