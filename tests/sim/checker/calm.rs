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
    let mut sent = BTreeMap::new();
    for (at, seen) in &case.seen {
        match seen {
            Seen::Closed { conn, code: Some(code) } => {
                wrong(verdict, 0, format!("connection {conn} was closed with {code} at {at} ms, for nothing"));
            }
            Seen::Tried { id, .. } => drop(sent.insert(*id, *at)),
            Seen::Answered { id, came } if case.calm == Calm::Wholly => {
                let late = sent.get(id).is_some_and(|sent| at - sent > ANSWERED_MS);
                let later = matches!(came, Came::Fault { retry, .. } if retry == "later");
                if late || later {
                    wrong(verdict, 0, format!("try {id} was answered {came:?} at {at} ms, in fair weather"));
                }
            }
            _ => {}
        }
    }
}
