//! Senders that go on until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

/// Senders, each a task.
#[derive(Default)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Traffic {
    /// What says to a sender that it is to stop.
    pub fn told(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Starts a sender.
    pub fn spawn(&mut self, sender: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(sender);
    }

    /// Stops sending, and waits until all is acknowledged.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}
