//! What each connection was pushed: from where it was told on, every number once and in order, nothing after a removal, and
//! nothing that isn't its user's to see.

use std::collections::BTreeMap;

use super::{Case, Log, Verdict, moves, wrong};
use crate::journal::{Conn, Line, Seen};

/// How a room stands on a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    /// The next number that may come.
    Next(u64),
    /// The user was removed by this entry: nothing may come but word of it, unless they are back.
    Removed(u64),
}

/// Milliseconds between an entry's being there and somebody's seeing it, at most, where it is seen at all.
const SOON_MS: u64 = 500;

/// When each entry was first seen by anybody.
fn first_seen(case: &Case) -> BTreeMap<(u64, u64), u64> {
    let mut first = BTreeMap::new();
    for (at, seen) in &case.seen {
        let (room, lines) = match seen {
            Seen::Pushed { room, line, .. } => (*room, std::slice::from_ref(line)),
            Seen::Paged { room, lines, .. } => (*room, lines.as_slice()),
            _ => continue,
        };
        for line in lines {
            first.entry((room, line.seq)).or_insert(*at);
        }
    }
    first
}

impl Stands {
    fn lets(self, seq: u64) -> bool {
        self == Self::Next(seq)
    }
}

pub fn judge(case: &Case, logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    let mut stands: BTreeMap<(Conn, u64), Stands> = BTreeMap::new();
    let none = Log::new(&[]);
    let first = first_seen(case);
    for (at, seen) in &case.seen {
        match seen {
            Seen::Resumed { conn, user, room, had, from, outcome, .. } => {
                let log = logs.get(room).unwrap_or(&none);
                if let Some(what) = resumed(*user, log, *had, *from, outcome) {
                    let told = format!("told `{outcome}` from {from}, having {had:?}");
                    wrong(verdict, *room, format!("room {room}: user {user} on {conn} at {at} ms: {told}: {what}"));
                }
                match outcome.as_str() {
                    "live" => drop(stands.insert((*conn, *room), Stands::Next(from + 1))),
                    _ => drop(stands.remove(&(*conn, *room))),
                }
            }
            Seen::Added { conn, user, room, from } => {
                let old = stands.insert((*conn, *room), Stands::Next(from + 1));
                if old.is_some_and(|old| !old.lets(from + 1)) {
                    let told = format!("room {room}: user {user} on {conn} at {at} ms");
                    wrong(verdict, *room, format!("{told}: added from {from}, where it stands at {old:?}"));
                }
            }
            Seen::Gone { conn, room, .. } => drop(stands.remove(&(*conn, *room))),
            Seen::Pushed { conn, user, room, line } => {
                let stand = stands.get(&(*conn, *room)).copied();
                let log = logs.get(room).unwrap_or(&none);
                // Who was away and is back is shown the time in between, where it may be shown.
                let back = |removed: u64| {
                    let again = (removed + 1..=log.last()).find(|seq| log.member(*user, *seq));
                    let known = again.and_then(|again| first.get(&(*room, again)));
                    removed + 1 == line.seq && known.is_some_and(|known| *known <= at + SOON_MS)
                };
                let may = match stand {
                    Some(Stands::Removed(removed)) => back(removed),
                    stand => stand == Some(Stands::Next(line.seq)),
                };
                if !may {
                    let told = format!("room {room}: user {user} on {conn} at {at} ms was pushed {}", line.seq);
                    wrong(verdict, *room, format!("{told}, where it stands at {stand:?}"));
                }
                let removed = moves(line).contains(&(*user, false));
                let next = if removed { Stands::Removed(line.seq) } else { Stands::Next(line.seq + 1) };
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
