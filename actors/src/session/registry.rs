//! The connections of this node, each with its Session.

use std::sync::Arc;

use dashmap::DashMap;
use parlance_schema::{Fault, TenantId};
use ractor::ActorRef;

use super::actor::{Args, Msg, Session};
use super::incoming::Incoming;
use crate::link::{Link, Receiver};
use crate::shared::Shared;
use crate::supervise::{self, Supervisor};

/// The connections of this node.
#[derive(Default)]
pub(crate) struct Registry {
    pub(super) sessions: DashMap<u64, (Arc<Link>, ActorRef<Msg>)>,
    pub(super) supervisor: Supervisor,
}

impl Registry {
    /// Gives a connection its Session.
    ///
    /// # Errors
    /// While the node starts or stops.
    pub(crate) fn connect(shared: &Arc<Shared>, link: &Arc<Link>) -> Result<Box<dyn Receiver>, Fault> {
        let actor = Self::spawn(shared, link, false)?;
        // The Session does so too when it begins, but whoever is told of the connection may ask before.
        shared.presence.join(link.principal.user, link.id);
        metrics::gauge!("parlance_sessions").increment(1.0);
        Ok(Box::new(Incoming::new(shared.clone(), actor)))
    }

    pub(super) fn spawn(shared: &Arc<Shared>, link: &Arc<Link>, again: bool) -> Result<ActorRef<Msg>, Fault> {
        let registry = &shared.sessions;
        let supervisor = registry.supervisor.get()?;
        let args = Args { shared: shared.clone(), link: link.clone(), again };
        // Spawned with the place held, so that one that ends at once is taken off after it was put on.
        let place = registry.sessions.entry(link.id);
        let actor = supervise::spawn(Session, args, supervisor)?;
        place.insert((link.clone(), actor.clone()));
        Ok(actor)
    }

    pub(crate) fn forget(&self, session: u64) {
        if self.sessions.remove(&session).is_some() {
            metrics::gauge!("parlance_sessions").decrement(1.0);
        }
    }

    /// The connections, in an order that doesn't depend on the table's hasher.
    pub(crate) fn all(&self) -> Vec<(Arc<Link>, ActorRef<Msg>)> {
        let mut all: Vec<_> = self.sessions.iter().map(|slot| slot.value().clone()).collect();
        all.sort_unstable_by_key(|(link, _)| link.id);
        all
    }

    pub(crate) fn get(&self, session: u64) -> Option<ActorRef<Msg>> {
        self.sessions.get(&session).map(|slot| slot.1.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Connections of a tenant's users.
    pub(crate) fn count(&self, tenant: TenantId) -> u64 {
        self.sessions.iter().filter(|slot| slot.0.principal.tenant == tenant).count() as u64
    }
}
