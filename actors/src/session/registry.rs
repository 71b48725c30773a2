//! The connections of this node, each with its Session.

use std::sync::Arc;

use dashmap::DashMap;
use parlance_schema::Fault;
use ractor::ActorRef;

use super::actor::{Args, Msg, Session};
use super::incoming::Incoming;
use super::refusals::Refusals;
use crate::cluster::registries::Registries;
use crate::link::{Link, Receiver};
use crate::service::ActorView;
use crate::supervise::{self, Supervisor};

/// The connections of this node, and what their Sessions reach.
pub(crate) struct Registry {
    pub(super) node: Arc<Registries>,
    pub(super) sessions: DashMap<u64, (Arc<Link>, ActorRef<Msg>)>,
    pub(super) supervisor: Supervisor,
    pub(super) refusals: Refusals,
}

impl Registry {
    /// A node's connections; there are none yet.
    pub(crate) fn new(node: Arc<Registries>) -> Arc<Self> {
        let (sessions, supervisor, refusals) = (DashMap::new(), Supervisor::default(), Refusals::default());
        Arc::new(Self { node, sessions, supervisor, refusals })
    }

    /// Gives a connection its Session.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(crate) fn connect(self: &Arc<Self>, link: &Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        let actor = self.spawn(link, false)?;
        // The Session does so too when it begins, but whoever is told of the connection may ask before.
        self.node.presence.join(&link.principal, link.id);
        metrics::gauge!("parlance_sessions").increment(1.0);
        Ok(Box::new(Incoming::new(self.clone(), actor)))
    }

    pub(super) fn spawn(self: &Arc<Self>, link: &Arc<Link>, again: bool) -> Result<ActorRef<Msg>, Fault> {
        let supervisor = self.supervisor.get()?;
        let args = Args { sessions: self.clone(), link: link.clone(), again };
        // Spawned with the place held, so that one that ends at once is taken off after it was put on.
        let place = self.sessions.entry(link.id);
        let actor = supervise::spawn(Session, args, supervisor)?;
        place.insert((link.clone(), actor.clone()));
        Ok(actor)
    }

    pub(super) fn forget(&self, session: u64) {
        if self.sessions.remove(&session).is_some() {
            metrics::gauge!("parlance_sessions").decrement(1.0);
        }
    }

    /// The connections, in an order that doesn't depend on the table's hasher.
    pub(super) fn all(&self) -> Vec<(Arc<Link>, ActorRef<Msg>)> {
        let mut all: Vec<_> = self.sessions.iter().map(|slot| slot.value().clone()).collect();
        all.sort_unstable_by_key(|(link, _)| link.id);
        all
    }

    pub(super) fn get(&self, session: u64) -> Option<ActorRef<Msg>> {
        self.sessions.get(&session).map(|slot| slot.1.clone())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The connections, in order.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.all().into_iter().map(|(link, _)| link).collect()
    }

    /// Ends a connection's Session, by a panic or by killing it, in tests of supervision. False when there is none.
    pub(crate) fn end(&self, session: u64, panic: bool) -> bool {
        supervise::end(self.get(session), panic.then_some(Msg::Crash))
    }

    /// Shows the states of Sessions, at most `count`.
    pub(crate) async fn inspect(&self, count: usize) -> Vec<ActorView> {
        let mut views = Vec::new();
        for (link, actor) in self.all().into_iter().take(count) {
            views.push(supervise::inspect(format!("sessions/{}", link.id), actor, Msg::Inspect).await);
        }
        views
    }
}
