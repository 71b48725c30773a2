//! One's own account.

use parlance_schema::Code;
use parlance_schema::user::MeView;
use warp::http::StatusCode;
use warp::reply::Reply;

use crate::api::error_response::json;
use crate::api::route::{Route, empty, get, ok, patch, put};
use crate::auth::{ChangePassword, UpdateProfile};

/// The routes of one's own account.
pub const ROUTES: &[Route] = &[
    get("/v1/me", "showMe", "Shows oneself.")
        .tag("me")
        .run(|call| {
            Box::pin(async move {
                let me = call.deps.accounts.me(call.who()?).await?;
                Ok(json(StatusCode::OK, &me))
            })
        })
        .answers(&[ok::<MeView>("Oneself.")])
        .faults(&[Code::NotFound]),
    patch("/v1/me", "changeMe", "Changes what is shown of oneself.")
        .tag("me")
        .body::<UpdateProfile>(r#"{"full_name": "Amira Ould"}"#)
        .run(|call| {
            Box::pin(async move {
                let change: UpdateProfile = call.body()?;
                let me = call.deps.accounts.update_profile(call.who()?, change).await?;
                Ok(json(StatusCode::OK, &me))
            })
        })
        .answers(&[ok::<MeView>("Oneself.")])
        .faults(&[Code::Exists, Code::NotFound, Code::OutcomeUnknown]),
    put("/v1/me/password", "changePassword", "Changes one's password; all other logins end, and all access tokens are void: one's own login goes on with a refresh.")
        .tag("me")
        .attempt()
        .body::<ChangePassword>(r#"{"old_password": "correct horse battery", "new_password": "staple, correct"}"#)
        .run(|call| {
            Box::pin(async move {
                let change: ChangePassword = call.body()?;
                call.deps.accounts.change_password(call.login()?, change).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            })
        })
        .answers(&[empty("It is changed.")])
        .faults(&[Code::BadCredentials, Code::NotFound, Code::OutcomeUnknown]),
];
