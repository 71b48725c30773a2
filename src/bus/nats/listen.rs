//! Subscriptions on NATS: one for each subject that somebody on this node listens to, however many they are.
//!
//! Owns: who listens to what, and a few tasks (shards) that take what comes. A subject belongs to one shard, so that its
//! messages stay in order; a shard is woken by the subjects that have something, and there is no task for each of them.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use async_nats::{Client, Message, Subscriber};
use dashmap::{DashMap, Entry};
use futures_util::{FutureExt, StreamExt};
use metrics::Gauge;
use tokio::sync::Notify;
use tokio::task::coop;

use super::subject::Subject;

/// Messages that are taken of one subject before another one's turn.
const TURN: usize = 32;

/// What is done with a message.
pub type Handler = Arc<dyn Fn(&Subject, Message) + Send + Sync>;

/// Who listens to what.
pub struct Listening {
    client: Client,
    cluster: Box<str>,
    runtime: tokio::runtime::Handle,
    interests: DashMap<Subject, Interest>,
    shards: Vec<Arc<Shard>>,
    spread: RandomState,
    count: Gauge,
}

/// How many listen to a subject, and where its messages come in.
struct Interest {
    count: usize,
    slot: Arc<SubjectSlot>,
}

/// One who listens; dropping it ends that.
pub struct Ticket {
    listening: Arc<Listening>,
    subject: Subject,
}

impl Listening {
    /// Nobody listens yet; messages will go to `handler`, in so many tasks.
    pub fn start(
        client: Client,
        cluster: &str,
        shards: usize,
        handler: &Handler,
    ) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let shards: Vec<_> = (0..shards.max(1)).map(|_| Arc::new(Shard::default())).collect();
        // A shard gives way by itself: tokio's own budget would have subjects seem empty that are not.
        let run = |shard: &Arc<Shard>| tokio::spawn(coop::unconstrained(shard.clone().run(handler.clone())));
        let tasks = shards.iter().map(run).collect();
        let listening = Self {
            client,
            cluster: cluster.into(),
            runtime: tokio::runtime::Handle::current(),
            interests: DashMap::new(),
            shards,
            spread: RandomState::new(),
            count: metrics::gauge!("parlance_bus_subscriptions"),
        };
        (Arc::new(listening), tasks)
    }

    /// Listens to a subject.
    pub fn listen(self: &Arc<Self>, subject: Subject) -> Ticket {
        match self.interests.entry(subject.clone()) {
            Entry::Occupied(mut there) => there.get_mut().count += 1,
            Entry::Vacant(free) => {
                let shard = self.shards[self.spread.hash_one(&subject) as usize % self.shards.len()].clone();
                let slot = Arc::new(SubjectSlot::new(subject.clone(), shard));
                self.open(&slot);
                self.count.increment(1.0);
                free.insert(Interest { count: 1, slot });
            }
        }
        Ticket { listening: self.clone(), subject }
    }

    /// Subscribes before anything that is sent after this; later where the connection's queue is full.
    fn open(&self, slot: &Arc<SubjectSlot>) {
        let subscribe = |client: Client, name: String| async move { client.subscribe(name).await };
        let name = slot.subject.of(&self.cluster);
        match coop::unconstrained(subscribe(self.client.clone(), name.clone())).now_or_never() {
            Some(Ok(subscriber)) => slot.take_in(subscriber),
            // The connection was closed: nothing will come.
            Some(Err(_)) => {}
            None => {
                let (slot, subscribing) = (slot.clone(), subscribe(self.client.clone(), name));
                self.runtime.spawn(async move {
                    if let Ok(subscriber) = subscribing.await {
                        slot.take_in(subscriber);
                    }
                });
            }
        }
    }

    /// Ends all subscriptions.
    pub fn close(&self) {
        self.interests.iter().for_each(|interest| interest.slot.close());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Entry::Occupied(mut there) = self.listening.interests.entry(self.subject.clone()) {
            there.get_mut().count -= 1;
            if there.get().count == 0 {
                there.remove().slot.close();
                self.listening.count.decrement(1.0);
            }
        }
    }
}

/// Where a subject's messages come in.
struct SubjectSlot {
    subject: Subject,
    shard: Arc<Shard>,
    inlet: Mutex<Inlet>,
    /// Whether its shard knows that it may have something.
    queued: AtomicBool,
}

enum Inlet {
    Opening,
    Open(Subscriber),
    Closed,
}

impl SubjectSlot {
    fn new(subject: Subject, shard: Arc<Shard>) -> Self {
        Self { subject, shard, inlet: Mutex::new(Inlet::Opening), queued: AtomicBool::new(false) }
    }

    fn take_in(self: &Arc<Self>, subscriber: Subscriber) {
        let mut inlet = self.inlet.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*inlet, Inlet::Opening) {
            *inlet = Inlet::Open(subscriber);
            drop(inlet);
            self.wake_by_ref();
        }
    }

    /// Unsubscribes: the subscriber does so when it is dropped.
    fn close(&self) {
        let before = std::mem::replace(&mut *self.inlet.lock().unwrap_or_else(PoisonError::into_inner), Inlet::Closed);
        drop(before);
    }

    /// The next message, without waiting. The lock is not held while the message is handled, as that may end the subscription.
    fn next(&self, context: &mut Context<'_>) -> Option<Message> {
        let mut inlet = self.inlet.lock().unwrap_or_else(PoisonError::into_inner);
        let Inlet::Open(subscriber) = &mut *inlet else { return None };
        match subscriber.poll_next_unpin(context) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }
}

impl SubjectSlot {
    /// Has some of what is there handled; false when there was nothing.
    fn turn(self: &Arc<Self>, handler: &Handler) -> bool {
        // What comes from here on wakes it again.
        self.queued.store(false, Ordering::Release);
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        for taken in 0..TURN {
            let Some(message) = self.next(&mut context) else { return taken > 0 };
            handler(&self.subject, message);
        }
        self.wake_by_ref();
        true
    }
}

impl Wake for SubjectSlot {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.shard.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.clone());
            self.shard.wake.notify_one();
        }
    }
}

/// A task's subjects that may have something; each is in it once at most.
#[derive(Default)]
struct Shard {
    ready: Mutex<VecDeque<Arc<SubjectSlot>>>,
    wake: Notify,
}

impl Shard {
    fn next(&self) -> Option<Arc<SubjectSlot>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn run(self: Arc<Self>, handler: Handler) {
        loop {
            let Some(slot) = self.next() else {
                self.wake.notified().await;
                continue;
            };
            if slot.turn(&handler) {
                tokio::task::yield_now().await;
            }
        }
    }
}
