//! Where nothing goes wrong, or actors crash and nothing else does, nobody notices: connections stay, and answers come soon.

use std::collections::BTreeMap;

use super::{Case, Verdict, wrong};
use crate::faults::Calm;
use crate::journal::{Came, Seen};

/// Milliseconds within which everything is answered that nothing keeps from being done: however many others read nothing.
const ANSWERED_MS: u64 = 1_500;

pub fn judge(case: &Case, verdict: &mut Verdict) {
    if case.calm == Calm::No {
        return;
    }
    let (mut sent, mut dozing) = (BTreeMap::new(), BTreeMap::new());
    for (at, seen) in &case.seen {
        match seen {
            Seen::Closed { conn, code: Some(code) } => {
                wrong(verdict, 0, format!("connection {conn} was closed with {code} at {at} ms, for nothing"));
            }
            Seen::Dozes { conn, ms } => drop(dozing.insert(*conn, at + ms)),
            // Who reads nothing has nobody else to blame.
            Seen::Tried { conn, id, .. } => drop(sent.insert(*id, (*conn, *at))),
            Seen::Answered { id, came } if case.calm == Calm::Wholly => {
                let waited =
                    sent.get(id).map(|(conn, sent)| at - (*sent).max(dozing.get(conn).copied().unwrap_or(0)).min(*at));
                let late = waited.is_some_and(|waited| waited > ANSWERED_MS);
                let later = matches!(came, Came::Fault { retry, .. } if retry == "later");
                if late || later {
                    wrong(verdict, 0, format!("try {id} was answered {came:?} at {at} ms, with a faultless bus"));
                }
            }
            _ => {}
        }
    }
}
