//! `POST /dev/fault`: ends one actor, by a panic in its handler or by killing it, for tests of supervision.
//!
//! It is mounted only when asked for, and knows no token: whoever reaches the port may use it.

use bytes::Bytes;
use parlance_actors::node::Victim;
use parlance_schema::{Code, Fault, RoomId};
use serde::Deserialize;
use warp::http::StatusCode;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::api::error_response::Failure;
use crate::api::explain::Mistake;

/// Bytes of a body here.
const BODY_BYTES_MAX: u64 = 1_024;

/// Which actor is to end, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    room: Option<RoomId>,
    relay: Option<RoomId>,
    session: Option<u64>,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Its next handler panics.
    Panic,
    /// It is killed between two messages, or in the middle of one that waits.
    Kill,
}

impl Order {
    fn victim(self) -> Option<Victim> {
        match (self.room, self.relay, self.session) {
            (Some(room), None, None) => Some(Victim::Room(room)),
            (None, Some(relay), None) => Some(Victim::Relay(relay)),
            (None, None, Some(session)) => Some(Victim::Session(session)),
            _ => None,
        }
    }
}

/// The route `POST /dev/fault`; `end` ends an actor, by a panic or not, and says whether there was one.
pub fn route<E>(end: E) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone
where
    E: Fn(Victim, bool) -> bool + Clone + Send + Sync,
{
    warp::path!("dev" / "fault")
        .and(warp::post())
        .and(warp::body::content_length_limit(BODY_BYTES_MAX))
        .and(warp::body::bytes())
        .map(move |body: Bytes| answer(&end, &body))
}

fn answer(end: &impl Fn(Victim, bool) -> bool, body: &[u8]) -> Response {
    let order: Order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => {
            return Failure::from(Fault::malformed(Mistake::read(&error.to_string()).tell("", "the body"))).response();
        }
    };
    let Some(victim) = order.victim() else {
        return Failure::from(Fault::malformed("name one of `room`, `relay` and `session`")).response();
    };
    if end(victim, order.how == How::Panic) {
        tracing::warn!(?victim, how = ?order.how, "an actor was ended on demand");
        StatusCode::NO_CONTENT.into_response()
    } else {
        Failure::from(Fault::new(Code::NotFound, "there is no such actor")).response()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    async fn post(body: &str) -> (u16, Vec<String>) {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let seen = ended.clone();
        let routes = route(move |victim, panic| {
            seen.lock().unwrap().push(format!("{victim:?} {panic}"));
            !matches!(victim, Victim::Session(404))
        });
        let reply = warp::test::request().method("POST").path("/dev/fault").body(body).reply(&routes).await;
        let ended = ended.lock().unwrap().clone();
        (reply.status().as_u16(), ended)
    }

    #[tokio::test]
    async fn one_actor_is_named_and_ended() {
        assert_eq!(post(r#"{"room": 7, "how": "panic"}"#).await, (204, vec!["Room(RoomId(7)) true".to_owned()]));
        assert_eq!(post(r#"{"relay": 7, "how": "kill"}"#).await, (204, vec!["Relay(RoomId(7)) false".to_owned()]));
        assert_eq!(post(r#"{"session": 404, "how": "kill"}"#).await, (404, vec!["Session(404) false".to_owned()]));
    }

    #[tokio::test]
    async fn what_names_none_or_two_ends_nothing() {
        for body in ["", "{}", r#"{"how": "kill"}"#, r#"{"room": 1, "relay": 1, "how": "kill"}"#, r#"{"room": 1}"#] {
            assert_eq!(post(body).await, (400, Vec::new()), "{body}");
        }
        assert_eq!(post(r#"{"room": 1, "how": "nicely"}"#).await.0, 400);
    }
}
