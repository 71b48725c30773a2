//! Messages: sending, reading, editing, deleting.

use std::collections::BTreeMap;

use parlance_schema::content::{Content, MESSAGE_TYPE};
use parlance_schema::message::MessageView;
use parlance_schema::op;
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId, Seq};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::{Reply, Response};

use super::ask::{self, of_body, path_id, query_id};
use super::view::{ChatMessages, Message};
use crate::api::body::decode_at;
use crate::api::call::Call;
use crate::api::error_response::{Failure, json};
use crate::api::page::Page;
use crate::api::route::{Holds, Query, Route, created, delete, empty, get, ok, post, put};

/// The messages' routes.
pub const ROUTES: &[Route] = &[
    post("/api/v1/messages/", "chatServiceSendMessage", "Sends a message.")
        .keyed()
        .body::<NewChatMessage>(r#"{"chat_id": 12, "content": "Grüß Gott"}"#)
        .run(|call| Box::pin(send(call)))
        .answers(&[created::<Message>("It is stored."), ok::<Message>("An earlier try had stored it.")])
        .faults(&[Code::NotFound, Code::Forbidden, Code::Muted, Code::Archived, Code::Deleted]),
    get("/api/v1/messages/chat/{chat_id}", "chatServiceListMessages", "Shows a chat's messages, newest first.")
        .query(&[
            Query::new("page", "Which page; not together with `before` and `after`.", Holds::Page),
            Query::new("page_size", "How many messages a page has.", Holds::PageSize),
            Query::new("limit", "The same as `page_size`.", Holds::PageSize),
            Query::new("before", "Only messages before this one, by its id.", Holds::Id),
            Query::new("after", "Only messages after this one, by its id: those that follow it.", Holds::Id),
        ])
        .run(|call| Box::pin(list(call)))
        .answers(&[ok::<ChatMessages>("The messages.")])
        .faults(&[Code::NotFound, Code::Forbidden]),
    put("/api/v1/messages/{message_id}", "chatServiceEditMessage", "Replaces what one's own message says.")
        .body::<ChatWording>(r#"{"content": "Servus"}"#)
        .run(|call| Box::pin(edit(call)))
        .answers(&[ok::<Message>("The message.")])
        .faults(&[Code::NotFound, Code::Forbidden, Code::Muted, Code::Archived, Code::Deleted]),
    delete("/api/v1/messages/{message_id}", "chatServiceDeleteMessage", "Deletes one's own message, or as an admin.")
        .run(|call| Box::pin(remove(call)))
        .answers(&[empty("It is deleted.")])
        .faults(&[Code::NotFound, Code::Forbidden]),
];

/// A message to send.
#[derive(Deserialize, ToSchema)]
pub struct NewChatMessage {
    /// Where.
    chat_id: RoomId,
    /// What it says, 1 to 10,000 characters.
    content: String,
    /// `text`, or what the sender calls it.
    #[serde(default)]
    message_type: Option<String>,
    /// The id of the message that it answers.
    #[serde(default)]
    reply_to: Option<MessageId>,
    /// The sender's name for it, which makes sending it again harmless.
    #[serde(default)]
    client_id: Option<ClientId>,
}

/// A message's type among its small facts; plain text needs no mention.
pub(super) fn typed(message_type: Option<String>) -> BTreeMap<String, String> {
    let special = message_type.filter(|kind| !kind.is_empty() && kind != "text");
    special.into_iter().map(|kind| (MESSAGE_TYPE.to_owned(), kind)).collect()
}

async fn send(call: Call) -> Result<Response, Failure> {
    let NewChatMessage { chat_id: room, content, message_type, reply_to, client_id } = decode_at(&call.body)?;
    let reply_to = match reply_to {
        Some(id) => Some(place(&call, room, id, &["body", "reply_to"]).await?),
        None => None,
    };
    let client_id = client_id.or_else(|| call.key.clone());
    let (content, meta) = (Content::text(content), typed(message_type));
    let op = op::Send { room, client_id, content, reply_to, mentions: Vec::new(), meta };
    let done = ask::in_chat(&call, room, op).await.map_err(|failure| of_body(failure, "content"))?;
    let status = if done.again { StatusCode::OK } else { StatusCode::CREATED };
    let message = shown(&call, room, done.seq).await?;
    Ok(json(status, &message))
}

/// A message of a chat, as it is now.
async fn shown(call: &Call, room: RoomId, seq: Seq) -> Result<Message, Failure> {
    let message = ask::in_chat(call, room, op::Message { room, seq }).await?;
    let names = ask::names(call, std::iter::once(message.by)).await?;
    Ok(Message::new(message, &names))
}

/// The number of a chat's message.
async fn place(call: &Call, room: RoomId, id: MessageId, loc: &[&str]) -> Result<Seq, Failure> {
    // Whose chat it isn't learns nothing of the message.
    ask::chat(call, room).await?;
    let message = ask::message(call, id).await?;
    if message.room == room {
        return Ok(message.seq);
    }
    Err(Failure::from(Fault::invalid("the message belongs to another chat: give the id of a message in this chat"))
        .at(loc, "value_error"))
}

async fn list(call: Call) -> Result<Response, Failure> {
    let room: RoomId = path_id(&call, "chat_id")?;
    let page = Page::asked(&call)?.unwrap_or_default();
    let (before, after) = (query_id(&call, "before")?, query_id(&call, "after")?);
    let view = ask::chat(&call, room).await?;
    let before = match before {
        Some(id) => Some(place(&call, room, id, &["query", "before"]).await?),
        None => None,
    };
    let after = match after {
        Some(id) => Some(place(&call, room, id, &["query", "after"]).await?),
        None => None,
    };
    let paged = before.is_none() && after.is_none();
    let skip = if paged { page.skip() } else { 0 };
    let mut found = stretch(&call, room, (before, after), skip, page.size).await?;
    found.sort_by_key(|message| std::cmp::Reverse(message.seq));
    let names = ask::names(&call, found.iter().map(|message| message.by)).await?;
    let items = found.into_iter().map(|message| Message::new(message, &names)).collect();
    let number = if paged { page.page } else { 1 };
    let page = ChatMessages { items, total: view.messages, page: number, page_size: page.size };
    Ok(json(StatusCode::OK, &page))
}

/// Reads messages until there are `size` of them: long ones come in several pieces, and none may be passed over. The newest
/// ones count as read.
async fn stretch(
    call: &Call,
    room: RoomId,
    (mut before, mut after): (Option<Seq>, Option<Seq>),
    skip: u64,
    size: u64,
) -> Result<Vec<MessageView>, Failure> {
    let mut found: Vec<MessageView> = Vec::new();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    loop {
        let first = found.is_empty();
        let op = op::Messages {
            room,
            before,
            after,
            limit: Some(size - found.len()),
            skip: (first && skip > 0).then_some(skip),
            read: first && skip == 0 && before.is_none() && after.is_none(),
        };
        let page = ask::in_chat(call, room, op).await?;
        let ends = page.items.first().zip(page.items.last()).map(|(first, last)| (first.seq, last.seq));
        found.extend(page.items);
        let Some((oldest, newest)) = ends.filter(|_| page.more && found.len() < size) else { return Ok(found) };
        if after.is_some() {
            after = Some(newest);
        } else {
            before = Some(oldest);
        }
    }
}

/// What a message is to say.
#[derive(Deserialize, ToSchema)]
pub struct ChatWording {
    /// What it says now.
    content: String,
}

async fn edit(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "message_id")?;
    let ChatWording { content } = decode_at(&call.body)?;
    let MessageView { room, seq, .. } = ask::message(&call, id).await?;
    let op = op::Edit { room, seq, revision: None, content: Content::text(content), client_id: None };
    ask::in_chat(&call, room, op).await.map_err(|failure| of_body(failure, "content"))?;
    Ok(json(StatusCode::OK, &shown(&call, room, seq).await?))
}

async fn remove(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "message_id")?;
    let MessageView { room, seq, .. } = ask::message(&call, id).await?;
    match ask::in_chat(&call, room, op::Delete { room, seq, client_id: None }).await {
        Err(failure) if failure.fault.code != Code::Deleted => Err(failure),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
