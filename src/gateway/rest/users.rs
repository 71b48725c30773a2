//! Other users.

use parlance_schema::user::UserView;
use parlance_schema::{Code, Fault, op};
use warp::http::StatusCode;
use warp::reply::Response;

use super::lists::Users;
use crate::api::call::Call;
use crate::api::error_response::{Failure, json};
use crate::api::route::{Holds, Query, Route, get, ok};

/// The users' routes.
pub const ROUTES: &[Route] = &[
    get("/v1/users", "listUsers", "Shows users by id, or finds them by username and full name.")
        .tag("users")
        .query(&[
            Query::new("ids", "Who; at most 200. Not together with `q`.", Holds::Ids),
            Query::new("q", "Text in the username or full name.", Holds::Text),
            Query::new("limit", "At most so many, with `q`.", Holds::Limit),
        ])
        .run(|call| Box::pin(list(call)))
        .answers(&[ok::<Users>("Those that there are.")]),
    get("/v1/users/{user}", "showUser", "Shows one user.")
        .tag("users")
        .run(|call| Box::pin(show(call)))
        .answers(&[ok::<UserView>("The user.")])
        .faults(&[Code::NotFound]),
];

async fn list(call: Call) -> Result<Response, Failure> {
    let users = match (call.asked_users("ids")?, call.asked("q").map(str::trim)) {
        (Some(ids), None) => call.ask(op::Users { ids }).await?,
        (None, Some(text)) if !text.is_empty() => {
            call.deps.accounts.search(call.who()?, text, call.asked_limit()?).await?
        }
        _ => return Err(Fault::invalid("give either `ids` or `q`, and not both").into()),
    };
    Ok(json(StatusCode::OK, &Users { users }))
}

async fn show(call: Call) -> Result<Response, Failure> {
    let user = call.user()?;
    let found = call.ask(op::Users { ids: vec![user] }).await?;
    let found = found.into_iter().find(|u| u.id == user).ok_or_else(|| Fault::not_found("there is no such user"))?;
    Ok(json(StatusCode::OK, &found))
}
