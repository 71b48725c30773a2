//! The accept loop: TCP connections to hyper, requests to warp's filters.
//!
//! warp's own server hides what matters here: the header time-out, the buffers, the number of connections, and the socket
//! that an upgrade leaves behind. A connection counts, from its accept to its end, as one [`Peer`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::{Gauge, counter, gauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use warp::http::StatusCode;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use super::checks::{Checks, Refusal};
use super::limits::Seat;
use super::proxy;
use super::stream::{Io, Stream};
use super::tls::Tls;

/// Milliseconds to wait after the first failed accept, doubled after each one that follows.
const BACKOFF_MS_MIN: u64 = 10;
/// The longest of those.
const BACKOFF_MS_MAX: u64 = 1_000;
/// Bytes of hyper's largest read buffer per connection; it grows from 8 KiB.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How to listen.
#[derive(Clone)]
pub struct Options {
    /// Connections at once, WebSockets among them; more are closed as soon as they are accepted.
    pub connections_max: usize,
    /// Milliseconds from a connection's beginning to its first byte, from there, or from its last reply, to the end of the
    /// next request's header; and for a PROXY header and a TLS handshake each.
    pub header_ms: u64,
    /// Milliseconds from a request's header to the head of its reply; its body must come within them.
    pub request_ms: u64,
    /// Milliseconds for which a client may read nothing of a reply that waits.
    pub reply_ms: u64,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// What all requests pass.
    pub checks: Arc<Checks>,
    /// The certificate, where connections use TLS.
    pub tls: Option<Arc<Tls>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            header_ms: 10_000,
            request_ms: 30_000,
            reply_ms: 30_000,
            header_bytes_max: 16 * 1024,
            checks: Arc::default(),
            tls: None,
        }
    }
}

/// The other end of a connection; an extension of each request. The connection counts until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    address: SocketAddr,
    tls: bool,
    turned_away: bool,
    /// Its share of the connections of the address that a named proxy tells, once it is a WebSocket.
    behind: OnceLock<Seat>,
    _seat: Option<Seat>,
    _permit: Permit,
}

/// A connection's share of the listener's number; the metric counts with it.
#[derive(Debug)]
struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        connections().increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        connections().decrement(1.0);
    }
}

impl Peer {
    /// Its address, as the socket or a named proxy's PROXY header names it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether it speaks TLS with this server.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.tls
    }

    /// Whether its address has too many connections, so that all it is told is that.
    #[must_use]
    pub fn is_turned_away(&self) -> bool {
        self.0.turned_away
    }

    /// Keeps a seat until the connection ends.
    pub fn keep(&self, seat: Option<Seat>) {
        if let Some(seat) = seat {
            // A connection becomes a WebSocket once.
            let _ = self.0.behind.set(seat);
        }
    }
}

fn connections() -> Gauge {
    gauge!("parlance_connections")
}

/// A running listener. Dropping it leaves it running.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    permits: Arc<Semaphore>,
    connections_max: usize,
}

impl Handle {
    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.connections_max - self.permits.available_permits()
    }

    /// Stops accepting and ends connections that are between two requests; requests and WebSockets go on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops, waits until all connections have ended or the time is over, and says how many are left.
    pub async fn finish(mut self, within: Duration) -> usize {
        self.stop();
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        let ended = async {
            // The listening socket is closed before anybody is told that this is over.
            let accepted = (&mut self.accepting).await;
            let idle = self.permits.acquire_many(all).await;
            accepted.is_ok() && idle.is_ok()
        };
        if timeout(within, ended).await.is_err() {
            tracing::warn!(connections = self.open(), "connections were still open at the deadline");
        }
        self.open()
    }
}

/// Listens on `listener` and answers with `filter`.
///
/// # Errors
/// When the listener has no address.
pub fn serve<F>(listener: TcpListener, filter: F, mut options: Options) -> io::Result<Handle>
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    options.connections_max = options.connections_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let address = listener.local_addr()?;
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let (stop, stopped) = watch::channel(false);
    let connections_max = options.connections_max;
    let accepting = tokio::spawn(accept(listener, filter, options, permits.clone(), stopped));
    Ok(Handle { address, stop, accepting, permits, connections_max })
}

async fn accept<F>(
    listener: TcpListener,
    filter: F,
    options: Options,
    permits: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    let mut backoff_ms = BACKOFF_MS_MIN;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, address)) => {
                backoff_ms = BACKOFF_MS_MIN;
                let Ok(permit) = permits.clone().try_acquire_owned() else {
                    counter!("parlance_connections_refused_total").increment(1);
                    continue;
                };
                let connection = connection(stream, address, permit, filter.clone(), options.clone(), stopped.clone());
                tokio::spawn(connection);
            }
            Err(error) if is_of_one_peer(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: the connection stays in the backlog, so trying again at once spins.
                tracing::warn!(%error, backoff_ms, "cannot accept");
                counter!("parlance_accept_errors_total").increment(1);
                tokio::select! {
                    () = sleep(Duration::from_millis(backoff_ms)) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
                backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
            }
        }
    }
}

fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A connection, from its accept to its end or to its being a WebSocket.
async fn connection<F>(
    stream: TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
    filter: F,
    options: Options,
    mut stopped: watch::Receiver<bool>,
) where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    let permit = Permit::new(permit);
    let arrived = tokio::select! {
        arrived = arrive(stream, address, permit, &options) => arrived,
        _ = stopped.wait_for(|stop| *stop) => return,
    };
    if let Some((stream, peer, turned_away)) = arrived {
        // Apart, so that a connection that never says anything doesn't hold the room that HTTP needs.
        Box::pin(serve_requests(stream, peer, filter, options, stopped)).await;
        drop(turned_away);
    }
}

/// Finds out who has connected, and waits for the first byte; `None` where nothing comes of it.
async fn arrive(
    mut stream: TcpStream,
    mut address: SocketAddr,
    permit: Permit,
    options: &Options,
) -> Option<(Stream, Peer, Option<OwnedSemaphorePermit>)> {
    let within = Duration::from_millis(options.header_ms);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    if options.checks.has_proxy_header(address.ip()) {
        match timeout(within, proxy::header(&mut stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        {
            Ok(named) => address = named.unwrap_or(address),
            Err(error) => {
                Refusal::ProxyHeader.count();
                tracing::debug!(%error, "a named proxy sent no PROXY header");
                return None;
            }
        }
    }
    let (seat, turned_away) = match options.checks.seat(address.ip()) {
        Ok(seat) => (seat, None),
        Err(turned_away) => (None, Some(turned_away?)),
    };
    if timeout(within, stream.readable()).await.is_err() {
        Refusal::HeaderTime.count();
        return None;
    }
    let io = match &options.tls {
        None => Io::Tcp(stream),
        Some(tls) => match Box::pin(timeout(within, TlsAcceptor::from(tls.current()).accept(stream))).await {
            Ok(Ok(stream)) => Io::Tls(Box::new(stream)),
            failed => {
                Refusal::Tls.count();
                tracing::debug!(late = failed.is_err(), "no tls handshake");
                return None;
            }
        },
    };
    let peer = Peer(Arc::new(Counted {
        address,
        tls: options.tls.is_some(),
        turned_away: turned_away.is_some(),
        behind: OnceLock::new(),
        _seat: seat,
        _permit: permit,
    }));
    Some((Stream::new(io, options.reply_ms), peer, turned_away))
}

/// Serves one connection's requests, until it ends or becomes a WebSocket.
async fn serve_requests<F>(stream: Stream, peer: Peer, filter: F, options: Options, mut stopped: watch::Receiver<bool>)
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    let (began, asked) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let routes = TowerToHyperService::new(warp::service(filter));
    let within = Duration::from_millis(options.request_ms);
    let (checks, first) = (Arc::clone(&options.checks), Arc::clone(&asked));
    let service = service_fn(move |mut request: Request<Incoming>| {
        first.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer.clone());
        let (visit, refused) = checks.enter(&mut request, &peer);
        let reply = match refused {
            Some(refused) => Err(refused),
            None => Ok(timeout(within, routes.call(request))),
        };
        // On the heap: hyper keeps room for it as long as the connection lives, and it is large.
        Box::pin(async move {
            let mut response = match reply {
                Ok(reply) => reply.await.unwrap_or_else(|_| Ok::<Response, Infallible>(too_late()))?,
                Err(refused) => refused,
            };
            visit.leave(&mut response);
            Ok::<Response, Infallible>(response)
        })
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(options.header_ms))
        .max_buf_size(BUFFER_BYTES_MAX.max(options.header_bytes_max))
        .max_header_size(options.header_bytes_max);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let stop = async move { stopped.wait_for(|stop| *stop).await.is_ok() };
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        _ = stop => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    match ended {
        Ok(()) if !asked.load(Ordering::Relaxed) && began.elapsed().as_millis() >= u128::from(options.header_ms) => {
            Refusal::HeaderTime.count();
        }
        Ok(()) => {}
        Err(error) => {
            if let Some(refusal) = refusal(&error) {
                refusal.count();
            }
            tracing::debug!(%error, "http connection failed");
        }
    }
}

/// What of a connection's failure is the client's doing.
fn refusal(error: &hyper::Error) -> Option<Refusal> {
    // A time-out with a source is the stream's, which has counted it.
    if error.is_timeout() && std::error::Error::source(error).is_none() {
        Some(Refusal::HeaderTime)
    } else if error.is_parse_too_large() {
        Some(Refusal::HeaderSize)
    } else if error.is_parse() {
        Some(Refusal::Header)
    } else {
        None
    }
}

fn too_late() -> Response {
    Refusal::RequestTime.count();
    StatusCode::REQUEST_TIMEOUT.into_response()
}
