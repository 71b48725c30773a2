//! The OpenAPI 3.1 document, made from the table of routes and the vocabulary's schemas.

mod parameters;
mod responses;
mod tidy;

use std::collections::BTreeMap;
use std::sync::Arc;

use parlance_schema::Fault;
use serde_json::Value;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, PathsBuilder};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Schema,
    tag::TagBuilder,
};

use super::rest;
use crate::api::asset::Asset;
use crate::api::dialect::{Dialects, Mounted};
use crate::api::error_response::{Detail, Details};
use crate::api::route::{Access, Body, Content, Shape, Verb};

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
            tidy::tidy(&mut document);
            document
        }
        Err(error) => {
            tracing::error!(%error, "the openapi document could not be written");
            Value::Null
        }
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
        operation = operation.parameter(parameters::path(name));
    }
    for query in route.query {
        operation = operation.parameter(parameters::query(query));
    }
    if route.keyed {
        operation = operation.parameter(parameters::key());
    }
    if let Some(body) = route.body {
        operation = operation.request_body(Some(request_body(body, route.form)));
    }
    if route.access != Access::Public {
        operation = operation.security(SecurityRequirement::new("bearer", Vec::<String>::new()));
    }
    for (status, response) in responses::responses(mounted) {
        operation = operation.response(status.to_string(), response);
    }
    operation
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
