//! Other services whose clients are served as well. A dialect is decode and encode, nothing else: it has no state, no store
//! and no rule of its own.
//!
//! Its calls are [`Route`]s in the same table as ours, so that the matcher, the documentation and the permission tests know
//! them; each is one or a few operations of the node or the accounts, and a formatting of their answers. Its sockets are
//! Sessions like any other, with a `Wire` of their own.

pub mod chat_service;
mod page;
pub mod time;

use std::sync::Arc;

use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::auth::Issuer;
use crate::config;
use crate::gateway::connect;
use crate::gateway::openapi::Served;
use crate::gateway::rest::route::{Route, Style};

/// A service that is served as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Users, direct and group chats under `/api/v1`.
    ChatService,
}

/// The dialects that are on, with their settings.
pub struct Dialects {
    chat_service: Option<chat_service::Settings>,
    document: Served,
}

impl Dialects {
    /// Takes over the settings.
    #[must_use]
    pub fn new(config: &config::Dialects) -> Self {
        let chat_service = chat_service::Settings::new(&config.chat_service);
        let document = Served::new(routes(chat_service.is_some()));
        Self { chat_service, document }
    }

    /// The routes of those that are on.
    pub fn routes(&self) -> impl Iterator<Item = &'static Route> {
        routes(self.chat_service.is_some())
    }

    /// Whose tokens are good on a dialect's paths, besides ours.
    #[must_use]
    pub fn issuer(&self, name: Name) -> Option<&Issuer> {
        match name {
            Name::ChatService => self.chat_service.as_ref()?.issuer.as_ref(),
        }
    }

    /// In what manner it is told that there is nothing at a path.
    #[must_use]
    pub fn style(&self, path: &str) -> Style {
        if self.chat_service.is_some() { style(path) } else { Style::Native }
    }

    /// The OpenAPI document.
    #[must_use]
    pub fn document(&self) -> &Served {
        &self.document
    }

    /// The settings of `chat-service`, where it is on.
    #[must_use]
    pub fn chat_service(&self) -> Option<&chat_service::Settings> {
        self.chat_service.as_ref()
    }
}

fn routes(chat_service: bool) -> impl Iterator<Item = &'static Route> {
    chat_service::routes().filter(move |_| chat_service)
}

/// The routes of all dialects, whether they are on or not.
pub fn all_routes() -> impl Iterator<Item = &'static Route> {
    routes(true)
}

/// In what manner errors are written at a path that is a dialect's where that is on.
#[must_use]
fn style(path: &str) -> Style {
    if path.starts_with("/api/v1/") { Style::Detail } else { Style::Native }
}

/// The WebSockets of those that are on.
pub fn sockets(
    doors: connect::Deps,
    dialects: Arc<Dialects>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    chat_service::socket::route(doors, dialects)
}
