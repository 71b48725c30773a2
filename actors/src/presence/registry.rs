//! Who is connected, to this node and to others: a table that sessions write themselves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use dashmap::DashMap;
use parlance_schema::user::{Principal, Status};
use parlance_schema::{TenantId, UserId};
use ractor::ActorRef;
use tokio::time::Instant;

use super::actor::Msg;
use super::remote::Others;
use crate::ports::bus::PresenceNews;

/// A user's connections to this node.
#[derive(Default)]
pub(super) struct Online {
    /// The user's tenant, once a session began.
    tenant: Option<TenantId>,
    pub(super) sessions: Vec<(u64, Status)>,
    /// What the others were told last.
    pub(super) announced: Status,
    /// When the last connection ended; absent while there is one.
    pub(super) left: Option<Instant>,
}

impl Online {
    pub(super) fn status(&self) -> Status {
        best(self.sessions.iter().map(|(_, status)| *status))
    }
}

/// Do not disturb on one device counts for all; else the most present one.
pub(super) fn best(all: impl Iterator<Item = Status>) -> Status {
    let rank = |status: &Status| match status {
        Status::Offline => 0,
        Status::Away => 1,
        Status::Online => 2,
        Status::DoNotDisturb => 3,
    };
    all.max_by_key(rank).unwrap_or_default()
}

/// Who is connected, to this node and to others.
#[derive(Default)]
pub(crate) struct Registry {
    pub(super) users: DashMap<UserId, Online>,
    pub(super) others: Others,
    /// Whether there are other nodes, who are told of changes.
    pub(super) clustered: AtomicBool,
    /// Users whose connections changed since the last news.
    pub(super) changed: Mutex<BTreeSet<UserId>>,
    /// The number of the last news.
    pub(super) number: AtomicU64,
    pub(super) actor: RwLock<Option<ActorRef<Msg>>>,
}

impl Registry {
    /// A session began.
    pub(crate) fn join(&self, who: &Principal, session: u64) {
        self.change(who.user, |online| {
            online.tenant = Some(who.tenant);
            if !online.sessions.iter().any(|(id, _)| *id == session) {
                online.sessions.push((session, Status::Online));
            }
        });
    }

    /// A session ended.
    pub(crate) fn leave(&self, user: UserId, session: u64) {
        self.change(user, |online| online.sessions.retain(|(id, _)| *id != session));
    }

    /// A session's user chose a status.
    pub(crate) fn set(&self, user: UserId, session: u64, status: Status) {
        self.change(user, |online| {
            online.sessions.iter_mut().filter(|(id, _)| *id == session).for_each(|(_, s)| *s = status);
        });
    }

    /// Chooses a status for all of a user's sessions; false where there is none.
    pub(crate) fn set_all(&self, user: UserId, status: Status) -> bool {
        let mut any = false;
        self.change(user, |online| {
            any = !online.sessions.is_empty();
            online.sessions.iter_mut().for_each(|(_, s)| *s = status);
        });
        any
    }

    /// The user's status now.
    pub(crate) fn status(&self, user: UserId) -> Status {
        let here = self.users.get(&user).map(|online| online.status()).unwrap_or_default();
        best([here, self.others.status(user)].into_iter())
    }

    /// Connections of a tenant's users to this node.
    pub(crate) fn connections(&self, tenant: TenantId) -> u64 {
        let theirs = self.users.iter().filter(|online| online.tenant == Some(tenant));
        theirs.map(|online| online.sessions.len() as u64).sum()
    }

    /// Whether a user is connected to another node.
    pub(crate) fn is_elsewhere(&self, user: UserId) -> bool {
        self.others.connections(user) > 0
    }

    /// Connections of a user, to all nodes.
    pub(crate) fn sessions(&self, user: UserId) -> usize {
        self.users.get(&user).map_or(0, |online| online.sessions.len()) + self.others.connections(user)
    }

    /// Everybody who is connected here, as of the last news or later.
    pub(crate) fn snapshot(&self, incarnation: u64) -> PresenceNews {
        // The number first: what is newer than it is told once more.
        let number = self.number.load(Ordering::Acquire);
        let here = self.users.iter().filter(|online| !online.sessions.is_empty());
        let mut users: Vec<_> =
            here.map(|online| (*online.key(), online.status(), online.sessions.len() as u32)).collect();
        users.sort_unstable_by_key(|(user, ..)| *user);
        PresenceNews { incarnation, number, users }
    }

    /// A user's status and connections here, for news.
    pub(super) fn here(&self, user: UserId) -> (UserId, Status, u32) {
        let online = self.users.get(&user);
        online.map_or((user, Status::Offline, 0), |online| (user, online.status(), online.sessions.len() as u32))
    }

    pub(super) fn changed(&self) -> MutexGuard<'_, BTreeSet<UserId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the user's last connection ended; 0 while there is one.
    pub(super) fn gone_for(&self, user: UserId) -> u64 {
        let left = self.users.get(&user).and_then(|online| online.left);
        left.map_or(0, |left| u64::try_from(left.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Users with a connection.
    pub(crate) fn len(&self) -> usize {
        self.users.iter().filter(|online| !online.sessions.is_empty()).count()
    }

    fn change(&self, user: UserId, change: impl FnOnce(&mut Online)) {
        let elsewhere = self.others.status(user);
        let news = {
            // What other nodes told of the user is known.
            let mut online =
                self.users.entry(user).or_insert_with(|| Online { announced: elsewhere, ..Online::default() });
            change(&mut online);
            online.left = online.sessions.is_empty().then(|| online.left.unwrap_or_else(Instant::now));
            best([online.status(), elsewhere].into_iter()) != online.announced
        };
        // Who is not connected, and isn't thought to be, need not be known.
        self.users.remove_if(&user, |_, online| online.sessions.is_empty() && online.announced == elsewhere);
        if self.clustered.load(Ordering::Acquire) {
            self.changed().insert(user);
        }
        if news && let Some(actor) = &*self.actor.read().unwrap_or_else(PoisonError::into_inner) {
            let _ = actor.cast(Msg::Changed(user));
        }
    }
}
