//! What every request passes before any route, of whichever API: who is behind a proxy, rates, host name, origin, CORS.
//!
//! The listener calls [`Checks::enter`] before the routes and [`Visit::leave`] after them. Between the two a [`Visit`] is an
//! extension of the request: who knows the user has it counted, by [`Visit::user`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::counter;
use parlance_schema::fault::Limit;
use parlance_schema::{Code, Fault, UserId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::http::header::{CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN, STRICT_TRANSPORT_SECURITY};
use warp::http::{Request, StatusCode};
use warp::reply::Response;

use super::listener::Peer;
use super::rate_limits::{Bucket, Left, Net, Open, Seat};
use super::{handshake, routes};
use crate::api::dialect::Dialects;
use crate::api::error::{ErrorStyle, Failure};
use crate::api::refusal::Refusal;
use crate::config::{Config, Rates};
use crate::origin::{Hosts, Origins};
use crate::proxy::Proxies;

const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Milliseconds after which an address with too many connections may try again.
const CONNECTIONS_RETRY_MS: u64 = 10_000;
/// Connections over an address's number that are told so, at once; others are closed without a word.
const TURNED_AWAY_MAX: usize = 256;

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
pub struct Checks {
    origins: Origins,
    hosts: Hosts,
    proxies: Proxies,
    proxy_protocol: bool,
    hsts: Option<HeaderValue>,
    rates: Rates,
    addresses: Option<Arc<Bucket<Net>>>,
    attempts: Option<Arc<Bucket<Net>>>,
    users: Option<Arc<Bucket<UserId>>>,
    open: Arc<Open>,
    connections_per_address: usize,
    turned_away: Arc<Semaphore>,
    /// They know in which style refusals are written.
    dialects: Option<Arc<Dialects>>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            hosts: Hosts::default(),
            proxies: Proxies::default(),
            proxy_protocol: false,
            hsts: None,
            rates: Rates::default(),
            addresses: None,
            attempts: None,
            users: None,
            open: Arc::default(),
            connections_per_address: 0,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            dialects: None,
        }
    }
}

impl Checks {
    /// Takes the rules from the settings.
    ///
    /// # Errors
    /// The text of a list that can't be read; `Config::check` has named it before.
    pub fn new(config: &Config) -> Result<Self, String> {
        let (gateway, rates) = (&config.gateway, &config.rates);
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
            rates: rates.clone(),
            addresses: Bucket::new(rates.address_per_s, rates.address_burst).map(Arc::new),
            attempts: Bucket::new(rates.attempts_per_s, rates.attempts_burst).map(Arc::new),
            users: Bucket::new(rates.user_per_s, rates.user_burst).map(Arc::new),
            connections_per_address: config.limits.connections_per_address,
            ..Self::default()
        })
    }

    /// The rules of other settings, which go on counting what was counted: connections, and what rates that are the same
    /// have let in.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn renewed(&self, config: &Config) -> Result<Self, String> {
        let mut new = Self::new(config)?;
        new.open = Arc::clone(&self.open);
        new.turned_away = Arc::clone(&self.turned_away);
        new.dialects.clone_from(&self.dialects);
        let (old, now) = (&self.rates, &new.rates);
        if (old.address_per_s, old.address_burst) == (now.address_per_s, now.address_burst) {
            new.addresses.clone_from(&self.addresses);
        }
        if (old.attempts_per_s, old.attempts_burst) == (now.attempts_per_s, now.attempts_burst) {
            new.attempts.clone_from(&self.attempts);
        }
        if (old.user_per_s, old.user_burst) == (now.user_per_s, now.user_burst) {
            new.users.clone_from(&self.users);
        }
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
        match self.open.take(address.into(), self.connections_per_address) {
            Some(seat) => Ok(Some(seat)),
            None => {
                Refusal::AddressConnections.count();
                Err(Arc::clone(&self.turned_away).try_acquire_owned().ok())
            }
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
            left: Mutex::default(),
            seat: Mutex::default(),
        }
    }

    fn admit<B>(&self, visit: &mut Visit, request: &mut Request<B>, peer: &Peer) -> Option<Response> {
        if peer.is_turned_away() {
            return Some(self.turned_away(request, peer));
        }
        if let Err(fault) = visit.take(self.addresses.as_deref(), &Net::from(visit.address), Refusal::AddressRate) {
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
                Fault::malformed("this server is not configured for the host name in your request: use a host name that it is configured for"),
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
                let Some(seat) = self.open.take(visit.address.into(), self.connections_per_address) else {
                    Refusal::AddressConnections.count();
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
        let seconds = CONNECTIONS_RETRY_MS / 1_000;
        let why = format!("too many connections from your IP address: close one, or try again in {seconds} s");
        let fault = Fault::rate_limited(Limit::AddressConnections, why, CONNECTIONS_RETRY_MS);
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
    left: Mutex<Option<Left>>,
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
        self.take(self.checks.users.as_deref(), &user, Refusal::UserRate)
    }

    /// Counts an attempt to log in or to make an account.
    ///
    /// # Errors
    /// `rate_limited`, with the time to come back.
    pub fn attempt(&self) -> Result<(), Fault> {
        self.take(self.checks.attempts.as_deref(), &Net::from(self.address), Refusal::AttemptRate)
    }

    fn take<K: std::hash::Hash + Eq + Copy>(
        &self,
        bucket: Option<&Bucket<K>>,
        key: &K,
        refusal: Refusal,
    ) -> Result<(), Fault> {
        let Some(bucket) = bucket else { return Ok(()) };
        let (left, wait_ms) = match bucket.take(key) {
            Ok(left) => (left, None),
            Err(empty) => (empty.left, Some(empty.wait_ms)),
        };
        let mut least = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if least.is_none_or(|least| left.remaining < least.remaining || wait_ms.is_some()) {
            *least = Some(left);
        }
        let Some(wait_ms) = wait_ms else { return Ok(()) };
        refusal.count();
        Err(match refusal {
            Refusal::AttemptRate => Fault::rate_limited(
                Limit::AttemptRate,
                format!("too many logins and registrations from your IP address: try again in {wait_ms} ms"),
                wait_ms,
            ),
            Refusal::UserRate => Fault::rate_limited(
                Limit::UserRate,
                format!("too many requests by your user: wait {wait_ms} ms before the next one"),
                wait_ms,
            ),
            _ => Fault::rate_limited(
                Limit::AddressRate,
                format!("too many requests from your IP address: wait {wait_ms} ms before the next one"),
                wait_ms,
            ),
        })
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
        if let Some(left) = *self.left.lock().unwrap_or_else(PoisonError::into_inner) {
            let values = [
                (RATELIMIT_LIMIT, u64::from(left.limit)),
                (RATELIMIT_REMAINING, u64::from(left.remaining)),
                (RATELIMIT_RESET, left.full_s),
            ];
            for (name, value) in values {
                response.headers_mut().insert(name, HeaderValue::from(value));
            }
        }
        if let Some(hsts) = self.checks.hsts.as_ref().filter(|_| self.https) {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        self.checks.origins.mark(self.origin.as_ref(), response);
        routes::guard(response);
    }
}
