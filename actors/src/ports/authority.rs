//! Who says whose a token is.

use async_trait::async_trait;
use parlance_schema::user::Principal;
use parlance_schema::{Fault, Millis};

/// Checks access tokens.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Says whose a token is, and when it expires. Which tokens are good depends on the wire of the connection, by its
    /// [index](crate::wire::Wire::index): some wires take those of other services too.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired` or `revoked`.
    async fn check(&self, token: &str, wire: usize) -> Result<(Principal, Millis), Fault>;
}
