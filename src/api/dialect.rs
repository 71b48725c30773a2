//! A dialect as a value: another service's paths and sockets, whose tokens are good on them, how its errors look, what it can
//! be set to. And those dialects of a list that are on, with their settings.

use std::any::Any;
use std::sync::Arc;

use parlance_schema::Fault;

use super::account::Issuer;
use super::error_response::ErrorStyle;
use super::route::Route;
use super::settings::{Declared, Open, Settings};
use super::socket::{NATIVE_WIRES, Socket, WIRES_MAX};
use crate::config::dialects::Dialects as Configured;

/// Another service whose clients are served as well.
pub struct Dialect {
    /// Its name, such as `chat-service`, which is also its chapter of the documentation.
    pub name: &'static str,
    /// What that chapter is about, in a sentence.
    pub about: &'static str,
    /// What its paths begin with: there, errors are written in its style also where no route is.
    pub prefixes: &'static [&'static str],
    /// How its errors are written.
    pub errors: ErrorStyle,
    /// Whether query parameters that its routes don't know, or that come twice, are refused.
    pub refuses_unknown_query: bool,
    /// Its settings, and their names in the environment.
    pub settings: Declared,
    /// Its routes, chapter by chapter.
    pub routes: &'static [&'static [Route]],
    /// Its WebSockets.
    pub sockets: &'static [Socket],
}

/// A dialect that is on.
pub struct Serving {
    /// The dialect.
    pub dialect: &'static Dialect,
    /// The place of its first wire among all wires.
    first_wire: usize,
    issuers: Vec<Issuer>,
    settings: Arc<dyn Any + Send + Sync>,
}

/// The dialects of a list that are on.
#[derive(Default)]
pub struct Dialects {
    serving: Vec<Arc<Serving>>,
}

/// A route as it is served: the native API's, or a dialect's.
#[derive(Clone)]
pub struct Mounted {
    /// The route.
    pub route: &'static Route,
    /// The dialect; absent for the native API.
    pub serving: Option<Arc<Serving>>,
}

/// A WebSocket as it is served.
#[derive(Clone)]
pub struct MountedSocket {
    /// The socket.
    pub socket: &'static Socket,
    /// The dialect; absent for the native API.
    pub serving: Option<Arc<Serving>>,
    /// The place of its first wire among all wires.
    pub first_wire: usize,
}

impl Dialects {
    /// Takes those of a list that are on, in its order.
    ///
    /// # Errors
    /// A setting that can't be used, or that there are more wires than a relay keeps frames for.
    pub fn open(list: &[&'static Dialect], config: &Configured) -> Result<Self, String> {
        let mut serving = Vec::new();
        let mut first_wire = NATIVE_WIRES;
        for &dialect in list {
            let name = dialect.settings.spec.name;
            let opened = (dialect.settings.open)(&config.section(name));
            let Open { enabled, issuers, settings } =
                opened.map_err(|invalid| format!("dialects.{name}: {invalid}"))?;
            if enabled {
                serving.push(Arc::new(Serving { dialect, first_wire, issuers, settings }));
                first_wire += dialect.sockets.iter().map(Socket::wires).sum::<usize>();
            }
        }
        if first_wire > WIRES_MAX {
            return Err(format!(
                "the dialects that are on need {first_wire} wires; there are {WIRES_MAX}: switch some off"
            ));
        }
        Ok(Self { serving })
    }

    /// Those that are on.
    pub fn serving(&self) -> impl Iterator<Item = &Arc<Serving>> {
        self.serving.iter()
    }

    /// Their routes.
    pub fn routes(&self) -> impl Iterator<Item = Mounted> {
        self.serving.iter().flat_map(|serving| {
            let routes = serving.dialect.routes.iter().copied().flatten();
            routes.map(move |route| Mounted { route, serving: Some(serving.clone()) })
        })
    }

    /// Their WebSockets.
    pub fn sockets(&self) -> impl Iterator<Item = MountedSocket> {
        self.serving.iter().flat_map(|serving| {
            let mut next = serving.first_wire;
            serving.dialect.sockets.iter().map(move |socket| {
                let first_wire = next;
                next += socket.wires();
                MountedSocket { socket, serving: Some(serving.clone()), first_wire }
            })
        })
    }

    /// How errors are written at a path.
    #[must_use]
    pub fn errors_at(&self, path: &str) -> ErrorStyle {
        let owns = |serving: &&Arc<Serving>| serving.dialect.prefixes.iter().any(|prefix| path.starts_with(prefix));
        self.serving.iter().find(owns).map_or(ErrorStyle::Native, |serving| serving.dialect.errors)
    }

    /// Whose tokens are good on connections that speak a wire, besides this installation's own.
    #[must_use]
    pub fn issuers_of_wire(&self, wire: usize) -> &[Issuer] {
        let before = self.serving.iter().rev().find(|serving| serving.first_wire <= wire);
        before.map_or(&[][..], |serving| &serving.issuers[..])
    }
}

impl Mounted {
    /// A route of the native API.
    #[must_use]
    pub const fn native(route: &'static Route) -> Self {
        Self { route, serving: None }
    }

    /// The dialect whose it is; absent for the native API.
    #[must_use]
    pub fn dialect(&self) -> Option<&'static Dialect> {
        self.serving.as_ref().map(|serving| serving.dialect)
    }

    /// Its chapter of the documentation.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        self.dialect().map_or(self.route.tag, |dialect| dialect.name)
    }

    /// How its errors are written.
    #[must_use]
    pub fn errors(&self) -> ErrorStyle {
        self.dialect().map_or(ErrorStyle::Native, |dialect| dialect.errors)
    }

    /// Whether query parameters that it doesn't know, or that come twice, are refused.
    #[must_use]
    pub fn refuses_unknown_query(&self) -> bool {
        self.dialect().is_none_or(|dialect| dialect.refuses_unknown_query)
    }

    /// Whose tokens are good, besides this installation's own.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        issuers(self.serving.as_ref())
    }
}

impl MountedSocket {
    /// How refusals of the upgrade are written.
    #[must_use]
    pub fn errors(&self) -> ErrorStyle {
        self.serving.as_ref().map_or(ErrorStyle::Native, |serving| serving.dialect.errors)
    }

    /// Whose tokens are good, besides this installation's own.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        issuers(self.serving.as_ref())
    }

    /// The place among all wires of the one that a subprotocol names; a client that names none speaks the first.
    #[must_use]
    pub fn wire(&self, subprotocol: Option<&str>) -> usize {
        let at = self.socket.subprotocols.iter().position(|known| Some(*known) == subprotocol);
        self.first_wire + at.unwrap_or(0)
    }
}

fn issuers(serving: Option<&Arc<Serving>>) -> &[Issuer] {
    serving.map_or(&[][..], |serving| &serving.issuers[..])
}

/// The settings of a dialect, by their type.
pub(super) fn settings<T: Settings>(serving: Option<&Arc<Serving>>) -> Result<&T, Fault> {
    let found = serving.and_then(|serving| serving.settings.downcast_ref::<T>());
    found.ok_or_else(|| {
        Fault::internal("server error: this path is set up wrongly in the server; tell the server's operator")
    })
}
