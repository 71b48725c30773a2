//! How frames look on a connection: encoded once per room and wire, not per member.
//!
//! A wire is decode and encode, nothing else. The native ones live in `src/gateway/native.rs`, the dialects in
//! `src/dialect/`. What `entry`, `ephemeral` and the others return are complete WebSocket frames, header included, so that
//! one allocation is shared by all connections that speak the wire.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use parlance_schema::entry::Entry;
use parlance_schema::frame::{ReplyOutcome, Request};
use parlance_schema::op::OpWord;
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::shown::Hidden;
use parlance_schema::{Fault, Millis, RoomId, Seq, UserId};

pub use crate::usernames::Usernames;

/// The most wires that can be in use at once; relays keep an array of this size per entry.
pub const WIRES_MAX: usize = 8;

/// A way of writing frames.
pub trait Wire: Send + Sync {
    /// Its place among all wires, below [`WIRES_MAX`].
    fn index(&self) -> usize;

    /// Reads a client's message.
    ///
    /// # Errors
    /// What is wrong with it, and the request's number where that could be read.
    fn decode(&self, text: bool, payload: &[u8]) -> Result<Request, (Option<u64>, Fault)>;

    /// Whether it writes more of an entry than stands in it: who is called what, what a changed message was.
    fn looks_around(&self) -> bool {
        false
    }

    /// Writes an entry of a room's log; `None` where the wire has no frame for it. May be several frames.
    ///
    /// # Errors
    /// When it needs something that is not at hand; it is asked again once that was read.
    fn entry(&self, room: RoomId, entry: &Entry, around: &Around<'_>) -> Result<Option<Bytes>, Missing>;

    /// Writes an entry that is about a message which its reader may not read; `None` where the wire has no frame for it.
    fn hidden(&self, room: RoomId, hidden: &Hidden) -> Option<Bytes> {
        let (_, _) = (room, hidden);
        None
    }

    /// Writes something that the log doesn't keep, as of a time.
    fn ephemeral(&self, event: &Ephemeral, at: Millis) -> Option<Bytes>;

    /// Writes something that concerns one session only.
    fn push(&self, push: &Push) -> Option<Bytes>;

    /// Writes the reply to a request.
    fn reply(&self, asked: Asked, outcome: &ReplyOutcome) -> Option<Bytes>;
}

/// A request, as its reply is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The client's number for it.
    pub n: u64,
    /// Which operation it asks for; absent where it could not be read that far.
    pub op: Option<OpWord>,
}

/// What a wire needs for an entry is not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

/// What a wire may look up while it writes an entry.
pub struct Around<'a> {
    names: &'a Usernames,
    posted: &'a dyn Fn(Seq) -> Option<Arc<Entry>>,
    /// Whether what isn't here is nowhere.
    whole: bool,
}

impl<'a> Around<'a> {
    /// What is in memory: names, and messages by their numbers.
    #[must_use]
    pub fn at_hand(names: &'a Usernames, posted: &'a dyn Fn(Seq) -> Option<Arc<Entry>>) -> Self {
        Self { names, posted, whole: false }
    }

    /// All that there is, after it was read.
    #[must_use]
    pub fn whole(names: &'a Usernames, posted: &'a dyn Fn(Seq) -> Option<Arc<Entry>>) -> Self {
        Self { names, posted, whole: true }
    }

    /// A user's name; `None` where there is no such user.
    ///
    /// # Errors
    /// When it is not at hand.
    pub fn username(&self, user: UserId) -> Result<Option<Arc<str>>, Missing> {
        self.found(self.names.get(user))
    }

    /// The entry of a message, as it was sent.
    ///
    /// # Errors
    /// When it is not at hand.
    pub fn message(&self, seq: Seq) -> Result<Option<Arc<Entry>>, Missing> {
        self.found((self.posted)(seq))
    }

    fn found<T>(&self, found: Option<T>) -> Result<Option<T>, Missing> {
        if found.is_none() && !self.whole { Err(Missing) } else { Ok(found) }
    }
}

/// What a WebSocket frame carries (RFC 6455, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end, with a code and a reason.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

/// Makes a server's frame: final, unmasked, with the shortest length (RFC 6455, 5.2).
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let header = match payload.len() {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    let mut out = BytesMut::with_capacity(header + payload.len());
    out.put_u8(0x80 | opcode as u8);
    match payload.len() {
        n @ 0..=125 => out.put_u8(n as u8),
        n @ 126..=0xffff => {
            out.put_u8(126);
            out.put_u16(n as u16);
        }
        n => {
            out.put_u8(127);
            out.put_u64(n as u64);
        }
    }
    out.extend_from_slice(payload);
    out.freeze()
}

/// Makes a close frame (RFC 6455, 5.5.1); the reason is cut to what fits.
#[must_use]
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(Opcode::Close, &payload)
}
