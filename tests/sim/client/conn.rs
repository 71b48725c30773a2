//! One connection of a client, as a socket would serve it: frames in, frames out, and what waits for its reply.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use parlance::gateway::native::Json;
use parlance_actors::link::{Link, Receiver, ticks};
use parlance_actors::service::Service;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::cluster::{Cluster, EXPIRES, Node, principal};
use crate::journal;
use crate::session::frames;

/// What a request was, for its reply.
#[derive(Debug)]
pub enum Wait {
    /// A resume, with the numbers that the client had.
    Resume(BTreeMap<u64, u64>),
    /// A try at a command: its number among all tries, and the command's client id.
    Try(u64, String),
    /// A page of a room's log.
    Page(u64),
    /// Anything else.
    Other,
}

pub struct Conn {
    pub id: journal::Conn,
    pub node: Arc<Node>,
    pub link: Arc<Link>,
    receiver: Box<dyn Receiver>,
    n: u64,
    pub waits: BTreeMap<u64, (Wait, Instant)>,
    /// The code with which the server closed it.
    pub closed: Option<u16>,
}

impl Conn {
    /// Connects a user to a node; none where it doesn't let them in.
    pub async fn open(cluster: &Cluster, node: Arc<Node>, user: u64) -> Option<Self> {
        let link = Link::new(node.handle.next_session(), principal(user), Arc::new(Json), EXPIRES);
        let receiver = node.handle.connect(link.clone()).await.ok()?;
        let id = cluster.journal.next("connections");
        Some(Self { id, node, link, receiver, n: 0, waits: BTreeMap::new(), closed: None })
    }

    /// Asks for something.
    pub fn ask(&mut self, mut op: Value, wait: Wait) {
        self.n += 1;
        op["n"] = self.n.into();
        // Noted first: the reply may be there before the call returns.
        self.waits.insert(self.n, (wait, Instant::now()));
        self.receiver.message(&self.link, true, op.to_string().as_bytes());
    }

    /// Waits until there is something to read, or until a time.
    pub async fn wait(&mut self, until: Instant) {
        let link = &self.link;
        let there = poll_fn(|context| {
            link.outbox.register(context.waker());
            if link.outbox.has_queued() || link.outbox.is_closed() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout_at(until, there).await;
    }

    /// Takes all frames that are queued, as a socket does that writes at once.
    pub fn read(&mut self) -> Vec<Value> {
        self.link.liveness.heard(ticks());
        let mut values = Vec::new();
        let mut written = 0;
        loop {
            let mut frames = VecDeque::new();
            let taken = self.link.outbox.take(written, &mut frames);
            if taken.catch_up {
                self.receiver.drained(&self.link);
            }
            written = frames.iter().map(Bytes::len).sum();
            frames.iter().for_each(|frame| self.unpack(frame, &mut values));
            if written == 0 || self.closed.is_some() {
                return values;
            }
        }
    }

    fn unpack(&mut self, bytes: &[u8], values: &mut Vec<Value>) {
        for (opcode, payload) in frames(bytes) {
            match opcode {
                1 => values.push(serde_json::from_slice(payload).unwrap()),
                8 => self.closed = Some(u16::from_be_bytes([payload[0], payload[1]])),
                // A ping; the client answers anything by being there.
                _ => {}
            }
        }
    }

    /// Hangs up, or finds that the other side is gone.
    pub fn end(&mut self) {
        self.link.gone();
        if !self.node.gate.is_dead() {
            self.receiver.closed(&self.link);
        }
    }
}
