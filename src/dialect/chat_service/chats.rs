//! Chats: opening, listing, renaming, leaving.

use parlance_schema::command::{History, Kind};
use parlance_schema::op;
use parlance_schema::{ClientId, Code, Fault, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::{Reply, Response};

use super::ask::{self, of_body, path_id};
use super::view::{Chat, ChatDetails, Chats, ListedChat, Participant};
use crate::api::body::decode_at;
use crate::api::call::Call;
use crate::api::error_response::{Failure, json};
use crate::api::page::Page;
use crate::api::route::{Holds, Query, Route, created, delete, empty, get, ok, post, put};

/// The chats' routes.
pub const ROUTES: &[Route] = &[
    post("/api/v1/chats/", "chatServiceOpenChat", "Opens a chat; of a direct one there is one per pair.")
        .keyed()
        .body::<NewChat>(r#"{"chat_type": "group", "name": "Kitchen", "participant_ids": []}"#)
        .run(|call| Box::pin(open(call)))
        .answers(&[created::<Chat>("The chat."), ok::<Chat>("The chat, which was there already.")])
        .faults(&[Code::NotFound, Code::Forbidden, Code::RoomFull]),
    get("/api/v1/chats/", "chatServiceListChats", "Lists one's chats, newest activity first.")
        .query(&[
            Query::new("page", "Which page; all chats where neither this nor a size is given.", Holds::Page),
            Query::new("page_size", "How many chats a page has.", Holds::PageSize),
            Query::new("limit", "The same as `page_size`.", Holds::PageSize),
        ])
        .run(|call| Box::pin(list(call)))
        .answers(&[ok::<Chats>("The chats.")]),
    get("/api/v1/chats/{chat_id}", "chatServiceShowChat", "Shows a chat and who is in it.")
        .run(|call| Box::pin(show(call)))
        .answers(&[ok::<ChatDetails>("The chat.")])
        .faults(&[Code::NotFound, Code::Forbidden]),
    put("/api/v1/chats/{chat_id}", "chatServiceRenameChat", "Gives a group another name.")
        .body::<ChatChange>(r#"{"name": "Kitchen"}"#)
        .run(|call| Box::pin(rename(call)))
        .answers(&[ok::<Chat>("The chat.")])
        .faults(&[Code::NotFound, Code::Forbidden, Code::Archived]),
    delete("/api/v1/chats/{chat_id}", "chatServiceLeaveChat", "Leaves a chat.")
        .run(|call| Box::pin(leave(call)))
        .answers(&[empty("One has left.")])
        .faults(&[Code::NotFound, Code::Forbidden, Code::Already]),
];

/// What a chat is.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatType {
    /// Two users, one chat per pair.
    Direct,
    /// Up to 100 users.
    Group,
}

/// A chat to be opened.
#[derive(Deserialize, ToSchema)]
pub struct NewChat {
    /// What it is.
    chat_type: ChatType,
    /// A group's name, 1 to 100 characters.
    #[serde(default)]
    name: Option<String>,
    /// Who is in it besides the caller.
    #[serde(default)]
    participant_ids: Vec<UserId>,
    /// The caller's name for this call, which makes repeating it harmless.
    #[serde(default)]
    client_id: Option<ClientId>,
}

async fn open(call: Call) -> Result<Response, Failure> {
    let NewChat { chat_type, name, participant_ids, client_id } = decode_at(&call.body)?;
    let me = call.who()?;
    let mut others = participant_ids;
    others.retain(|user| *user != me.user);
    let opened = match chat_type {
        ChatType::Direct => {
            others.dedup();
            let [user] = others[..] else {
                let fault =
                    Fault::invalid("for a direct chat, `participant_ids` must contain exactly one user other than you");
                return Err(Failure::from(fault).at(&["body", "participant_ids"], "value_error"));
            };
            call.ask(op::Direct { user }).await
        }
        ChatType::Group => {
            let missing =
                || Failure::from(Fault::invalid("`name` is missing: add this field")).at(&["body", "name"], "missing");
            let (name, client_id) = (name.ok_or_else(missing)?, client_id.or_else(|| call.key.clone()));
            let kind = Kind::Group;
            call.ask(op::Create { kind, name, members: others, history: History::All, client_id }).await
        }
    };
    let opened = opened.map_err(|fault| of_body(fault.into(), "name"))?;
    let status = if opened.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &Chat::from(&opened.room)))
}

async fn list(call: Call) -> Result<Response, Failure> {
    let asked = Page::asked(&call)?;
    let rooms = call.ask(op::Rooms {}).await?;
    let total = rooms.len() as u64;
    // Who asks for no page gets all chats, as there are no more than one user may be in.
    let page = asked.unwrap_or(Page { page: 1, size: total.max(Page::default().size) });
    let rooms = page.of(rooms);
    let senders = rooms.iter().filter_map(|room| room.last_message.as_ref()).map(|message| message.by);
    let names = ask::names(&call, senders).await?;
    let items = rooms.into_iter().map(|room| ListedChat::new(room, &names)).collect();
    Ok(json(StatusCode::OK, &Chats { items, total, page: page.page, page_size: page.size }))
}

async fn show(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "chat_id")?;
    let room = ask::chat(&call, id).await?;
    let members = ask::members(&call, id).await?;
    let names = ask::names(&call, room.last_message.iter().map(|message| message.by)).await?;
    let participants = members.iter().map(|member| Participant::new(id, member)).collect();
    Ok(json(StatusCode::OK, &ChatDetails { chat: ListedChat::new(room, &names), participants }))
}

/// A change of a chat.
#[derive(Deserialize, ToSchema)]
pub struct ChatChange {
    /// The name, 1 to 100 characters.
    name: String,
}

async fn rename(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "chat_id")?;
    let ChatChange { name } = decode_at(&call.body)?;
    let renamed = ask::in_chat(&call, id, op::Rename { room: id, name, client_id: None }).await;
    renamed.map_err(|failure| of_body(failure, "name"))?;
    let room = ask::chat(&call, id).await?;
    Ok(json(StatusCode::OK, &Chat::from(&room)))
}

async fn leave(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "chat_id")?;
    ask::in_chat(&call, id, op::Leave { room: id, client_id: None }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
