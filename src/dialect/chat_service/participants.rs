//! Who is in a chat.

use parlance_schema::op;
use parlance_schema::{Code, Fault, RoomId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::{Reply, Response};

use super::ask::{self, of_body, path_id, query_id};
use super::view::{Participant, Participants};
use crate::api::body::decode_at;
use crate::api::call::Call;
use crate::api::error_response::{Failure, json};
use crate::api::page::Page;
use crate::api::route::{Holds, Query, Route, created, delete, empty, get, ok, post};

/// The participants' routes.
pub const ROUTES: &[Route] = &[
    post("/api/v1/chats/{chat_id}/participants", "chatServiceAddParticipants", "Adds users to a group, all or none.")
        .body::<NewParticipants>(r#"{"user_ids": [9, 10]}"#)
        .run(|call| Box::pin(add(call)))
        .answers(&[
            created::<Participants>("Those who were to be added."),
            ok::<Participants>("They were in the chat already."),
        ])
        .faults(&[Code::NotFound, Code::Forbidden, Code::RoomFull, Code::Banned, Code::Archived]),
    delete(
        "/api/v1/chats/{chat_id}/participants",
        "chatServiceRemoveParticipant",
        "Removes a user from a group, or oneself.",
    )
    .query(&[Query::new("user_id", "Who, where the body doesn't say.", Holds::Id)])
    .optional_body::<OldParticipant>()
    .run(|call| Box::pin(remove(call)))
    .answers(&[empty("They are removed.")])
    .faults(&[Code::NotFound, Code::Forbidden, Code::Already]),
    get("/api/v1/chats/{chat_id}/participants", "chatServiceListParticipants", "Lists who is in a chat.")
        .query(&[
            Query::new("page", "Which page; all participants where neither this nor a size is given.", Holds::Page),
            Query::new("page_size", "How many participants a page has.", Holds::PageSize),
            Query::new("limit", "The same as `page_size`.", Holds::PageSize),
        ])
        .run(|call| Box::pin(list(call)))
        .answers(&[ok::<Participants>("The participants, in order of joining.")])
        .faults(&[Code::NotFound, Code::Forbidden]),
];

/// Users to be added.
#[derive(Deserialize, ToSchema)]
pub struct NewParticipants {
    /// Who; 1 to 100.
    user_ids: Vec<UserId>,
}

async fn add(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "chat_id")?;
    let NewParticipants { user_ids } = decode_at(&call.body)?;
    let added = ask::in_chat(&call, id, op::Add { room: id, users: user_ids.clone(), client_id: None }).await;
    let status = match added.map_err(|failure| of_body(failure, "user_ids")) {
        Ok(_) => StatusCode::CREATED,
        Err(failure) if failure.fault.code == Code::Already => StatusCode::OK,
        Err(failure) => return Err(failure),
    };
    let all = of(&call, id).await?;
    let items: Vec<_> = all.into_iter().filter(|(user, _)| user_ids.contains(user)).map(|(_, view)| view).collect();
    let (total, page_size) = (items.len() as u64, whole(items.len()));
    Ok(json(status, &Participants { items, total, page: 1, page_size }))
}

async fn of(call: &Call, id: RoomId) -> Result<Vec<(UserId, Participant)>, Failure> {
    let members = ask::members(call, id).await?;
    Ok(members.iter().map(|member| (member.user, Participant::new(id, member))).collect())
}

/// The size of a page that all fit on.
fn whole(items: usize) -> u64 {
    Page::default().size.max(items as u64)
}

/// Who is to be removed.
#[derive(Default, Deserialize, ToSchema)]
pub struct OldParticipant {
    /// Who.
    #[serde(default)]
    user_id: Option<UserId>,
}

async fn remove(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "chat_id")?;
    let blank = call.body.iter().all(u8::is_ascii_whitespace);
    let named: OldParticipant = if blank { OldParticipant::default() } else { decode_at(&call.body)? };
    let asked = query_id(&call, "user_id")?;
    let user = named.user_id.or(asked).ok_or_else(|| {
        Failure::from(Fault::invalid("`user_id` is missing: add this field")).at(&["body", "user_id"], "missing")
    })?;
    if user == call.who()?.user {
        ask::in_chat(&call, id, op::Leave { room: id, client_id: None }).await?;
    } else {
        ask::in_chat(&call, id, op::Kick { room: id, user, client_id: None }).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list(call: Call) -> Result<Response, Failure> {
    let id = path_id(&call, "chat_id")?;
    let asked = Page::asked(&call)?;
    let all: Vec<_> = of(&call, id).await?.into_iter().map(|(_, view)| view).collect();
    let total = all.len() as u64;
    let page = asked.unwrap_or(Page { page: 1, size: whole(all.len()) });
    let items = page.of(all);
    Ok(json(StatusCode::OK, &Participants { items, total, page: page.page, page_size: page.size }))
}
