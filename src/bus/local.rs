//! The bus of a node that is alone: the process itself. What is published is handed over at once, not serialised.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parlance_actors::ports::bus::{Bus, RoomEvent, Sink, Subscription};
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};

/// The bus of a node that is alone.
#[derive(Default)]
pub struct Local {
    rooms: Subjects<RoomId, RoomEvent>,
    users: Subjects<UserId, Notice>,
}

type Subscribers<K, E> = Arc<DashMap<K, Vec<(u64, Sink<E>)>>>;

/// Sinks by subject.
pub(super) struct Subjects<K: Eq + Hash, E> {
    sinks: Subscribers<K, E>,
    next: AtomicU64,
}

impl<K: Eq + Hash, E> Default for Subjects<K, E> {
    fn default() -> Self {
        Self { sinks: Arc::default(), next: AtomicU64::new(0) }
    }
}

impl<K: Eq + Hash + Copy + Send + Sync + 'static, E: Clone + 'static> Subjects<K, E> {
    /// Hands an event to all sinks of a subject.
    pub(super) fn publish(&self, key: K, event: &E) {
        // The sinks are called without the table's lock, so that one may subscribe or drop a subscription.
        let sinks: Vec<Sink<E>> = match self.sinks.get(&key) {
            Some(sinks) => sinks.iter().map(|(_, sink)| sink.clone()).collect(),
            None => return,
        };
        sinks.iter().for_each(|sink| sink(event.clone()));
    }

    /// Adds a sink to a subject.
    pub(super) fn subscribe(&self, key: K, sink: Sink<E>) -> Subscription {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.sinks.entry(key).or_default().push((id, sink));
        Box::new(Ticket { sinks: self.sinks.clone(), key, id })
    }
}

/// Ends its subscription when dropped.
struct Ticket<K: Eq + Hash + Copy, E> {
    sinks: Subscribers<K, E>,
    key: K,
    id: u64,
}

impl<K: Eq + Hash + Copy, E> Drop for Ticket<K, E> {
    fn drop(&mut self) {
        if let Some(mut sinks) = self.sinks.get_mut(&self.key) {
            sinks.retain(|(id, _)| *id != self.id);
        }
        self.sinks.remove_if(&self.key, |_, sinks| sinks.is_empty());
    }
}

impl Bus for Local {
    fn publish_room(&self, room: RoomId, event: RoomEvent) {
        self.rooms.publish(room, &event);
    }

    fn publish_user(&self, user: UserId, notice: Notice) {
        self.users.publish(user, &notice);
    }

    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription {
        self.rooms.subscribe(room, sink)
    }

    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription {
        self.users.subscribe(user, sink)
    }
}
