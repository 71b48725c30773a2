//! What a connection gets, and which entries are passed over on it, as what they say came on it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlance_schema::ClientId;
use parlance_schema::limits::CREDITS;

/// Commands that a connection remembers to have sent, where it is not pushed their entries.
const SENT_KEPT: usize = 4 * CREDITS;

/// What a connection gets, and what its being there does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether what is pushed on it counts as read by its user.
    pub reads: bool,
    /// Whether a room's members are told of its user's first such connection, and of the end of the last one.
    pub announces: bool,
    /// Whether it is closed when its user stops being a member of a room that is pushed on it.
    pub ends_on_removal: bool,
    /// Whether what was sent on it is pushed on it too. Where it isn't, its position moves all the same.
    pub echoes: bool,
}

impl Delivery {
    /// That of the native wires: clients say themselves what they have read.
    pub const NATIVE: Self = Self { reads: false, announces: false, ends_on_removal: false, echoes: true };
}

/// The latest commands that came on a connection.
#[derive(Default)]
pub(super) struct Sent(Mutex<VecDeque<ClientId>>);

impl Sent {
    fn ids(&self) -> MutexGuard<'_, VecDeque<ClientId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, client_id: &ClientId) {
        let mut ids = self.ids();
        if ids.len() >= SENT_KEPT {
            ids.pop_front();
        }
        ids.push_back(client_id.clone());
    }

    pub(super) fn has(&self, client_id: &ClientId) -> bool {
        self.ids().contains(client_id)
    }
}
