//! One request on its way through a route: who calls, with what parameters and body.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use parlance_actors::service::Service;
use parlance_schema::limits::{ID_MAX, PAGE_MAX};
use parlance_schema::op::Operation;
use parlance_schema::user::Principal;
use parlance_schema::{ClientId, Fault, RoomId, Seq, UserId};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use warp::http::HeaderMap;

use super::asset::Asset;
use super::body;
use super::dialect::{Dialects, Mounted, Serving};
use super::route::Route;
use super::settings::Settings;
use crate::auth::{Accounts, Authenticated};

/// Ids that one query parameter may list.
const IDS_MAX: usize = PAGE_MAX;

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

    /// A query parameter.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_str())
    }

    /// A query parameter that is a number of a room's log.
    ///
    /// # Errors
    /// When it is not a number.
    pub fn asked_seq(&self, name: &str) -> Result<Option<Seq>, Fault> {
        self.asked(name).map(|text| number(name, text, 0, ID_MAX)).transpose()
    }

    /// The query parameter `limit`.
    ///
    /// # Errors
    /// When it is not a number from 1 to [`PAGE_MAX`].
    pub fn asked_limit(&self) -> Result<Option<usize>, Fault> {
        let limit = self.asked("limit").map(|text| number("limit", text, 1, PAGE_MAX as u64)).transpose()?;
        Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(PAGE_MAX)))
    }

    /// A query parameter that is `true` or `false`; false where it is absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn asked_flag(&self, name: &str) -> Result<bool, Fault> {
        match self.asked(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Fault::invalid(format!("`{name}` must be true or false"))),
        }
    }

    /// A query parameter that lists users with commas between them.
    ///
    /// # Errors
    /// When one of them is not an id, or there are too many.
    pub fn asked_users(&self, name: &str) -> Result<Option<Vec<UserId>>, Fault> {
        let Some(text) = self.asked(name) else { return Ok(None) };
        let bad = |_| Fault::invalid(format!("`{name}` must be a comma-separated list of integers from 1 to {ID_MAX}"));
        let users: Vec<UserId> =
            text.split(',').take(IDS_MAX + 1).map(|id| id.trim().parse().map_err(bad)).collect::<Result<_, _>>()?;
        if users.len() > IDS_MAX {
            return Err(Fault::invalid(format!("`{name}` must have at most {IDS_MAX} ids")));
        }
        Ok(Some(users))
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

/// Reads a query string that holds only parameters which the route knows, each at most once; where the route's dialect lets
/// others pass, these are passed over, and the last of a name holds.
///
/// # Errors
/// When it holds others, one twice, or what is not UTF-8.
pub fn query(mounted: &Mounted, raw: &str) -> Result<Vec<(&'static str, String)>, Fault> {
    let (route, strict) = (mounted.route, mounted.refuses_unknown_query());
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for pair in raw.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        let Some(known) = route.query.iter().find(|q| q.name == name) else {
            if !strict {
                continue;
            }
            let names: Vec<_> = route.query.iter().map(|q| q.name).collect();
            if names.is_empty() {
                return Err(Fault::invalid("this path takes no query parameters: leave them out"));
            }
            let known = names.join(", ");
            return Err(Fault::invalid(format!("a query parameter is unknown: the path takes {known}")));
        };
        if !strict {
            found.retain(|(n, _)| *n != known.name);
        } else if found.iter().any(|(n, _)| *n == known.name) {
            return Err(Fault::invalid(format!("`{}` is given twice: give it once", known.name)));
        }
        found.push((known.name, decoded(value)?));
    }
    Ok(found)
}

/// A name or value of a query or a form.
///
/// # Errors
/// When it is not UTF-8.
pub fn decoded(text: &str) -> Result<String, Fault> {
    let spaced = text.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| Fault::malformed("the query string must be percent-encoded UTF-8"))
}

/// Reads `Idempotency-Key`.
///
/// # Errors
/// When it is no client id.
pub fn key(headers: &HeaderMap) -> Result<Option<ClientId>, Fault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let id = ClientId::new(value.to_str().unwrap_or_default());
    id.map(Some).map_err(|_| Fault::invalid("`Idempotency-Key` must be 1 to 64 printable ASCII characters"))
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
        _ => Err(Fault::unauthenticated("send one `Authorization` header: `Bearer`, a space and an access token")),
    }
}
