//! Whether each consumer was given each log: every entry, and the first arrivals in order.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, wrong};

/// A consumer and a room, with the numbers that it was given, each where it came first, and those that it was passed over for.
pub struct Followed {
    pub consumer: String,
    pub room: u64,
    pub firsts: Vec<u64>,
    pub dead: Vec<u64>,
}

/// What is wrong with what consumers were given; `lasts`: each log's last number.
pub fn judge(followed: &[Followed], lasts: &BTreeMap<u64, u64>, verdict: &mut Verdict) {
    for Followed { consumer, room, firsts, dead } in followed {
        let last = lasts.get(room).copied().unwrap_or_default();
        if dead.is_empty() && firsts.iter().copied().eq(1..=last) {
            continue;
        }
        // One that was given up may be given after all, later: by a node that doesn't know of it when it takes over.
        let kept: Vec<u64> = firsts.iter().copied().filter(|seq| !dead.contains(seq)).collect();
        if let Some(pair) = kept.windows(2).find(|pair| pair[0] > pair[1]) {
            wrong(verdict, *room, format!("{consumer} was given {} before {} of room {room}", pair[0], pair[1]));
        }
        let given: BTreeSet<&u64> = firsts.iter().chain(dead).collect();
        if let Some(seq) = (1..=last).find(|seq| !given.contains(seq)) {
            wrong(verdict, *room, format!("{consumer} was never given {seq} of room {room}, which has {last}"));
        }
        if let Some(seq) = firsts.iter().find(|seq| **seq == 0 || **seq > last) {
            wrong(verdict, *room, format!("{consumer} was given {seq} of room {room}, which has {last}"));
        }
    }
}
