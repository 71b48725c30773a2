//! The header `Idempotency-Key`, by which a request that is sent again is known to be the same.

use parlance_schema::{ClientId, Fault};
use warp::http::HeaderMap;

use super::dialect::Mounted;
use super::route::Verb;

/// The header's name.
const NAME: &str = "idempotency-key";

/// Reads `Idempotency-Key` where the route takes one. A route that changes something and takes none refuses it: dropped unread, it
/// would look as if sending again were harmless. Reading is harmless anyway, and dialects pass over what they don't know.
///
/// # Errors
/// When it is no client id, or is there and the route takes none.
pub fn of(mounted: &Mounted, headers: &HeaderMap) -> Result<Option<ClientId>, Fault> {
    if mounted.route.keyed {
        return key(headers);
    }
    if mounted.route.verb != Verb::Get && mounted.serving.is_none() && headers.contains_key(NAME) {
        return Err(Fault::invalid("this call does not support `Idempotency-Key`: leave the header out"));
    }
    Ok(None)
}

fn key(headers: &HeaderMap) -> Result<Option<ClientId>, Fault> {
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let id = ClientId::new(value.to_str().unwrap_or_default());
    id.map(Some).map_err(|_| Fault::invalid("`Idempotency-Key` must be 1 to 64 printable ASCII characters"))
}
