//! A WebSocket as data: where it is, what it speaks, what its connections get, and what opens one. The gateway does the rest,
//! from the handshake to the connection, for the native API and the dialects alike.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parlance_schema::user::Principal;
use parlance_schema::{Fault, RoomId};
use percent_encoding::percent_decode_str;

pub use parlance_actors::link::Delivery;
pub use parlance_actors::service::{After, What};
pub use parlance_actors::wire::{Around, Asked, Missing, WIRES_MAX, Wire};

use super::call::{Deps, Params};
use super::dialect::Serving;
use super::settings::Settings;

/// The wires of the native API: they come first, those of the dialects follow in the order of their list.
pub const NATIVE_WIRES: usize = 2;

/// A WebSocket.
#[derive(Clone, Copy)]
pub struct Socket {
    /// Its path, with parameters in braces. Where a route or another socket fits a path with more literal segments, that one
    /// wins, so that reserved words win over ids.
    pub path: &'static str,
    /// The subprotocols that it speaks, each of them a wire; none where it has one wire without a name.
    pub subprotocols: &'static [&'static str],
    /// What its connections get.
    pub delivery: Delivery,
    /// How a client is told that it is refused.
    pub refusals: Refusals,
    /// Says what a client that was let in is connected to.
    pub open: fn(Opening) -> Entering,
}

/// How a client is told that it is given no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// It is accepted and closed at once with the fault's close code, which is all that a browser shows to scripts.
    Close,
    /// The upgrade is refused with the fault's HTTP status.
    Status,
}

/// What [`Socket::open`] gives back.
pub type Entering = Pin<Box<dyn Future<Output = Result<Entrance, Fault>> + Send>>;

/// A client that asks for a connection: its token is good.
pub struct Opening {
    /// What handlers may call.
    pub deps: Arc<Deps>,
    /// Who it is.
    pub who: Principal,
    /// Which of the socket's subprotocols was chosen; absent where the client named none that is known.
    pub subprotocol: Option<&'static str>,
    /// The place of the connection's wire among all wires, which [`Wire::index`] gives back.
    pub wire: usize,
    pub(crate) params: Params,
    pub(crate) query: String,
    pub(crate) serving: Option<Arc<Serving>>,
}

/// What a connection is to be.
pub struct Entrance {
    /// How its frames look.
    pub wire: Arc<dyn Wire>,
    /// Which rooms are pushed on it.
    pub rooms: Rooms,
}

/// The rooms of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rooms {
    /// All of its user's, from where the client says that it is.
    All,
    /// This one, after a message or from now on. Who is not a member is refused, with `forbidden` where the room is there.
    One(RoomId, Option<After>),
}

impl Socket {
    /// How many wires it has.
    #[must_use]
    pub const fn wires(&self) -> usize {
        if self.subprotocols.is_empty() { 1 } else { self.subprotocols.len() }
    }
}

impl Opening {
    /// A parameter of the path; empty where it has none of this name.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| *n == name).map_or("", |(_, text)| text.as_str())
    }

    /// A parameter of the query that is not empty.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn asked(&self, name: &str) -> Result<Option<String>, Fault> {
        let given = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let found = given.filter(|(n, value)| *n == name && !value.is_empty()).map(|(_, value)| value).next_back();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        found
            .map(decoded)
            .transpose()
            .map_err(|_| Fault::malformed(format!("`{name}` in the query string must be percent-encoded UTF-8")))
    }

    /// The settings of the dialect whose socket it is.
    ///
    /// # Errors
    /// When they are of another type.
    pub fn settings<T: Settings>(&self) -> Result<&T, Fault> {
        super::dialect::settings(self.serving.as_ref())
    }
}
