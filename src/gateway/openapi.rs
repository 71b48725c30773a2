//! The OpenAPI 3.1 document, made from the table of routes and the vocabulary's schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlance_schema::Fault;
use parlance_schema::fault::Code;
use parlance_schema::limits::{DIALECT_PAGE_DEFAULT, DIALECT_PAGE_MAX, ID_MAX, MEMBERS_MAX, PAGE_DEFAULT, PAGE_MAX};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, ParameterStyle, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response,
    Schema, tag::TagBuilder,
};

use super::rest;
use crate::api::asset::Asset;
use crate::api::dialect::{Dialects, Mounted};
use crate::api::error::{Detail, Details, ErrorStyle};
use crate::api::route::{Access, Action, Answered, Body, Content, Holds, Query, Shape, Verb};

const TAGS: &[(&str, &str)] = &[
    ("auth", "Registering, logging in, renewing tokens."),
    ("me", "One's own account."),
    ("rooms", "Groups, direct rooms and conversations."),
    ("members", "Who is in a room, and what they may do there."),
    ("invites", "Joining by invitation."),
    ("messages", "What is said, and reactions to it."),
    ("presence", "Read marks, typing, who is there."),
    ("users", "Other users."),
    ("admin", "The operator's view."),
    ("server", "Health, metrics, this document."),
];

const ABOUT: &str = "Real-time messaging: rooms that never lose, repeat or reorder a message. The same operations, and \
    what happens in one's rooms as it happens, are on the WebSocket `/v1/connect`.\n\nAn error's body is a fault: a \
    stable `code`, a `detail` for developers, and in `retry` whether trying again can help.";

/// Makes the document as it is served, compressed for those who take it so.
#[must_use]
pub fn served(dialects: &Dialects) -> Arc<Asset> {
    let text = document(dialects).to_string();
    Arc::new(Asset::new(text.into(), "application/json", None))
}

/// Makes the document of the native API and the dialects that are on.
#[must_use]
pub fn document(dialects: &Dialects) -> Value {
    match serde_json::to_value(described(dialects)) {
        Ok(mut document) => {
            tidy(&mut document);
            document
        }
        Err(error) => {
            tracing::error!(%error, "the openapi document could not be written");
            Value::Null
        }
    }
}

/// Mends what the derived schemas don't see: behind an alias (`Seq`, `Millis`, `Meta`) they find the plain type and make a
/// component of its name, of an enum's variants they don't say that unknown fields are refused, and of integers how large
/// they can be.
fn tidy(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let aliased: Vec<_> =
        ["u64", "BTreeMap"].into_iter().filter_map(|name| Some((name, schemas.remove(name)?))).collect();
    if let Some(variants) = schemas.get_mut("Part").and_then(|part| part.get_mut("oneOf")).and_then(Value::as_array_mut)
    {
        for variant in variants {
            variant["additionalProperties"] = Value::Bool(false);
        }
    }
    for (name, plain) in aliased {
        inline(document, &format!("#/components/schemas/{name}"), &plain);
    }
    bound(document);
}

/// Writes the bound of integers where none is written: no number of ours is beyond what JavaScript holds, or its type.
fn bound(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let kind = fields.get("type");
            let is_integer = kind.is_some_and(|kind| {
                kind == "integer" || kind.as_array().is_some_and(|of| of.iter().any(|one| one == "integer"))
            });
            if is_integer && fields.get("minimum").is_some_and(Value::is_number) && !fields.contains_key("maximum") {
                // The format of that name is of numbers with a sign, which ours don't have.
                let short = fields.get("format").is_some_and(|format| format == "int32");
                let max = if short { u64::from(u32::MAX) } else { ID_MAX };
                if short {
                    fields.remove("format");
                }
                fields.insert("maximum".to_owned(), max.into());
            }
            fields.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// Puts a schema in the place of all references to it.
fn inline(value: &mut Value, reference: &str, plain: &Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("$ref").is_some_and(|to| to == reference) {
                fields.remove("$ref");
                for (name, what) in plain.as_object().into_iter().flatten() {
                    fields.entry(name.as_str()).or_insert_with(|| what.clone());
                }
            }
            fields.values_mut().for_each(|field| inline(field, reference, plain));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, reference, plain)),
        _ => {}
    }
}

fn described(dialects: &Dialects) -> OpenApi {
    let mut schemas = BTreeMap::new();
    collect(&mut schemas, Shape::of::<Fault>());
    let mut paths = PathsBuilder::new();
    if dialects.serving().next().is_some() {
        collect(&mut schemas, Shape::of::<Detail<'_>>());
        collect(&mut schemas, Shape::of::<Details<'_>>());
    }
    for mounted in rest::mounted().chain(dialects.routes()) {
        let route = mounted.route;
        let shapes = route.answers.iter().filter_map(|a| match a.content {
            Content::Json(shape) => Some(shape),
            _ => None,
        });
        for shape in shapes.chain(route.body.map(|b| b.shape)) {
            collect(&mut schemas, shape);
        }
        paths = paths.path(route.path, PathItem::new(http_method(route.verb), operation(&mounted)));
    }
    let mut components = Components::new();
    components.schemas = schemas;
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("An access token of `/v1/auth/login`, good for 30 minutes."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("parlance")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    let chapters = dialects.serving().map(|serving| (serving.dialect.name, serving.dialect.about));
    let tags = TAGS.iter().copied().chain(chapters);
    let tags = tags.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).tags(Some(tags)).build()
}

fn http_method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Put => HttpMethod::Put,
        Verb::Patch => HttpMethod::Patch,
        Verb::Delete => HttpMethod::Delete,
    }
}

fn collect(schemas: &mut BTreeMap<String, RefOr<Schema>>, shape: Shape) {
    let mut others = vec![((shape.name)().into_owned(), (shape.schema)())];
    (shape.others)(&mut others);
    schemas.extend(others);
}

fn named(shape: Shape) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name((shape.name)()))
}

fn operation(mounted: &Mounted) -> OperationBuilder {
    let route = mounted.route;
    let mut operation =
        OperationBuilder::new().tag(mounted.tag()).summary(Some(route.about)).operation_id(Some(route.id));
    for name in route.params() {
        operation = operation.parameter(path_parameter(name));
    }
    for query in route.query {
        operation = operation.parameter(query_parameter(query));
    }
    if route.keyed {
        operation = operation.parameter(key_parameter());
    }
    if let Some(body) = route.body {
        operation = operation.request_body(Some(request_body(body, route.form)));
    }
    if route.access != Access::Public {
        operation = operation.security(SecurityRequirement::new("bearer", Vec::<String>::new()));
    }
    for (status, response) in responses(mounted) {
        operation = operation.response(status.to_string(), response);
    }
    operation
}

fn integer(min: u64, max: u64) -> ObjectBuilder {
    // Numbers of the document are floating point; 2^53 - 1 is the largest integer that they hold exactly.
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max))
}

fn path_parameter(name: &'static str) -> Parameter {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let (about, schema) = match name {
        "room" => ("The room.", integer(1, ID_MAX)),
        "chat_id" => ("The chat.", integer(1, ID_MAX)),
        "user_id" => ("The user.", integer(1, ID_MAX)),
        "message_id" => ("The message's id.", integer(1, ID_MAX)),
        "user" => ("The user.", integer(1, ID_MAX)),
        "message" => ("The message's id.", integer(1, ID_MAX)),
        "seq" => ("The message's number in the room.", integer(1, ID_MAX)),
        "emoji" => ("An emoji, or a short name; at most 64 bytes.", text().min_length(Some(1)).max_length(Some(64))),
        "hash" => ("The invite's hash, as the log names it.", text().min_length(Some(64)).max_length(Some(64))),
        _ => ("", text()),
    };
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.description(Some(about)).schema(Some(schema)).build()
}

fn query_parameter(query: &Query) -> Parameter {
    let parameter = ParameterBuilder::new()
        .name(query.name)
        .parameter_in(ParameterIn::Query)
        .required(if query.required { Required::True } else { Required::False })
        .description(Some(query.about));
    match query.holds {
        Holds::Id => parameter.schema(Some(integer(1, ID_MAX))),
        Holds::Seq => parameter.schema(Some(integer(0, ID_MAX))),
        Holds::Limit => {
            let limit = integer(1, PAGE_MAX as u64).default(Some(PAGE_DEFAULT.into()));
            parameter.schema(Some(limit))
        }
        Holds::Page => parameter.schema(Some(integer(1, ID_MAX).default(Some(1.into())))),
        Holds::PageSize => {
            let size = integer(1, DIALECT_PAGE_MAX).default(Some(DIALECT_PAGE_DEFAULT.into()));
            parameter.schema(Some(size))
        }
        Holds::Flag => {
            let flag = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into()));
            parameter.schema(Some(flag))
        }
        Holds::Text => parameter.schema(Some(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)))),
        Holds::Ids | Holds::FewIds => {
            let most = if query.holds == Holds::Ids { PAGE_MAX } else { MEMBERS_MAX };
            let ids = ArrayBuilder::new().items(integer(1, ID_MAX)).min_items(Some(1)).max_items(Some(most));
            parameter.schema(Some(ids)).style(Some(ParameterStyle::Form)).explode(Some(false))
        }
    }
    .build()
}

fn key_parameter() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(64))
        .pattern(Some("^[ -~]{1,64}$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The same key again, from the same user in the same room, is answered with what the first try did.",
        ))
        .schema(Some(schema))
        .build()
}

fn request_body(body: Body, form: bool) -> RequestBody {
    let example = body.example.and_then(|text| serde_json::from_str(text).ok());
    let content = ContentBuilder::new().schema(Some(named(body.shape))).example(example).build();
    let required = if body.optional { Required::False } else { Required::True };
    let mut request = RequestBodyBuilder::new().content("application/json", content.clone());
    if form {
        request = request.content("application/x-www-form-urlencoded", content);
    }
    request.required(Some(required)).build()
}

/// All responses of a route: its own good ones, and faults by status.
fn responses(mounted: &Mounted) -> BTreeMap<u16, Response> {
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
