//! One connection's outgoing side: a queue of shared frames, bounded in bytes, between relays and the socket.
//!
//! Relays and rooms push complete frames; the socket's task takes them and writes. The Session actor stands beside this
//! path, not in it. The link outlives a Session actor that crashes, and the next one goes on with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parlance_schema::account::Principal;
use parlance_schema::entry::Entry;
use parlance_schema::frame::{Push, ReplyOutcome};
use parlance_schema::limits::{CREDITS, OUTBOX_BYTES_EPHEMERAL, OUTBOX_BYTES_LOW, OUTBOX_BYTES_MAX};
use parlance_schema::{ClientId, Code, Fault, RoomId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::wire::{self, Asked, Wire};

/// What happened to a frame that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It will be written.
    Queued,
    /// The queue is full. Entries: the room is behind now, to be caught up from its log. Others: dropped.
    Full,
    /// The connection has ended.
    Closed,
}

/// Milliseconds, from 1 on, of a clock that never goes back: what [`Link::heard`] is told.
#[must_use]
pub fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let elapsed = Instant::now().saturating_duration_since(*start);
    u64::try_from(elapsed.as_millis()).map_or(u64::MAX, |ms| ms + 1)
}

/// Commands that a connection remembers to have sent, where it is not pushed their entries.
const SENT_KEPT: usize = 4 * CREDITS;

/// Frames for which an empty queue keeps its memory.
const QUEUE_KEPT: usize = 8;

/// What a connection gets, and what its being there does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether what is pushed on it counts as read by its user.
    pub reads: bool,
    /// Whether a room's members are told of its user's first such connection, and of the end of the last one.
    pub announces: bool,
    /// Whether it is closed when its user stops being a member of a room that is pushed on it.
    pub ends_on_removal: bool,
    /// Whether what was sent on it is pushed on it too. Where it isn't, its position moves all the same.
    pub echoes: bool,
}

impl Delivery {
    /// That of the native wires: clients say themselves what they have read.
    pub const NATIVE: Self = Self { reads: false, announces: false, ends_on_removal: false, echoes: true };
}

/// One connection, as rooms, relays and its Session see it.
pub struct Link {
    /// The connection's id, unique on this node.
    pub id: u64,
    /// Who is connected.
    pub principal: Principal,
    /// How its frames look.
    pub wire: Arc<dyn Wire>,
    /// The one room that it is for; absent where it is for all rooms of its user.
    pub room: Option<RoomId>,
    /// What it gets, and what its being there does.
    pub delivery: Delivery,
    /// When the client was last heard, in [`ticks`].
    heard: AtomicU64,
    /// Since when the outbox has not moved, in the same milliseconds; 0 when it is not full.
    stuck: AtomicU64,
    /// When the token expires, in Unix milliseconds.
    expires: AtomicU64,
    behind: AtomicBool,
    /// The access token, where its standing is looked at again now and then.
    token: Mutex<Option<Arc<str>>>,
    /// Whether the client has said where it is; kept here so that it outlives the Session.
    resumed: AtomicBool,
    /// Requests that were refused and are not in the log yet.
    refused: Mutex<Refused>,
    out: Mutex<Out>,
    waker: AtomicWaker,
    low: Notify,
    /// The latest commands that came on it, where their entries are not pushed on it.
    sent: Mutex<VecDeque<ClientId>>,
}

#[derive(Default)]
struct Out {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// Requests that wait for their reply.
    pending: Vec<Pending>,
    /// Requests begun so far.
    begun: u64,
    /// Set once: nothing more is queued, and the socket closes after what is there.
    closed: bool,
}

/// Requests that were refused.
#[derive(Default)]
struct Refused {
    count: u32,
    /// The code of the last one.
    last: Option<Code>,
}

fn in_flight(n: u64) -> Fault {
    Fault::malformed(format!(
        "request number {n} is in flight: choose `n` so that no other request has it that waits for its reply"
    ))
}

/// A request that waits for its reply.
struct Pending {
    asked: Asked,
    /// Ours, as the client may use its own again.
    id: u64,
    /// When its outcome counts as unknown, in [`ticks`]; 0 for what has no deadline.
    deadline: u64,
}

impl Link {
    /// Makes the link of a new connection for all rooms of its user, as the native wires have it.
    #[must_use]
    pub fn new(id: u64, principal: Principal, wire: Arc<dyn Wire>, expires: u64) -> Arc<Self> {
        Self::serving(None, Delivery::NATIVE, id, principal, wire, expires)
    }

    /// Makes the link of a new connection: for one room, or for all rooms of its user.
    #[must_use]
    pub fn serving(
        room: Option<RoomId>,
        delivery: Delivery,
        id: u64,
        principal: Principal,
        wire: Arc<dyn Wire>,
        expires: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            principal,
            wire,
            room,
            delivery,
            heard: AtomicU64::new(ticks()),
            stuck: AtomicU64::new(0),
            expires: AtomicU64::new(expires),
            behind: AtomicBool::new(false),
            token: Mutex::new(None),
            resumed: AtomicBool::new(false),
            refused: Mutex::default(),
            out: Mutex::new(Out::default()),
            waker: AtomicWaker::new(),
            low: Notify::new(),
            sent: Mutex::default(),
        })
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        // A panic while the lock was held leaves plain data behind, whole after each statement.
        self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Queues entries' frames: all of them, or none when the outbox is full, so that a position stays contiguous.
    pub fn push_entries(&self, frames: &[Bytes]) -> Pushed {
        let size: usize = frames.iter().map(Bytes::len).sum();
        let mut out = self.out();
        if out.closed {
            return Pushed::Closed;
        }
        // A single append larger than what is left still goes into an empty outbox: no client is behind for ever.
        if out.bytes + size > OUTBOX_BYTES_MAX && out.bytes > 0 {
            self.behind.store(true, Ordering::Release);
            return Pushed::Full;
        }
        let idle = out.queue.is_empty() && size > 0;
        out.bytes += size;
        // A wire may have no frame for an entry.
        out.queue.extend(frames.iter().filter(|frame| !frame.is_empty()).cloned());
        drop(out);
        if idle {
            self.waker.wake();
        }
        Pushed::Queued
    }

    /// Queues a frame that may be lost: typing, presence, read marks, stream deltas. They go first when a client is slow.
    pub fn push_ephemeral(&self, frame: &Bytes) -> Pushed {
        let mut out = self.out();
        if out.closed {
            return Pushed::Closed;
        }
        if out.bytes + frame.len() > OUTBOX_BYTES_EPHEMERAL {
            return Pushed::Full;
        }
        self.enqueue(&mut out, frame.clone());
        Pushed::Queued
    }

    /// Queues a frame that concerns this session only, and that it can't do without. A client that asks for more than it
    /// reads is closed.
    pub fn push(&self, push: &Push) {
        if let Some(frame) = self.wire.push(push) {
            let mut out = self.out();
            self.enqueue_bounded(&mut out, frame);
        }
    }

    /// Queues a frame as it is: a pong, an echo. Into an outbox that is within its bound it goes however large it is; the
    /// socket reads nothing from a client whose outbox is over it.
    pub fn push_raw(&self, frame: Bytes) {
        let mut out = self.out();
        if out.bytes <= OUTBOX_BYTES_MAX && !out.closed {
            self.enqueue(&mut out, frame);
        } else {
            self.enqueue_bounded(&mut out, frame);
        }
    }

    /// Queues what a connection begins with, before all else: the answer to its handshake.
    pub fn push_first(&self, bytes: Bytes) {
        let mut out = self.out();
        out.bytes += bytes.len();
        out.queue.push_front(bytes);
    }

    fn enqueue_bounded(&self, out: &mut Out, frame: Bytes) {
        // Replies have as much room again as entries, so that a full outbox still answers.
        if out.bytes + frame.len() > 2 * OUTBOX_BYTES_MAX && out.bytes > 0 {
            self.finish(out, Code::SlowConsumer.close(), "you ask for more than you read: connect again and resume");
        } else if !out.closed {
            self.enqueue(out, frame);
        }
    }

    fn enqueue(&self, out: &mut Out, frame: Bytes) {
        let idle = out.queue.is_empty();
        out.bytes += frame.len();
        out.queue.push_back(frame);
        if idle {
            self.waker.wake();
        }
    }

    /// Takes note of a request; its reply must follow, under the id that is returned.
    ///
    /// # Errors
    /// When its number is in flight already, or all credits are used; the number where the fault may be told as its reply.
    pub fn begin(&self, asked: Asked) -> Result<u64, (Option<u64>, Fault)> {
        let mut out = self.out();
        if out.pending.iter().any(|pending| pending.asked.n == asked.n) {
            return Err((None, in_flight(asked.n)));
        }
        if out.pending.len() >= CREDITS {
            let detail = format!("{CREDITS} requests wait for their replies: wait for one before you send the next");
            return Err((Some(asked.n), Fault::new(Code::NoCredit, detail).after(100)));
        }
        let id = out.begun;
        out.begun += 1;
        out.pending.push(Pending { asked, id, deadline: 0 });
        Ok(id)
    }

    /// Gives a request a deadline, in [`ticks`].
    pub(crate) fn limit(&self, id: u64, deadline: u64) {
        if let Some(pending) = self.out().pending.iter_mut().find(|pending| pending.id == id) {
            pending.deadline = deadline;
        }
    }

    /// Requests whose deadline has passed, each with our number for it.
    pub(crate) fn overdue(&self, now: u64) -> Vec<(Asked, u64)> {
        let out = self.out();
        let late = out.pending.iter().filter(|pending| (1..now).contains(&pending.deadline));
        late.map(|pending| (pending.asked, pending.id)).collect()
    }

    /// Replies to a request, once: a second reply under the same id is dropped, and false is returned.
    pub fn reply(&self, asked: Asked, id: u64, outcome: &ReplyOutcome) -> bool {
        let frame = self.wire.reply(asked, outcome);
        let mut out = self.out();
        let Some(at) = out.pending.iter().position(|pending| pending.id == id) else { return false };
        out.pending.swap_remove(at);
        if out.pending.is_empty() {
            out.pending = Vec::new();
        }
        if let Some(frame) = frame {
            self.enqueue_bounded(&mut out, frame);
        }
        drop(out);
        if let ReplyOutcome::Fault(fault) = outcome {
            self.count_refusal(fault);
        }
        true
    }

    /// Counts a request of the client's that was refused, and notes it for the log.
    fn count_refusal(&self, fault: &Fault) {
        metrics::counter!("parlance_request_faults_total", "code" => fault.code.word()).increment(1);
        if fault.code.http() >= 500 {
            // No mistake of the client's, and whoever failed has told it.
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *refused = Refused { count: refused.count.saturating_add(1), last: Some(fault.code) };
    }

    /// How many of the client's requests were refused since this was last asked, and with which code the last of them.
    pub(crate) fn take_refused(&self) -> Option<(u32, Code)> {
        let refused = std::mem::take(&mut *self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        refused.last.map(|code| (refused.count, code))
    }

    /// Refuses a request that was never begun. One reply carries a number, so where the number is in flight, the client is
    /// pushed the fault.
    pub fn refuse(&self, n: Option<u64>, fault: Fault) {
        self.count_refusal(&fault);
        let (n, fault) = match n {
            Some(n) if self.out().pending.iter().any(|pending| pending.asked.n == n) => (None, in_flight(n)),
            n => (n, fault),
        };
        match n {
            Some(n) => {
                if let Some(frame) = self.wire.reply(Asked { n, op: None }, &ReplyOutcome::Fault(fault)) {
                    self.push_raw(frame);
                }
            }
            None => self.push(&Push::Fault { fault }),
        }
    }

    /// Waits until little is queued, or the connection has ended.
    pub async fn room_for_more(&self) {
        loop {
            let low = self.low.notified();
            if self.queued_bytes() <= OUTBOX_BYTES_LOW || self.is_closed() {
                return;
            }
            low.await;
        }
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.out().pending.len()
    }

    /// Bytes queued.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.out().bytes
    }

    /// Whether a frame waits to be taken.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.out().queue.is_empty()
    }

    /// Closes the connection after what is queued.
    pub fn close(&self, code: u16, reason: &str) {
        let mut out = self.out();
        self.finish(&mut out, code, reason);
    }

    /// Closes the connection for a fault.
    pub fn close_for(&self, fault: &Fault) {
        self.close(fault.code.close(), &fault.detail);
    }

    fn finish(&self, out: &mut Out, code: u16, reason: &str) {
        if !out.closed {
            out.closed = true;
            self.low.notify_waiters();
            out.queue.push_back(wire::close_frame(code, reason));
            self.waker.wake();
        }
    }

    /// Notes that the socket is gone: nothing is queued any more, and what was is dropped.
    pub fn gone(&self) {
        let mut out = self.out();
        *out = Out { closed: true, ..Out::default() };
        self.low.notify_waiters();
        self.waker.wake();
    }

    /// Whether the connection has ended or is ending.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.out().closed
    }

    /// Notes that a byte came from the client.
    pub fn heard(&self, now: u64) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// When the client was last heard.
    #[must_use]
    pub fn last_heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// When the token expires, in Unix milliseconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires.load(Ordering::Relaxed)
    }

    /// Keeps the token, or lets go of it.
    pub fn keep_token(&self, token: Option<&str>) {
        *self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = token.map(Arc::from);
    }

    /// The token, where it is kept.
    pub(crate) fn token(&self) -> Option<Arc<str>> {
        self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Notes a renewed token.
    pub fn renew(&self, expires: u64) {
        self.expires.store(expires, Ordering::Relaxed);
    }

    /// Notes a command that came on this connection, where its entry is not to be pushed on it.
    pub(crate) fn note_sent(&self, client_id: &ClientId) {
        if self.delivery.echoes {
            return;
        }
        let mut sent = self.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sent.len() >= SENT_KEPT {
            sent.pop_front();
        }
        sent.push_back(client_id.clone());
    }

    /// Whether an entry is passed over on this connection, as what it says came on it.
    pub(crate) fn passes_over(&self, entry: &Entry) -> bool {
        if self.delivery.echoes || entry.by != self.principal.user {
            return false;
        }
        let sent = self.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sent.contains(&entry.client_id)
    }

    /// Since when the client has read nothing while its outbox was full, by a clock that the caller ticks; `None` while
    /// it is not full.
    pub fn stuck_since(&self, now: u64) -> Option<u64> {
        if !self.behind.load(Ordering::Acquire) {
            self.stuck.store(0, Ordering::Relaxed);
            return None;
        }
        let since = self.stuck.load(Ordering::Relaxed);
        if since == 0 {
            self.stuck.store(now, Ordering::Relaxed);
            return Some(now);
        }
        Some(since)
    }

    /// Notes that the client has said where it is, and was answered.
    pub(crate) fn set_resumed(&self) {
        self.resumed.store(true, Ordering::Release);
    }

    /// Whether the client has said where it is.
    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed.load(Ordering::Acquire)
    }

    /// Whether some room is behind.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    // --- the socket's side ---

    /// Has the socket's task woken when there is something to write.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Notes that `written` bytes reached the socket, and hands over what is queued once `frames`, what was handed over
    /// before, has been written. The bytes count as queued until they are written.
    pub fn take(&self, written: usize, frames: &mut VecDeque<Bytes>) -> Taken {
        let mut out = self.out();
        out.bytes = out.bytes.saturating_sub(written);
        if written > 0 {
            self.stuck.store(0, Ordering::Relaxed);
        }
        if frames.is_empty() {
            std::mem::swap(frames, &mut out.queue);
            // A busy connection uses the same two queues again and again; after a burst an idle one keeps small ones.
            if out.queue.capacity() > QUEUE_KEPT {
                out.queue = VecDeque::new();
            }
        }
        if out.bytes <= OUTBOX_BYTES_LOW {
            self.low.notify_waiters();
        }
        let low = out.bytes <= OUTBOX_BYTES_LOW && !out.closed;
        Taken {
            catch_up: low && self.behind.swap(false, Ordering::AcqRel),
            closing: out.closed && out.queue.is_empty(),
        }
    }
}

/// What the socket's task should do after taking frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The session was behind and has room again: tell it so.
    pub catch_up: bool,
    /// Nothing follows what was taken: close when it is written.
    pub closing: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("id", &self.id).field("user", &self.principal.user).finish_non_exhaustive()
    }
}

/// What a socket hands its frames to: a Session, or `/dev/echo`.
pub trait Receiver: Send + 'static {
    /// A whole message came; text is valid UTF-8. Must not block.
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]);

    /// The outbox has room again after a room was behind.
    fn drained(&mut self, link: &Arc<Link>);

    /// The socket is gone; the last call.
    fn closed(&mut self, link: &Arc<Link>);
}

impl Receiver for Box<dyn Receiver> {
    fn message(&mut self, link: &Arc<Link>, text: bool, payload: &[u8]) {
        self.as_mut().message(link, text, payload);
    }

    fn drained(&mut self, link: &Arc<Link>) {
        self.as_mut().drained(link);
    }

    fn closed(&mut self, link: &Arc<Link>) {
        self.as_mut().closed(link);
    }
}
