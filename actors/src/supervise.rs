//! What the plural supervisors have in common.

use std::sync::RwLock;
use std::time::Duration;

use parlance_schema::{Code, Fault};
use ractor::{Actor, ActorCell, ActorRef, Message};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::service::ActorView;

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
        cell.ok_or_else(|| Fault::new(Code::Restarting, "the server is starting: try again"))
    }
}

/// Spawns a child without waiting for it to start: what is sent to it meanwhile waits in its mailbox.
///
/// # Errors
/// When ractor refuses.
pub(crate) fn spawn<A: Actor>(actor: A, args: A::Arguments, supervisor: ActorCell) -> Result<ActorRef<A::Msg>, Fault> {
    ractor::ActorRuntime::spawn_linked_instant(None, actor, args, supervisor).map(|(actor, _)| actor).map_err(|error| {
        tracing::error!(%error, "an actor did not start");
        Fault::internal("server error: a component could not be started; try again later")
    })
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

/// How long an actor may take to show its state.
const INSPECT_MAX: Duration = Duration::from_millis(500);

/// Has an actor show its state, for operators; null where it doesn't within half a second.
pub(crate) async fn inspect<M: Message>(
    path: String,
    actor: ActorRef<M>,
    ask: impl FnOnce(oneshot::Sender<Value>) -> M,
) -> ActorView {
    let (back, state) = oneshot::channel();
    let status = format!("{:?}", actor.get_status());
    let sent = actor.cast(ask(back)).is_ok();
    let wait = tokio::time::timeout(INSPECT_MAX, state);
    let state = if sent { wait.await.ok().and_then(Result::ok) } else { None };
    ActorView { path, status, state: state.unwrap_or(Value::Null) }
}

/// Ends an actor, in tests of supervision: by a panic in its handler where there is a message for that, else by killing it.
/// False when there is no such actor.
pub(crate) fn end<M: Message>(actor: Option<ActorRef<M>>, crash: Option<M>) -> bool {
    let Some(actor) = actor else { return false };
    match crash {
        Some(crash) => actor.cast(crash).is_ok(),
        None => {
            actor.kill();
            true
        }
    }
}
