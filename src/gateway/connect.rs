//! `/v1/connect`: from a handshake to a Session.

use std::sync::Arc;

use parlance_actors::link::Link;
use parlance_actors::service::Service;
use parlance_actors::wire::Wire;
use parlance_schema::Fault;
use parlance_schema::frame::{SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK};
use parlance_schema::limits::FRAME_BYTES_MAX;
use warp::http::HeaderMap;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use super::checks::Refusal;
use super::native;
use super::rest::call;
use super::upgrade::{Choice, Handshake, NotUpgraded, choose, handshake};
use crate::auth::Accounts;

/// What the route calls.
#[derive(Clone)]
pub struct Deps {
    /// The node.
    pub service: Arc<dyn Service>,
    /// Accounts and tokens.
    pub accounts: Arc<Accounts>,
}

/// The route `/v1/connect`.
pub fn route(deps: Deps) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path!("v1" / "connect")
        .and(warp::any().map(move || deps.clone()))
        .and(query)
        .and(warp::header::headers_cloned())
        .and(handshake())
        .then(answer)
}

async fn answer(deps: Deps, query: String, headers: HeaderMap, handshake: Result<Handshake, NotUpgraded>) -> Response {
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(refused) => return refused.into_response(),
    };
    let offered = handshake.offered();
    let choice = choose(&offered, &[SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK]);
    let echo = choice.echo;
    if choice.protocol.is_none() && choice.has_unknown {
        return handshake.refuse(echo, &unknown_subprotocol());
    }
    match admit(&deps, &query, &headers, &choice).await {
        Ok(link) => match handshake.count_user(link.principal.user) {
            Ok(()) => connect(deps.service, handshake, echo, link).await,
            Err(fault) => handshake.refuse(echo, &fault),
        },
        Err(fault) => handshake.refuse(echo, &fault),
    }
}

/// What a client is told that offers none of the subprotocols which are spoken here.
fn unknown_subprotocol() -> Fault {
    Fault::malformed("no such subprotocol: offer parlance.v1.json or parlance.v1.msgpack, or none for JSON")
}

/// Checks the token, and makes the connection's link.
async fn admit(deps: &Deps, query: &str, headers: &HeaderMap, choice: &Choice<'_>) -> Result<Arc<Link>, Fault> {
    let token = token(query, choice, headers)?;
    let who = deps.accounts.authenticate(token).await?;
    // A client that names no subprotocol speaks JSON.
    let wire: Arc<dyn Wire> = match choice.protocol {
        Some(SUBPROTOCOL_MSGPACK) => Arc::new(native::Msgpack),
        _ => Arc::new(native::Json),
    };
    let link = Link::new(deps.service.next_session(), who.principal, wire, who.expires_at);
    link.keep_token(Some(token));
    Ok(link)
}

async fn connect(
    service: Arc<dyn Service>,
    handshake: Handshake,
    echo: Option<&'static str>,
    link: Arc<Link>,
) -> Response {
    match service.connect(link.clone()).await {
        Ok(receiver) => handshake.accept(echo, FRAME_BYTES_MAX, move || (link, receiver)),
        Err(fault) => {
            Refusal::count_session(&fault);
            handshake.refuse(echo, &fault)
        }
    }
}

/// The token of whoever opens a socket: from the query, beside the subprotocols, or in a header.
pub(crate) fn token<'a>(query: &'a str, choice: &Choice<'a>, headers: &'a HeaderMap) -> Result<&'a str, Fault> {
    // A JWT is written in characters that need no escape.
    let named = query.split('&').find_map(|pair| pair.strip_prefix("token=")).filter(|token| !token.is_empty());
    named.or(choice.token).map_or_else(|| call::bearer(headers), Ok)
}
