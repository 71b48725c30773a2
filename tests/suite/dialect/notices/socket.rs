//! `/notices/{room_id}/live`: `{"say": …}` and `{"hello": true}` in, notices out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parlance::api::body::decode;
use parlance::api::frame::json;
use parlance::api::socket::{Around, Asked, Delivery, Entrance, Missing, Opening, Refusals, Rooms, Socket, Wire};
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::frame::{Answer, ReplyOutcome, Request};
use parlance_schema::op::{Op, OpWord};
use parlance_schema::push::{Ephemeral, Push};
use parlance_schema::{Fault, Millis, RoomId};
use serde::Deserialize;
use serde_json::json as value;

/// The socket. Who sent a notice isn't sent it again, and is refused before the upgrade where they may not come in.
pub const SOCKET: Socket = Socket {
    path: "/notices/{room_id}/live",
    subprotocols: &[],
    delivery: Delivery { reads: false, announces: false, ends_on_removal: true, echoes: false },
    refusals: Refusals::Status,
    open: |opening| Box::pin(async move { enter(&opening) }),
};

fn enter(opening: &Opening) -> Result<Entrance, Fault> {
    let room = opening.param("room_id").parse().map_err(|_| Fault::not_found("there is no such board"))?;
    let wire = Board { index: opening.wire, room, next: AtomicU64::new(0) };
    Ok(Entrance { wire: Arc::new(wire), rooms: Rooms::One(room, None) })
}

struct Board {
    index: usize,
    room: RoomId,
    next: AtomicU64,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    say: Option<String>,
}

impl Wire for Board {
    fn index(&self) -> usize {
        self.index
    }

    fn decode(&self, _: bool, payload: &[u8]) -> Result<Request, (Option<u64>, Fault)> {
        let Said { say } = decode(payload).map_err(|fault| (None, fault))?;
        let op = match say {
            Some(text) => Op::Send {
                room: self.room,
                client_id: None,
                content: Content::text(text),
                reply_to: None,
                mentions: Vec::new(),
                meta: Default::default(),
            },
            None => Op::Ping {},
        };
        Ok(Request { n: self.next.fetch_add(1, Ordering::Relaxed), op })
    }

    fn entry(&self, _: RoomId, entry: &Entry, _: &Around<'_>) -> Result<Option<Bytes>, Missing> {
        Ok(match &entry.fact {
            Fact::Posted { content: Some(content), .. } => json(&value!({"notice": content.text, "by": entry.by})),
            _ => None,
        })
    }

    fn ephemeral(&self, _: &Ephemeral, _: Millis) -> Option<Bytes> {
        None
    }

    fn push(&self, push: &Push) -> Option<Bytes> {
        match push {
            Push::Fault { fault } => error(fault),
            _ => None,
        }
    }

    fn reply(&self, asked: Asked, outcome: &ReplyOutcome) -> Option<Bytes> {
        match (asked.op, outcome) {
            (_, ReplyOutcome::Fault(fault)) => error(fault),
            (Some(OpWord::Ping), _) => json(&value!({"hello": self.room})),
            (Some(OpWord::Send), ReplyOutcome::Ok(answer)) => match &**answer {
                Answer::Done(done) => json(&value!({"said": done.seq})),
                _ => None,
            },
            _ => None,
        }
    }
}

fn error(fault: &Fault) -> Option<Bytes> {
    json(&value!({"error": fault.code.word(), "detail": fault.detail}))
}
