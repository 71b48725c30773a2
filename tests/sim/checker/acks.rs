//! What was acknowledged is there, is what was asked for, was done once, and every try was told the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Case, Log, Verdict, wrong};
use crate::faults::Calm;
use crate::journal::{Came, Conn, Line, Seen, Try};

/// One try, with where in the journal it was sent and answered.
struct Told<'a> {
    conn: Conn,
    what: &'a Try,
    sent: usize,
    answered: Option<(usize, &'a Came)>,
}

pub fn judge(case: &Case, logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    let mut tries: BTreeMap<u64, Told<'_>> = BTreeMap::new();
    for (place, (at, seen)) in case.seen.iter().enumerate() {
        match seen {
            Seen::Tried { conn, id, what } => {
                tries.insert(*id, Told { conn: *conn, what, sent: place, answered: None });
            }
            Seen::Answered { id, came } => {
                if let Some(told) = tries.get_mut(id) {
                    told.answered = Some((place, came));
                }
                if let Came::Fault { code, .. } = came
                    && matches!(code.as_str(), "internal" | "malformed")
                {
                    wrong(verdict, 0, format!("try {id} was answered `{code}` at {at} ms"));
                }
            }
            Seen::Stray { conn, n } => {
                wrong(verdict, 0, format!("request {n} on {conn} was answered twice, or never asked"))
            }
            Seen::Unanswered { conn, n } => wrong(verdict, 0, format!("request {n} on {conn} was never answered")),
            _ => {}
        }
    }
    let mut commands: BTreeMap<(u64, u64, &str), Vec<&Told<'_>>> = BTreeMap::new();
    for told in tries.values().filter(|told| told.what.room > 0) {
        there(told, logs, verdict);
        commands.entry((told.what.user, told.what.room, &told.what.client_id)).or_default().push(told);
    }
    let known = known(case);
    for ((user, room, client_id), tries) in &commands {
        if let Some(log) = logs.get(room) {
            alike(*room, tries, verdict);
            let there = log.lines.iter().find(|line| line.by == *user && line.client_id == *client_id);
            let seq = there.map(|line| line.seq);
            refused(case, tries, seq, known.get(room).unwrap_or(&BTreeMap::new()), verdict);
        }
    }
    order(&commands, verdict);
}

/// An acknowledged command is in the log at its number, as it was given.
fn there(told: &Told<'_>, logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    let Some((_, Came::Done { room, seq, at, id, .. })) = told.answered else { return };
    let what = told.what;
    let line = logs.get(room).and_then(|log| log.line(*seq));
    let mine = line.filter(|line| line.by == what.user && line.client_id == what.client_id);
    let Some(line) = mine else {
        let found = line.map(|line| (line.by, line.client_id.clone(), line.fact.clone()));
        return wrong(verdict, *room, format!("{what:?} was acknowledged as {seq}, where there is {found:?}"));
    };
    let same = line.rest["at"].as_u64() == Some(*at) && line.rest["id"].as_u64().unwrap_or_default() == *id;
    if !same || !is_done(&what.op, line) {
        wrong(verdict, *room, format!("{what:?} was acknowledged as {seq}, which is {line:?}"));
    }
}

/// Whether an entry is what an operation asks for.
fn is_done(op: &Value, line: &Line) -> bool {
    let words = |line: &Line| line.words.as_ref().is_none_or(|words| op["content"]["text"] == *words);
    let about = |key: &str, of: &str| line.rest[key] == op[of];
    match (op["op"].as_str().unwrap_or_default(), line.fact.as_str()) {
        ("send", "posted") => words(line),
        ("edit", "edited") => words(line) && about("target", "seq"),
        ("delete", "deleted") => about("target", "seq"),
        ("react", "reacted") | ("unreact", "unreacted") => about("target", "seq") && about("emoji", "emoji"),
        ("add", "added") => about("users", "users"),
        ("kick", "kicked") | ("mute", "muted") | ("unmute", "unmuted") => about("user", "user"),
        ("promote", "promoted") => about("user", "user") && about("role", "role"),
        ("rename", "renamed") => about("name", "name"),
        ("leave", "left") => true,
        _ => false,
    }
}

/// All tries of a command are told the same, and at most one that it was the first.
fn alike(room: u64, tries: &[&Told<'_>], verdict: &mut Verdict) {
    let done = |told: &&Told<'_>| match told.answered {
        Some((_, Came::Done { seq, at, id, again, .. })) => Some((*seq, *at, *id, *again)),
        _ => None,
    };
    let answers: Vec<_> = tries.iter().filter_map(done).collect();
    let told = || format!("room {room}: {:?} was answered {answers:?}", tries[0].what);
    if answers.windows(2).any(|pair| (pair[0].0, pair[0].1, pair[0].2) != (pair[1].0, pair[1].1, pair[1].2)) {
        wrong(verdict, room, format!("{}: not the same", told()));
    }
    if answers.iter().filter(|answer| !answer.3).count() > 1 {
        wrong(verdict, room, format!("{}: twice as the first", told()));
    }
}

/// How far each room's log certainly went: places in the journal, and the highest number that anybody had seen there.
fn known(case: &Case) -> BTreeMap<u64, BTreeMap<usize, u64>> {
    let mut rooms: BTreeMap<u64, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut note = |place, room, seq| {
        let known = rooms.entry(room).or_default();
        let last = known.last_key_value().map_or(0, |(_, last)| *last);
        known.insert(place, last.max(seq));
    };
    for (place, (_, seen)) in case.seen.iter().enumerate() {
        match seen {
            Seen::Pushed { room, line, .. } => note(place, *room, line.seq),
            Seen::Paged { room, lines, .. } => {
                note(place, *room, lines.iter().map(|line| line.seq).max().unwrap_or_default());
            }
            Seen::Answered { came: Came::Done { room, seq, .. }, .. } => note(place, *room, *seq),
            _ => {}
        }
    }
    rooms
}

/// What was done is never told to be refused. `there` is the command's number in the log, if it has one, and `known` how far the
/// log went.
///
/// What was refused may be done after that, by a node that was silent and passed over, or that another one believed gone: only
/// where all is well it may not.
fn refused(case: &Case, tries: &[&Told<'_>], there: Option<u64>, known: &BTreeMap<usize, u64>, verdict: &mut Verdict) {
    for told in tries {
        let Some((_, Came::Fault { code, retry })) = told.answered else { continue };
        let Some(seq) = there.filter(|_| retry != "later") else { continue };
        let (room, what) = (told.what.room, told.what);
        if known.range(..told.sent).next_back().is_some_and(|(_, last)| *last >= seq) {
            wrong(verdict, room, format!("room {room}: {what:?} was refused ({code}) after it had been done as {seq}"));
        }
        let over =
            |other: &Told<'_>| matches!(other.answered, Some((at, came)) if at < told.sent && *came != Came::Nothing);
        if case.calm != Calm::No && tries.iter().filter(|other| other.sent != told.sent).all(|other| over(other)) {
            wrong(verdict, room, format!("room {room}: {what:?} was refused ({code}) and is there as {seq}"));
        }
    }
}

/// Commands of one connection to one room that were done at their first try have the order in which they were sent, but for
/// those that look people up first.
fn order(commands: &BTreeMap<(u64, u64, &str), Vec<&Told<'_>>>, verdict: &mut Verdict) {
    let mut sent: BTreeMap<(Conn, u64), Vec<(usize, u64)>> = BTreeMap::new();
    for ((_, room, _), tries) in commands {
        if let [told] = tries.as_slice()
            && told.conn > 0
            && told.what.op["op"] != "add"
            && let Some((_, Came::Done { seq, again: false, .. })) = told.answered
        {
            sent.entry((told.conn, *room)).or_default().push((told.sent, *seq));
        }
    }
    for ((conn, room), mut seqs) in sent {
        seqs.sort_unstable();
        if let Some(pair) = seqs.windows(2).find(|pair| pair[0].1 >= pair[1].1) {
            let (first, second) = (pair[0].1, pair[1].1);
            wrong(
                verdict,
                room,
                format!("room {room}: connection {conn} sent what is {first} before what is {second}"),
            );
        }
    }
}
