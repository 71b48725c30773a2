//! What the plural supervisors have in common.

use std::sync::RwLock;

use parlance_schema::{Code, Fault};
use ractor::{Actor, ActorCell, ActorRef};

/// Where a supervisor says that it is there; its children are spawned by whoever needs one.
#[derive(Default)]
pub(crate) struct Supervisor(RwLock<Option<ActorCell>>);

impl Supervisor {
    /// Takes the place.
    pub(crate) fn set(&self, cell: ActorCell) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(cell);
    }

    /// Who supervises now.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(crate) fn get(&self) -> Result<ActorCell, Fault> {
        let cell = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        cell.ok_or_else(|| Fault::new(Code::Restarting, "the node is starting"))
    }
}

/// Spawns a child without waiting for it to start: what is sent to it meanwhile waits in its mailbox.
///
/// # Errors
/// When ractor refuses.
pub(crate) fn spawn<A: Actor>(actor: A, args: A::Arguments, supervisor: ActorCell) -> Result<ActorRef<A::Msg>, Fault> {
    ractor::ActorRuntime::spawn_linked_instant(None, actor, args, supervisor)
        .map(|(actor, _)| actor)
        .map_err(|error| Fault::internal(format!("an actor did not start: {error}")))
}

/// The child that failed or was killed; `None` for every other event, an orderly stop among them.
pub(crate) fn failed(event: &ractor::SupervisionEvent) -> Option<ractor::ActorId> {
    use ractor::SupervisionEvent::{ActorFailed, ActorTerminated};
    match event {
        ActorFailed(who, _) => Some(who.get_id()),
        ActorTerminated(who, _, reason) if reason.as_deref() == Some("killed") => Some(who.get_id()),
        _ => None,
    }
}
