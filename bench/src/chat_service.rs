//! The one file that knows the frames of the `chat-service` dialect, whose sockets are for one chat each.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::Failure;
use crate::engine::Conn;
use crate::native::{after, number};
use crate::world::World;

/// The upgrade of a connection to the WebSocket of one chat.
pub fn upgrade(addr: SocketAddr, chat: u64, token: &str) -> String {
    format!(
        "GET /api/v1/ws/{chat}?token={token} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Writes a frame that sends a message, as this service's clients do; `literal` is its text as a JSON string.
pub fn send(out: &mut String, chat: u64, literal: &str) {
    out.clear();
    // Writing to a string can't fail.
    let _ = write!(out, r#"{{"type":"message","chat_id":{chat},"content":{literal}}}"#);
}

/// What a frame from the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message that was sent just now.
    Message {
        /// The chat.
        chat: u64,
        /// The message's id.
        id: u64,
        /// Who sent it.
        sender: u64,
    },
    /// A refusal of a frame, or a fault of the connection.
    Fault,
    /// Anything else.
    Other,
}

/// Tells what a frame is, reading no more of it than that takes.
pub fn frame(payload: &[u8]) -> Frame {
    if payload.starts_with(br#"{"type":"error""#) {
        return Frame::Fault;
    }
    message(payload).unwrap_or(Frame::Other)
}

fn message(payload: &[u8]) -> Option<Frame> {
    let (chat, rest) = number(payload.strip_prefix(br#"{"type":"new_message","chat_id":"#)?);
    let (id, rest) = number(after(rest, br#""message":{"id":"#)?);
    let (sender, _) = number(after(rest, br#""sender_id":"#)?);
    Some(Frame::Message { chat, id, sender })
}

/// The messages of each room, in the order in which they came to whoever received them first.
///
/// The frames have ids, and no numbers without a gap. A connection that misses a message, gets one twice or gets two in
/// another order than the others is found all the same: its nth message is not everybody's nth.
#[derive(Default)]
pub struct Orders(Vec<Vec<u64>>);

impl Orders {
    /// Takes the message that a connection received after `before` others.
    ///
    /// # Errors
    /// When it is not the one that belongs there.
    pub fn take(&mut self, room: usize, before: u64, id: u64) -> Result<(), Failure> {
        if self.0.len() <= room {
            self.0.resize_with(room + 1, Vec::new);
        }
        let (ids, at) = (&mut self.0[room], before as usize);
        if at == ids.len() && ids.last().is_none_or(|last| *last < id) {
            ids.push(id);
        }
        if ids.get(at) == Some(&id) {
            return Ok(());
        }
        Err(Failure::new(format!("message {id} where another one belongs, the {}th of its chat", before + 1)))
    }
}

/// Whether the message in a frame is the connection's own; `None` where there is none in it.
///
/// # Errors
/// When it is of another chat, out of order, or a refusal.
pub fn delivered(orders: &mut Orders, conn: &mut Conn, world: &World, payload: &[u8]) -> Result<Option<bool>, Failure> {
    let room = &world.rooms[conn.room];
    match frame(payload) {
        Frame::Message { chat, id, sender } if chat == room.id => {
            orders.take(conn.room, conn.seq - room.last, id).map_err(|e| e.context(format!("chat {chat}")))?;
            conn.seq += 1;
            Ok(Some(sender == world.users[conn.user].id))
        }
        Frame::Other => Ok(None),
        Frame::Message { .. } | Frame::Fault => Err(Failure::new(String::from_utf8_lossy(payload).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_frames() {
        let mut text = String::new();
        send(&mut text, 3, r#""grüß \"dich\"""#);
        let sent: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({ "type": "message", "chat_id": 3, "content": "grüß \"dich\"" });
        assert_eq!(sent, expected);
        let text = r#"{"type":"new_message","chat_id":3,"message":{"id":12,"sender_id":7,"sender_username":"ann",
            "content":"\"sender_id\":9","timestamp":"2026-01-01T00:00:00.000000Z"}}"#;
        assert_eq!(frame(text.as_bytes()), Frame::Message { chat: 3, id: 12, sender: 7 });
        assert_eq!(frame(br#"{"type":"error","code":"no_credit","detail":""}"#), Frame::Fault);
        assert_eq!(frame(br#"{"type":"user_joined","user_id":7,"chat_id":3}"#), Frame::Other);
    }

    #[test]
    fn finds_what_is_out_of_order() {
        let mut orders = Orders::default();
        for (before, id) in [(0, 5), (1, 7), (0, 5), (1, 7), (2, 9)] {
            orders.take(1, before, id).unwrap();
        }
        for (before, id) in [(1, 9), (2, 7), (3, 9), (3, 8), (4, 10), (0, 6)] {
            assert!(orders.take(1, before, id).is_err(), "{id} after {before}");
        }
        orders.take(0, 0, 9).unwrap();
        orders.take(1, 3, 10).unwrap();
    }
}
