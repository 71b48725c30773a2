//! Time and randomness, as arguments.

use parlance_schema::Millis;

/// The wall clock. It stamps entries and expires tokens; order and safety never rest on it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Millis;
}

/// A source of random numbers.
pub trait Random: Send + Sync {
    /// Sixty-four random bits, fit for secrets.
    fn bits(&self) -> u64;
}
