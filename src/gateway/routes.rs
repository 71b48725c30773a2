//! The way of a request: id and span, route, token, body, handler, headers, metrics. One filter for warp.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use parlance_schema::Fault;
use parlance_schema::limits::REQUEST_ID_BYTES_MAX;
use parlance_schema::user::Role;
use tracing::Instrument;
use warp::Filter;
use warp::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use warp::http::{HeaderMap, HeaderName, Method};
use warp::reply::Response;

use crate::auth::Authenticated;

use super::checks::Visit;
use super::pages;
use super::rest;
use super::rest::table::{self, Found, Table};
use crate::api::body::{self, Incoming};
use crate::api::call::{self, Call, Deps};
use crate::api::dialect::Mounted;
use crate::api::error_response::{self, Failure, set};
use crate::api::route::{Access, Verb};
use crate::api::{idempotency_key, query};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// JSON and text are no pages: nothing in them may load or run, and nobody may frame them. Browsers style the text that they show.
const API_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

struct Gate {
    deps: Arc<Deps>,
    table: Table,
}

/// All of HTTP but the WebSocket, as one filter that answers every request. Mount what is to come first before it.
pub fn routes(deps: Arc<Deps>) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone {
    let table = rest::table(&deps.dialects);
    let gate = Arc::new(Gate { deps, table });
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::any()
        .map(move || Arc::clone(&gate))
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .and(warp::ext::optional::<Arc<Visit>>())
        .then(|gate, method, path: warp::path::FullPath, query, headers, body, visit| {
            let request = Request { method, path: path.as_str().to_owned(), query, headers, visit };
            answer(gate, request, body::stream(body)).boxed()
        })
        .recover(error_response::recover)
        .unify()
}

struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    visit: Option<Arc<Visit>>,
}

/// Answers a request, whatever happens to it, and says so in the log and the metrics. The path's values, the query, the
/// body and the token are in neither.
async fn answer(gate: Arc<Gate>, request: Request, mut body: Incoming) -> Response {
    let started = Instant::now();
    let endless = body::is_endless(&request.headers);
    let id = request_id(&request.headers);
    let found = gate.table.find(request.method.as_str(), &request.path);
    let pattern = match &found {
        Found::Route(mounted) | Found::Method(mounted, _) => mounted.route.path,
        Found::Nothing => pages::label(&request.path),
    };
    let method = known(&request.method);
    let style = match &found {
        Found::Route(mounted) | Found::Method(mounted, _) => mounted.errors(),
        Found::Nothing => gate.deps.dialects.errors_at(&request.path),
    };
    let span = tracing::info_span!("http", %id, method, route = pattern);
    let handled = async {
        let handled = AssertUnwindSafe(handle(&gate, found, request, &mut body)).catch_unwind().await;
        let response = handled.unwrap_or_else(|_| Err(error_response::unhandled()));
        let response = response.unwrap_or_else(|failure| failure.styled(style));
        let (status, took) = (response.status().as_u16(), started.elapsed());
        if status >= 500 {
            tracing::warn!(status, ms = took.as_millis(), "answered");
        } else {
            tracing::info!(status, ms = took.as_millis(), "answered");
        }
        count(pattern, method, status, took.as_secs_f64());
        response
    };
    let mut response = handled.instrument(span).await;
    if endless || !body::discard(&mut body).await {
        set(&mut response, CONNECTION, "close");
    }
    guard(&mut response);
    set(&mut response, REQUEST_ID, &id);
    response
}

async fn handle(gate: &Gate, found: Found<'_>, request: Request, body: &mut Incoming) -> Result<Response, Failure> {
    let mounted = match found {
        Found::Route(mounted) => mounted,
        Found::Method(_, allow) => return Err(Failure::wrong_method(allow)),
        Found::Nothing => return pages::serve(request.method.as_str(), &request.path, &request.headers).await,
    };
    let route = mounted.route;
    let visit = request.visit.as_deref();
    if let Some(visit) = visit.filter(|_| route.attempt) {
        visit.attempt()?;
    }
    let who = authorize(gate, mounted, &request.headers).await?;
    if let (Some(visit), Some(who)) = (visit, &who) {
        visit.user(who.principal.user)?;
    }
    let call = Call {
        deps: Arc::clone(&gate.deps),
        route,
        who,
        key: idempotency_key::of(mounted, &request.headers)?,
        params: table::params(route.path, &request.path)?,
        // Outside `/v1` a query means nothing, and pages are given all sorts.
        query: if route.path.starts_with("/v1/") || mounted.serving.is_some() {
            query::query(mounted, &request.query)?
        } else {
            Vec::new()
        },
        body: if route.body.is_some() { body::read(&request.headers, body, route.form).await? } else { Bytes::new() },
        headers: request.headers,
        serving: mounted.serving.clone(),
    };
    if route.verb == Verb::Get { rest::run(call).await } else { to_the_end(call).await }
}

/// Runs what changes something in a task of its own, so that a client that hangs up doesn't leave it half done.
async fn to_the_end(call: Call) -> Result<Response, Failure> {
    let task = tokio::spawn(rest::run(call).in_current_span());
    task.await.unwrap_or_else(|_| Err(error_response::unhandled()))
}

async fn authorize(gate: &Gate, mounted: &Mounted, headers: &HeaderMap) -> Result<Option<Authenticated>, Failure> {
    let access = mounted.route.access;
    if access == Access::Public {
        return Ok(None);
    }
    let who = gate.deps.accounts.authenticate_with(mounted.issuers(), call::bearer(headers)?).await?;
    if access == Access::SuperAdmin && who.principal.role != Role::SuperAdmin {
        return Err(Fault::forbidden("only a user with the role super_admin may do this").into());
    }
    Ok(Some(who))
}

/// Headers that every response has, unless it brought its own.
pub(super) fn guard(response: &mut Response) {
    let always = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Older browsers know this one and not the policy's frame-ancestors.
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (CONTENT_SECURITY_POLICY, API_POLICY),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in always {
        if !response.headers().contains_key(&name) {
            set(response, name, value);
        }
    }
}

/// Takes over a client's request id, where it is short and harmless, or makes one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID).and_then(|v| v.to_str().ok());
    let fits = |id: &&str| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    given.filter(fits).map_or_else(made_id, str::to_owned)
}

fn made_id() -> String {
    let mut bytes = [0u8; 8];
    // An id that is not random is still an id: it is there to find log lines by, and guards nothing.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = std::process::id().to_be_bytes().repeat(2).try_into().unwrap_or_default();
    }
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// A method's name, from a bounded set, as clients may invent methods.
fn known(method: &Method) -> &'static str {
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    NAMES.into_iter().find(|name| method == *name).unwrap_or("other")
}

fn count(route: &'static str, method: &'static str, status: u16, seconds: f64) {
    let status = status.to_string();
    metrics::counter!("parlance_http_requests_total", "route" => route, "method" => method, "status" => status)
        .increment(1);
    metrics::histogram!("parlance_http_request_seconds", "route" => route, "method" => method).record(seconds);
}
