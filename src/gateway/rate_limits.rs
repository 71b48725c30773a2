//! How much one address or one user may ask for: requests, logins, and connections at once; and what they are told who ask for
//! more.
//!
//! Rates are taken from [`buckets`], where each address and each user has one.

pub mod buckets;

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use parlance_schema::fault::Limit;
use parlance_schema::{Fault, UserId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::http::header::{HeaderName, HeaderValue};
use warp::reply::Response;

use crate::api::refusal::Refusal;
use crate::config::{Config, Rates};
use buckets::{Bucket, Left};

const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Milliseconds after which an address with too many connections may try again.
const CONNECTIONS_RETRY_MS: u64 = 10_000;
/// Connections over an address's number that are told so, at once; others are closed without a word.
const TURNED_AWAY_MAX: usize = 256;

/// The rates and numbers of one listener, and what is counted against them. The default limits nothing.
pub(super) struct RateLimits {
    rates: Rates,
    addresses: Option<Arc<Bucket<Net>>>,
    attempts: Option<Arc<Bucket<Net>>>,
    users: Option<Arc<Bucket<UserId>>>,
    open: Arc<Open>,
    connections_per_address: usize,
    turned_away: Arc<Semaphore>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            addresses: None,
            attempts: None,
            users: None,
            open: Arc::default(),
            connections_per_address: 0,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
        }
    }
}

impl RateLimits {
    /// Takes them from the settings.
    pub(super) fn new(config: &Config) -> Self {
        let rates = &config.rates;
        Self {
            rates: rates.clone(),
            addresses: Bucket::new(rates.address_per_s, rates.address_burst).map(Arc::new),
            attempts: Bucket::new(rates.attempts_per_s, rates.attempts_burst).map(Arc::new),
            users: Bucket::new(rates.user_per_s, rates.user_burst).map(Arc::new),
            connections_per_address: config.limits.connections_per_address,
            ..Self::default()
        }
    }

    /// Goes on counting what others have counted: connections, and what rates that are the same have let in.
    pub(super) fn go_on_from(&mut self, others: &Self) {
        self.open = Arc::clone(&others.open);
        self.turned_away = Arc::clone(&others.turned_away);
        let (old, now) = (&others.rates, &self.rates);
        if (old.address_per_s, old.address_burst) == (now.address_per_s, now.address_burst) {
            self.addresses.clone_from(&others.addresses);
        }
        if (old.attempts_per_s, old.attempts_burst) == (now.attempts_per_s, now.attempts_burst) {
            self.attempts.clone_from(&others.attempts);
        }
        if (old.user_per_s, old.user_burst) == (now.user_per_s, now.user_burst) {
            self.users.clone_from(&others.users);
        }
    }

    /// Counts a connection of an address; `None` where it has too many.
    pub(super) fn seat(&self, address: IpAddr) -> Option<Seat> {
        let seat = self.open.take(address.into(), self.connections_per_address);
        if seat.is_none() {
            Refusal::AddressConnections.count();
        }
        seat
    }

    /// A permit to tell a client that its address has too many connections; `None` where it is just to be closed.
    pub(super) fn permit_to_tell(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turned_away).try_acquire_owned().ok()
    }

    /// Counts a request of an address.
    pub(super) fn take_of_address(&self, address: IpAddr, left: &Least) -> Result<(), Fault> {
        left.take(self.addresses.as_deref(), &Net::from(address), Refusal::AddressRate)
    }

    /// Counts a request of a user.
    pub(super) fn take_of_user(&self, user: UserId, left: &Least) -> Result<(), Fault> {
        left.take(self.users.as_deref(), &user, Refusal::UserRate)
    }

    /// Counts an attempt to log in or to make an account.
    pub(super) fn take_attempt(&self, address: IpAddr, left: &Least) -> Result<(), Fault> {
        left.take(self.attempts.as_deref(), &Net::from(address), Refusal::AttemptRate)
    }
}

/// What a client is told whose address has too many connections.
pub(super) fn too_many_connections() -> Fault {
    let seconds = CONNECTIONS_RETRY_MS / 1_000;
    let why = format!("too many connections from your IP address: close one, or try again in {seconds} s");
    Fault::rate_limited(Limit::AddressConnections, why, CONNECTIONS_RETRY_MS)
}

/// What is left in that bucket of those that a request took from which holds least, or which was empty.
#[derive(Default)]
pub(super) struct Least(Mutex<Option<Left>>);

impl Least {
    fn take<K: Hash + Eq + Copy>(&self, bucket: Option<&Bucket<K>>, key: &K, refusal: Refusal) -> Result<(), Fault> {
        let Some(bucket) = bucket else { return Ok(()) };
        let (left, wait_ms) = match bucket.take(key) {
            Ok(left) => (left, None),
            Err(empty) => (empty.left, Some(empty.wait_ms)),
        };
        let mut least = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if least.is_none_or(|least| left.remaining < least.remaining || wait_ms.is_some()) {
            *least = Some(left);
        }
        let Some(wait_ms) = wait_ms else { return Ok(()) };
        refusal.count();
        Err(match refusal {
            Refusal::AttemptRate => Fault::rate_limited(
                Limit::AttemptRate,
                format!("too many logins and registrations from your IP address: try again in {wait_ms} ms"),
                wait_ms,
            ),
            Refusal::UserRate => Fault::rate_limited(
                Limit::UserRate,
                format!("too many requests by your user: wait {wait_ms} ms before the next one"),
                wait_ms,
            ),
            _ => Fault::rate_limited(
                Limit::AddressRate,
                format!("too many requests from your IP address: wait {wait_ms} ms before the next one"),
                wait_ms,
            ),
        })
    }

    /// Adds it to an answer.
    pub(super) fn mark(&self, response: &mut Response) {
        if let Some(left) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let values = [
                (RATELIMIT_LIMIT, u64::from(left.limit)),
                (RATELIMIT_REMAINING, u64::from(left.remaining)),
                (RATELIMIT_RESET, left.full_s),
            ];
            for (name, value) in values {
                response.headers_mut().insert(name, HeaderValue::from(value));
            }
        }
    }
}

/// Whose connections and requests count together: an IPv4 address, or the /64 that a host of IPv6 has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Net {
    /// An address of IPv4, also one that is written in IPv6.
    V4([u8; 4]),
    /// The first half of an address of IPv6.
    V6([u8; 8]),
}

impl From<IpAddr> for Net {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Net::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Net::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Connections that are open, by whose they are.
#[derive(Debug, Default)]
pub struct Open {
    counts: DashMap<Net, usize>,
}

/// One connection's share of its address's number; it ends when it is dropped.
#[derive(Debug)]
pub struct Seat {
    open: Arc<Open>,
    net: Net,
}

impl Open {
    /// Counts one more connection of `net`, where it has less than `max`; 0 is without limit.
    #[must_use]
    pub fn take(self: &Arc<Self>, net: Net, max: usize) -> Option<Seat> {
        let mut count = self.counts.entry(net).or_insert(0);
        if max > 0 && *count >= max {
            return None;
        }
        *count += 1;
        Some(Seat { open: Arc::clone(self), net })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.counts.remove_if_mut(&self.net, |_, count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_together_as_hosts_have_them() {
        let net = |text: &str| Net::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(net("::ffff:192.0.2.1"), net("192.0.2.1"));
        assert_ne!(net("192.0.2.2"), net("192.0.2.1"));
        assert_eq!(net("2001:db8:1:2::1"), net("2001:db8:1:2:ffff::7"));
        assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
    }

    #[test]
    fn seats_are_given_back_and_leave_nothing_behind() {
        let open = Arc::new(Open::default());
        let (one, two) = (Net::V4([1; 4]), Net::V4([2; 4]));
        let seats: Vec<_> = (0..3).map(|_| open.take(one, 3).unwrap()).collect();
        assert!(open.take(one, 3).is_none());
        let other = open.take(two, 3).unwrap();
        assert!(open.take(one, 0).is_some(), "0 is without limit");
        drop(seats);
        assert!(open.take(one, 3).is_some());
        drop(other);
        assert!(open.counts.is_empty());
    }
}
