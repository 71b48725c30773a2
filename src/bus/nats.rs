//! The bus of a cluster: NATS. What a node publishes it hears at once from itself, not serialised; the others hear it through
//! a server, if one is there and nothing is full: events may be lost, and relays find out by number.
//!
//! A room's events have a subject of their own, to which a node subscribes while it has a relay of the room, so that a message
//! costs each node with members one delivery, and the others nothing.

pub mod connection;
pub mod envelope;
mod listen;
mod meters;
mod questions;
pub mod subject;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, Message, Request, RequestErrorKind};
use async_trait::async_trait;
use futures_util::FutureExt;
use parlance_actors::ports::Random;
use parlance_actors::ports::bus::{
    AskError, Bus, BusState, NodeEvent, Question, Reply, Responder, RoomEvent, Sink, Subscription,
};
use parlance_schema::node::NodeId;
use parlance_schema::notice::Notice;
use parlance_schema::{RoomId, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::{JoinHandle, coop};

use super::local::{Local, Subjects};
pub use connection::{Connection, Credentials, Error, Options, Pace};
use listen::{Listening, Ticket};
use meters::Meters;
use questions::Questions;
use subject::Subject;

/// Tasks that take what comes; most of the work, decoding aside, is the actors'.
const SHARDS_MAX: usize = 4;
/// Bytes that wait to be written; more are lost, and counted.
const BACKLOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How long a last flush may take.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Who this node is on the bus.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name of the cluster, which is part of every subject.
    pub cluster: String,
    /// The name of the node.
    pub node: NodeId,
    /// The random number of this start.
    pub incarnation: u64,
}

/// The bus of a node in a cluster.
pub struct Nats {
    wire: Arc<Wire>,
    local: Arc<Local>,
    nodes: Arc<Subjects<(), (NodeId, NodeEvent)>>,
    questions: Arc<Questions>,
    listening: Arc<Listening>,
    state: watch::Receiver<BusState>,
    tasks: Vec<JoinHandle<()>>,
}

impl Nats {
    /// Begins to connect, and goes on in the background for as long as it takes.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub async fn open(options: &Options, me: Identity, random: Arc<dyn Random>) -> Result<Self, Error> {
        let named = format!("parlance {} {}", me.cluster, me.node);
        let connection = Connection::open(options, &named, false, Pace::default(), random).await?;
        let (state, client) = (connection.state(), connection.client);
        let wire = Arc::new(Wire { client, me, meters: Meters::default(), enqueued: 0.into() });
        let (local, nodes) = (Arc::new(Local::default()), Arc::new(Subjects::default()));
        let questions = Arc::new(Questions::new(wire.clone()));
        let inbox =
            Inbox { wire: wire.clone(), local: local.clone(), nodes: nodes.clone(), questions: questions.clone() };
        let shards = std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS_MAX);
        let handler: listen::Handler = Arc::new(move |subject, message| inbox.take(subject, message));
        let (listening, mut tasks) = Listening::start(wire.client.clone(), &wire.me.cluster, shards, &handler);
        tasks.push(tokio::spawn(wire.clone().count_connections(state.clone())));
        Ok(Self { wire, local, nodes, questions, listening, state, tasks })
    }

    /// Waits until it is connected; false when that takes longer.
    pub async fn connected(&self, within: Duration) -> bool {
        let mut state = self.state();
        let there = state.wait_for(|state| matches!(state, BusState::Connected(_)));
        matches!(tokio::time::timeout(within, there).await, Ok(Ok(_)))
    }

    /// Sends what waits, and closes the connection.
    pub async fn close(&self) {
        if self.is_connected() {
            let _ = tokio::time::timeout(FLUSH_MAX, self.wire.client.flush()).await;
        }
        let _ = tokio::time::timeout(FLUSH_MAX, self.wire.client.drain()).await;
        self.listening.close();
    }

    fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), BusState::Connected(_))
    }

    /// Publishes to the other nodes; what is too large for the server becomes `instead`, where there is one.
    fn publish<T: Serialize>(&self, subject: &Subject, body: &T, instead: impl FnOnce() -> Option<T>) {
        let meters = &self.wire.meters;
        if !self.is_connected() {
            return meters.lost_away.increment(1);
        }
        let Some(mut payload) = self.wire.encode(body) else { return };
        if payload.len() > self.wire.client.max_payload() {
            meters.too_large.increment(1);
            let Some(smaller) = instead().and_then(|body| self.wire.encode(&body)) else { return };
            payload = smaller;
        }
        match self.wire.backlog() {
            waiting if waiting + payload.len() as u64 > BACKLOG_BYTES_MAX => meters.lost_full.increment(1),
            _ => {
                let name = subject.of(&self.wire.me.cluster);
                let size = (name.len() + payload.len()) as u64;
                // Without tokio's budget, which would have an empty queue seem full to a busy actor.
                let sent = coop::unconstrained(self.wire.client.publish(name, payload.into())).now_or_never();
                match sent {
                    Some(Ok(())) => {
                        self.wire.enqueued.fetch_add(size, Ordering::Relaxed);
                        meters.published.increment(1);
                    }
                    Some(Err(_)) | None => meters.lost_full.increment(1),
                }
            }
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.listening.close();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The way to the other nodes.
struct Wire {
    client: Client,
    me: Identity,
    meters: Meters,
    /// Bytes that were given to the connection to be published, counted as it counts those that it wrote.
    enqueued: std::sync::atomic::AtomicU64,
}

impl Wire {
    fn encode<T: Serialize>(&self, body: &T) -> Option<Vec<u8>> {
        let encoded = envelope::encode(&self.me.node, self.me.incarnation, body);
        encoded.inspect_err(|error| tracing::error!(%error, "an event can't be encoded")).ok()
    }

    /// What another node says; `None` for what can't be read, and for what came back.
    fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Option<(NodeId, T)> {
        match envelope::decode::<T>(payload) {
            Ok(read) if read.incarnation == self.me.incarnation && read.from == self.me.node => None,
            Ok(read) => Some((read.from, read.body)),
            Err(why) => {
                self.meters.unreadable(why);
                None
            }
        }
    }

    /// Bytes that wait to be written.
    fn backlog(&self) -> u64 {
        let written = self.client.statistics().out_bytes.load(Ordering::Relaxed);
        self.enqueued.load(Ordering::Relaxed).saturating_sub(written)
    }

    async fn count_connections(self: Arc<Self>, mut state: watch::Receiver<BusState>) {
        loop {
            let connected = matches!(*state.borrow_and_update(), BusState::Connected(_));
            self.meters.connected.set(if connected { 1.0 } else { 0.0 });
            if connected {
                self.meters.connects.increment(1);
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    }
}

/// What becomes of what comes in.
struct Inbox {
    wire: Arc<Wire>,
    local: Arc<Local>,
    nodes: Arc<Subjects<(), (NodeId, NodeEvent)>>,
    questions: Arc<Questions>,
}

impl Inbox {
    fn take(&self, subject: &Subject, message: Message) {
        self.wire.meters.received.increment(1);
        match subject {
            Subject::Room(room) => {
                if let Some((_, event)) = self.wire.decode(&message.payload) {
                    self.local.publish_room(*room, event);
                }
            }
            Subject::User(user) => {
                if let Some((_, notice)) = self.wire.decode(&message.payload) {
                    self.local.publish_user(*user, notice);
                }
            }
            Subject::Nodes => {
                if let Some(said) = self.wire.decode(&message.payload) {
                    self.nodes.publish((), &said);
                }
            }
            Subject::Node(_) => {
                if let (Some((from, question)), Some(reply)) = (self.wire.decode(&message.payload), message.reply) {
                    self.questions.answer(from, question, reply);
                }
            }
        }
    }
}

/// A sink of this node, and the interest in what other nodes publish for it.
struct Both(#[expect(dead_code, reason = "they end when they are dropped")] (Subscription, Ticket));

#[async_trait]
impl Bus for Nats {
    fn publish_room(&self, room: RoomId, event: RoomEvent) {
        self.local.publish_room(room, event.clone());
        self.publish(&Subject::Room(room), &event, || match &event {
            RoomEvent::Appended(entries) => entries.last().map(|last| RoomEvent::Last(last.seq)),
            _ => None,
        });
    }

    fn publish_user(&self, user: UserId, notice: Notice) {
        self.local.publish_user(user, notice.clone());
        self.publish(&Subject::User(user), &notice, || None);
    }

    fn subscribe_room(&self, room: RoomId, sink: Sink<RoomEvent>) -> Subscription {
        let mine = self.local.subscribe_room(room, sink);
        Box::new(Both((mine, self.listening.listen(Subject::Room(room)))))
    }

    fn subscribe_user(&self, user: UserId, sink: Sink<Notice>) -> Subscription {
        let mine = self.local.subscribe_user(user, sink);
        Box::new(Both((mine, self.listening.listen(Subject::User(user)))))
    }

    fn publish_nodes(&self, event: NodeEvent) {
        self.publish(&Subject::Nodes, &event, || None);
    }

    fn subscribe_nodes(&self, sink: Sink<(NodeId, NodeEvent)>) -> Subscription {
        let mine = self.nodes.subscribe((), sink);
        Box::new(Both((mine, self.listening.listen(Subject::Nodes))))
    }

    fn respond(&self, responder: Responder) -> Subscription {
        let mine = self.questions.respond(responder);
        Box::new(Both((mine, self.listening.listen(Subject::Node(self.wire.me.node.clone())))))
    }

    async fn ask(&self, node: &NodeId, question: Question, within: Duration) -> Result<Reply, AskError> {
        let wire = &self.wire;
        if *node == wire.me.node {
            return self.questions.ask_myself(question, within).await;
        }
        let mut state = self.state();
        let here = *state.borrow_and_update();
        let payload = wire.encode(&question).filter(|payload| payload.len() <= wire.client.max_payload());
        let (BusState::Connected(_), Some(payload)) = (here, payload) else {
            return Err(wire.meters.no_answer(AskError::Unreachable));
        };
        let began = std::time::Instant::now();
        let request = Request::new().payload(payload.into()).timeout(None);
        let name = Subject::Node(node.clone()).of(&wire.me.cluster);
        let answer = tokio::select! {
            answer = tokio::time::timeout(within, wire.client.send_request(name, request)) => answer,
            // The answer would go to a connection that is gone.
            _ = state.wait_for(|now| *now != here) => return Err(wire.meters.no_answer(AskError::Unanswered)),
        };
        let error = match answer {
            Ok(Ok(message)) => match wire.decode(&message.payload) {
                Some((_, reply)) => {
                    wire.meters.ask_seconds.record(began.elapsed());
                    return Ok(reply);
                }
                None => AskError::Unanswered,
            },
            Ok(Err(error)) => match error.kind() {
                RequestErrorKind::NoResponders
                | RequestErrorKind::MaxPayloadExceeded
                | RequestErrorKind::InvalidSubject => AskError::Unreachable,
                RequestErrorKind::TimedOut | RequestErrorKind::Other => AskError::Unanswered,
            },
            Err(_) => AskError::Unanswered,
        };
        Err(wire.meters.no_answer(error))
    }

    fn state(&self) -> watch::Receiver<BusState> {
        self.state.clone()
    }

    fn backend(&self) -> &'static str {
        "nats"
    }
}
