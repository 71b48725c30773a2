//! Between nodes, and between a room and the relays of its members: events by subject, commands by request.
//!
//! Delivery of events is at most once and in order per publisher; receivers notice holes by number.

use std::sync::Arc;

use parlance_schema::entry::Entry;
use parlance_schema::event::{Ephemeral, Notice};
use parlance_schema::{RoomId, UserId};

/// What is published on a room's subject.
#[derive(Clone, Debug)]
pub enum RoomEvent {
    /// Entries that were appended, consecutive and in order.
    Appended(Arc<[Arc<Entry>]>),
    /// Something that the log doesn't keep.
    Ephemeral(Ephemeral),
}

/// Receives what is published on a subject; must not block.
pub type Sink<E> = Arc<dyn Fn(E) + Send + Sync>;

/// A subscription; dropping it ends it.
pub type Subscription = Box<dyn Send + Sync>;

/// The bus between nodes. On one node it is the process itself.
pub trait Bus: Send + Sync {
    /// Publishes on a room's subject, to every node with a relay of it, this one included.
    fn publish_room(&self, room: RoomId, event: RoomEvent);

    /// Publishes to all sessions of a user.
    fn publish_user(&self, user: UserId, notice: Notice);

    /// Subscribes to a room's subject.
    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription;

    /// Subscribes to a user's subject.
    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription;
}
