//! How long a client waits for a reply: a command is answered in time by whoever has it, or for them; any other operation is
//! given up.

use std::sync::Arc;
use std::time::Duration;

use parlance_schema::Fault;
use parlance_schema::limits::{COMMAND_DEADLINE_MS, OPERATION_DEADLINE_MS};

use super::registry::Registry;
use crate::link::{Link, ticks};
use crate::room::ReplyTo;

/// Milliseconds between two looks for requests that wait too long.
pub(super) const LOOK_MS: u64 = 1_000;

/// Has a command's outcome count as unknown once its time is up.
pub(super) fn limit_command(reply: &ReplyTo, now: u64) {
    reply.limit(now + COMMAND_DEADLINE_MS);
}

/// The same for an operation that others answer piece by piece.
pub(super) fn limit_operation(reply: &ReplyTo, now: u64) {
    reply.limit(now + OPERATION_DEADLINE_MS);
}

/// Gives an operation up that takes too long; what it did until then stays done.
pub(super) async fn in_time<T>(operation: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = |_| Err(Fault::no_answer());
    tokio::time::timeout(Duration::from_millis(OPERATION_DEADLINE_MS), operation).await.unwrap_or_else(late)
}

/// Answers for whoever keeps a request too long: none waits beyond its deadline until the next look.
pub(super) fn answer_late(sessions: &Registry) {
    let by = ticks() + LOOK_MS;
    let late = |link: &Arc<Link>| {
        let overdue = link.requests.overdue(by);
        (!overdue.is_empty()).then(|| (link.clone(), overdue))
    };
    let mut late: Vec<_> = sessions.sessions.iter().filter_map(|slot| late(&slot.0)).collect();
    late.sort_unstable_by_key(|(link, _)| link.id);
    for (link, overdue) in late {
        link.answer_unknown(overdue);
    }
}
