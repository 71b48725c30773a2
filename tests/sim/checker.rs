//! Judges a run by what clients saw, and by nothing else: it shares no code with what it judges.
//!
//! The final logs are those that a moderator read, page by page, over every node, after all had come to rest.

mod acks;
mod calm;
pub mod feeds;
mod logs;
mod messages;
mod pushes;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::faults::Calm;
use crate::journal::{Line, Seen};

/// A run, to be judged.
pub struct Case {
    /// How little went wrong.
    pub calm: Calm,
    pub seen: Vec<(u64, Seen)>,
    /// Each room's log as each node shows it in the end.
    pub finals: BTreeMap<u64, Vec<Vec<Line>>>,
    /// Each room's messages as they are in the end.
    pub messages: BTreeMap<u64, Vec<Value>>,
}

/// What was found wrong.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub what: String,
    /// The room that it is about, for the trace.
    pub room: Option<u64>,
}

pub type Verdict = Vec<Wrong>;

pub fn wrong(verdict: &mut Verdict, room: u64, what: String) {
    verdict.push(Wrong { what, room: Some(room) });
}

/// A room's final log, and who was in it after each entry.
pub struct Log {
    pub lines: Vec<Line>,
    /// After entry n at place n; at place 0 nobody.
    pub members: Vec<BTreeSet<u64>>,
    /// Whether who comes may read only what comes after.
    pub since_joined: bool,
}

impl Log {
    pub fn new(lines: &[Line]) -> Self {
        let mut members = vec![BTreeSet::new()];
        for line in lines {
            let mut there = members.last().cloned().unwrap_or_default();
            for (user, joins) in moves(line) {
                if joins {
                    there.insert(user)
                } else {
                    there.remove(&user)
                };
            }
            members.push(there);
        }
        let since_joined = lines.first().is_some_and(|line| line.rest["history"] == "since_joined");
        Self { lines: lines.to_vec(), members, since_joined }
    }

    pub fn line(&self, seq: u64) -> Option<&Line> {
        self.lines.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    pub fn last(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The first number that a user may read who is shown an entry: where history begins with the joining, the one by which
    /// the membership began that the entry falls into. A moderator reads everything.
    pub fn first(&self, user: u64, seq: u64) -> u64 {
        if !self.since_joined || user == crate::cluster::MODERATOR {
            return 1;
        }
        let upto = &self.lines[..self.lines.len().min(seq as usize)];
        upto.iter().rev().find(|line| moves(line).contains(&(user, true))).map_or(1, |line| line.seq)
    }

    /// Whether a user was a member after an entry; beyond the end, as at the end.
    pub fn member(&self, user: u64, after: u64) -> bool {
        let at = (after as usize).min(self.members.len() - 1);
        self.members[at].contains(&user)
    }
}

/// Who came and went by an entry.
pub fn moves(line: &Line) -> Vec<(u64, bool)> {
    let users = |key: &str| line.rest[key].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let user = || line.rest["user"].as_u64().into_iter();
    match line.fact.as_str() {
        "created" => users("members").map(|user| (user, true)).collect(),
        "added" => users("users").map(|user| (user, true)).collect(),
        "joined" => vec![(line.by, true)],
        "left" => vec![(line.by, false)],
        "kicked" | "banned" => user().map(|user| (user, false)).collect(),
        _ => Vec::new(),
    }
}

/// All that is wrong with a run.
pub fn judge(case: &Case) -> Verdict {
    let mut verdict = Verdict::new();
    let logs: BTreeMap<u64, Log> =
        case.finals.iter().filter_map(|(room, shown)| Some((*room, Log::new(shown.first()?)))).collect();
    logs::judge(case, &logs, &mut verdict);
    acks::judge(case, &logs, &mut verdict);
    pushes::judge(case, &logs, &mut verdict);
    calm::judge(case, &mut verdict);
    messages::judge(case, &logs, &mut verdict);
    verdict
}
