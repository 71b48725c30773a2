//! Registering, logging in, renewing and ending logins.

use parlance_schema::Code;
use warp::http::StatusCode;
use warp::reply::Reply;

use crate::api::error_response::json;
use crate::api::route::{Access, Route, created, empty, ok, post};
use crate::auth::{Grant, Login, Refresh, Register};

/// The routes of logins.
pub const ROUTES: &[Route] = &[
    post("/v1/auth/register", "register", "Makes an account and logs it in.")
        .tag("auth")
        .access(Access::Public)
        .attempt()
        .body::<Register>(r#"{"username": "amira", "password": "correct horse battery", "full_name": "Amira Ould"}"#)
        .run(|call| {
            Box::pin(async move {
                let login = call.deps.accounts.register(call.body()?).await?;
                Ok(json(StatusCode::CREATED, &login))
            })
        })
        .answers(&[created::<Grant>("The account and its first tokens.")])
        .faults(&[Code::Exists, Code::Forbidden]),
    post("/v1/auth/login", "login", "Logs in with a username or an e-mail address.")
        .tag("auth")
        .access(Access::Public)
        .attempt()
        .body::<Login>(r#"{"username": "amira", "password": "correct horse battery"}"#)
        .run(|call| {
            Box::pin(async move {
                let login = call.deps.accounts.login(call.body()?).await?;
                Ok(json(StatusCode::OK, &login))
            })
        })
        .answers(&[ok::<Grant>("Tokens.")]),
    post("/v1/auth/refresh", "refresh", "Exchanges a refresh token; using one again revokes the whole login.")
        .tag("auth")
        .access(Access::Public)
        .body::<Refresh>(r#"{"refresh_token": "the one of the login"}"#)
        .run(|call| {
            Box::pin(async move {
                let login = call.deps.accounts.refresh(call.body()?).await?;
                Ok(json(StatusCode::OK, &login))
            })
        })
        .answers(&[ok::<Grant>("New tokens.")])
        .faults(&[Code::Unauthenticated, Code::TokenExpired, Code::Revoked]),
    post("/v1/auth/logout", "logout", "Ends a login.")
        .tag("auth")
        .access(Access::Public)
        .body::<Refresh>(r#"{"refresh_token": "the one of the login"}"#)
        .run(|call| {
            Box::pin(async move {
                call.deps.accounts.logout(call.body()?).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            })
        })
        .answers(&[empty("It has ended.")])
        .faults(&[Code::Unauthenticated, Code::TokenExpired, Code::Revoked]),
];
