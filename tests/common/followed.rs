//! What file consumers have written, beside the logs that clients read: the same entries, each there, and of each room in order where
//! they came first. Entries may be there more than once; a file of each node has those of the rooms that it looked after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

/// The setting of a consumer that writes to a file in each node's data folder.
pub const SETTINGS: [(&str, &str); 2] = [("consumers.audit.kind", "file"), ("consumers.audit.path", "audit.jsonl")];
/// Its file there.
pub const FILE: &str = "audit.jsonl";
/// What it is called.
pub const NAME: &str = "file:audit";

/// The fields of an entry that the logs of clients have, too.
const SAME: [&str; 5] = ["seq", "by", "client_id", "append", "fact"];

fn lines(path: &std::path::Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap_or_default();
    // A line may be half written, and one that a crash has cut off is ended later.
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// How often each entry is there: room and number.
pub fn counts(files: &[PathBuf]) -> BTreeMap<(u64, u64), usize> {
    let mut counts = BTreeMap::new();
    for line in files.iter().flat_map(|file| lines(file)) {
        let key = line["room"].as_u64().zip(line["seq"].as_u64()).expect("a line names its entry");
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// What is wrong with the files; `log`: the journal of all rooms' logs, which was read in the end.
pub fn judge(files: &[PathBuf], log: &std::path::Path) -> Result<(), String> {
    let log: Vec<Value> = lines(log).into_iter().filter(|line| line["ev"] == "log").collect();
    if log.is_empty() {
        return Err("the logs hold nothing".to_owned());
    }
    let key = |line: &Value| (line["room"].as_u64().unwrap_or(0), line["seq"].as_u64().unwrap_or(0));
    let entries: BTreeMap<(u64, u64), &Value> = log.iter().map(|line| (key(line), line)).collect();
    let rooms: BTreeSet<u64> = entries.keys().map(|(room, _)| *room).collect();
    let (mut given, mut epochs) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let mut lasts: BTreeMap<u64, u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for line in lines(file) {
            let (room, seq) = key(&line);
            if !rooms.contains(&room) {
                continue;
            }
            let Some(entry) = entries.get(&(room, seq)) else {
                return Err(format!("{} has {seq} of room {room}, which no log has", file.display()));
            };
            if let Some(field) = SAME.iter().find(|field| line[**field] != entry[**field]) {
                return Err(format!("{} has another {field} of {seq} of room {room}", file.display()));
            }
            epochs.insert(line["epoch"].as_u64());
            if seen.insert((room, seq)) {
                let last = lasts.insert(room, seq).unwrap_or(0);
                if seq < last {
                    return Err(format!("{} was given {last} before {seq} of room {room}", file.display()));
                }
            }
        }
        given.extend(seen);
    }
    if let Some((room, seq)) = entries.keys().find(|key| !given.contains(key)) {
        return Err(format!("{seq} of room {room} was given to nobody"));
    }
    if epochs.len() == 1 { Ok(()) } else { Err(format!("entries of several epochs: {epochs:?}")) }
}
