//! The accept loop: TCP connections to hyper, requests to warp's filters.
//!
//! warp's own server hides what matters here: the header time-out, the buffers, the number of connections, and the socket
//! that an upgrade leaves behind. A connection counts, from its accept to its end, as one [`Peer`].

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Gauge, counter, gauge};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::checks::Current;
use super::rate_limits::Seat;
use super::tls::Tls;
use connection::Site;

/// Milliseconds to wait after the first failed accept, doubled after each one that follows.
const BACKOFF_MS_MIN: u64 = 10;
/// The longest of those.
const BACKOFF_MS_MAX: u64 = 1_000;
/// Connections that may wait to be accepted, where the system allows so many (`net.core.somaxconn`): those beyond try again
/// after a second, and all clients of a node may come back at once.
const BACKLOG: u32 = 4_096;

/// Connections that are accepted before all else that is ready on this thread has its turn: those of a crowd that comes at once
/// would otherwise be taken by the hundred, and what others wait for would come after the beginnings of all of them.
const ACCEPTED_AT_ONCE: usize = 8;

/// Descriptors that are no connections, reckoned rather high.
const OTHER_FILES: u64 = 128;
/// Descriptors that room is made for at most; each takes some ten bytes of the system's memory.
const FILES_MAX: u64 = 128 * 1024;

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
    pub checks: Arc<Current>,
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

/// Opens the socket to listen on.
///
/// # Errors
/// When the address can't be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a server that was restarted waits until the connections of the one before are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens on `listener` and answers with `filter`.
///
/// # Errors
/// When the listener has no address.
pub fn serve<F>(listener: TcpListener, filter: F, options: Options) -> io::Result<Handle>
where
    F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    // Boxed, all that serves connections is compiled once, and not for each form that the filters' futures have.
    start(listener, filter.boxed(), options)
}

fn start(listener: TcpListener, filter: BoxedFilter<(Response,)>, mut options: Options) -> io::Result<Handle> {
    options.connections_max = options.connections_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let address = listener.local_addr()?;
    make_room(&listener, options.connections_max);
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let (stop, stopped) = watch::channel(false);
    let connections_max = options.connections_max;
    let site = Arc::new(Site { filter, options });
    let accepting = tokio::spawn(accept(listener, site, permits.clone(), stopped));
    Ok(Handle { address, stop, accepting, permits, connections_max })
}

/// Has the system make room for as many connections in this process's table of descriptors. Linux doubles it otherwise when it is
/// full, and a thread that accepts waits for all processors meanwhile: 12 to 14 ms at the 256th, the 512th and so on, in which
/// all that was to be done next on that thread waits as well.
fn make_room(listener: &TcpListener, connections: usize) {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let highest = (connections as u64 + OTHER_FILES).min(limit).min(FILES_MAX).saturating_sub(1);
    // The highest is taken for a moment. Where it can't be had, all works as well, with those pauses.
    let taken = i32::try_from(highest).map(|highest| fcntl_dupfd_cloexec(listener, highest));
    if let Ok(Err(error)) = taken {
        tracing::debug!(%error, highest, "no room is made for descriptors");
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, permits: Arc<Semaphore>, mut stopped: watch::Receiver<bool>) {
    let mut backoff_ms = BACKOFF_MS_MIN;
    for count in 1_usize.. {
        if count.is_multiple_of(ACCEPTED_AT_ONCE) {
            yield_now().await;
        }
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
                tokio::spawn(connection::serve(stream, address, permit, Arc::clone(&site), stopped.clone()));
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
