//! Messages: sending, reading, editing, deleting.

use parlance_schema::content::{Content, Meta};
use parlance_schema::limits::META_KEYS_MAX;
use parlance_schema::message::MessageView;
use parlance_schema::op::Op;
use parlance_schema::view::Done;
use parlance_schema::{Code, Fault, Seq, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::lists::{MessagePage, Revisions};
use crate::api::call::Call;
use crate::api::route::{Holds, Query, Route, created, delete, empty, get, ok, post, put};

/// The query parameters of a page of messages.
const MESSAGE_PAGING: &[Query] = &[
    Query::new("before", "Only below this number.", Holds::Seq),
    Query::new("after", "Only above this number.", Holds::Seq),
    Query::new("limit", "At most so many.", Holds::Limit),
    Query::new("skip", "Leaves out so many of the latest first; not together with `after`.", Holds::Seq),
    Query::new("read", "Whether everything counts as read, where the page is the latest one.", Holds::Flag),
];

/// The messages' routes.
pub const ROUTES: &[Route] = &[
    get(
        "/v1/rooms/{room}/messages",
        "listMessages",
        "Shows messages as they are now: the latest, or before or after one.",
    )
    .tag("messages")
    .query(MESSAGE_PAGING)
    .op(page)
    .answers(&[ok::<MessagePage>("A page, oldest first.")]),
    get("/v1/messages/{message}", "findMessage", "Finds a message by its id.")
        .tag("messages")
        .op(|call| Ok(Op::Find { message: call.id("message")? }))
        .answers(&[ok::<MessageView>("The message.")]),
    post("/v1/rooms/{room}/messages", "sendMessage", "Sends a message.")
        .tag("messages")
        .keyed()
        .body::<NewMessage>(r#"{"content": {"text": "Grüß Gott"}, "mentions": [7]}"#)
        .op(send)
        .answers(&[created::<Done>("It is stored."), ok::<Done>("An earlier try with the same key had stored it.")])
        .faults(&[Code::TooLarge]),
    get("/v1/rooms/{room}/messages/{seq}", "showMessage", "Shows one message as it is now.")
        .tag("messages")
        .op(|call| Ok(Op::Message { room: call.room()?, seq: call.seq()? }))
        .answers(&[ok::<MessageView>("The message.")]),
    put("/v1/rooms/{room}/messages/{seq}", "editMessage", "Replaces what one's own message says.")
        .tag("messages")
        .keyed()
        .body::<Wording>(r#"{"content": {"text": "Servus"}, "revision": 0}"#)
        .op(edit)
        .answers(&[ok::<Done>("It says that now.")]),
    delete("/v1/rooms/{room}/messages/{seq}", "deleteMessage", "Erases a message's words; its number stays.")
        .tag("messages")
        .keyed()
        .op(|call| Ok(Op::Delete { room: call.room()?, seq: call.seq()?, client_id: call.key.clone() }))
        .answers(&[empty("They are erased.")]),
    get("/v1/rooms/{room}/messages/{seq}/revisions", "listRevisions", "Shows a message's wordings.")
        .tag("messages")
        .op(|call| Ok(Op::Revisions { room: call.room()?, seq: call.seq()? }))
        .answers(&[ok::<Revisions>("The wordings, the first one first.")]),
];

fn page(call: &Call) -> Result<Op, Fault> {
    let (before, after) = (call.asked_seq("before")?, call.asked_seq("after")?);
    let (limit, skip, read) = (call.asked_limit()?, call.asked_seq("skip")?, call.asked_flag("read")?);
    Ok(Op::Messages { room: call.room()?, before, after, limit, skip, read })
}

/// A message to send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What it says.
    content: Content,
    /// The number of the message that it answers.
    #[serde(default, deserialize_with = "parlance_schema::id::whole_number_if_any")]
    #[schema(value_type = Option<u64>, maximum = 9007199254740991u64)]
    reply_to: Option<Seq>,
    /// Members it points out.
    #[serde(default)]
    #[schema(max_items = 100)]
    mentions: Vec<UserId>,
    /// Small facts beside it: a flat map of text.
    #[serde(default)]
    #[schema(schema_with = small_facts)]
    meta: Meta,
}

fn small_facts() -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    ObjectBuilder::new()
        .description(Some("Small facts beside it: a flat map of text."))
        .additional_properties(Some(text))
        .max_properties(Some(META_KEYS_MAX))
        .build()
}

fn send(call: &Call) -> Result<Op, Fault> {
    let NewMessage { content, reply_to, mentions, meta } = call.body()?;
    Ok(Op::Send { room: call.room()?, client_id: call.key.clone(), content, reply_to, mentions, meta })
}

/// What a message is to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// What it says now.
    content: Content,
    /// The revision that is replaced, 0 being the message as sent; absent: whatever is there.
    #[serde(default)]
    revision: Option<u32>,
}

fn edit(call: &Call) -> Result<Op, Fault> {
    let Wording { content, revision } = call.body()?;
    Ok(Op::Edit { room: call.room()?, seq: call.seq()?, revision, content, client_id: call.key.clone() })
}
