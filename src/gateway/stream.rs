//! A connection's byte stream, with or without TLS, as long as it speaks HTTP; what a WebSocket takes over is bare again.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use crate::api::refusal::Refusal;

/// What a connection runs on.
pub enum Io {
    /// The bare socket.
    Tcp(TcpStream),
    /// TLS; what it holds is large, and most connections have none.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A byte stream that ends when its peer reads nothing for too long.
pub struct Stream {
    io: Io,
    /// What was read of it before.
    early: Bytes,
    stall: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    /// A stream that begins with `early`. It ends, with `TimedOut`, once something waits to be written for `stall_ms`
    /// milliseconds and nothing of it can be.
    #[must_use]
    pub fn new(io: Io, early: Bytes, stall_ms: u64) -> Self {
        Self { io, early, stall: Duration::from_millis(stall_ms), stalled: None }
    }

    /// What it runs on, and what of its beginning nobody has read.
    #[must_use]
    pub fn into_parts(self) -> (Io, Bytes) {
        (self.io, self.early)
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Refusal::ReplyTime.count();
        self.stalled = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

macro_rules! on_either {
    ($stream:expr, $io:ident => $call:expr) => {
        match &mut $stream.io {
            Io::Tcp($io) => {
                let $io = Pin::new($io);
                $call
            }
            Io::Tls($io) => {
                let $io = Pin::new($io.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        on_either!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = on_either!(self, io => io.poll_write(cx, bytes));
        self.watch(cx, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = on_either!(self, io => io.poll_flush(cx));
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = on_either!(self, io => io.poll_shutdown(cx));
        self.watch(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = on_either!(self, io => io.poll_write_vectored(cx, slices));
        self.watch(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Tcp(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }
}
