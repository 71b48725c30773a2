//! A node's way to the world: open, held back (the process is stopped), or shut for good (it was killed).
//!
//! Actors can't be frozen from outside. What they do while their node is stopped reaches nobody, and nothing reaches them,
//! until it goes on: then everything passes at once, as late as it is.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

#[derive(Default)]
pub struct Gate {
    dead: AtomicBool,
    paused: AtomicBool,
    changed: Notify,
    /// The store can't be reached from this node.
    pub store_away: AtomicBool,
    /// The bus and the leases can't be reached from this node.
    pub bus_away: AtomicBool,
    /// Milliseconds that each call of the store takes longer.
    pub store_slow_ms: AtomicU64,
    /// Ways to the store or back after which the node dies; 0: it doesn't.
    ways_left: AtomicU64,
    /// Milliseconds by which the node's wall clock is wrong.
    pub skew_ms: AtomicI64,
}

impl Gate {
    pub fn kill(&self) {
        self.dead.store(true, SeqCst);
        self.changed.notify_waiters();
    }

    /// Has the node die on one of its next ways to the store or back.
    pub fn dies_on(&self, way: u64) {
        self.ways_left.store(way, SeqCst);
    }

    /// The node goes one way to the store or back.
    pub fn goes(&self) {
        if self.ways_left.load(SeqCst) > 0 && self.ways_left.fetch_sub(1, SeqCst) == 1 {
            self.kill();
        }
    }

    pub fn pause(&self, on: bool) {
        self.paused.store(on, SeqCst);
        self.changed.notify_waiters();
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(SeqCst)
    }

    /// Waits until the node runs. A dead one waits for ever: nothing that it began is heard of again.
    pub async fn pass(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_dead() {
                return std::future::pending().await;
            }
            if !self.is_paused() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the node runs; false when it is dead.
    pub async fn opens(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            if self.is_dead() || !self.is_paused() {
                return !self.is_dead();
            }
            changed.await;
        }
    }
}
