//! A bucket for each key, such as an address: so many at once, refilled steadily (GCRA, by `governor`).
//!
//! Its memory has a bound of its own: where a shard is full, the half of its keys that asked for least makes way, which loses
//! them next to nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

/// Keys that a bucket remembers.
const KEYS_MAX: usize = 65_536;
/// The times from one refill of a bucket to the next that can be counted.
const PERIOD_MIN: Duration = Duration::from_nanos(1);
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Parts of a bucket that are locked apart.
const SHARDS: usize = 16;

/// What is left in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many it holds when it is full.
    pub limit: u32,
    /// How many it holds now.
    pub remaining: u32,
    /// Seconds until it is full again, rounded up.
    pub full_s: u64,
}

/// The bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty {
    /// Milliseconds until it holds one again, rounded up.
    pub wait_ms: u64,
    /// What to tell of it.
    pub left: Left,
}

/// A bucket for each key.
pub struct Bucket<K: Hash + Eq + Copy, C: Clock = MonotonicClock> {
    limiter: RateLimiter<K, Bounded<K>, C, StateInformationMiddleware>,
    clock: C,
    per_s: f64,
    burst: NonZeroU32,
}

impl<K: Hash + Eq + Copy> Bucket<K> {
    /// A bucket that holds `burst` and is refilled by `per_s` a second; `None`, which limits nothing, where the rate is 0.
    /// The rate may be a fraction: 0.2 is one in five seconds.
    #[must_use]
    pub fn new(per_s: f64, burst: u32) -> Option<Self> {
        Self::with(per_s, burst, KEYS_MAX, MonotonicClock)
    }
}

impl<K: Hash + Eq + Copy, C: Clock + Clone> Bucket<K, C> {
    fn with(per_s: f64, burst: u32, keys_max: usize, clock: C) -> Option<Self> {
        // Settings are checked before; what is no rate all the same must not be "no limit".
        if per_s == 0.0 {
            return None;
        }
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let period = Duration::try_from_secs_f64(1.0 / per_s).unwrap_or(PERIOD_MAX).clamp(PERIOD_MIN, PERIOD_MAX);
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let limiter = RateLimiter::new(quota, Bounded::new(keys_max), clock.clone());
        Some(Self { limiter, clock, per_s, burst })
    }

    /// Takes one out of a key's bucket.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn take(&self, key: &K) -> Result<Left, Empty> {
        match self.limiter.check_key(key) {
            Ok(state) => Ok(self.left(state.remaining_burst_capacity())),
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                let wait_ms = u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
                Err(Empty { wait_ms: wait_ms.max(1), left: self.left(0) })
            }
        }
    }

    fn left(&self, remaining: u32) -> Left {
        let missing = self.burst.get().saturating_sub(remaining);
        Left { limit: self.burst.get(), remaining, full_s: (f64::from(missing) / self.per_s).ceil() as u64 }
    }
}

/// The state of a bucket's keys: when each will be full again, as `governor` counts it.
struct Bounded<K> {
    shards: [Mutex<HashMap<K, Nanos>>; SHARDS],
    shard_keys_max: usize,
    hasher: RandomState,
}

impl<K> Bounded<K> {
    fn new(keys_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            shard_keys_max: (keys_max / SHARDS).max(2),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Hash + Eq + Copy> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // The map within the shard hashes with keys of its own, so that one shard's keys spread over it.
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let mut states = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get_mut(key) {
            let (answer, next) = f(Some(*state))?;
            *state = next;
            return Ok(answer);
        }
        let (answer, next) = f(None)?;
        if states.len() >= self.shard_keys_max {
            make_room(&mut states);
        }
        states.insert(*key, next);
        Ok(answer)
    }
}

/// Forgets the half of the keys that will be full first.
fn make_room<K: Hash + Eq>(states: &mut HashMap<K, Nanos>) {
    let mut times: Vec<u64> = states.values().map(|state| state.as_u64()).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    states.retain(|_, state| state.as_u64() > median);
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::with(2.0, 3, KEYS_MAX, clock.clone()).unwrap();
        let taken: Vec<_> = (0..3).map(|_| bucket.take(&1).unwrap().remaining).collect();
        assert_eq!(taken, [2, 1, 0]);
        let empty = bucket.take(&1).unwrap_err();
        assert_eq!(empty, Empty { wait_ms: 500, left: Left { limit: 3, remaining: 0, full_s: 2 } });
        assert_eq!(bucket.take(&2).unwrap().remaining, 2, "another key has a bucket of its own");
        clock.advance(Duration::from_millis(499));
        assert_eq!(bucket.take(&1).unwrap_err().wait_ms, 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!(bucket.take(&1).unwrap().remaining, 0);
        clock.advance(Duration::from_secs(60));
        assert_eq!(bucket.take(&1).unwrap(), Left { limit: 3, remaining: 2, full_s: 1 });
    }

    #[test]
    fn nothing_is_limited_by_zero() {
        assert!(Bucket::<u64>::new(0.0, 5).is_none());
    }

    #[test]
    fn a_rate_below_one_is_a_limit() {
        for (per_s, wait_ms) in [(0.2, 5_000), (0.1, 10_000), (0.49, 2_041), (0.000_01, 100_000_000)] {
            let clock = FakeRelativeClock::default();
            let bucket = Bucket::with(per_s, 5, KEYS_MAX, clock.clone()).unwrap();
            assert_eq!((0..30).filter(|_| bucket.take(&1).is_ok()).count(), 5, "{per_s}");
            let empty = bucket.take(&1).unwrap_err();
            assert_eq!(empty.wait_ms, wait_ms, "{per_s}");
            clock.advance(Duration::from_millis(wait_ms));
            assert!(bucket.take(&1).is_ok() && bucket.take(&1).is_err(), "{per_s}");
        }
    }

    #[test]
    fn what_is_no_rate_limits_all_the_same() {
        for per_s in [f64::NAN, -1.0, f64::INFINITY, 1e-300, 1e300] {
            let bucket = Bucket::with(per_s, 0, KEYS_MAX, FakeRelativeClock::default()).unwrap();
            assert!(bucket.take(&1).is_ok() && bucket.take(&1).is_err(), "{per_s}");
        }
    }

    #[test]
    fn keys_are_bounded() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::with(1.0, 100, 1_600, clock).unwrap();
        for key in 0..100_000_u64 {
            bucket.take(&key).unwrap();
        }
        let state = |shard: &Mutex<HashMap<u64, Nanos>>| shard.lock().unwrap().len();
        let kept: usize = bucket.limiter.into_state_store().shards.iter().map(state).sum();
        assert!((1..=1_600).contains(&kept), "{kept}");
    }

    #[test]
    fn who_was_refused_is_not_forgotten_by_a_flood_of_others() {
        let bucket = Bucket::with(1.0, 100, 1_600, FakeRelativeClock::default()).unwrap();
        while bucket.take(&u64::MAX).is_ok() {}
        for key in 0..100_000_u64 {
            bucket.take(&key).unwrap();
        }
        assert!(bucket.take(&u64::MAX).is_err());
    }
}
