//! What each connection was pushed: from where it was told on, every number once and in order, nothing after a removal, and
//! nothing that isn't its user's to see.

use std::collections::BTreeMap;

use super::{Case, Log, Verdict, moves, wrong};
use crate::journal::{Conn, Line, Seen};

/// How a room stands on a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    /// The next number that may come, and the last one that there was when this began.
    Next(u64, u64),
    /// The user was removed: nothing may come but word of it.
    Removed,
}

impl Stands {
    fn lets(self, seq: u64) -> bool {
        matches!(self, Self::Next(next, _) if next == seq)
    }
}

pub fn judge(case: &Case, logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    let mut stands: BTreeMap<(Conn, u64), Stands> = BTreeMap::new();
    let none = Log::new(&[]);
    for (at, seen) in &case.seen {
        match seen {
            Seen::Resumed { conn, user, room, had, from, last, outcome } => {
                let log = logs.get(room).unwrap_or(&none);
                if let Some(what) = resumed(*user, log, *had, *from, outcome) {
                    let told = format!("told `{outcome}` from {from}, having {had:?}");
                    wrong(verdict, *room, format!("room {room}: user {user} on {conn} at {at} ms: {told}: {what}"));
                }
                match outcome.as_str() {
                    "live" => drop(stands.insert((*conn, *room), Stands::Next(from + 1, *last))),
                    _ => drop(stands.remove(&(*conn, *room))),
                }
            }
            Seen::Added { conn, user, room, from } => {
                let old = stands.insert((*conn, *room), Stands::Next(from + 1, *from));
                if old.is_some_and(|old| !old.lets(from + 1)) {
                    let told = format!("room {room}: user {user} on {conn} at {at} ms");
                    wrong(verdict, *room, format!("{told}: added from {from}, where it stands at {old:?}"));
                }
            }
            Seen::Gone { conn, room, .. } => drop(stands.remove(&(*conn, *room))),
            Seen::Pushed { conn, user, room, line } => {
                let stand = stands.get(&(*conn, *room)).copied();
                if !stand.is_some_and(|stand| stand.lets(line.seq)) {
                    let told = format!("room {room}: user {user} on {conn} at {at} ms was pushed {}", line.seq);
                    wrong(verdict, *room, format!("{told}, where it stands at {stand:?}"));
                }
                let log = logs.get(room).unwrap_or(&none);
                let last = if let Some(Stands::Next(_, last)) = stand { last } else { 0 };
                // Who had come back when this began is shown the time of their absence, where it may be shown.
                let back = last > line.seq && log.member(*user, last);
                let removed = moves(line).contains(&(*user, false)) && !back;
                let next = if removed { Stands::Removed } else { Stands::Next(line.seq + 1, last) };
                stands.insert((*conn, *room), next);
                seen_by(*user, *room, std::slice::from_ref(line), log, verdict);
            }
            Seen::Paged { user, room, lines } => seen_by(*user, *room, lines, logs.get(room).unwrap_or(&none), verdict),
            Seen::Closed { conn, code: Some(code) } if !is_excused(*code) => {
                wrong(verdict, 0, format!("connection {conn} was closed with {code} at {at} ms"));
            }
            _ => {}
        }
    }
}

/// Closed for reasons that a server may have: it restarts, or its store can't be read.
fn is_excused(code: u16) -> bool {
    matches!(code, 1012 | 1013 | 4503)
}

/// What is wrong with where a client was told that a room stands.
fn resumed(user: u64, log: &Log, had: Option<u64>, from: u64, outcome: &str) -> Option<&'static str> {
    let had = had?;
    match outcome {
        "live" if from == had => None,
        // What was before one joined is passed over, where one may not read it.
        "live" if log.since_joined && from > had => {
            let joins = log.line(from + 1).is_some_and(|line| moves(line).contains(&(user, true)));
            if joins { None } else { Some("something is passed over") }
        }
        "live" => Some("it does not go on where the client is"),
        "gone" => {
            let away = (had..=log.last()).any(|after| !log.member(user, after));
            if away { None } else { Some("the user is a member all the time") }
        }
        _ => Some("the log is the same, and not much was missed"),
    }
}

/// Whether a user may have been shown these lines.
fn seen_by(user: u64, room: u64, lines: &[Line], log: &Log, verdict: &mut Verdict) {
    if user == crate::cluster::MODERATOR || log.lines.is_empty() {
        return;
    }
    for line in lines {
        let then = log.member(user, line.seq) || log.member(user, line.seq.saturating_sub(1));
        let later = !log.since_joined && (line.seq..=log.last()).any(|after| log.member(user, after));
        if !then && !later {
            let what = format!("room {room}: user {user} saw {}, and was no member then nor later", line.seq);
            wrong(verdict, room, what);
        }
    }
}
