//! The entry that a command makes, and the answer that the command gets for it.

use parlance_schema::command::Command;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::view::Done;
use parlance_schema::{Millis, RoomId};

use super::{Envelope, State};

/// The entry of a command that came to `fact`: the next one after `state`, written at the time `at` by the append of the id `append`.
pub(super) fn new_entry<R>(state: Option<&State>, ask: &Envelope<R>, fact: Fact, at: Millis, append: u64) -> Entry {
    let posts = matches!(ask.command, Command::Post { .. });
    Entry {
        seq: state.map_or(0, |state| state.last) + 1,
        at,
        by: ask.who.user,
        client_id: ask.client_id.clone(),
        posts: state.map_or(0, |state| state.posts) + u64::from(posts),
        append,
        fact,
    }
}

/// The answer to the command that made an entry.
#[must_use]
pub fn done(room: RoomId, entry: &Entry) -> Done {
    let id = if let Fact::Posted { id, .. } = &entry.fact { Some(*id) } else { None };
    Done { room, seq: entry.seq, at: entry.at, id, again: false }
}
