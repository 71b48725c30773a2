//! From a handshake to a connection, for the native socket and those of the dialects: the token, the counts, the link, and the
//! Session or the one room behind it.

use std::sync::Arc;

use parlance_actors::link::{Link, Receiver};
use parlance_actors::service::What;
use parlance_schema::limits::FRAME_BYTES_MAX;
use parlance_schema::{Code, Fault};
use warp::http::HeaderMap;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::handshake::{Choice, Handshake, NotUpgraded, choose, handshake};
use super::rest::{self, table as paths};
use crate::api::call::{self, Deps};
use crate::api::dialect::MountedSocket;
use crate::api::error_response::Failure;
use crate::api::refusal::Refusal;
use crate::api::socket::{Entrance, Opening, Refusals, Rooms};

/// A request for a connection.
struct Request {
    socket: MountedSocket,
    path: String,
    query: String,
    headers: HeaderMap,
}

/// All WebSockets that are served; requests for other paths are rejected.
pub fn route(deps: Arc<Deps>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let table = Arc::new(rest::table(&deps.dialects));
    let find = move |path: FullPath| {
        let found = table.socket(path.as_str()).cloned();
        std::future::ready(found.map(|socket| (socket, path)).ok_or_else(warp::reject::not_found))
    };
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path::full()
        .and_then(find)
        .and(query)
        .and(warp::header::headers_cloned())
        .map(|(socket, path): (MountedSocket, FullPath), query, headers| Request {
            socket,
            path: path.as_str().to_owned(),
            query,
            headers,
        })
        .and(handshake())
        .then(move |request, handshake| answer(deps.clone(), request, handshake))
}

async fn answer(deps: Arc<Deps>, request: Request, handshake: Result<Handshake, NotUpgraded>) -> Response {
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(refused) => return refused.response(request.socket.errors()),
    };
    let offered = handshake.offered();
    let choice = choose(&offered, request.socket.socket.subprotocols);
    let echo = choice.echo;
    match connect(&deps, &request, &choice, &handshake).await {
        Ok((link, receiver)) => handshake.accept(echo, FRAME_BYTES_MAX, move || (link, receiver)),
        Err(fault) => match request.socket.socket.refusals {
            Refusals::Close => handshake.refuse(echo, &fault),
            Refusals::Status => {
                Refusal::count_connect(&fault);
                Failure::from(fault).styled(request.socket.errors())
            }
        },
    }
}

/// What a client is told that offers none of the subprotocols which the socket speaks.
fn unknown_subprotocol(known: &[&str]) -> Fault {
    let known = known.join(" or ");
    Fault::malformed(format!("unknown subprotocol: offer {known}, or none"))
}

/// Checks the token and the rates, asks the socket what the client is to be connected to, and connects it.
async fn connect(
    deps: &Arc<Deps>,
    request: &Request,
    choice: &Choice<'_>,
    handshake: &Handshake,
) -> Result<(Arc<Link>, Box<dyn Receiver>), Fault> {
    let mounted = &request.socket;
    let known = mounted.socket.subprotocols;
    if !known.is_empty() && choice.protocol.is_none() && choice.has_unknown {
        return Err(unknown_subprotocol(known));
    }
    let token = token(&request.query, choice, &request.headers)?;
    let who = deps.accounts.authenticate_with(mounted.issuers(), token).await?;
    handshake.count_user(who.principal.user)?;
    let opening = Opening {
        deps: deps.clone(),
        who: who.principal,
        subprotocol: choice.protocol,
        wire: mounted.wire(choice.protocol),
        params: paths::params(mounted.socket.path, &request.path).map_err(|failure| failure.fault)?,
        query: request.query.clone(),
        serving: mounted.serving.clone(),
    };
    let place = opening.wire;
    let Entrance { wire, rooms } = (mounted.socket.open)(opening).await?;
    if wire.index() != place {
        tracing::error!(path = mounted.socket.path, index = wire.index(), place, "a wire is not at its place");
        return Err(Fault::internal("the server failed to set up the connection: try again"));
    }
    let room = match rooms {
        Rooms::All => None,
        Rooms::One(room, _) => Some(room),
    };
    let (session, delivery) = (deps.service.next_session(), mounted.socket.delivery);
    let link = Link::serving(room, delivery, session, who.principal, wire, who.expires_at);
    link.liveness.keep_token(token);
    let receiver = enter(deps, &link, rooms).await.inspect_err(Refusal::count_session)?;
    Ok((link, receiver))
}

async fn enter(deps: &Deps, link: &Arc<Link>, rooms: Rooms) -> Result<Box<dyn Receiver>, Fault> {
    let Rooms::One(room, after) = rooms else { return deps.service.connect(link.clone()).await };
    match deps.service.enter(link.clone(), after).await {
        Err(fault) if fault.code == Code::NotFound => {
            let there = deps.service.is_there(link.principal, What::Room(room)).await?;
            Err(if there { Fault::forbidden("you are not a member of this room") } else { fault })
        }
        entered => entered,
    }
}

/// The token of whoever opens a socket: from the query, beside the subprotocols, or in a header.
fn token<'a>(query: &'a str, choice: &Choice<'a>, headers: &'a HeaderMap) -> Result<&'a str, Fault> {
    // A JWT is written in characters that need no escape.
    let named = query.split('&').find_map(|pair| pair.strip_prefix("token=")).filter(|token| !token.is_empty());
    named.or(choice.token).map_or_else(|| call::bearer(headers), Ok)
}
