//! `/notices/{room_id}`, and a path of chat-service's, told apart by the id.

use parlance::api::body::decode_at;
use parlance::api::call::Call;
use parlance::api::error_response::{Failure, json};
use parlance::api::route::{Holds, Query, Route, created, get, ok, post};
use parlance_schema::content::Content;
use parlance_schema::{Code, RoomId, UserId, op};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::settings::Settings;

/// The routes.
pub const ROUTES: &[Route] = &[
    get("/notices/me", "noticesShowMe", "Shows the caller's id.")
        .run(|call| Box::pin(me(call)))
        .answers(&[ok::<Reader>("The id.")]),
    get("/notices/{room_id}", "noticesList", "Lists the latest notices of a room.")
        .query(&[Query::new("limit", "At most so many.", Holds::Limit)])
        .run(|call| Box::pin(list(call)))
        .answers(&[ok::<Notices>("The notices.")])
        .faults(&[Code::NotFound]),
    post("/notices/{room_id}", "noticesPost", "Posts a notice.")
        .body::<NewNotice>(r#"{"text": "Free on Friday"}"#)
        .run(|call| Box::pin(add(call)))
        .answers(&[created::<Posted>("It is posted.")])
        .faults(&[Code::NotFound]),
    get("/api/v1/users/{user_id}", "noticesShowReader", "Shows a reader by a name that has letters.")
        .ids(|id| id.bytes().any(|byte| byte.is_ascii_alphabetic()))
        .run(|call| Box::pin(reader(call)))
        .answers(&[ok::<Named>("The reader.")]),
];

/// Who calls.
#[derive(Serialize, ToSchema)]
pub struct Reader {
    /// The id.
    id: UserId,
}

async fn me(call: Call) -> Result<Response, Failure> {
    Ok(json(StatusCode::OK, &Reader { id: call.who()?.user }))
}

/// The latest notices.
#[derive(Serialize, ToSchema)]
pub struct Notices {
    /// The earliest first.
    notices: Vec<String>,
}

async fn list(call: Call) -> Result<Response, Failure> {
    let room: RoomId = call.id("room_id")?;
    let limit = call.asked_limit()?.unwrap_or(call.settings::<Settings>()?.shown);
    let latest = op::Messages { room, before: None, after: None, limit: Some(limit), skip: None, read: false };
    let page = call.ask(latest).await?;
    let texts = page.items.into_iter().filter_map(|message| message.content);
    Ok(json(StatusCode::OK, &Notices { notices: texts.map(|content| content.text).collect() }))
}

/// A notice to post.
#[derive(Deserialize, ToSchema)]
pub struct NewNotice {
    /// What it says.
    text: String,
}

/// A notice that is posted.
#[derive(Serialize, ToSchema)]
pub struct Posted {
    /// Its number in the room.
    number: u64,
}

async fn add(call: Call) -> Result<Response, Failure> {
    let NewNotice { text } = decode_at(&call.body)?;
    let (room, content) = (call.id("room_id")?, Content::text(text));
    let post =
        op::Send { room, client_id: None, content, reply_to: None, mentions: Vec::new(), meta: Default::default() };
    let done = call.ask(post).await?;
    Ok(json(StatusCode::CREATED, &Posted { number: done.seq }))
}

/// Somebody by name.
#[derive(Serialize, ToSchema)]
pub struct Named {
    /// The name.
    reader: String,
}

async fn reader(call: Call) -> Result<Response, Failure> {
    Ok(json(StatusCode::OK, &Named { reader: call.text("user_id")?.to_owned() }))
}
