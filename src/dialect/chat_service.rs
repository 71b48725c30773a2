//! `chat-service`: users, direct and group chats up to 100 members, and a WebSocket per chat.

mod ask;
mod chats;
mod live;
mod messages;
mod participants;
mod settings;
mod socket;
mod users;
pub mod view;
pub mod wire;

use crate::api::dialect::Dialect;
use crate::api::error_response::ErrorStyle;

/// The dialect.
pub static DIALECT: Dialect = Dialect {
    name: "chat-service",
    about: "The paths of chat-service, for its clients.",
    prefixes: &["/api/v1/"],
    errors: ErrorStyle::Detail,
    refuses_unknown_query: false,
    settings: settings::DECLARED,
    routes: &[users::ROUTES, chats::ROUTES, participants::ROUTES, messages::ROUTES, live::ROUTES],
    sockets: &[socket::SOCKET],
};
