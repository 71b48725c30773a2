//! The parameters of a route, in its path, its query and its headers.

use parlance_schema::limits::{DIALECT_PAGE_DEFAULT, DIALECT_PAGE_MAX, ID_MAX, MEMBERS_MAX, PAGE_DEFAULT, PAGE_MAX};
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use crate::api::route::{Holds, Query};

fn integer(min: u64, max: u64) -> ObjectBuilder {
    // Numbers of the document are floating point; 2^53 - 1 is the largest integer that they hold exactly.
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max))
}

/// A parameter of the path.
pub(super) fn path(name: &'static str) -> Parameter {
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

/// A parameter of the query.
pub(super) fn query(query: &Query) -> Parameter {
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

/// The header that makes sending again harmless.
pub(super) fn key() -> Parameter {
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
