//! The wire `parlance.v1.msgpack`: MessagePack maps in binary messages, with the same names as JSON.

use bytes::Bytes;
use parlance_actors::wire::{Around, Asked, Missing, Wire};
use parlance_schema::entry::Entry;
use parlance_schema::frame::{ReplyOutcome, Request};
use parlance_schema::limits::DEPTH_MAX;
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::shown::Hidden;
use parlance_schema::{Fault, Millis, RoomId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{EntryPush, ReplyFrame, check_size, explain};
use crate::api::frame::msgpack;

/// The wire `parlance.v1.msgpack`.
#[derive(Clone, Copy, Debug)]
pub struct Msgpack;

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
        let mut reader = reader(payload);
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

pub(super) fn reader(payload: &[u8]) -> MsgpackReader<'_> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
    reader.set_max_depth(DEPTH_MAX + 1);
    reader
}
