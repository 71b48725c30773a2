//! The access token of a connection: when it expires, which closes the connection, and its renewal.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use parlance_schema::{Code, Fault};

use super::liveness::Liveness;

impl Liveness {
    /// When the token expires, in Unix milliseconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires.load(Ordering::Relaxed)
    }

    /// Notes a renewed token.
    pub fn renew(&self, expires: u64) {
        self.expires.store(expires, Ordering::Relaxed);
    }

    /// Keeps the token.
    pub fn keep_token(&self, token: &str) {
        *self.kept() = Some(token.into());
    }

    /// The token, where it is kept.
    pub(crate) fn token(&self) -> Option<Arc<str>> {
        self.kept().clone()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the connection is closed once the token has expired; `wall` in Unix milliseconds.
    pub(super) fn token_expired(&self, wall: u64) -> Option<Fault> {
        let fault = || Fault::new(Code::TokenExpired, "the access token has expired: get a new one and reconnect");
        (self.expires() <= wall).then(fault)
    }
}
