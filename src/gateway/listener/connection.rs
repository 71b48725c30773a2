//! One connection before it is a WebSocket: who has connected, its requests, and their answers.
//!
//! A handshake that comes in one piece passes the checks and the routes like every request, but no connection of hyper's is
//! made for it: its answer goes out with the first frames, and the socket is taken over as it is. All else is hyper's.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use warp::filters::BoxedFilter;
use warp::http::{Request, StatusCode};
use warp::reply::{Reply, Response};

use super::{Counted, Options, Peer, Permit};
use crate::api::refusal::Refusal;
use crate::gateway::handshake::Claim;
use crate::gateway::stream::{Io, Stream};
use crate::gateway::{head, websocket};
use crate::proxy;

/// Bytes of hyper's largest read buffer per connection; it grows from 8 KiB.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What all connections of a listener have in common.
pub(super) struct Site {
    pub(super) filter: BoxedFilter<(Response,)>,
    pub(super) options: Options,
}

/// Somebody who has connected, and said something.
struct Arrived {
    io: Io,
    /// What they said, as far as it was read.
    read: Bytes,
    peer: Peer,
    /// Where their address has too many connections, and they are to be told so.
    turned_away: Option<OwnedSemaphorePermit>,
}

/// A connection as hyper takes it over: with what was read of it, and the answer to that where there is one already.
struct Begun {
    io: Io,
    read: Bytes,
    answer: Option<Response>,
}

/// Serves a connection, from its accept to its end or to its being a WebSocket.
pub(super) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
    site: Arc<Site>,
    mut stopped: watch::Receiver<bool>,
) {
    let permit = Permit::new(permit);
    let arrived = tokio::select! {
        arrived = arrive(stream, address, permit, &site.options) => arrived,
        _ = stopped.wait_for(|stop| *stop) => return,
    };
    let Some(Arrived { io, read, peer, turned_away }) = arrived else { return };
    // Both apart, so that a connection that never says anything doesn't hold the room that they need.
    if let Some(begun) = Box::pin(begin(io, read, &peer, &site)).await {
        Box::pin(serve_requests(begun, peer, site, stopped)).await;
    }
    drop(turned_away);
}

/// Finds out who has connected, and waits for the first byte; `None` where nothing comes of it.
async fn arrive(mut stream: TcpStream, mut address: SocketAddr, permit: Permit, options: &Options) -> Option<Arrived> {
    let within = Duration::from_millis(options.header_ms);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    if options.checks.get().has_proxy_header(address.ip()) {
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
    let (seat, turned_away) = match options.checks.get().seat(address.ip()) {
        Ok(seat) => (seat, None),
        Err(turned_away) => (None, Some(turned_away?)),
    };
    let spoken = match &options.tls {
        None => timeout(within, first_bytes(&mut stream)).await,
        // What a record holds can't be told without waiting for all of it.
        Some(_) => timeout(within, stream.readable()).await.map(|_| Bytes::new()),
    };
    let Ok(read) = spoken else {
        Refusal::HeaderTime.count();
        return None;
    };
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
    Some(Arrived { io, read, peer, turned_away })
}

/// Waits for the first bytes, and reads them into the thread's buffer, as a connection that says nothing is to hold none.
async fn first_bytes(stream: &mut TcpStream) -> Bytes {
    poll_fn(|cx| {
        websocket::with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            // What fails here, or is at its end, is so again where hyper reads.
            let _ = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            Poll::Ready(Bytes::copy_from_slice(buffer.filled()))
        })
    })
    .await
}

/// Answers a handshake that came in one piece; `None` where it became a WebSocket. An answer that is none is hyper's to write.
async fn begin(io: Io, read: Bytes, peer: &Peer, site: &Site) -> Option<Begun> {
    let Some((mut request, length)) = head::read(&read, site.options.header_bytes_max) else {
        return Some(Begun { io, read, answer: None });
    };
    let claim = Claim::default();
    request.extensions_mut().insert(claim.clone());
    let answer = answer(request, peer, site).await;
    match claim.take() {
        Some(go_on) => {
            go_on(io, read.slice(length..), head::switching(&answer));
            None
        }
        None => Some(Begun { io, read, answer: Some(answer) }),
    }
}

/// Has a request pass the checks, then the routes.
async fn answer<B>(mut request: Request<B>, peer: &Peer, site: &Site) -> Response
where
    B: Body + Send + Sync + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    request.extensions_mut().insert(peer.clone());
    let (visit, refused) = site.options.checks.get().enter(&mut request, peer);
    let mut response = match refused {
        Some(refused) => refused,
        None => {
            let routes = TowerToHyperService::new(warp::service(site.filter.clone()));
            let within = Duration::from_millis(site.options.request_ms);
            match timeout(within, routes.call(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => too_late(),
            }
        }
    };
    visit.leave(&mut response);
    response
}

/// Serves one connection's requests, until it ends or becomes a WebSocket.
async fn serve_requests(begun: Begun, peer: Peer, site: Arc<Site>, mut stopped: watch::Receiver<bool>) {
    let (began, asked) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let options = site.options.clone();
    let first = Arc::clone(&asked);
    let answered = Cell::new(begun.answer);
    let service = service_fn(move |request: Request<Incoming>| {
        first.store(true, Ordering::Relaxed);
        let (peer, site, answered) = (peer.clone(), Arc::clone(&site), answered.take());
        // On the heap: hyper keeps room for it as long as the connection lives, and it is large.
        Box::pin(async move {
            Ok::<_, std::convert::Infallible>(match answered {
                Some(response) => response,
                None => answer(request, &peer, &site).await,
            })
        })
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(options.header_ms))
        .max_buf_size(BUFFER_BYTES_MAX.max(options.header_bytes_max))
        .max_header_size(options.header_bytes_max);
    let stream = Stream::new(begun.io, begun.read, options.reply_ms);
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
