//! How many messages wait in mailboxes, by kind of actor, for operators: ractor's mailboxes are unbounded and don't tell.

/// A message that counts as waiting from its sending until it is taken, or lost with its actor.
pub(crate) struct Counted<T> {
    item: T,
    _waiting: Waiting,
}

impl<T> Counted<T> {
    /// Counts a message to an actor of this kind.
    pub(crate) fn new(actor: &'static str, item: T) -> Self {
        metrics::gauge!("parlance_mailbox_depth", "actor" => actor).increment(1.0);
        Self { item, _waiting: Waiting(actor) }
    }

    /// The message, which waits no more.
    pub(crate) fn take(self) -> T {
        self.item
    }
}

struct Waiting(&'static str);

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!("parlance_mailbox_depth", "actor" => self.0).decrement(1.0);
    }
}
