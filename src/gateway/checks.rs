//! What every request passes before any route, of whichever API, and in which order: who is behind a proxy, rates, host name,
//! origin, CORS. How much may be asked for is `rate_limits`' to say.
//!
//! The listener calls [`Checks::enter`] before the routes and [`Visit::leave`] after them. Between the two a [`Visit`] is an
//! extension of the request: who knows the user has it counted, by [`Visit::user`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::counter;
use parlance_schema::{Code, Fault, UserId};
use tokio::sync::OwnedSemaphorePermit;
use warp::http::header::{CONNECTION, HOST, HeaderValue, ORIGIN, STRICT_TRANSPORT_SECURITY};
use warp::http::{Request, StatusCode};
use warp::reply::Response;

use super::listener::Peer;
use super::rate_limits::{Least, RateLimits, Seat, too_many_connections};
use super::{handshake, routes};
use crate::api::dialect::Dialects;
use crate::api::error_response::{ErrorStyle, Failure};
use crate::api::refusal::Refusal;
use crate::config::Config;
use crate::origin::{Hosts, Origins};
use crate::proxy::Proxies;

/// The rules of one listener that hold now: read again, others take their place while it goes on.
#[derive(Default)]
pub struct Current(RwLock<Arc<Checks>>);

impl Current {
    /// The rules that hold now.
    #[must_use]
    pub fn get(&self) -> Arc<Checks> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has others hold from the next connection and request on.
    pub fn set(&self, checks: Checks) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(checks);
    }
}

impl From<Checks> for Current {
    fn from(checks: Checks) -> Self {
        Self(RwLock::new(Arc::new(checks)))
    }
}

/// The rules of one listener. The default refuses nothing.
#[derive(Default)]
pub struct Checks {
    origins: Origins,
    hosts: Hosts,
    proxies: Proxies,
    proxy_protocol: bool,
    hsts: Option<HeaderValue>,
    limits: RateLimits,
    /// They know in which style refusals are written.
    dialects: Option<Arc<Dialects>>,
}

impl Checks {
    /// Takes the rules from the settings.
    ///
    /// # Errors
    /// The text of a list that can't be read; `Config::check` has named it before.
    pub fn new(config: &Config) -> Result<Self, String> {
        let gateway = &config.gateway;
        let public_url = &config.server.public_url;
        for refusal in Refusal::ALL {
            counter!("parlance_refused_total", "why" => refusal.word()).absolute(0);
        }
        Ok(Self {
            origins: Origins::parse(&gateway.origins, public_url)?,
            hosts: Hosts::parse(&gateway.hosts, public_url)?,
            proxies: Proxies::parse(&gateway.proxies)?,
            proxy_protocol: gateway.proxy_protocol,
            hsts: (gateway.hsts_s > 0)
                .then(|| HeaderValue::from_str(&format!("max-age={}", gateway.hsts_s)).ok())
                .flatten(),
            limits: RateLimits::new(config),
            dialects: None,
        })
    }

    /// The rules of other settings, which go on counting what was counted: connections, and what rates that are the same
    /// have let in.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn renewed(&self, config: &Config) -> Result<Self, String> {
        let mut new = Self::new(config)?;
        new.limits.go_on_from(&self.limits);
        new.dialects.clone_from(&self.dialects);
        Ok(new)
    }

    /// The same, with refusals written as the dialects that are on write theirs.
    #[must_use]
    pub fn styled(mut self, dialects: Arc<Dialects>) -> Self {
        self.dialects = Some(dialects);
        self
    }

    /// Whether connections from an address begin with a PROXY header.
    #[must_use]
    pub fn has_proxy_header(&self, address: IpAddr) -> bool {
        self.proxy_protocol && self.proxies.contains(address)
    }

    /// Counts a connection. A named proxy's hold many clients, who are counted when they ask for a WebSocket.
    ///
    /// # Errors
    /// When its address has too many: with a permit to tell it so, `None` where it is just to be closed.
    pub fn seat(&self, address: IpAddr) -> Result<Option<Seat>, Option<OwnedSemaphorePermit>> {
        if self.proxies.contains(address) {
            return Ok(None);
        }
        match self.limits.seat(address) {
            Some(seat) => Ok(Some(seat)),
            None => Err(self.limits.permit_to_tell()),
        }
    }

    /// Lets a request in, or answers it.
    pub fn enter<B>(self: &Arc<Self>, request: &mut Request<B>, peer: &Peer) -> (Arc<Visit>, Option<Response>) {
        let mut visit = self.visit(request, peer);
        let refused = self.admit(&mut visit, request, peer);
        let visit = Arc::new(visit);
        if refused.is_none() {
            request.extensions_mut().insert(Arc::clone(&visit));
        }
        (visit, refused)
    }

    fn visit<B>(self: &Arc<Self>, request: &Request<B>, peer: &Peer) -> Visit {
        let headers = request.headers();
        let direct = peer.address().ip();
        let proxied = self.proxies.contains(direct);
        let said = if proxied { self.proxies.forwarded(headers) } else { Default::default() };
        let named = || headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        // A request line with a whole address in it names the host, whatever the header says (RFC 9112, 3.2.2).
        let host = said.host.or_else(|| request.uri().authority().map(ToString::to_string)).or_else(named);
        Visit {
            checks: Arc::clone(self),
            address: said.address.unwrap_or(direct),
            https: said.https.unwrap_or_else(|| peer.is_tls()),
            host,
            origin: headers.get(ORIGIN).cloned(),
            left: Least::default(),
            seat: Mutex::default(),
        }
    }

    fn admit<B>(&self, visit: &mut Visit, request: &mut Request<B>, peer: &Peer) -> Option<Response> {
        if peer.is_turned_away() {
            return Some(self.turned_away(request, peer));
        }
        if let Err(fault) = self.limits.take_of_address(visit.address, &visit.left) {
            // A script in a browser is shown a WebSocket's close code, but never an HTTP status.
            return Some(match handshake::take(request, peer) {
                Some(handshake) => handshake.refuse(None, &fault),
                None => self.refusal(request, fault),
            });
        }
        let host = visit.host.as_deref();
        if !self.hosts.allows(host) {
            Refusal::Host.count();
            return Some(self.refusal(
                request,
                Fault::malformed("this server does not answer to the host name in your request: use the one that its operator gave you"),
            ));
        }
        let foreign = |request: &Request<B>| {
            Refusal::Origin.count();
            self.refusal(
                request,
                Fault::forbidden(
                    "web pages from this origin may not call this server: ask its operator to allow the origin",
                ),
            )
        };
        if handshake::is_asked(request.headers()) {
            let origin = visit.origin.as_ref().map(|origin| origin.to_str().unwrap_or_default());
            if origin.is_some_and(|origin| !self.origins.allows(origin, host)) {
                return Some(foreign(request));
            }
            if self.proxies.contains(peer.address().ip()) && visit.address != peer.address().ip() {
                let Some(seat) = self.limits.seat(visit.address) else {
                    return Some(self.turned_away(request, peer));
                };
                visit.seat = Mutex::new(Some(seat));
            }
        }
        match self.origins.preflight(request.method(), request.headers(), host)? {
            Ok(response) => Some(response),
            Err(()) => Some(foreign(request)),
        }
    }

    fn refusal<B>(&self, request: &Request<B>, fault: Fault) -> Response {
        let style =
            self.dialects.as_ref().map_or(ErrorStyle::Native, |dialects| dialects.errors_at(request.uri().path()));
        let failure = Failure::from(fault);
        // A request that is not for this server stays 400 in every style, and names no field.
        if failure.fault.code == Code::Malformed { failure.response() } else { failure.styled(style) }
    }

    /// Tells a client that it has too many connections: a WebSocket by a close code, which is all that scripts are shown.
    fn turned_away<B>(&self, request: &mut Request<B>, peer: &Peer) -> Response {
        let fault = too_many_connections();
        if let Some(handshake) = handshake::take(request, peer) {
            return handshake.refuse(None, &fault);
        }
        let mut response = self.refusal(request, fault);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// A request on its way through the gateway: who sent it, and how much more they may ask.
pub struct Visit {
    checks: Arc<Checks>,
    address: IpAddr,
    https: bool,
    host: Option<String>,
    origin: Option<HeaderValue>,
    left: Least,
    seat: Mutex<Option<Seat>>,
}

impl Visit {
    /// The client's address, as a named proxy tells it or as the socket does.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether the client came over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host that the client named.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Counts a request of a user.
    ///
    /// # Errors
    /// `rate_limited`, with the time to come back.
    pub fn user(&self, user: UserId) -> Result<(), Fault> {
        self.checks.limits.take_of_user(user, &self.left)
    }

    /// Counts an attempt to log in or to make an account.
    ///
    /// # Errors
    /// `rate_limited`, with the time to come back.
    pub fn attempt(&self) -> Result<(), Fault> {
        self.checks.limits.take_attempt(self.address, &self.left)
    }

    /// The share of its address's connections that a client behind a proxy takes with a WebSocket.
    #[must_use]
    pub fn take_seat(&self) -> Option<Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds to an answer what the checks have to say: what is left of a rate, and who may read it.
    pub fn leave(&self, response: &mut Response) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        self.left.mark(response);
        if let Some(hsts) = self.checks.hsts.as_ref().filter(|_| self.https) {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        self.checks.origins.mark(self.origin.as_ref(), response);
        routes::guard(response);
    }
}
