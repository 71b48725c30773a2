//! The REST API: a table of routes, each an operation of the node or of the accounts.

pub mod admin;
pub mod auth;
pub mod entries;
pub mod invites;
pub mod lists;
pub mod me;
pub mod members;
pub mod messages;
pub mod presence;
pub mod probes;
pub mod reactions;
pub mod rooms;
pub mod table;
pub mod users;

use parlance_schema::frame::Answer;
use parlance_schema::op::Op;
use parlance_schema::{Code, Fault};
use warp::http::StatusCode;
use warp::reply::{Reply, Response};

use super::native;
use crate::api::call::Call;
use crate::api::dialect::{Dialects, Mounted, MountedSocket};
use crate::api::error_response::{Failure, json};
use crate::api::route::{self, Action, Content, Route};
use table::Table;

/// All routes of the native API, ready to be served.
pub fn mounted() -> impl Iterator<Item = Mounted> {
    routes().map(Mounted::native)
}

/// All routes of the native API, chapter by chapter.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    let chapters: [&'static [Route]; 12] = [
        auth::ROUTES,
        me::ROUTES,
        rooms::ROUTES,
        entries::ROUTES,
        members::ROUTES,
        invites::ROUTES,
        messages::ROUTES,
        reactions::ROUTES,
        presence::ROUTES,
        users::ROUTES,
        admin::ROUTES,
        probes::ROUTES,
    ];
    chapters.into_iter().flatten()
}

/// All that is served, the native API and the dialects that are on, ready to be matched.
#[must_use]
pub fn table(dialects: &Dialects) -> Table {
    let native = MountedSocket { socket: &native::SOCKET, serving: None, first_wire: 0 };
    Table::new(mounted().chain(dialects.routes()), std::iter::once(native).chain(dialects.sockets()))
}

/// Runs a route.
///
/// # Errors
/// The fault that the client is to see.
pub async fn run(call: Call) -> Result<Response, Failure> {
    match call.route.action {
        Action::Run(run) => run(call).await,
        Action::Op(build) => {
            let op = build(&call)?;
            perform(&call, op).await
        }
    }
}

async fn perform(call: &Call, op: Op) -> Result<Response, Failure> {
    match call.deps.service.perform(call.who()?, op).await {
        Ok(answer) => Ok(render(call.route, &answer)),
        // What was asked for is so, which is all that a client of PUT or DELETE wants to know.
        Err(fault) if call.route.settled && is_settled(call.route, &fault) => {
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Err(fault) => Err(fault.into()),
    }
}

fn is_settled(route: &Route, fault: &Fault) -> bool {
    fault.code == Code::Already || (route.verb == route::Verb::Delete && fault.code == Code::Deleted)
}

fn render(route: &Route, answer: &Answer) -> Response {
    let has = |status| route.answers.iter().any(|a| a.status == status);
    let bare = route.answers.iter().all(|a| matches!(a.content, Content::Empty));
    if bare {
        return StatusCode::NO_CONTENT.into_response();
    }
    let status = if has(201) && is_new(answer) { StatusCode::CREATED } else { StatusCode::OK };
    json(status, answer)
}

/// Whether an operation made something now, rather than finding what an earlier try made.
fn is_new(answer: &Answer) -> bool {
    match answer {
        Answer::Done(done) => !done.again,
        Answer::Room(_) => false,
        _ => true,
    }
}
