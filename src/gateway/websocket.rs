//! One WebSocket connection: the one task that reads, answers pings, hands messages on, and writes what its link holds.
//!
//! Receives: a client's bytes, frames queued on the [`Link`]. Emits: calls to its [`Receiver`]. It ends when the peer is
//! gone, after the close handshake, or five seconds after that began; nobody restarts it, the client comes back. The task
//! is a hand-written future, so that an idle connection is a socket, a link and this struct, and owns no buffer: reads go
//! through a scratch buffer of the thread, and writes hand the shared frames to the kernel as they are.

mod back_pressure;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parlance_actors::link::{Link, Receiver, ticks};
use parlance_actors::wire::{Opcode, frame};
use parlance_schema::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::websocket_frames::{Decoder, Event};
use crate::api::refusal::Refusal;

/// Milliseconds from the beginning of a close to the end of the connection, whatever the peer does.
pub const CLOSE_MS: u64 = 5_000;
/// Bytes read at a time.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Frames written at a time.
const SLICES_MAX: usize = 64;
/// Frames that are joined before they are written.
const JOINED_MAX: usize = 4;
/// Bytes that they have at most.
const JOINED_BYTES_MAX: usize = 1_024;
/// Messages handed on before other connections have their turn.
const MESSAGES_PER_TURN: usize = 128;
/// Reads before other connections have their turn.
const READS_PER_TURN: usize = 8;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's buffer, to read into.
pub(super) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH_BYTES, 0);
        read(scratch)
    })
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Messages go both ways.
    Open,
    /// The close frame is queued or written; the peer's is awaited.
    Closing,
    /// Nothing more that the peer sends matters; what is queued is still written.
    Deaf,
    /// All is written; the peer is told that nothing follows.
    Shutdown,
    /// The peer's end is awaited, so that what was written isn't lost to a reset.
    Lingering,
}

/// What reading came to.
enum Read {
    /// Something came, and there may be more.
    More,
    /// Nothing there, or it must wait until the client has read.
    Nothing,
    /// Others have their turn.
    Yield,
    /// The peer has ended.
    End,
}

/// A connection's task; `hold` is kept until the connection ends.
pub struct Connection<S, R: Receiver, H = ()> {
    io: S,
    link: Arc<Link>,
    receiver: Option<R>,
    decoder: Decoder,
    /// Frames that are being written.
    frames: VecDeque<Bytes>,
    /// Bytes of the first one that are written.
    offset: usize,
    /// Bytes that were read and not decoded yet, from `backlog_at` on.
    backlog: Vec<u8>,
    backlog_at: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    stage: Stage,
    unflushed: bool,
    /// Whether what is queued has waited one round of the scheduler, so that more goes out in one write: a sender's reply
    /// and its own message, or what several rooms have for one client.
    gathered: bool,
    _hold: H,
}

// Nothing is pinned through it.
impl<S: Unpin, R: Receiver, H> Unpin for Connection<S, R, H> {}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Receiver, H> Connection<S, R, H> {
    /// Makes the task of an upgraded connection; `early` is what was read already, and messages may have up to
    /// `message_bytes_max` bytes.
    pub fn new(io: S, early: &[u8], link: Arc<Link>, receiver: R, message_bytes_max: usize, hold: H) -> Self {
        link.liveness.heard(ticks());
        Self {
            io,
            link,
            receiver: Some(receiver),
            decoder: Decoder::new(message_bytes_max),
            frames: VecDeque::new(),
            offset: 0,
            backlog: early.to_vec(),
            backlog_at: 0,
            deadline: None,
            stage: Stage::Open,
            unflushed: false,
            gathered: false,
            _hold: hold,
        }
    }

    /// Works until there is nothing to do; `Err` when the connection is gone.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, io::Error> {
        let mut messages = 0;
        for _ in 0..READS_PER_TURN {
            self.write(cx)?;
            if self.stage == Stage::Shutdown {
                match Pin::new(&mut self.io).poll_shutdown(cx)? {
                    Poll::Ready(()) => self.stage = Stage::Lingering,
                    Poll::Pending => return Ok(Poll::Pending),
                }
            }
            match self.read(cx, &mut messages)? {
                Read::More => {}
                Read::Nothing => return Ok(Poll::Pending),
                Read::Yield => break,
                Read::End => return Ok(Poll::Ready(())),
            }
        }
        cx.waker().wake_by_ref();
        Ok(Poll::Pending)
    }

    /// Writes what is queued, until nothing is left or the socket takes no more.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if matches!(self.stage, Stage::Shutdown | Stage::Lingering) {
            return Ok(());
        }
        if self.stage == Stage::Open && self.frames.is_empty() && !self.gathered && self.link.outbox.has_queued() {
            self.gathered = true;
            cx.waker().wake_by_ref();
            return Ok(());
        }
        self.gathered = false;
        let mut written = 0;
        let mut registered = false;
        loop {
            // Registering before the `take` that finds nothing misses no frame; doing it no sooner spares a needless
            // wake-up for what is pushed while this writes.
            if written > 0 {
                self.link.outbox.register(cx.waker());
                registered = true;
            }
            let taken = self.link.outbox.take(written, &mut self.frames);
            written = 0;
            if taken.catch_up {
                self.with_receiver(R::drained);
            }
            if self.frames.is_empty() {
                if registered {
                    return self.flush(cx, taken.closing);
                }
                self.link.outbox.register(cx.waker());
                registered = true;
                continue;
            }
            match self.write_some(cx)? {
                Poll::Ready(some) => written = some,
                Poll::Pending => {
                    self.link.outbox.register(cx.waker());
                    if self.stage == Stage::Open && self.link.outbox.is_closed() {
                        self.stage = Stage::Closing;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<usize>> {
        let Poll::Ready(written) = self.write_frames(cx)? else { return Ok(Poll::Pending) };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.unflushed = true;
        let mut past = self.offset + written;
        while let Some(first) = self.frames.front()
            && past >= first.len()
        {
            past -= first.len();
            self.frames.pop_front();
        }
        self.offset = past;
        Ok(Poll::Ready(written))
    }

    /// Has the kernel take what it will of the frames. A reply and an entry or two are joined first: a call with one buffer
    /// costs less than one with several, by more than the copy.
    fn write_frames(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let first = &self.frames[0][self.offset..];
        if self.frames.len() == 1 {
            return Pin::new(&mut self.io).poll_write(cx, first);
        }
        let few = self.frames.len() <= JOINED_MAX;
        let bytes = || first.len() + self.frames.iter().skip(1).map(Bytes::len).sum::<usize>();
        if few && bytes() <= JOINED_BYTES_MAX {
            let mut joined = [0; JOINED_BYTES_MAX];
            joined[..first.len()].copy_from_slice(first);
            let mut at = first.len();
            for frame in self.frames.iter().skip(1) {
                joined[at..at + frame.len()].copy_from_slice(frame);
                at += frame.len();
            }
            return Pin::new(&mut self.io).poll_write(cx, &joined[..at]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
            count += 1;
        }
        slices[0] = IoSlice::new(first);
        Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..count])
    }

    /// Nothing is left to write: has a buffering stream send it, and goes on with a close.
    fn flush(&mut self, cx: &mut Context<'_>, closing: bool) -> io::Result<()> {
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx)? {
                Poll::Ready(()) => self.unflushed = false,
                Poll::Pending => return Ok(()),
            }
        }
        self.stage = match self.stage {
            Stage::Open if closing => Stage::Closing,
            Stage::Deaf if closing => {
                self.over();
                Stage::Shutdown
            }
            stage => stage,
        };
        Ok(())
    }

    /// Reads once and hands on what is whole.
    fn read(&mut self, cx: &mut Context<'_>, messages: &mut usize) -> io::Result<Read> {
        if self.is_paused() {
            return Ok(Read::Nothing);
        }
        if !self.backlog.is_empty() {
            let mut backlog = std::mem::take(&mut self.backlog);
            let left = self.decode(&mut backlog[self.backlog_at..], messages);
            if left > 0 {
                self.backlog_at = backlog.len() - left;
                self.backlog = backlog;
            }
            return Ok(self.after_decoding(*messages));
        }
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let Poll::Ready(()) = Pin::new(&mut self.io).poll_read(cx, &mut buffer)? else { return Ok(Read::Nothing) };
            let bytes = buffer.filled_mut();
            if bytes.is_empty() {
                return Ok(Read::End);
            }
            self.link.liveness.heard(ticks());
            let left = self.decode(bytes, messages);
            if left > 0 {
                self.backlog = bytes[bytes.len() - left..].to_vec();
                self.backlog_at = 0;
            }
            Ok(self.after_decoding(*messages))
        })
    }

    fn after_decoding(&self, messages: usize) -> Read {
        if messages >= MESSAGES_PER_TURN { Read::Yield } else { Read::More }
    }

    /// Hands on the messages in `input`, until it is used up, the turn is over or the client must read first; says how many
    /// bytes at its end are left.
    fn decode(&mut self, mut input: &mut [u8], messages: &mut usize) -> usize {
        while *messages < MESSAGES_PER_TURN && !self.is_paused() {
            if matches!(self.stage, Stage::Deaf | Stage::Shutdown | Stage::Lingering) {
                return 0;
            }
            match self.decoder.next(&mut input) {
                Ok(None) => return 0,
                Ok(Some(event)) => {
                    *messages += 1;
                    self.event(event);
                }
                Err(failure) => {
                    let refusal = if failure.code == 1009 { Refusal::FrameSize } else { Refusal::Frame };
                    refusal.count();
                    self.link.outbox.close(failure.code, failure.reason);
                    self.stage = Stage::Deaf;
                }
            }
        }
        input.len()
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Message { text, payload } if self.stage == Stage::Open && !self.link.outbox.is_closed() => {
                self.with_receiver(|receiver, link| receiver.message(link, text, &payload));
            }
            Event::Ping(payload) => self.link.outbox.push_raw(frame(Opcode::Pong, &payload)),
            Event::Close { code } => {
                self.link.outbox.close(code.unwrap_or(1000), "");
                self.stage = Stage::Deaf;
            }
            Event::Message { .. } | Event::Pong => {}
        }
    }

    /// Calls the receiver; one that panics ends its own connection only.
    fn with_receiver(&mut self, call: impl FnOnce(&mut R, &Arc<Link>)) {
        let Some(receiver) = &mut self.receiver else { return };
        if catch_unwind(AssertUnwindSafe(|| call(receiver, &self.link))).is_err() {
            tracing::error!(session = self.link.id, "a receiver panicked");
            self.link
                .outbox
                .close(Code::Internal.close(), "the server failed to handle a message: reconnect and resume");
            self.stage = Stage::Deaf;
        }
    }

    fn arm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stage == Stage::Open {
            return Poll::Pending;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(CLOSE_MS))));
        deadline.as_mut().poll(cx)
    }
}

impl<S, R: Receiver, H> Connection<S, R, H> {
    /// Tells link and receiver, once, that the connection is over.
    fn over(&mut self) {
        if let Some(mut receiver) = self.receiver.take() {
            self.link.gone();
            if catch_unwind(AssertUnwindSafe(|| receiver.closed(&self.link))).is_err() {
                tracing::error!(session = self.link.id, "a receiver panicked at its end");
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Receiver, H> Future for Connection<S, R, H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let done = match this.turn(cx) {
            Ok(Poll::Pending) => this.arm(cx),
            Ok(Poll::Ready(())) => Poll::Ready(()),
            Err(error) => {
                tracing::debug!(session = this.link.id, %error, "socket failed");
                Poll::Ready(())
            }
        };
        if done.is_ready() {
            this.over();
        }
        done
    }
}

impl<S, R: Receiver, H> Drop for Connection<S, R, H> {
    fn drop(&mut self) {
        self.over();
    }
}
