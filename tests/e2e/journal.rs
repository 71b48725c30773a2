//! What a client sent and received, as JSON lines; the checker tells what they are.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::{Value, json};

use crate::raw::Raw;

/// Microseconds of one clock for all journals of the process.
pub fn micros() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap() + 1
}

/// One client's journal.
pub struct Journal {
    file: BufWriter<File>,
    name: String,
    user: u64,
}

impl Journal {
    pub fn new(folder: &Path, name: &str, user: u64) -> Self {
        let file = File::create_new(folder.join(format!("{name}.jsonl"))).unwrap();
        Self { file: BufWriter::new(file), name: name.to_owned(), user }
    }

    /// Notes an event, with the time and the client's name.
    pub fn note(&mut self, mut event: Value) {
        event["t"] = micros().into();
        event["c"] = self.name.as_str().into();
        event["u"] = self.user.into();
        writeln!(self.file, "{event}").unwrap();
    }

    /// Notes an entry that was pushed (`push`) or read (`log`).
    pub fn entry(&mut self, kind: &str, room: u64, entry: &Value) {
        let mut hasher = DefaultHasher::new();
        entry.to_string().hash(&mut hasher);
        self.note(json!({"ev": kind, "room": room, "seq": entry["seq"], "by": entry["by"],
            "client_id": entry["client_id"], "append": entry["append"], "fact": entry["fact"],
            "digest": format!("{:016x}", hasher.finish())}));
    }

    /// Notes that the client has all that it will get.
    pub fn end(&mut self) {
        self.note(json!({"ev": "end"}));
        self.file.flush().unwrap();
    }
}

/// Reads a room's log, page by page, and returns its last number.
pub async fn read_log(reader: &mut Raw, room: u64, journal: &mut Journal) -> u64 {
    let mut last = 0;
    loop {
        let page = reader.ok(json!({"op": "entries", "room": room, "after": last, "limit": 200})).await;
        let items = page["items"].as_array().unwrap();
        for entry in items {
            journal.entry("log", room, entry);
        }
        last = items.last().map_or(last, |entry| entry["seq"].as_u64().unwrap());
        if page["more"] == false {
            return last;
        }
    }
}
