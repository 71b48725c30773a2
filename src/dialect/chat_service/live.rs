//! Who is connected, and what the service is.

use std::collections::BTreeMap;

use parlance_schema::limits::{DIALECT_PAGE_MAX, MEMBERS_MAX, MESSAGE_CHARS_MAX};
use parlance_schema::op;
use parlance_schema::user::Status;
use parlance_schema::{Code, RoomId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{self, path_id};
use crate::api::call::Call;
use crate::api::error_response::{Failure, json};
use crate::api::route::{Access, Route, get, ok};

/// The routes of what goes on now.
pub const ROUTES: &[Route] = &[
    get("/api/v1/ws/stats", "chatServiceStats", "Counts connections, in all and per chat.")
        .run(|call| Box::pin(stats(call)))
        .answers(&[ok::<ChatStats>("The counts.")]),
    get("/api/v1/ws/chat/{chat_id}/online", "chatServiceOnline", "Lists who of a chat is connected.")
        .run(|call| Box::pin(online(call)))
        .answers(&[ok::<ChatOnline>("The users.")])
        .faults(&[Code::NotFound, Code::Forbidden]),
    get("/api/v1/info", "chatServiceInfo", "Tells what the service is and can.")
        .access(Access::Public)
        .run(|_| Box::pin(async { Ok(json(StatusCode::OK, &INFO)) }))
        .answers(&[ok::<ChatInfo>("The service.")]),
];

/// How many are connected.
#[derive(Serialize, ToSchema)]
pub struct ChatStats {
    /// Open connections.
    active_connections: u64,
    /// Chats that somebody is connected to.
    active_chats: u64,
    /// Connections by chat.
    #[schema(value_type = BTreeMap<String, u64>)]
    connections_per_chat: BTreeMap<RoomId, u64>,
}

async fn stats(call: Call) -> Result<Response, Failure> {
    let stats = call.ask(op::Stats { all_rooms: true }).await?;
    let stats = ChatStats {
        active_connections: stats.connections,
        active_chats: stats.open_rooms,
        connections_per_chat: stats.per_room,
    };
    Ok(json(StatusCode::OK, &stats))
}

/// Who of a chat is connected.
#[derive(Serialize, ToSchema)]
pub struct ChatOnline {
    /// The chat.
    chat_id: RoomId,
    /// Who is connected.
    online_users: Vec<UserId>,
}

async fn online(call: Call) -> Result<Response, Failure> {
    let chat_id = path_id(&call, "chat_id")?;
    let members = ask::members(&call, chat_id).await?;
    let there = members.iter().filter(|member| member.status != Status::Offline);
    Ok(json(StatusCode::OK, &ChatOnline { chat_id, online_users: there.map(|member| member.user).collect() }))
}

/// What the service is.
#[derive(Serialize, ToSchema)]
pub struct ChatInfo {
    /// The server's name.
    name: &'static str,
    /// The version of the build.
    version: &'static str,
    /// Its bounds.
    limits: ChatLimits,
    /// What it can.
    features: &'static [&'static str],
}

/// The service's bounds.
#[derive(Serialize, ToSchema)]
pub struct ChatLimits {
    /// Characters of a message.
    max_message_length: usize,
    /// Members of a group.
    max_group_size: usize,
    /// Items of a page.
    max_page_size: u64,
}

const INFO: ChatInfo = ChatInfo {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    limits: ChatLimits {
        max_message_length: MESSAGE_CHARS_MAX,
        max_group_size: MEMBERS_MAX,
        max_page_size: DIALECT_PAGE_MAX,
    },
    features: &[
        "direct_chats",
        "group_chats",
        "message_editing",
        "message_deletion",
        "typing_indicators",
        "online_status",
        "read_tracking",
        "resume",
    ],
};
