//! Who has an answer to a command sees what came of it: questions wait here until what this node did has been published.

use std::time::Duration;

use parlance_schema::Seq;
use ractor::ActorRef;

use super::actor::{Msg, State};

/// How long what was done elsewhere may be on its way here before the log is read, in milliseconds.
const ARRIVAL_MS: u64 = 100;
/// Questions that wait for what was done elsewhere; beyond that, they are answered as things are known here.
const PARKED_MAX: usize = 1_024;

/// What this node did that has not been published here yet, and who waits for it.
#[derive(Default)]
pub(super) struct Awaited {
    /// The number that this node's own commands came to.
    expected: Seq,
    parked: Vec<Msg>,
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
        asks && self.lacks() && self.awaited.parked.len() < PARKED_MAX
    }

    /// Keeps a question for later.
    pub(super) fn park(&mut self, msg: Msg) {
        self.awaited.parked.push(msg);
    }

    /// What was expected can't be found: nobody waits for it any more.
    pub(super) fn await_no_longer(&mut self) {
        self.awaited.expected = 0;
    }

    fn lacks(&self) -> bool {
        self.awaited.expected > self.last() && self.broken.is_none()
    }

    /// A command of this node's came to the entry with this number: it is about to be published, or was just missed.
    pub(super) fn expect(&mut self, me: &ActorRef<Msg>, seq: Seq) {
        let waits = self.lacks();
        self.awaited.expected = self.awaited.expected.max(seq);
        if !waits && self.lacks() {
            me.send_after(Duration::from_millis(ARRIVAL_MS), || Msg::Overdue);
        }
    }

    /// What was expected is looked for in the log if it hasn't come.
    pub(super) fn overdue(&mut self, me: &ActorRef<Msg>) {
        if self.lacks() {
            self.heard_last(me, self.awaited.expected);
        }
    }

    /// Goes on with what waited.
    pub(super) fn unpark(&mut self, me: &ActorRef<Msg>) {
        self.count_early_marks(me);
        if self.awaited.parked.is_empty() || self.lacks() {
            return;
        }
        for msg in std::mem::take(&mut self.awaited.parked) {
            let _ = me.cast(msg);
        }
    }
}
