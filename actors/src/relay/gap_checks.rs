//! Rooms whose last number is to be asked for, as their relays may have missed something: gathered here, asked for together.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use parlance_schema::RoomId;

/// The rooms that are to be asked for.
#[derive(Default)]
pub(crate) struct GapChecks {
    due: Mutex<BTreeSet<RoomId>>,
    wake: RwLock<Option<Box<dyn Fn() + Send + Sync>>>,
}

impl GapChecks {
    fn due(&self) -> MutexGuard<'_, BTreeSet<RoomId>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a room's last number asked for soon.
    pub(crate) fn request(&self, room: RoomId) {
        let first = {
            let mut due = self.due();
            let first = due.is_empty();
            due.insert(room);
            first
        };
        if first && let Some(wake) = &*self.wake.read().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }

    /// Has `wake` called whenever there is something to ask for after there was nothing.
    pub(crate) fn on_first(&self, wake: impl Fn() + Send + Sync + 'static) {
        *self.wake.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(wake));
    }

    /// Takes the rooms that are asked for next, at most `count`.
    pub(crate) fn take(&self, count: usize) -> Vec<RoomId> {
        let mut due = self.due();
        let rest = due.iter().nth(count).copied().map(|at| due.split_off(&at)).unwrap_or_default();
        std::mem::replace(&mut *due, rest).into_iter().collect()
    }

    /// Whether there is nothing to ask for.
    pub(crate) fn is_empty(&self) -> bool {
        self.due().is_empty()
    }
}
