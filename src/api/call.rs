//! One request on its way through a route: who calls, with what path parameters and body.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use parlance_actors::service::Service;
use parlance_schema::limits::ID_MAX;
use parlance_schema::op::Operation;
use parlance_schema::user::Principal;
use parlance_schema::{ClientId, Fault, RoomId, Seq, UserId};
use serde::de::DeserializeOwned;
use warp::http::HeaderMap;

use super::asset::Asset;
use super::body;
use super::dialect::{Dialects, Serving};
use super::route::Route;
use super::settings::Settings;
use crate::auth::{Accounts, Authenticated};

/// Path parameters by name.
pub type Params = Vec<(&'static str, String)>;

/// What handlers may call.
pub struct Deps {
    /// The node.
    pub service: Arc<dyn Service>,
    /// Accounts and tokens.
    pub accounts: Arc<Accounts>,
    /// Other services whose paths are served.
    pub dialects: Arc<Dialects>,
    /// Writes the node's metrics in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The OpenAPI document of all that is served.
    pub document: Arc<Asset>,
}

/// One request on its way through a route.
pub struct Call {
    /// What handlers may call.
    pub deps: Arc<Deps>,
    /// The route.
    pub route: &'static Route,
    /// Who calls; absent where a route is public.
    pub who: Option<Authenticated>,
    /// The headers.
    pub headers: HeaderMap,
    /// The `Idempotency-Key`, where the route takes one and there is one.
    pub key: Option<ClientId>,
    /// Path parameters.
    pub params: Params,
    /// Query parameters.
    pub query: Vec<(&'static str, String)>,
    /// The body; empty where the route takes none.
    pub body: Bytes,
    pub(crate) serving: Option<Arc<Serving>>,
}

impl Call {
    /// The caller.
    ///
    /// # Errors
    /// When the route is public.
    pub fn who(&self) -> Result<Principal, Fault> {
        self.login().map(|login| login.principal)
    }

    /// The caller's token, as it was checked.
    ///
    /// # Errors
    /// When the route is public.
    pub fn login(&self) -> Result<&Authenticated, Fault> {
        self.who.as_ref().ok_or_else(|| {
            Fault::unauthenticated(
                "this needs an access token: send the header `Authorization: Bearer` followed by the token",
            )
        })
    }

    /// Performs an operation as the caller.
    ///
    /// # Errors
    /// The fault that the client is to see.
    pub async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, Fault> {
        self.deps.service.ask(self.who()?, operation).await
    }

    /// The settings of the dialect whose route it is.
    ///
    /// # Errors
    /// When they are of another type.
    pub fn settings<T: Settings>(&self) -> Result<&T, Fault> {
        super::dialect::settings(self.serving.as_ref())
    }

    /// The `room` of the path.
    ///
    /// # Errors
    /// When it is not an id.
    pub fn room(&self) -> Result<RoomId, Fault> {
        self.id("room")
    }

    /// The `user` of the path.
    ///
    /// # Errors
    /// When it is not an id.
    pub fn user(&self) -> Result<UserId, Fault> {
        self.id("user")
    }

    /// The `seq` of the path.
    ///
    /// # Errors
    /// When it is not a number from 1.
    pub fn seq(&self) -> Result<Seq, Fault> {
        number("seq", self.text("seq")?, 1, ID_MAX)
    }

    /// A path parameter.
    ///
    /// # Errors
    /// When the path has none of this name.
    pub fn text(&self, name: &str) -> Result<&str, Fault> {
        let found = self.params.iter().find(|(n, _)| *n == name);
        found.map(|(_, text)| text.as_str()).ok_or_else(|| {
            Fault::internal(format!("server error: the path parameter `{name}` is missing; tell the server's operator"))
        })
    }

    /// An id of the path.
    ///
    /// # Errors
    /// When it is not one.
    pub fn id<T: FromStr>(&self, name: &str) -> Result<T, Fault> {
        self.text(name)?.parse().map_err(|_| Fault::invalid(format!("`{name}` must be an integer from 1 to {ID_MAX}")))
    }

    /// The body.
    ///
    /// # Errors
    /// When it is not what the route takes.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        body::decode(&self.body)
    }

    /// The body, or the default where there is none.
    ///
    /// # Errors
    /// When there is one, and it is not what the route takes.
    pub fn body_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Fault> {
        if self.body.iter().all(u8::is_ascii_whitespace) { Ok(T::default()) } else { self.body() }
    }
}

/// An integer within bounds.
///
/// # Errors
/// When it is not one.
pub fn number(name: &str, text: &str, min: u64, max: u64) -> Result<u64, Fault> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let found = text.parse().ok().filter(|n| digits && (min..=max).contains(n));
    found.ok_or_else(|| Fault::invalid(format!("`{name}` must be an integer from {min} to {max}")))
}

/// Reads the token of `Authorization`.
///
/// # Errors
/// When there is none, or it is of another scheme.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Fault> {
    let mut values = headers.get_all(warp::http::header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| {
        Fault::unauthenticated(
            "this needs an access token: send the header `Authorization: Bearer` followed by the token",
        )
    })?;
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && values.next().is_none() => Ok(token.trim()),
        _ => Err(Fault::unauthenticated(
            "the `Authorization` header is given twice or has the wrong form: send it once, as `Bearer`, a space and an access token",
        )),
    }
}
