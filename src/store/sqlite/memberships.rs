//! Which rooms users are in, remembered: after a node's clients have lost their connections all of them ask at once, and a
//! look into the database costs more than the rest of a resume.
//!
//! The data folder belongs to this process, so that every change of membership passes [`Memberships::changed`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parlance_schema::{RoomId, UserId};

/// Users whose rooms are remembered; beyond that all are forgotten.
const USERS_MAX: usize = 100_000;

/// The rooms of users who asked lately.
#[derive(Default)]
pub(super) struct Memberships {
    known: DashMap<UserId, Arc<[RoomId]>>,
    /// How often a membership changed.
    changes: AtomicU64,
}

/// A moment before a read began.
#[derive(Clone, Copy)]
pub(super) struct Moment(u64);

impl Memberships {
    /// The user's rooms, where they are known.
    pub fn of(&self, user: UserId) -> Option<Vec<RoomId>> {
        self.known.get(&user).map(|rooms| rooms.to_vec())
    }

    /// The moment before a read begins.
    pub fn now(&self) -> Moment {
        Moment(self.changes.load(Ordering::SeqCst))
    }

    /// Remembers what was read, unless something has changed since before the read.
    pub fn keep(&self, user: UserId, rooms: &[RoomId], before: Moment) {
        if self.known.len() >= USERS_MAX {
            self.known.clear();
        }
        self.known.insert(user, rooms.into());
        // A change counts first and forgets then: either it is seen here, or it forgets what was just kept.
        if self.changes.load(Ordering::SeqCst) != before.0 {
            self.known.remove(&user);
        }
    }

    /// Forgets users whose memberships were changed; to be called once the change is committed.
    pub fn changed(&self, users: impl Iterator<Item = UserId>) {
        let mut first = true;
        for user in users {
            if std::mem::take(&mut first) {
                self.changes.fetch_add(1, Ordering::SeqCst);
            }
            self.known.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_a_change_overtook_is_not_kept() {
        let memberships = Memberships::default();
        let (user, rooms) = (UserId::new(1), [RoomId::new(7)]);
        let before = memberships.now();
        memberships.keep(user, &rooms, before);
        assert_eq!(memberships.of(user).unwrap(), rooms);
        memberships.changed([user].into_iter());
        assert!(memberships.of(user).is_none());
        memberships.keep(user, &rooms, before);
        assert!(memberships.of(user).is_none());
        memberships.keep(user, &rooms, memberships.now());
        assert_eq!(memberships.of(user).unwrap(), rooms);
    }
}
