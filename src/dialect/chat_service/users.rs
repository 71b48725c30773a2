//! Signing up, logging in, one's own account, other users.

use parlance_schema::op;
use parlance_schema::user::UserView;
use parlance_schema::{Code, Fault, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::path_id;
use super::settings::Settings;
use super::view::{ChatUsers, User};
use crate::api::account::{ChangePassword, Login, Register, Secret, UpdateProfile};
use crate::api::body::{decode_at, is_form};
use crate::api::call::Call;
use crate::api::error_response::{Failure, json};
use crate::api::page::Page;
use crate::api::query::decoded;
use crate::api::route::{Access, Holds, Query, Route, created, get, ok, post, put};

/// The users' routes.
pub const ROUTES: &[Route] = &[
    post("/api/v1/users/register", "chatServiceRegister", "Makes an account.")
        .access(Access::Public)
        .attempt()
        .body::<NewUser>(
            r#"{"username": "amira", "email": "amira@example.org", "password": "correct horse battery", "full_name": "Amira"}"#,
        )
        .run(|call| Box::pin(register(call)))
        .answers(&[created::<User>("The account.")])
        .faults(&[Code::Exists, Code::Forbidden, Code::Busy, Code::RateLimited]),
    post("/api/v1/users/login", "chatServiceLogin", "Logs in with a username or an e-mail address.")
        .access(Access::Public)
        .attempt()
        .form()
        .attempt()
        .body::<Credentials>(r#"{"username": "amira", "password": "correct horse battery"}"#)
        .run(|call| Box::pin(login(call)))
        .answers(&[ok::<Token>("A token.")])
        .faults(&[Code::BadCredentials, Code::Busy, Code::RateLimited]),
    get("/api/v1/users/me", "chatServiceShowMe", "Shows oneself.")
        .run(|call| Box::pin(async move { Ok(json(StatusCode::OK, &me(&call).await?)) }))
        .answers(&[ok::<User>("Oneself.")])
        .faults(&[Code::NotFound]),
    put("/api/v1/users/me", "chatServiceChangeMe", "Changes one's name, e-mail address or password.")
        .attempt()
        .body::<UserChange>(r#"{"full_name": "Amira Ould"}"#)
        .run(|call| Box::pin(change(call)))
        .answers(&[ok::<User>("Oneself.")])
        .faults(&[Code::Exists, Code::NotFound, Code::BadCredentials]),
    get("/api/v1/users/search", "chatServiceSearchUsers", "Finds users by username or full name.")
        .query(&[
            Query::required("q", "Text in the username or full name.", Holds::Text),
            Query::new("limit", "At most so many.", Holds::PageSize),
        ])
        .run(|call| Box::pin(search(call)))
        .answers(&[ok::<ChatUsers>("Those that were found.")]),
    get("/api/v1/users/{user_id}", "chatServiceShowUser", "Shows what everybody may see of a user.")
        .run(|call| Box::pin(show(call)))
        .answers(&[ok::<User>("The user.")])
        .faults(&[Code::NotFound]),
];

/// A new user.
#[derive(Deserialize, ToSchema)]
pub struct NewUser {
    /// 3 to 50 letters, digits, dots, underscores and hyphens.
    username: String,
    /// The e-mail address; shown to nobody else.
    email: String,
    /// At least 8 characters, and at most 256 bytes.
    password: Secret,
    /// The name to show; the username where it is absent.
    #[serde(default)]
    full_name: Option<String>,
}

async fn register(call: Call) -> Result<Response, Failure> {
    let NewUser { username, email, password, full_name } = decode_at(&call.body)?;
    let new = Register { username, password, email: Some(email), full_name };
    let me = call.deps.accounts.sign_up(new).await?;
    Ok(json(StatusCode::CREATED, &User::from(me)))
}

/// Who logs in.
#[derive(Deserialize, ToSchema)]
pub struct Credentials {
    /// The username or the e-mail address.
    username: String,
    /// The password.
    password: Secret,
}

/// What a login gives.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatToken)]
pub struct Token {
    /// The token.
    access_token: Secret,
    /// `bearer`.
    token_type: &'static str,
    /// Seconds that it is good for.
    expires_in: u64,
}

async fn login(call: Call) -> Result<Response, Failure> {
    let form = if is_form(&call.headers) { Some(form(&call.body)?) } else { None };
    let Credentials { username, password } = decode_at(form.as_deref().unwrap_or(&call.body))?;
    let life_s = call.settings::<Settings>()?.token_life_s();
    let grant = call.deps.accounts.login_for(Login { username, password, tenant: None }, life_s).await?;
    let token = Token { access_token: grant.access_token, token_type: "bearer", expires_in: grant.expires_in };
    Ok(json(StatusCode::OK, &token))
}

/// A form's fields as JSON.
fn form(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::malformed("the form must be UTF-8"))?;
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.insert(decoded(name)?, Value::String(decoded(value)?));
    }
    serde_json::to_vec(&fields)
        .map_err(|_| Fault::malformed("the form can't be read: send application/x-www-form-urlencoded").into())
}

async fn me(call: &Call) -> Result<User, Failure> {
    Ok(call.deps.accounts.me(call.who()?).await?.into())
}

/// A change of oneself; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct UserChange {
    /// The name to show.
    #[serde(default)]
    full_name: Option<String>,
    /// The e-mail address.
    #[serde(default)]
    email: Option<String>,
    /// The present password, where it is to change.
    #[serde(default)]
    old_password: Option<Secret>,
    /// The password from now on.
    #[serde(default)]
    new_password: Option<Secret>,
}

async fn change(call: Call) -> Result<Response, Failure> {
    let UserChange { full_name, email, old_password, new_password } = decode_at(&call.body)?;
    let update = UpdateProfile { full_name, email: email.map(Some) };
    let me = match (old_password, new_password) {
        (Some(old_password), Some(new_password)) => {
            let change = ChangePassword { old_password, new_password };
            call.deps.accounts.revise(call.login()?, update, change).await?
        }
        (None, None) => call.deps.accounts.update_profile(call.who()?, update).await?,
        (old, _) => {
            let missing = if old.is_none() { "old_password" } else { "new_password" };
            let fault = Fault::invalid(format!("`{missing}` is missing: add this field"));
            return Err(Failure::from(fault).at(&["body", missing], "missing"));
        }
    };
    Ok(json(StatusCode::OK, &User::from(me)))
}

async fn search(call: Call) -> Result<Response, Failure> {
    let page = Page::asked(&call)?.unwrap_or_default();
    let text = call.asked("q").unwrap_or_default();
    let limit = usize::try_from(page.size).ok();
    let found = call.deps.accounts.search(call.who()?, text, limit).await;
    let found = found.map_err(|fault| Failure::from(fault).at(&["query", "q"], "value_error"))?;
    let items: Vec<User> = found.into_iter().map(User::from).collect();
    let users = ChatUsers { total: items.len() as u64, items, page: 1, page_size: page.size };
    Ok(json(StatusCode::OK, &users))
}

async fn show(call: Call) -> Result<Response, Failure> {
    let id: UserId = path_id(&call, "user_id")?;
    let users = call.ask(op::Users { ids: vec![id] }).await?;
    let found = users.into_iter().find(|user: &UserView| user.id == id);
    let user = found.ok_or_else(|| Fault::not_found("there is no such user"))?;
    Ok(json(StatusCode::OK, &User::from(user)))
}
