//! Who says whose a token is.

use async_trait::async_trait;
use parlance_schema::account::Principal;
use parlance_schema::{Fault, Millis};

/// Checks access tokens.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Says whose a token is, and when it expires.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired` or `revoked`.
    async fn check(&self, token: &str) -> Result<(Principal, Millis), Fault>;

    /// The same for a token that a connection was let in with, by whichever wire.
    ///
    /// # Errors
    /// As for [`Authority::check`].
    async fn check_again(&self, token: &str) -> Result<(Principal, Millis), Fault> {
        self.check(token).await
    }
}
