//! What this node is asked: a bounded number of questions at once, each answered by a task.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlance_actors::ports::bus::{AskError, Question, Reply, Responder, Subscription};
use parlance_schema::Fault;
use parlance_schema::node::NodeId;
use tokio::sync::Semaphore;

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
        let (this, responder, permit) = (self.clone(), self.responder(), self.free.clone().try_acquire_owned());
        // Called here, in the order in which the questions came; only the answer is waited for elsewhere.
        let answering = match (responder, permit) {
            (Some(responder), Ok(held)) => Ok((responder(from, question), held)),
            (None, _) => Err("the node stops"),
            (_, Err(_)) => Err("the node has too much to answer"),
        };
        tokio::spawn(async move {
            let reply = match answering {
                Ok((answer, _held)) => answer.await,
                Err(why) => Reply::Refused(Fault::busy(why).after(BUSY_AFTER_MS)),
            };
            this.send(to, &reply).await;
        });
    }

    async fn send(&self, to: async_nats::Subject, reply: &Reply) {
        let fits = |payload: &Vec<u8>| payload.len() <= self.wire.client.max_payload();
        let too_large = || {
            self.wire.meters.too_large.increment(1);
            self.wire.encode(&Reply::Refused(Fault::internal("the answer is too large for the bus")))
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
