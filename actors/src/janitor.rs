//! Janitor: removes what has expired.
//!
//! Owns: nothing. Receives: its own ticks. Restarted by [`crate::node`].

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::shared::Shared;

/// The Janitor actor.
pub(crate) struct Janitor;

/// What the Janitor can be told.
pub(crate) enum Msg {
    /// Looks around.
    Tick,
}

const PERIOD: Duration = Duration::from_secs(600);

impl Actor for Janitor {
    type Msg = Msg;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<Arc<Shared>, ActorProcessingErr> {
        me.send_interval(PERIOD, || Msg::Tick);
        Ok(shared)
    }

    async fn handle(
        &self,
        _: ActorRef<Msg>,
        Msg::Tick: Msg,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        match shared.store.sweep_families(shared.clock.now()).await {
            Ok(count) => tracing::debug!(count, "expired logins removed"),
            Err(error) => tracing::warn!(%error, "expired logins not removed"),
        }
        Ok(())
    }
}
