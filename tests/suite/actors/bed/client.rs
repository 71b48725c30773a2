//! A client of the node under test: it connects, asks, and checks what it is pushed.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use parlance_actors::link::{Link, Receiver};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::actors::session::frames;

pub struct Client {
    pub id: u64,
    pub link: Arc<Link>,
    pub receiver: Box<dyn Receiver>,
    pub n: u64,
    inbox: VecDeque<Value>,
    /// Everything that was pushed, in order.
    pub pushes: Vec<Value>,
    /// Replies by request: exactly one each.
    pub replies: BTreeMap<u64, Value>,
    /// The code with which the connection was closed.
    pub close: Option<u16>,
}

impl Client {
    pub(super) fn new(id: u64, link: Arc<Link>, receiver: Box<dyn Receiver>) -> Self {
        let (inbox, pushes, replies) = (VecDeque::new(), Vec::new(), BTreeMap::new());
        Self { id, link, receiver, n: 0, inbox, pushes, replies, close: None }
    }

    /// Waits until so many frames of a wire that has no pushes were sent.
    pub async fn frames(&mut self, count: usize) -> &[Value] {
        while self.pushes.len() < count {
            self.read().await;
        }
        &self.pushes
    }

    /// Asks for something; its reply comes under the number returned.
    pub fn tell(&mut self, mut op: Value) -> u64 {
        self.n += 1;
        op["n"] = self.n.into();
        self.receiver.message(&self.link, true, op.to_string().as_bytes());
        self.n
    }

    pub async fn reply(&mut self, n: u64) -> Value {
        loop {
            if let Some(reply) = self.replies.get(&n) {
                return reply.clone();
            }
            self.read().await;
        }
    }

    /// Asks and waits for a good answer.
    pub async fn ask(&mut self, op: Value) -> Value {
        let n = self.tell(op.clone());
        let reply = self.reply(n).await;
        assert!(reply.get("ok").is_some(), "{op}: {reply}");
        reply["ok"].clone()
    }

    /// Asks and waits for a refusal; its code.
    pub async fn refused(&mut self, op: Value) -> String {
        let n = self.tell(op.clone());
        let reply = self.reply(n).await;
        reply["fault"]["code"].as_str().unwrap_or_else(|| panic!("{op} was done: {reply}")).to_owned()
    }

    pub async fn resume(&mut self, positions: Value) -> Value {
        self.ask(json!({"op": "resume", "positions": positions})).await["resumed"].clone()
    }

    /// Waits for at least one frame, and takes all that are there.
    async fn read(&mut self) {
        let link = self.link.clone();
        let there = poll_fn(|context| {
            link.outbox.register(context.waker());
            if link.outbox.queued_bytes() > 0 || link.outbox.is_closed() { Poll::Ready(()) } else { Poll::Pending }
        });
        let waited = timeout(Duration::from_secs(120), there).await;
        assert!(waited.is_ok(), "client {} waits in vain; it has {:?}", self.id, self.pushes.last());
        assert!(self.drain() > 0 || self.close.is_none(), "client {} was closed: {:?}", self.id, self.close);
    }

    /// Takes all frames that are queued, as a socket does that writes at once. Says how many.
    pub fn drain(&mut self) -> usize {
        let (mut written, mut count) = (0, 0);
        loop {
            let mut frames = VecDeque::new();
            let taken = self.link.outbox.take(written, &mut frames);
            if taken.catch_up {
                self.receiver.drained(&self.link);
            }
            written = frames.iter().map(Bytes::len).sum();
            frames.iter().for_each(|frame| self.unpack(frame));
            while let Some(value) = self.inbox.pop_front() {
                count += 1;
                self.sort(value);
            }
            if written == 0 {
                return count;
            }
        }
    }

    fn unpack(&mut self, bytes: &[u8]) {
        for (opcode, payload) in frames(bytes) {
            match opcode {
                1 => self.inbox.push_back(serde_json::from_slice(payload).unwrap()),
                8 => self.close = Some(u16::from_be_bytes([payload[0], payload[1]])),
                9 => self.inbox.push_back(json!({"push": "ping"})),
                other => panic!("a frame with opcode {other}"),
            }
        }
    }

    fn sort(&mut self, value: Value) {
        match value["re"].as_u64() {
            Some(n) => {
                let second = self.replies.insert(n, value);
                assert!(second.is_none(), "request {n} was answered twice");
            }
            None => self.pushes.push(value),
        }
    }

    /// The numbers of a room's entries that were pushed.
    pub fn seqs(&self, room: u64) -> Vec<u64> {
        self.entries(room).map(|entry| entry["seq"].as_u64().unwrap()).collect()
    }

    pub fn entries(&self, room: u64) -> impl Iterator<Item = &Value> {
        let of = move |push: &&Value| push["push"] == "entry" && push["room"] == room;
        self.pushes.iter().filter(of).map(|push| &push["entry"])
    }

    /// Pushes of a kind.
    pub fn pushed(&self, kind: &str) -> Vec<&Value> {
        self.pushes.iter().filter(|push| push["push"] == kind).collect()
    }

    /// Waits until a room's entry with this number was pushed, and checks that all came once and in order.
    pub async fn reach(&mut self, room: u64, seq: u64) {
        while self.seqs(room).last().is_none_or(|last| *last < seq) {
            self.read().await;
        }
        self.contiguous(room);
    }

    pub fn contiguous(&self, room: u64) {
        let seqs = self.seqs(room);
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "client {} got {seqs:?}", self.id);
    }

    /// Waits for a push of a kind.
    pub async fn push(&mut self, kind: &str) -> Value {
        while self.pushed(kind).is_empty() {
            self.read().await;
        }
        self.pushed(kind)[0].clone()
    }

    /// Waits until the connection is closed; the code.
    pub async fn closed(&mut self) -> u16 {
        while self.close.is_none() {
            self.read_or_close().await;
        }
        self.close.unwrap_or(0)
    }

    async fn read_or_close(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(600);
        while self.drain() == 0 && self.close.is_none() {
            assert!(Instant::now() < deadline, "never closed");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a client keeps of a room between connections.
    pub fn position(&self, room: u64) -> Value {
        let last = self.entries(room).last().unwrap();
        json!({"epoch": 1, "seq": last["seq"], "append": last["append"]})
    }

    /// Goes away.
    pub fn leave(mut self) -> Vec<Value> {
        self.link.gone();
        self.receiver.closed(&self.link);
        self.pushes
    }
}
