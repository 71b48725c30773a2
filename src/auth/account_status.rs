//! The status of accounts, cached for a few seconds, so that a request with a token costs no read of the store.
//!
//! A cached status is watched: a `Notice::Revoked` makes it void at once, on whatever node it was published.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use parlance_actors::ports::bus::Subscription;
use parlance_actors::ports::store::Who;
use parlance_schema::notice::Notice;
use parlance_schema::user::Role;
use parlance_schema::{Fault, Millis, TenantId, UserId};

use super::{Ports, store_fault};

/// Milliseconds for which a status is believed.
const TTL_MS: Millis = 5_000;
/// Users remembered at once; beyond that, all are forgotten.
const USERS_MAX: usize = 200_000;
/// Logins remembered of one user.
const FAMILIES_MAX: usize = 16;

/// What a token is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountStatus {
    pub(super) tenant: TenantId,
    pub(super) role: Role,
    pub(super) active: bool,
    pub(super) valid_after: Millis,
}

/// The statuses that are cached.
#[derive(Default)]
pub(super) struct AccountStatusCache {
    users: DashMap<UserId, Arc<CachedUser>>,
    swept: AtomicU64,
}

struct CachedUser {
    /// Counts what made it void. What was read is good while the count is what it was before reading.
    voided: Arc<AtomicU64>,
    used: AtomicU64,
    known: Mutex<Known>,
    _watch: Subscription,
}

#[derive(Default)]
struct Known {
    /// The account, or that there is none.
    account: Option<Read<Option<AccountStatus>>>,
    /// Whether logins have ended.
    families: Vec<(String, Read<bool>)>,
}

#[derive(Clone, Copy)]
struct Read<T> {
    value: T,
    at: Millis,
    voided: u64,
}

impl<T: Copy> Read<T> {
    /// What was read, if it is to be believed; a clock that was set back makes it old, not young.
    fn fresh(&self, slot: &CachedUser, now: Millis) -> Option<T> {
        let good = self.voided == slot.voided.load(Ordering::Acquire) && now.abs_diff(self.at) < TTL_MS;
        good.then_some(self.value)
    }
}

impl AccountStatusCache {
    /// How an account stands; `None` when there is no such account.
    pub(super) async fn of(&self, ports: &Ports, user: UserId, now: Millis) -> Result<Option<AccountStatus>, Fault> {
        let slot = self.slot(ports, user, now);
        if let Some(known) = slot.known().account.and_then(|read| read.fresh(&slot, now)) {
            return Ok(known);
        }
        let voided = slot.voided.load(Ordering::Acquire);
        let account = ports.store.account(Who::Id(user)).await.map_err(|e| store_fault(&e))?;
        let value = account.map(|a| AccountStatus {
            tenant: a.tenant,
            role: a.role,
            active: a.active,
            valid_after: a.valid_after,
        });
        slot.known().account = Some(Read { value, at: now, voided });
        Ok(value)
    }

    /// Whether a login of a user has ended.
    pub(super) async fn ended(&self, ports: &Ports, user: UserId, family: &str, now: Millis) -> Result<bool, Fault> {
        let slot = self.slot(ports, user, now);
        let known = slot.known().families.iter().find(|(id, _)| id == family).and_then(|(_, r)| r.fresh(&slot, now));
        if let Some(ended) = known {
            return Ok(ended);
        }
        let voided = slot.voided.load(Ordering::Acquire);
        let stored = ports.store.family(family).await.map_err(|e| store_fault(&e))?;
        // A family that was swept had expired long before.
        let ended = stored.is_none_or(|f| f.revoked || f.user != user);
        let mut known = slot.known();
        known.families.retain(|(id, read)| id != family && read.fresh(&slot, now).is_some());
        if known.families.len() < FAMILIES_MAX {
            known.families.push((family.to_owned(), Read { value: ended, at: now, voided }));
        }
        Ok(ended)
    }

    /// Forgets how an account stands: it was written.
    pub(super) fn forget(&self, user: UserId) {
        if let Some(slot) = self.users.get(&user) {
            slot.voided.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The user's slot, watched before anything is read into it, so that no notice falls in between.
    fn slot(&self, ports: &Ports, user: UserId, now: Millis) -> Arc<CachedUser> {
        if let Some(slot) = self.users.get(&user) {
            slot.used.store(now, Ordering::Relaxed);
            return slot.clone();
        }
        self.sweep(now);
        let voided = Arc::new(AtomicU64::new(0));
        let count = voided.clone();
        // The callback runs inside the bus: it counts, and touches nothing that could call the bus again.
        let watch = ports.bus.subscribe_user(
            user,
            Arc::new(move |notice| {
                if let Notice::Revoked { .. } = notice {
                    count.fetch_add(1, Ordering::AcqRel);
                }
            }),
        );
        let slot = Arc::new(CachedUser { voided, used: AtomicU64::new(now), known: Mutex::default(), _watch: watch });
        self.users.entry(user).or_insert(slot).clone()
    }

    /// Lets go of users who have not been asked for, once in a while, so that the map grows with those who are active.
    fn sweep(&self, now: Millis) {
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now.abs_diff(swept) >= TTL_MS || self.users.len() >= USERS_MAX;
        if !due || self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let full = self.users.len() >= USERS_MAX;
        let mut gone = Vec::new();
        self.users.retain(|_, slot| {
            let keep = !full && now.abs_diff(slot.used.load(Ordering::Relaxed)) < TTL_MS;
            if !keep {
                gone.push(slot.clone());
            }
            keep
        });
        // Subscriptions end here, with no lock of the map held.
        drop(gone);
    }
}

impl CachedUser {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
