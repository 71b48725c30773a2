//! `/api/v1/ws/{chat_id}`: a connection that is for one chat.

use std::sync::Arc;

use parlance_actors::link::{Link, Receiver};
use parlance_actors::service::{After, What};
use parlance_schema::limits::FRAME_BYTES_MAX;
use parlance_schema::{Code, Fault, RoomId};
use warp::http::header::UPGRADE;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::wire::Frames;
use crate::auth::Authenticated;
use crate::dialect::{Dialects, Name};
use crate::gateway::checks::Refusal;
use crate::gateway::connect::{self, Deps};
use crate::gateway::errors::{Failure, set};
use crate::gateway::rest::route::Style;
use crate::gateway::upgrade::{Handshake, NotUpgraded, choose, handshake};

/// Words that stand where a chat's id does, and mean something else.
const RESERVED: &[&str] = &["stats"];

/// The route of the sockets.
pub fn route(deps: Deps, dialects: Arc<Dialects>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let on = dialects.chat_service().is_some();
    warp::path!("api" / "v1" / "ws" / String)
        .and_then(move |chat: String| async move {
            if on && !RESERVED.contains(&chat.as_str()) { Ok(chat) } else { Err(warp::reject::not_found()) }
        })
        .and(warp::any().map(move || (deps.clone(), dialects.clone())))
        .and(query)
        .and(warp::header::headers_cloned())
        .and(handshake())
        .then(answer)
}

async fn answer(
    chat: String,
    (deps, dialects): (Deps, Arc<Dialects>),
    query: String,
    headers: HeaderMap,
    handshake: Result<Handshake, NotUpgraded>,
) -> Response {
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(refused) => return not_upgraded(refused),
    };
    let offered = handshake.offered();
    let choice = choose(&offered, &[]);
    let echo = choice.echo;
    let token = match connect::token(&query, &choice, &headers) {
        Ok(token) => token,
        Err(fault) => return handshake.refuse(echo, &fault),
    };
    let who = match deps.accounts.authenticate_with(dialects.issuer(Name::ChatService), token).await {
        Ok(who) => who,
        Err(fault) => return handshake.refuse(echo, &fault),
    };
    if let Err(fault) = handshake.count_user(who.principal.user) {
        return handshake.refuse(echo, &fault);
    }
    match enter(&deps, &who, token, &chat, &query).await {
        Ok((link, receiver)) => handshake.accept(echo, FRAME_BYTES_MAX, move || (link, receiver)),
        Err(fault) => handshake.refuse(echo, &fault),
    }
}

fn not_upgraded(refused: NotUpgraded) -> Response {
    let mut failure = Failure::from(refused.fault());
    failure.status = refused.status();
    let mut response = failure.styled(Style::Detail);
    if refused.status() == StatusCode::UPGRADE_REQUIRED {
        set(&mut response, UPGRADE, "websocket");
    }
    response
}

/// Checks the membership, and has the chat's entries come.
async fn enter(
    deps: &Deps,
    who: &Authenticated,
    token: &str,
    chat: &str,
    query: &str,
) -> Result<(Arc<Link>, Box<dyn Receiver>), Fault> {
    let room: RoomId = chat.parse().map_err(|_| Fault::not_found("there is no such chat"))?;
    let after = resume_from(query)?;
    let wire = Arc::new(Frames::new(room));
    let link = Link::for_room(room, deps.service.next_session(), who.principal, wire, who.expires_at);
    link.keep_token(Some(token));
    match deps.service.enter(link.clone(), after).await {
        Ok(receiver) => Ok((link, receiver)),
        Err(fault) if fault.code == Code::NotFound => {
            let there = deps.service.is_there(who.principal.tenant, What::Room(room)).await?;
            Err(if there { Fault::forbidden("you are not in this chat") } else { fault })
        }
        Err(fault) => {
            Refusal::count_session(&fault);
            Err(fault)
        }
    }
}

/// The last message that the client has, where it wants what it missed: its id, or 0 for everything.
fn resume_from(query: &str) -> Result<Option<After>, Fault> {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("resume_from=")).filter(|text| !text.is_empty());
    match given {
        None => Ok(None),
        Some("0") => Ok(Some(After::Nothing)),
        Some(text) => {
            let id = text.parse().map_err(|_| Fault::invalid("`resume_from` must be 0 or a message's id"))?;
            Ok(Some(After::Message(id)))
        }
    }
}
