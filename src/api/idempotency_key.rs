//! The header `Idempotency-Key`, by which a request that is sent again is known to be the same.

use parlance_schema::{ClientId, Fault};
use warp::http::HeaderMap;

/// Reads `Idempotency-Key`.
///
/// # Errors
/// When it is no client id.
pub fn key(headers: &HeaderMap) -> Result<Option<ClientId>, Fault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let id = ClientId::new(value.to_str().unwrap_or_default());
    id.map(Some).map_err(|_| Fault::invalid("`Idempotency-Key` must be 1 to 64 printable ASCII characters"))
}
