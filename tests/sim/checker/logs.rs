//! One log per room: numbered without a gap, the same for everybody at all times, each command in it once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Case, Log, Verdict, wrong};
use crate::journal::{Line, Seen};

pub fn judge(case: &Case, logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    for (room, log) in logs {
        whole(*room, log, verdict);
        for shown in &case.finals[room] {
            if *shown != log.lines {
                wrong(verdict, *room, format!("room {room}: two nodes show different logs in the end"));
            }
        }
    }
    unique(logs, verdict);
    let mut words: BTreeMap<(u64, u64), &str> = BTreeMap::new();
    for (at, seen) in &case.seen {
        let (who, room, lines) = match seen {
            Seen::Pushed { user, room, line, .. } => (*user, *room, std::slice::from_ref(line)),
            Seen::Paged { user, room, lines } => (*user, *room, lines.as_slice()),
            _ => continue,
        };
        let Some(log) = logs.get(&room) else {
            wrong(verdict, room, format!("user {who} saw room {room}, which has no log in the end"));
            continue;
        };
        for line in lines {
            same(*at, who, room, log, line, verdict);
            if let Some(new) = &line.words
                && let Some(old) = words.insert((room, line.seq), new)
                && old != new
            {
                wrong(verdict, room, format!("room {room}: entry {} said two different things", line.seq));
            }
        }
    }
}

/// Over all rooms: a message's id is used once, and a pair has one direct room.
fn unique(logs: &BTreeMap<u64, Log>, verdict: &mut Verdict) {
    let (mut ids, mut pairs) = (BTreeMap::new(), BTreeMap::new());
    for (room, log) in logs {
        for line in log.lines.iter().filter(|line| line.fact == "posted") {
            if let Some(other) = ids.insert(line.rest["id"].as_u64(), room) {
                wrong(
                    verdict,
                    *room,
                    format!("room {room}: the id of message {} is used in room {other} too", line.seq),
                );
            }
        }
        if log.lines.first().is_some_and(|line| line.rest["kind"] == "direct")
            && let Some(other) = pairs.insert(log.members.get(1), room)
        {
            wrong(verdict, *room, format!("rooms {room} and {other} are direct ones of the same pair"));
        }
    }
}

fn whole(room: u64, log: &Log, verdict: &mut Verdict) {
    let mut pairs: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    let mut posts = 0;
    for (line, seq) in log.lines.iter().zip(1..) {
        if line.seq != seq {
            wrong(verdict, room, format!("room {room}: number {} stands where {seq} should", line.seq));
            return;
        }
        if let Some(first) = pairs.insert((line.by, &line.client_id), seq) {
            let pair = (line.by, &line.client_id);
            wrong(verdict, room, format!("room {room}: {pair:?} was done twice, as {first} and as {seq}"));
        }
        posts += u64::from(line.fact == "posted");
        if line.rest["posts"].as_u64() != Some(posts) {
            wrong(verdict, room, format!("room {room}: entry {seq} counts wrongly, {posts} messages there are"));
        }
    }
}

/// An entry as somebody must be shown it who may read from `first` on: of what is about an earlier message, the number alone.
fn shown(kept: &Line, first: u64) -> Value {
    let mut rest = kept.rest.clone();
    let earlier = kept.target().or(kept.rest["reply_to"].as_u64()).is_some_and(|seq| seq < first);
    if earlier && kept.fact == "posted" {
        rest["reply_to"] = Value::Null;
    } else if earlier {
        rest = json!({"fact": "hidden"});
        for key in ["seq", "at", "posts", "append"] {
            rest[key] = kept.rest[key].clone();
        }
    }
    without_nulls(rest)
}

fn without_nulls(mut rest: Value) -> Value {
    rest.as_object_mut().into_iter().for_each(|fields| fields.retain(|_, value| !value.is_null()));
    rest
}

/// What somebody was shown must be what is in the log in the end, but for words that were erased since, and for what is about
/// messages that they may not read.
fn same(at: u64, who: u64, room: u64, log: &Log, line: &Line, verdict: &mut Verdict) {
    let Some(kept) = log.line(line.seq) else {
        let what = format!("room {room}: user {who} saw {} at {at} ms, which is lost: {line:?}", line.seq);
        return wrong(verdict, room, what);
    };
    let first = log.first(who, line.seq);
    let is_whole = first == 1 && kept.rest == line.rest;
    if !is_whole && shown(kept, first) != without_nulls(line.rest.clone()) {
        let what =
            format!("room {room}: user {who} saw {} as {line:?} at {at} ms, and in the end it is {kept:?}", line.seq);
        wrong(verdict, room, what);
    }
    let about = line.target().unwrap_or(line.seq);
    let deleted = || log.lines.iter().any(|line| line.fact == "deleted" && line.target() == Some(about));
    if (line.words != kept.words || line.words.is_none()) && has_words(line) && !deleted() {
        wrong(verdict, room, format!("room {room}: the words of {} changed, and nobody deleted them", line.seq));
    }
}

fn has_words(line: &Line) -> bool {
    line.fact == "posted" || line.fact == "edited"
}
