//! The accept loop: TCP connections to hyper, requests to warp's filters.
//!
//! warp's own server hides what matters here: the header time-out, the buffers, the number of connections, and the socket
//! that an upgrade leaves behind. A connection counts, from its accept to its end, as one [`Peer`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

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
use warp::http::StatusCode;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

/// Milliseconds to wait after the first failed accept, doubled after each one that follows.
const BACKOFF_MS_MIN: u64 = 10;
/// The longest of those.
const BACKOFF_MS_MAX: u64 = 1_000;
/// Bytes of hyper's largest read buffer per connection; it grows from 8 KiB.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections at once, WebSockets among them; more are closed as soon as they are accepted.
    pub connections_max: usize,
    /// Milliseconds from a connection's beginning, or its last reply, to the end of the next request's header.
    pub header_ms: u64,
    /// Milliseconds from a request's header to the head of its reply; its body must come within them.
    pub request_ms: u64,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections_max: 100_000, header_ms: 10_000, request_ms: 30_000, header_bytes_max: 16 * 1024 }
    }
}

/// The other end of a connection; an extension of each request. The connection counts until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    address: SocketAddr,
    _permit: OwnedSemaphorePermit,
}

impl Peer {
    fn new(address: SocketAddr, permit: OwnedSemaphorePermit) -> Self {
        connections().increment(1.0);
        Self(Arc::new(Counted { address, _permit: permit }))
    }

    /// Its address, as the socket names it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        connections().decrement(1.0);
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
    let accepting = tokio::spawn(accept(listener, filter, options, permits.clone(), stopped));
    Ok(Handle { address, stop, accepting, permits, connections_max: options.connections_max })
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
                let peer = Peer::new(address, permit);
                tokio::spawn(connection(stream, peer, filter.clone(), options, stopped.clone()));
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

/// Serves one connection's requests, until it ends or becomes a WebSocket.
async fn connection<F>(stream: TcpStream, peer: Peer, filter: F, options: Options, mut stopped: watch::Receiver<bool>)
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Future: Send,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let routes = TowerToHyperService::new(warp::service(filter));
    let within = Duration::from_millis(options.request_ms);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let reply = timeout(within, routes.call(request));
        async move { reply.await.unwrap_or_else(|_| Ok::<Response, Infallible>(too_late())) }
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
    if let Err(error) = ended {
        tracing::debug!(%error, "http connection failed");
    }
}

fn too_late() -> Response {
    StatusCode::REQUEST_TIMEOUT.into_response()
}
