//! The audit: which commands are recorded there, and of whom. It is what moderators do in rooms that they are not in.

use parlance_schema::UserId;
use parlance_schema::command::Command;

use super::{Effect, Envelope, State, Writer};
use crate::room;

/// What is to be recorded of a command that is done: who gave it, and its name. Joining with an invite is open to all, and is not.
pub(super) fn recorded<R>(state: Option<&State>, ask: &Envelope<R>) -> Option<(UserId, &'static str)> {
    let stranger = state.is_some_and(|state| !state.members.contains_key(&ask.who.user));
    if stranger && !matches!(ask.command, Command::Join { .. }) {
        Some((ask.who.user, room::word(&ask.command)))
    } else {
        None
    }
}

impl<R> Writer<R> {
    /// Records what moderators did, once it is in the log.
    pub(super) fn record(&mut self, moderated: Vec<(UserId, &'static str)>) {
        for (who, word) in moderated {
            self.effects.push_back(Effect::Audit(who, word));
        }
    }
}
