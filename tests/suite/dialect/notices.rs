//! `notices`: a small dialect that has a little of everything: routes, a socket, an issuer, a setting with a variable, and a path
//! that it shares with another dialect.

mod routes;
mod settings;
mod socket;

use parlance::api::dialect::Dialect;
use parlance::api::error_response::ErrorStyle;

/// The dialect.
pub static DIALECT: Dialect = Dialect {
    name: "notices",
    about: "A board of notices for each room.",
    prefixes: &["/notices/"],
    errors: ErrorStyle::Detail,
    refuses_unknown_query: true,
    settings: settings::DECLARED,
    routes: &[routes::ROUTES],
    sockets: &[socket::SOCKET],
};
