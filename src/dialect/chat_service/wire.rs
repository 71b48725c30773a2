//! The frames of a chat's socket.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::frame::{ReplyOutcome, Request};
use parlance_schema::limits::FRAME_BYTES_MAX;
use parlance_schema::op::{Op, OpWord};
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::{ClientId, Code, Fault, MessageId, Millis, RoomId, Seq, UserId};
use serde::{Deserialize, Serialize};

use super::messages::typed;
use super::view::{self, Message};
use crate::api::body::decode_at;
use crate::api::frame::json;
use crate::api::socket::{Around, Asked, Missing, Wire};
use crate::api::time::rfc3339;

/// The wire of one chat's socket.
#[derive(Debug)]
pub struct Frames {
    /// Its place among all wires.
    index: usize,
    room: RoomId,
    /// Numbers for requests, which have none on this wire.
    next: AtomicU64,
}

/// What a client sends.
#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: String,
    chat_id: RoomId,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    message_type: Option<String>,
    #[serde(default)]
    client_id: Option<ClientId>,
}

/// What the server sends; every frame has its `type` first.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outgoing<'a> {
    NewMessage { chat_id: RoomId, message: NewMessage<'a> },
    MessageEdited { chat_id: RoomId, message: Message },
    MessageDeleted { chat_id: RoomId, message_id: MessageId },
    TypingStarted(Who),
    TypingStopped(Who),
    UserJoined(Who),
    UserLeft(Who),
    Pong { chat_id: RoomId },
    Error { code: &'static str, detail: &'a str },
}

/// A message that was sent just now.
#[derive(Serialize)]
struct NewMessage<'a> {
    id: MessageId,
    sender_id: UserId,
    sender_username: &'a str,
    content: &'a str,
    timestamp: String,
}

/// Somebody who did something.
#[derive(Serialize)]
struct Who {
    user_id: UserId,
    chat_id: RoomId,
    timestamp: String,
}

impl Who {
    fn new(user_id: UserId, chat_id: RoomId, at: Millis) -> Self {
        Self { user_id, chat_id, timestamp: rfc3339(at) }
    }
}

impl Frames {
    /// The wire of a chat's socket, at its place among all wires.
    #[must_use]
    pub fn new(index: usize, room: RoomId) -> Self {
        Self { index, room, next: AtomicU64::new(0) }
    }

    fn op(&self, frame: Incoming) -> Result<Op, Fault> {
        let room = self.room;
        if frame.chat_id != room {
            return Err(Fault::invalid("`chat_id` must be the id of the chat this WebSocket was opened for"));
        }
        let missing = || Fault::invalid("`content` is missing: add this field");
        match frame.kind.as_str() {
            "message" => {
                let content = Content::text(frame.content.ok_or_else(missing)?);
                let (client_id, meta) = (frame.client_id, typed(frame.message_type));
                Ok(Op::Send { room, client_id, content, reply_to: None, mentions: Vec::new(), meta })
            }
            "typing" => match frame.content.as_deref() {
                Some("start") => Ok(Op::Typing { room, on: true }),
                Some("stop") => Ok(Op::Typing { room, on: false }),
                Some(_) => Err(Fault::invalid("`content` must be \"start\" or \"stop\"")),
                None => Err(missing()),
            },
            "ping" => Ok(Op::Ping {}),
            _ => Err(Fault::new(Code::Unknown, "`type` must be \"message\", \"typing\" or \"ping\"")),
        }
    }

    fn edited(
        &self,
        room: RoomId,
        target: Seq,
        content: &Content,
        around: &Around<'_>,
    ) -> Result<Option<Bytes>, Missing> {
        let Some(original) = around.message(target)? else { return Ok(None) };
        let Fact::Posted { id, meta, .. } = &original.fact else { return Ok(None) };
        let message = Message {
            id: *id,
            chat_id: room,
            sender_id: original.by,
            sender_username: around.username(original.by)?.map(|name| name.to_string()).unwrap_or_default(),
            content: view::text(content).into_owned(),
            timestamp: rfc3339(original.at),
            message_type: view::message_type(meta, Some(content)).to_owned(),
            is_edited: true,
            is_deleted: false,
        };
        Ok(json(&Outgoing::MessageEdited { chat_id: room, message }))
    }
}

impl Wire for Frames {
    fn index(&self) -> usize {
        self.index
    }

    fn decode(&self, text: bool, payload: &[u8]) -> Result<Request, (Option<u64>, Fault)> {
        if !text {
            return Err((None, Fault::malformed("this WebSocket takes JSON in text messages, not binary ones")));
        }
        if payload.len() > FRAME_BYTES_MAX {
            return Err((
                None,
                Fault::too_large(format!("a WebSocket message must have at most {FRAME_BYTES_MAX} bytes")),
            ));
        }
        let frame = decode_at::<Incoming>(payload).map_err(|failure| (None, failure.fault))?;
        let op = self.op(frame).map_err(|fault| (None, fault))?;
        Ok(Request { n: self.next.fetch_add(1, Ordering::Relaxed), op })
    }

    fn looks_around(&self) -> bool {
        true
    }

    fn entry(&self, room: RoomId, entry: &Entry, around: &Around<'_>) -> Result<Option<Bytes>, Missing> {
        let joined = |user| json(&Outgoing::UserJoined(Who::new(user, room, entry.at)));
        let left = |user| json(&Outgoing::UserLeft(Who::new(user, room, entry.at)));
        Ok(match &entry.fact {
            Fact::Posted { id, content, .. } => {
                let name = around.username(entry.by)?;
                let message = NewMessage {
                    id: *id,
                    sender_id: entry.by,
                    sender_username: name.as_deref().unwrap_or_default(),
                    content: &content.as_ref().map(view::text).unwrap_or_default(),
                    timestamp: rfc3339(entry.at),
                };
                json(&Outgoing::NewMessage { chat_id: room, message })
            }
            Fact::Edited { target, content: Some(content), .. } => self.edited(room, *target, content, around)?,
            Fact::Deleted { target } => match around.message(*target)?.as_deref() {
                Some(Entry { fact: Fact::Posted { id, .. }, .. }) => {
                    json(&Outgoing::MessageDeleted { chat_id: room, message_id: *id })
                }
                _ => None,
            },
            Fact::Added { users } => {
                let mut frames = BytesMut::new();
                users.iter().filter_map(|user| joined(*user)).for_each(|frame| frames.extend_from_slice(&frame));
                Some(frames.freeze())
            }
            Fact::Joined { .. } => joined(entry.by),
            Fact::Left { .. } | Fact::Kicked { .. } | Fact::Banned { .. } => entry.removed().next().and_then(left),
            _ => None,
        })
    }

    fn ephemeral(&self, event: &Ephemeral, at: Millis) -> Option<Bytes> {
        let frame = match event {
            Ephemeral::Typing { room, user, on: true } => Outgoing::TypingStarted(Who::new(*user, *room, at)),
            Ephemeral::Typing { room, user, on: false } => Outgoing::TypingStopped(Who::new(*user, *room, at)),
            Ephemeral::Entered { room, user } => Outgoing::UserJoined(Who::new(*user, *room, at)),
            Ephemeral::Parted { room, user } => Outgoing::UserLeft(Who::new(*user, *room, at)),
            Ephemeral::Read { .. } | Ephemeral::Presence { .. } => return None,
        };
        json(&frame)
    }

    fn push(&self, push: &Push) -> Option<Bytes> {
        match push {
            Push::Fault { fault } => error(fault),
            _ => None,
        }
    }

    fn reply(&self, asked: Asked, outcome: &ReplyOutcome) -> Option<Bytes> {
        match outcome {
            ReplyOutcome::Fault(fault) => error(fault),
            ReplyOutcome::Ok(_) if asked.op == Some(OpWord::Ping) => json(&Outgoing::Pong { chat_id: self.room }),
            ReplyOutcome::Ok(_) => None,
        }
    }
}

fn error(fault: &Fault) -> Option<Bytes> {
    json(&Outgoing::Error { code: fault.code.word(), detail: &fault.detail })
}
