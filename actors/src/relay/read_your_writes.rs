//! Who has an answer to a command sees what came of it: questions wait here until what this node did has been published.

use std::time::Duration;

use parlance_schema::Seq;
use ractor::ActorRef;

use super::actor::{Msg, State};
use super::repair::Repair;

/// How long what was done elsewhere may be on its way here before the log is read, in milliseconds.
const ARRIVAL_MS: u64 = 100;
/// Questions that wait for what was done elsewhere; beyond that, they are answered as things are known here.
const PARKED_MAX: usize = 1_024;

impl Repair {
    /// Keeps a question for later.
    pub(super) fn park(&mut self, msg: Msg) {
        self.parked.push(msg);
    }
}

impl State {
    /// Whether a question waits until what this node did is here: who has an answer to a command sees what came of it.
    pub(super) fn parks(&self, msg: &Msg) -> bool {
        let asks = matches!(
            msg,
            Msg::View { .. }
                | Msg::Members { .. }
                | Msg::Bans { .. }
                | Msg::Invites { .. }
                | Msg::Access { .. }
                | Msg::Mark { .. }
                | Msg::Subscribe(_)
        );
        asks && self.lacks() && self.repair.parked.len() < PARKED_MAX
    }

    pub(super) fn lacks(&self) -> bool {
        self.repair.expected > self.last() && self.broken.is_none()
    }

    /// A command of this node's came to the entry with this number: it is about to be published, or was just missed.
    pub(super) fn expect(&mut self, me: &ActorRef<Msg>, seq: Seq) {
        let waits = self.lacks();
        self.repair.expected = self.repair.expected.max(seq);
        if !waits && self.lacks() {
            me.send_after(Duration::from_millis(ARRIVAL_MS), || Msg::Overdue);
        }
    }

    /// What was expected is looked for in the log if it hasn't come.
    pub(super) fn overdue(&mut self, me: &ActorRef<Msg>) {
        if self.lacks() {
            self.heard_last(me, self.repair.expected);
        }
    }

    /// Goes on with what waited.
    pub(super) fn unpark(&mut self, me: &ActorRef<Msg>) {
        self.count_early_marks(me);
        if self.repair.parked.is_empty() || self.lacks() {
            return;
        }
        for msg in std::mem::take(&mut self.repair.parked) {
            let _ = me.cast(msg);
        }
    }
}
