//! What waits to be written to a connection: shared frames, bounded in bytes, and the rule for clients that read slowly.
//!
//! Ephemeral frames go first, then entries are no longer queued, to be caught up from the log once the client has read on, and
//! replies have as much room again. Frames count as queued until the socket has taken them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parlance_schema::limits::{OUTBOX_BYTES_EPHEMERAL, OUTBOX_BYTES_LOW, OUTBOX_BYTES_MAX};
use parlance_schema::{Code, Fault};
use tokio::sync::Notify;

use crate::wire;

/// Frames for which an empty queue keeps its memory.
const QUEUE_KEPT: usize = 8;

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

/// What the socket's task should do after taking frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The session was behind and has room again: tell it so.
    pub catch_up: bool,
    /// Nothing follows what was taken: close when it is written.
    pub closing: bool,
}

/// A connection's queue of frames.
#[derive(Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
    low: Notify,
    /// Whether entries were not queued since the outbox was last low.
    lagging: AtomicBool,
    /// Since when nothing was written while entries waited, in [`super::ticks`]; 0 when that isn't so.
    stuck: AtomicU64,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Set once: nothing more is queued, and the socket closes after what is there.
    closed: bool,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock was held leaves plain data behind, whole after each statement.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues entries' frames: all of them, or none when the outbox is full, so that a position stays contiguous.
    pub fn push_entries(&self, frames: &[Bytes]) -> Pushed {
        let size: usize = frames.iter().map(Bytes::len).sum();
        let mut queue = self.queue();
        if queue.closed {
            return Pushed::Closed;
        }
        // A single append larger than what is left still goes into an empty outbox: no client is behind for ever.
        if queue.bytes + size > OUTBOX_BYTES_MAX && queue.bytes > 0 {
            self.lagging.store(true, Ordering::Release);
            return Pushed::Full;
        }
        let idle = queue.frames.is_empty() && size > 0;
        queue.bytes += size;
        // A wire may have no frame for an entry.
        queue.frames.extend(frames.iter().filter(|frame| !frame.is_empty()).cloned());
        drop(queue);
        if idle {
            self.waker.wake();
        }
        Pushed::Queued
    }

    /// Queues a frame that may be lost: typing, presence, read marks, stream deltas. They go first when a client is slow.
    pub fn push_ephemeral(&self, frame: &Bytes) -> Pushed {
        let mut queue = self.queue();
        if queue.closed {
            return Pushed::Closed;
        }
        if queue.bytes + frame.len() > OUTBOX_BYTES_EPHEMERAL {
            return Pushed::Full;
        }
        self.enqueue(&mut queue, frame.clone());
        Pushed::Queued
    }

    /// Queues a frame that its client can't do without: a reply, news of its session. A client that asks for more than it reads
    /// is closed.
    pub fn push(&self, frame: Bytes) {
        self.enqueue_bounded(&mut self.queue(), frame);
    }

    /// Queues a frame as it is: a pong, an echo. Into an outbox that is within its bound it goes however large it is; the
    /// socket reads nothing from a client whose outbox is over it.
    pub fn push_raw(&self, frame: Bytes) {
        let mut queue = self.queue();
        if queue.bytes <= OUTBOX_BYTES_MAX && !queue.closed {
            self.enqueue(&mut queue, frame);
        } else {
            self.enqueue_bounded(&mut queue, frame);
        }
    }

    /// Queues what a connection begins with, before all else: the answer to its handshake.
    pub fn push_first(&self, bytes: Bytes) {
        let mut queue = self.queue();
        queue.bytes += bytes.len();
        queue.frames.push_front(bytes);
    }

    fn enqueue_bounded(&self, queue: &mut Queue, frame: Bytes) {
        // Replies have as much room again as entries, so that a full outbox still answers.
        if queue.bytes + frame.len() > 2 * OUTBOX_BYTES_MAX && queue.bytes > 0 {
            self.finish(
                queue,
                Code::SlowConsumer.close(),
                "you send requests faster than you read the replies: reconnect, resume and read faster",
            );
        } else if !queue.closed {
            self.enqueue(queue, frame);
        }
    }

    fn enqueue(&self, queue: &mut Queue, frame: Bytes) {
        let idle = queue.frames.is_empty();
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        if idle {
            self.waker.wake();
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

    /// Bytes queued.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue().bytes
    }

    /// Whether a frame waits to be taken.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.queue().frames.is_empty()
    }

    /// Closes the connection after what is queued.
    pub fn close(&self, code: u16, reason: &str) {
        self.finish(&mut self.queue(), code, reason);
    }

    /// Closes the connection for a fault.
    pub fn close_for(&self, fault: &Fault) {
        self.close(fault.code.close(), &fault.detail);
    }

    fn finish(&self, queue: &mut Queue, code: u16, reason: &str) {
        if !queue.closed {
            queue.closed = true;
            self.low.notify_waiters();
            queue.frames.push_back(wire::close_frame(code, reason));
            self.waker.wake();
        }
    }

    /// Drops what is queued, as the socket is gone; nothing is queued any more.
    pub(super) fn gone(&self) {
        *self.queue() = Queue { closed: true, ..Queue::default() };
        self.low.notify_waiters();
        self.waker.wake();
    }

    /// Whether the connection has ended or is ending.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue().closed
    }

    /// Whether some room is behind.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        self.lagging.load(Ordering::Acquire)
    }

    /// Since when the client has read nothing while its outbox was full, by a clock that the caller ticks; `None` while
    /// it is not full.
    pub fn stuck_since(&self, now: u64) -> Option<u64> {
        if !self.is_lagging() {
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

    /// Has the socket's task woken when there is something to write.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Notes that `written` bytes reached the socket, and hands over what is queued once `frames`, what was handed over
    /// before, has been written. The bytes count as queued until they are written.
    pub fn take(&self, written: usize, frames: &mut VecDeque<Bytes>) -> Taken {
        let mut queue = self.queue();
        queue.bytes = queue.bytes.saturating_sub(written);
        if written > 0 {
            self.stuck.store(0, Ordering::Relaxed);
        }
        if frames.is_empty() {
            std::mem::swap(frames, &mut queue.frames);
            // A busy connection uses the same two queues again and again; after a burst an idle one keeps small ones.
            if queue.frames.capacity() > QUEUE_KEPT {
                queue.frames = VecDeque::new();
            }
        }
        if queue.bytes <= OUTBOX_BYTES_LOW {
            self.low.notify_waiters();
        }
        let low = queue.bytes <= OUTBOX_BYTES_LOW && !queue.closed;
        Taken {
            catch_up: low && self.lagging.swap(false, Ordering::AcqRel),
            closing: queue.closed && queue.frames.is_empty(),
        }
    }
}
