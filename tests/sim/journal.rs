//! What clients saw, in the order in which they saw it: all that the checker knows.
//!
//! Rooms, users and numbers are plain integers here, and an entry is what its JSON says: nothing of the server's own types.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

/// A connection, over all nodes; 0 stands for requests over none.
pub type Conn = u64;

/// One line of a log, as somebody was shown it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub seq: u64,
    pub append: u64,
    pub by: u64,
    pub client_id: String,
    pub fact: String,
    /// The words; absent where there are none, or where they were erased.
    pub words: Option<String>,
    /// All the rest, as it may never change.
    pub rest: Value,
}

impl Line {
    pub fn read(entry: &Value) -> Self {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| entry[key].as_u64().unwrap_or_default();
        let mut rest = entry.clone();
        if let Some(rest) = rest.as_object_mut() {
            rest.remove("content");
        }
        Self {
            seq: number("seq"),
            append: number("append"),
            by: number("by"),
            client_id: text("client_id"),
            fact: text("fact"),
            words: entry["content"]["text"].as_str().map(str::to_owned),
            rest,
        }
    }

    /// The message that it is about, where it is not one itself.
    pub fn target(&self) -> Option<u64> {
        self.rest["target"].as_u64()
    }
}

/// A try at a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Try {
    pub user: u64,
    pub room: u64,
    pub client_id: String,
    /// The operation, without its number.
    pub op: Value,
}

/// What a try came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// Done: the entry's number, its time, the message's id, whether it had been done before.
    Done { room: u64, seq: u64, at: u64, id: u64, again: bool },
    /// A room was opened or found.
    Opened { room: u64 },
    /// Refused: the code, and what it says of trying again.
    Fault { code: String, retry: String },
    /// Nobody answered before the connection ended.
    Nothing,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A connection began.
    Connected { conn: Conn, user: u64, node: usize },
    /// A connection ended: the close code, or none where it broke.
    Closed { conn: Conn, code: Option<u16> },
    /// The client reads nothing for so many milliseconds.
    Dozes { conn: Conn, ms: u64 },
    /// A try was sent, under a number that is unique among all tries.
    Tried { conn: Conn, id: u64, what: Try },
    /// What it came to.
    Answered { id: u64, came: Came },
    /// A second answer to one request, or one to none.
    Stray { conn: Conn, n: u64 },
    /// A request on an open connection that nobody answered in time.
    Unanswered { conn: Conn, n: u64 },
    /// Where a room stands: the number that the client has, from which the pushes go on, the last one there is, and what it
    /// was told.
    Resumed { conn: Conn, user: u64, room: u64, had: Option<u64>, from: u64, last: u64, outcome: String },
    /// A room is pushed from now on.
    Added { conn: Conn, user: u64, room: u64, from: u64 },
    /// Nothing more comes from a room.
    Gone { conn: Conn, user: u64, room: u64 },
    /// An entry was pushed.
    Pushed { conn: Conn, user: u64, room: u64, line: Line },
    /// A page of the log was read.
    Paged { user: u64, room: u64, lines: Vec<Line> },
    /// Something was done to the servers; for those who read the trace.
    Note(String),
}

/// What was seen, with the milliseconds since the beginning.
pub struct Journal {
    began: Instant,
    seen: Mutex<Vec<(u64, Seen)>>,
    next: Mutex<BTreeMap<&'static str, u64>>,
}

impl Journal {
    pub fn new() -> Self {
        Self { began: Instant::now(), seen: Mutex::default(), next: Mutex::default() }
    }

    pub fn note(&self, what: impl Into<String>) {
        self.write(Seen::Note(what.into()));
    }

    pub fn write(&self, seen: Seen) {
        let at = self.ms();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((at, seen));
    }

    /// Milliseconds since the beginning.
    pub fn ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Counts: 1, 2, 3…
    pub fn next(&self, what: &'static str) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next.entry(what).or_default();
        *next += 1;
        *next
    }

    /// The rooms of which anything was seen.
    pub fn rooms(&self) -> Vec<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let room = |(_, seen): &(u64, Seen)| match seen {
            Seen::Answered { came: Came::Opened { room } | Came::Done { room, .. }, .. } => Some(*room),
            Seen::Resumed { room, outcome, .. } if outcome != "gone" => Some(*room),
            Seen::Added { room, .. } | Seen::Pushed { room, .. } => Some(*room),
            _ => None,
        };
        let rooms: std::collections::BTreeSet<u64> = seen.iter().filter_map(room).collect();
        rooms.into_iter().collect()
    }

    pub fn take(&self) -> Vec<(u64, Seen)> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The last lines of a trace that are about `what`, to be read.
pub fn show(seen: &[(u64, Seen)], lines: usize, what: impl Fn(&Seen) -> bool) -> String {
    let about: Vec<_> = seen.iter().filter(|(_, seen)| what(seen)).collect();
    let mut text = String::new();
    for (at, seen) in &about[about.len().saturating_sub(lines)..] {
        let _ = match seen {
            Seen::Note(note) => writeln!(text, "{at:>7} ms  -- {note}"),
            Seen::Pushed { conn, user, room, line } => {
                let Line { seq, by, fact, client_id, append, .. } = line;
                writeln!(
                    text,
                    "{at:>7} ms  user {user} on {conn}: room {room} {seq}: {fact} by {by} ({client_id}, {append:x})"
                )
            }
            Seen::Paged { user, room, lines } => {
                let ends = lines.first().map(|l| l.seq).zip(lines.last().map(|l| l.seq));
                writeln!(text, "{at:>7} ms  user {user} read of room {room}: {ends:?}")
            }
            Seen::Tried { conn, id, what: Try { user, room, client_id, op } } => {
                writeln!(text, "{at:>7} ms  user {user} on {conn}: try {id} in room {room} ({client_id}): {op}")
            }
            other => writeln!(text, "{at:>7} ms  {other:?}"),
        };
    }
    text
}

/// The hash of a whole trace, to compare two runs (FNV-1a).
pub fn hash(seen: &[(u64, Seen)]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for line in seen {
        for byte in format!("{line:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
