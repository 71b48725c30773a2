//! How many messages wait in mailboxes, by kind of actor, for operators: ractor's mailboxes are unbounded and don't tell.

use metrics::Gauge;

/// A message that counts as waiting from its sending until it is taken, or lost with its actor.
pub(crate) struct Counted<T> {
    item: T,
    _waiting: Waiting,
}

impl<T> Counted<T> {
    /// Counts a message in the depth of its kind of mailbox.
    pub(crate) fn new(depth: &Gauge, item: T) -> Self {
        depth.increment(1.0);
        Self { item, _waiting: Waiting(depth.clone()) }
    }

    /// The message, which waits no more.
    pub(crate) fn take(self) -> T {
        self.item
    }
}

struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
