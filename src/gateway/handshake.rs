//! The WebSocket handshake (RFC 6455, 4.2) as a warp filter, and what follows it: the connection's task, or a refusal.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use parlance_actors::link::{Link, Receiver};
use parlance_actors::wire;
use parlance_schema::{Fault, UserId};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use warp::Filter;
use warp::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{Method, Request, StatusCode};
use warp::reply::{Reply, Response};

use super::checks::Visit;
use super::listener::Peer;
use super::stream::{Io, Stream};
use super::websocket::{CLOSE_MS, Connection};
use crate::api::error_response::{ErrorStyle, Failure};
use crate::api::refusal::Refusal;

/// The subprotocol after which a client names its token, for browsers, which can set no header.
pub const BEARER: &str = "bearer";

/// What RFC 6455, 1.3 has the server add to the client's key.
const ACCEPT_SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that asks for a WebSocket and may be given one.
pub struct Handshake {
    accept: String,
    protocols: String,
    way: Way,
    peer: Option<Peer>,
    visit: Option<Arc<Visit>>,
}

/// How the socket is got hold of.
enum Way {
    /// hyper hands it over once it has written the answer.
    Hyper(OnUpgrade),
    /// The listener holds it, and has the answer written.
    Listener(Claim),
}

/// What becomes of an upgraded connection: called with its stream, what was read already, and what is to be written first.
type GoOn = Box<dyn FnOnce(Io, Bytes, Bytes) + Send>;

/// Where a handshake leaves word of what becomes of a connection that hyper doesn't serve; an extension of the request.
#[derive(Clone, Default)]
pub struct Claim(Arc<Mutex<Option<GoOn>>>);

impl Claim {
    /// What the handshake left, where it was accepted or refused with an upgrade.
    #[must_use]
    pub fn take(&self) -> Option<GoOn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn leave(&self, go_on: GoOn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(go_on);
    }
}

/// Why a request is given no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUpgraded {
    /// It asks for none, or for another version.
    Required,
    /// It asks for one, but its key is not 16 bytes in base64.
    BadKey,
}

impl NotUpgraded {
    /// The HTTP status: 426 or 400.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            NotUpgraded::Required => StatusCode::UPGRADE_REQUIRED,
            NotUpgraded::BadKey => StatusCode::BAD_REQUEST,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            NotUpgraded::Required => Fault::malformed(
                "this path is for WebSockets only: send a WebSocket handshake with version 13 (RFC 6455)",
            ),
            NotUpgraded::BadKey => Fault::malformed("`Sec-WebSocket-Key` must be 16 bytes in base64"),
        }
    }
}

impl NotUpgraded {
    /// The response, in a style; it names the version that is spoken here (RFC 6455, 4.4).
    #[must_use]
    pub fn response(self, style: ErrorStyle) -> Response {
        let failure = Failure { status: self.status(), ..self.fault().into() };
        let mut response = failure.styled(style);
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        response
    }
}

impl Reply for NotUpgraded {
    fn into_response(self) -> Response {
        self.response(ErrorStyle::Native)
    }
}

/// Extracts the handshake, or the reply that tells why there is none. It never rejects, so put the path before it.
pub fn handshake() -> impl Filter<Extract = (Result<Handshake, NotUpgraded>,), Error = Infallible> + Clone {
    warp::method()
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::ext::optional::<Claim>())
        .and(warp::ext::optional::<Peer>())
        .and(warp::ext::optional::<Arc<Visit>>())
        .map(|method: Method, headers: HeaderMap, on_upgrade, claim, peer, visit| {
            check(&method, &headers, way(on_upgrade, claim), peer, visit)
        })
}

/// Whether a request asks for a WebSocket, well or not.
#[must_use]
pub fn is_asked(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) && has_token(headers, &UPGRADE, "websocket")
}

/// Takes the handshake out of a request that the routes are not to see; `None` where it is none.
pub fn take<B>(request: &mut Request<B>, peer: &Peer) -> Option<Handshake> {
    let extensions = request.extensions_mut();
    let way = way(extensions.remove::<OnUpgrade>(), extensions.remove::<Claim>());
    check(request.method(), request.headers(), way, Some(peer.clone()), None).ok()
}

fn way(on_upgrade: Option<OnUpgrade>, claim: Option<Claim>) -> Option<Way> {
    claim.map(Way::Listener).or(on_upgrade.map(Way::Hyper))
}

fn check(
    method: &Method,
    headers: &HeaderMap,
    way: Option<Way>,
    peer: Option<Peer>,
    visit: Option<Arc<Visit>>,
) -> Result<Handshake, NotUpgraded> {
    let asked = *method == Method::GET
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket")
        && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|v| v.as_bytes() == b"13");
    let Some(way) = way.filter(|_| asked) else { return Err(NotUpgraded::Required) };
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|k| k.to_str().ok()).map(str::trim).unwrap_or_default();
    if !STANDARD.decode(key).is_ok_and(|raw| raw.len() == 16) {
        return Err(NotUpgraded::BadKey);
    }
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(ACCEPT_SALT).finalize());
    let protocols: Vec<_> =
        headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok()).collect();
    Ok(Handshake { accept, protocols: protocols.join(","), way, peer, visit })
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// Lists what a `Sec-WebSocket-Protocol` header offers, in the client's order.
#[must_use]
pub fn offered(header: &str) -> Vec<&str> {
    header.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// What was chosen of the subprotocols that a client offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The one to speak; absent when the client offered none that is known.
    pub protocol: Option<&'static str>,
    /// What to answer: that one, or `bearer` when it is all that can be said yes to.
    pub echo: Option<&'static str>,
    /// The token that followed `bearer`.
    pub token: Option<&'a str>,
    /// Whether something else was offered, which nobody here speaks.
    pub has_unknown: bool,
}

/// Chooses the first known subprotocol that was offered, and takes the token out of `bearer, <token>`.
#[must_use]
pub fn choose<'a>(offered: &[&'a str], known: &[&'static str]) -> Choice<'a> {
    let mut choice = Choice::default();
    let mut words = offered.iter();
    while let Some(&word) = words.next() {
        if word == BEARER && choice.token.is_none() {
            choice.token = words.next().copied();
            choice.echo = choice.protocol.or(Some(BEARER));
        } else if choice.protocol.is_none()
            && let Some(&protocol) = known.iter().find(|&&k| k == word)
        {
            choice.protocol = Some(protocol);
            choice.echo = Some(protocol);
        } else if !known.contains(&word) {
            choice.has_unknown = true;
        }
    }
    choice
}

impl Handshake {
    /// The subprotocols that the client offers.
    #[must_use]
    pub fn offered(&self) -> Vec<&str> {
        offered(&self.protocols)
    }

    /// Who asks; absent outside the gateway's listener.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Counts the upgrade as a request of a user; to be called once the user is known.
    ///
    /// # Errors
    /// `rate_limited`, to refuse the connection with.
    pub fn count_user(&self, user: UserId) -> Result<(), Fault> {
        self.visit.as_ref().map_or(Ok(()), |visit| visit.user(user))
    }

    /// Answers 101, and once the connection is upgraded has `make` make its link and receiver, and runs it. Messages may
    /// have up to `message_bytes_max` bytes.
    pub fn accept<R: Receiver>(
        self,
        echo: Option<&'static str>,
        message_bytes_max: usize,
        make: impl FnOnce() -> (Arc<Link>, R) + Send + 'static,
    ) -> Response {
        let peer = self.peer.clone();
        self.upgrade(echo, move |io, early, first| {
            let (link, receiver) = make();
            if !first.is_empty() {
                link.outbox.push_first(first);
            }
            match io {
                Io::Tcp(io) => tokio::spawn(Connection::new(io, &early, link, receiver, message_bytes_max, peer)),
                Io::Tls(io) => tokio::spawn(Connection::new(io, &early, link, receiver, message_bytes_max, peer)),
            };
        })
    }

    /// Answers 101 and closes at once: a browser's script is shown a close code, but never an HTTP status, and the code only
    /// where one of the subprotocols was chosen that it offers. Where none is given to `echo`, that is the first one.
    pub fn refuse(self, echo: Option<&'static str>, fault: &Fault) -> Response {
        Refusal::count_connect(fault);
        let frame = wire::close_frame(fault.code.close(), &fault.detail);
        let peer = self.peer.clone();
        let first_offered = self.offered().first().map(|word| (*word).to_owned());
        let echo = echo.map(str::to_owned).or(first_offered);
        self.upgrade(echo.as_deref(), move |io, _, first| {
            let said = [first, frame].concat();
            tokio::spawn(async move {
                let _peer = peer;
                let done = match io {
                    Io::Tcp(io) => timeout(Duration::from_millis(CLOSE_MS), turn_away(io, &said)).await,
                    Io::Tls(io) => timeout(Duration::from_millis(CLOSE_MS), turn_away(io, &said)).await,
                };
                tracing::debug!(in_time = done.is_ok(), "a refused connection was closed");
            });
        })
    }

    fn upgrade(self, echo: Option<&str>, go_on: impl FnOnce(Io, Bytes, Bytes) + Send + 'static) -> Response {
        let Handshake { accept, way, peer, visit, .. } = self;
        if let (Some(peer), Some(visit)) = (&peer, visit) {
            peer.keep(visit.take_seat());
        }
        match way {
            Way::Listener(claim) => claim.leave(Box::new(go_on)),
            Way::Hyper(on_upgrade) => drop(tokio::spawn(async move {
                match on_upgrade.await {
                    Ok(upgraded) => match plain(upgraded) {
                        Some((io, early)) => go_on(io, early, Bytes::new()),
                        None => tracing::error!("an upgraded connection runs on something unknown"),
                    },
                    Err(error) => tracing::debug!(%error, "upgrade failed"),
                }
            })),
        }
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(echo) = echo.and_then(|echo| HeaderValue::from_str(echo).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, echo);
        }
        response
    }
}

/// Takes the stream out of what hyper wrapped it in, and what was read already; hyper's read buffer goes at once.
fn plain(upgraded: Upgraded) -> Option<(Io, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    let (io, unread) = parts.io.into_inner().into_parts();
    Some((io, [&parts.read_buf[..], &unread].concat().into()))
}

/// Sends what is said last, and reads until the peer has ended, so that the frame isn't lost to a reset.
async fn turn_away(mut io: impl AsyncRead + AsyncWrite + Unpin, said: &[u8]) -> std::io::Result<()> {
    io.write_all(said).await?;
    io.shutdown().await?;
    let mut scratch = [0; 256];
    while io.read(&mut scratch).await? > 0 {}
    Ok(())
}
