//! What a relay is known to lack: because this node's own command was done elsewhere, because its owner says so, or because a
//! client has seen more. On a node that is alone there is nothing of the kind.

use std::time::Duration;

use parlance_schema::Seq;
use ractor::ActorRef;

use super::actor::{From, Msg, State};
use crate::link::Link;

/// How often the log is read again for what it must have and doesn't show.
const TRIES: u32 = 6;
/// How old a relay is, in seconds, when it looks for what was published before its subscription reached all of the bus.
const LOOK_AGAIN_AFTER: u32 = 2;
/// How the search for what is missing goes.
#[derive(Default)]
pub(super) struct Repair {
    tries: u32,
    /// Seconds since the relay began, as far as they matter.
    age: u32,
}

impl State {
    /// A subscription may take a while to reach all of the bus: what was lost until then is asked for.
    pub(super) fn look_once_more(&mut self, me: &ActorRef<Msg>) {
        self.repair.age = self.repair.age.saturating_add(1);
        if self.repair.age != LOOK_AGAIN_AFTER {
            return;
        }
        if self.shared.cluster.elsewhere(self.room).is_some() {
            self.relays.gap_checks.request(self.room);
        }
        if !self.shared.cluster.is_single_node() {
            self.reread_marks(me);
        }
    }

    /// The log did not show what it must have; it is read again a little later.
    pub(super) fn look_again(&mut self, me: &ActorRef<Msg>, highest: Seq) {
        if self.last() >= highest {
            self.repair.tries = 0;
            return;
        }
        self.repair.tries += 1;
        if self.repair.tries > TRIES {
            tracing::warn!(room = %self.room, last = self.last(), highest, "the log does not show what was published");
            self.repair.tries = 0;
            self.await_no_longer();
            return;
        }
        let pause = Duration::from_millis(25 << self.repair.tries);
        me.send_after(pause, move || Msg::Heard(highest));
    }

    /// Whether a subscription hints at something that other nodes may know and this relay doesn't.
    pub(super) fn may_lack(&self, link: &Link, from: From) -> bool {
        if self.shared.cluster.is_single_node() {
            return false;
        }
        let member = self.folded.as_ref().is_some_and(|folded| folded.members.contains_key(&link.principal.user));
        let ahead = |position: parlance_schema::id::Position| {
            position.epoch == self.shared.store.epoch() && position.seq > self.last()
        };
        !member || matches!(from, From::Position(Some(position)) if ahead(position))
    }
}
