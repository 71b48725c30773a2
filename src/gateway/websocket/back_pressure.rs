//! Back pressure: the server stops reading from a client that sends faster than it reads the replies.

use parlance_actors::link::Receiver;
use parlance_schema::limits::OUTBOX_BYTES_MAX;

use super::{Connection, Stage};

impl<S, R: Receiver, H> Connection<S, R, H> {
    /// Whether the client must read what it asked for before it is heard again.
    pub(super) fn is_paused(&self) -> bool {
        self.stage == Stage::Open && self.link.outbox.queued_bytes() > OUTBOX_BYTES_MAX
    }
}
