//! What a route answers: its own answers, and the refusals that can come, by their statuses.

use std::collections::BTreeMap;

use parlance_schema::Fault;
use parlance_schema::fault::Code;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response};

use super::named;
use crate::api::dialect::Mounted;
use crate::api::error_response::{Detail, Details, ErrorStyle};
use crate::api::route::{Access, Action, Answered, Content, Verb};

/// All responses of a route: its own good ones, and faults by status.
pub(super) fn responses(mounted: &Mounted) -> BTreeMap<u16, Response> {
    let (route, style) = (mounted.route, mounted.errors());
    let mut found = BTreeMap::new();
    for answer in route.answers {
        add(&mut found, answer);
    }
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in faults(mounted) {
        let codes = statuses.entry(code.http()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    if route.body.is_some() && style == ErrorStyle::Native {
        statuses.entry(415).or_default().push(Code::Malformed);
    }
    if style == ErrorStyle::Detail {
        // What can't be read is not valid, to these services.
        let unread = statuses.remove(&400).unwrap_or_default();
        statuses.entry(422).or_default().extend(unread);
    }
    for (status, codes) in statuses {
        found.entry(status).or_insert_with(|| refusal(status, &codes, style));
    }
    found
}

fn add(found: &mut BTreeMap<u16, Response>, answer: &Answered) {
    let response =
        found.entry(answer.status).or_insert_with(|| ResponseBuilder::new().description(answer.about).build());
    let (mime, schema) = match answer.content {
        Content::Empty => return,
        Content::Json(shape) => ("application/json", Some(named(shape))),
        Content::Other(mime) => (mime, None),
    };
    let content = ContentBuilder::new().schema(schema).build();
    response.content.insert(mime.to_owned(), content.into());
}

/// Codes that a route can answer with, from what it takes, and its own.
fn faults(mounted: &Mounted) -> Vec<Code> {
    use Code::{
        Already, Archived, BadCredentials, Banned, Busy, Deleted, Forbidden, Internal, Invalid, Malformed, Muted,
        NotFound, OutcomeUnknown, RateLimited, Restarting, Revoked, Silent, Stale, StoreUnavailable, TokenExpired,
        TooLarge, Unauthenticated,
    };
    let (route, is_dialect) = (mounted.route, mounted.serving.is_some());
    // What every request passes can refuse it for its host name and for its rate.
    let mut codes = vec![Internal, Malformed, RateLimited];
    if route.access != Access::Public {
        codes.extend([Unauthenticated, TokenExpired, Revoked, StoreUnavailable, Restarting, Busy]);
    }
    if route.access == Access::SuperAdmin {
        codes.push(Forbidden);
    }
    if route.path.starts_with("/v1/") || is_dialect {
        codes.extend([Malformed, Invalid]);
    }
    if is_dialect && route.verb != Verb::Get {
        codes.push(OutcomeUnknown);
    }
    if route.body.is_some() {
        codes.extend([TooLarge, Silent]);
    }
    if matches!(route.action, Action::Op(_)) {
        codes.extend([Forbidden, NotFound]);
        if route.verb != Verb::Get {
            codes.extend([Already, Archived, Stale, Deleted, Banned, Muted, OutcomeUnknown]);
        }
    }
    if route.tag == "auth" {
        codes.extend([BadCredentials, StoreUnavailable, OutcomeUnknown, Busy]);
    }
    codes.extend(route.faults);
    codes
}

fn refusal(status: u16, codes: &[Code], style: ErrorStyle) -> Response {
    let words: Vec<_> = codes.iter().map(|c| format!("`{}`", c.word())).collect();
    let name = match style {
        ErrorStyle::Native => <Fault as ToSchema>::name(),
        ErrorStyle::Detail if status == 422 => <Details<'_> as ToSchema>::name(),
        ErrorStyle::Detail => <Detail<'_> as ToSchema>::name(),
    };
    let schema = RefOr::Ref(Ref::from_schema_name(name));
    let mut response = ResponseBuilder::new()
        .description(words.join(", "))
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build());
    let header = |kind, about| {
        HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(about)).build()
    };
    if codes.iter().any(|c| matches!(c.retry(), parlance_schema::fault::Retry::Later)) {
        response = response.header("Retry-After", header(Type::Integer, "Seconds to wait before trying again."));
    }
    if status == 429 {
        for (name, about) in [
            ("RateLimit-Limit", "Requests that may come at once."),
            ("RateLimit-Remaining", "How many of them are left."),
            ("RateLimit-Reset", "Seconds until all of them are there again."),
        ] {
            response = response.header(name, header(Type::Integer, about));
        }
    }
    if status == 401 {
        response = response.header("WWW-Authenticate", header(Type::String, "`Bearer`."));
    }
    response.build()
}
