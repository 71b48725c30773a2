//! What this node is asked: a bounded number of questions at once, each answered by a task.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use parlance_actors::ports::bus::{AskError, Question, Reply, Responder, Subscription};
use parlance_schema::Fault;
use parlance_schema::node::NodeId;
use tokio::sync::Semaphore;
use tokio::task::coop;

use super::Wire;

/// Questions that are being answered at once; more are refused.
const AT_ONCE: usize = 1_024;
/// Milliseconds after which it is worth asking again.
const BUSY_AFTER_MS: u64 = 50;

/// Who answers, and how many questions wait for it.
pub struct Questions {
    wire: Arc<Wire>,
    responder: Arc<Mutex<Option<Responder>>>,
    free: Arc<Semaphore>,
}

impl Questions {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire, responder: Arc::default(), free: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Has questions answered by `responder`, and no longer by another one.
    pub fn respond(&self, responder: Responder) -> Subscription {
        *self.responder.lock().unwrap_or_else(PoisonError::into_inner) = Some(responder.clone());
        Box::new(Answering { all: self.responder.clone(), mine: responder })
    }

    fn responder(&self) -> Option<Responder> {
        self.responder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers a question that came from another node, to where the answer is awaited.
    pub fn answer(self: &Arc<Self>, from: NodeId, question: Question, to: async_nats::Subject) {
        let this = self.clone();
        match (self.responder(), self.free.clone().try_acquire_owned()) {
            (Some(responder), Ok(held)) => {
                // Called here, in the order in which the questions came; only the answer is waited for elsewhere.
                let answer = responder(from, question);
                tokio::spawn(async move {
                    let reply = answer.await;
                    this.send(to, &reply).await;
                    drop(held);
                });
            }
            (None, _) => self.refuse(
                to,
                Fault::busy(
                    "another server, which has what you asked for, is shutting down: send the request again in a moment",
                ),
            ),
            (_, Err(_)) => self.refuse(
                to,
                Fault::busy("another server, which has what you asked for, is overloaded: send the request again later"),
            ),
        }
    }

    /// Refuses without waiting: where the connection is full as well, the other node's time-out tells.
    fn refuse(&self, to: async_nats::Subject, fault: Fault) {
        let reply = Reply::Refused(fault.after(BUSY_AFTER_MS));
        let _ = coop::unconstrained(self.send(to, &reply)).now_or_never();
    }

    async fn send(&self, to: async_nats::Subject, reply: &Reply) {
        let fits = |payload: &Vec<u8>| payload.len() <= self.wire.client.max_payload();
        let too_large = || {
            self.wire.meters.too_large.increment(1);
            self.wire.encode(&Reply::Refused(Fault::internal(
                "server error: the response was too large to pass between servers; ask for less",
            )))
        };
        let Some(payload) = self.wire.encode(reply).filter(fits).or_else(too_large) else { return };
        let size = (to.len() + payload.len()) as u64;
        // Where the connection is closed the other node's time-out tells.
        if self.wire.client.publish(to, payload.into()).await.is_ok() {
            self.wire.enqueued.fetch_add(size, Ordering::Relaxed);
            self.wire.meters.published.increment(1);
        }
    }

    /// Answers a question of this node to itself.
    pub async fn ask_myself(&self, question: Question, within: Duration) -> Result<Reply, AskError> {
        let Some(responder) = self.responder() else { return Err(AskError::Unreachable) };
        let reply = tokio::time::timeout(within, responder(self.wire.me.node.clone(), question)).await;
        reply.map_err(|_| AskError::Unanswered)
    }
}

/// Ends the answering when dropped, unless somebody else answers by then.
struct Answering {
    all: Arc<Mutex<Option<Responder>>>,
    mine: Responder,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut now = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if now.as_ref().is_some_and(|there| Arc::ptr_eq(there, &self.mine)) {
            *now = None;
        }
    }
}
