//! A destination that does what a test tells it to, and remembers what came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::Consumer;
use parlance_actors::ports::consumer::{Delivered, Page, Undelivered};
use parlance_actors::ports::store::{Begins, Filter};
use parlance_schema::entry::Fact;
use parlance_schema::{RoomId, Seq};
use tokio::sync::Notify;
use tokio::time::Instant;

pub const NAME: &str = "probe:one";

/// What becomes of a page.
pub enum Act {
    Take,
    /// The entries up to this number are done.
    Part(Seq),
    /// So are these; the others are wanted after this time.
    Later(Seq, Duration),
    Away,
    Refuse(Seq),
    Panic,
}

/// A call: when, of which room, which entries.
pub type Call = (Instant, u64, Vec<Seq>);

type Script = dyn Fn(usize, &[Seq]) -> Act + Send + Sync;

pub struct Probe {
    script: Box<Script>,
    begins: Begins,
    filter: Filter,
    calls: Mutex<Vec<Call>>,
    taken: Mutex<BTreeMap<u64, Vec<Seq>>>,
    words: Mutex<BTreeMap<u64, BTreeMap<Seq, Option<String>>>>,
    /// Rooms of which a call ends only when they are let go.
    held: Mutex<BTreeSet<u64>>,
    released: Notify,
    /// Rooms of which a call is under way, and those that had two at once.
    busy: Mutex<(BTreeSet<u64>, BTreeSet<u64>)>,
}

impl Probe {
    /// One that does with each call what `script` says, by how many there were before and the numbers that it is given.
    pub fn scripted(script: impl Fn(usize, &[Seq]) -> Act + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            begins: Begins::Start,
            filter: Filter::default(),
            calls: Mutex::default(),
            taken: Mutex::default(),
            words: Mutex::default(),
            held: Mutex::default(),
            released: Notify::new(),
            busy: Mutex::default(),
        }
    }

    pub fn willing() -> Self {
        Self::scripted(|_, _| Act::Take)
    }

    pub fn begins(self, begins: Begins) -> Self {
        Self { begins, ..self }
    }

    pub fn facts(self, facts: &[&str]) -> Self {
        Self { filter: Filter { facts: facts.iter().map(|fact| (*fact).to_owned()).collect() }, ..self }
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// What it has taken of a room, in the order in which it came.
    pub fn taken(&self, room: u64) -> Vec<Seq> {
        self.taken.lock().unwrap().get(&room).cloned().unwrap_or_default()
    }

    /// What the messages said that it has taken, where they said something.
    pub fn words(&self, room: u64) -> BTreeMap<Seq, Option<String>> {
        self.words.lock().unwrap().get(&room).cloned().unwrap_or_default()
    }

    pub fn hold(&self, room: u64) {
        self.held.lock().unwrap().insert(room);
    }

    pub fn release(&self) {
        self.held.lock().unwrap().clear();
        self.released.notify_waiters();
    }

    /// Rooms that were given by two calls at once.
    pub fn overlapping(&self) -> BTreeSet<u64> {
        self.busy.lock().unwrap().1.clone()
    }

    fn take(&self, page: &Page, upto: Seq) {
        let entries = || page.entries.iter().filter(|entry| entry.seq <= upto);
        let mut words = self.words.lock().unwrap();
        for entry in entries() {
            if let Fact::Posted { content, .. } = &entry.fact {
                let said = content.as_ref().map(|content| content.text.clone());
                words.entry(page.room.get()).or_default().insert(entry.seq, said);
            }
        }
        self.taken.lock().unwrap().entry(page.room.get()).or_default().extend(entries().map(|entry| entry.seq));
    }
}

/// A call that is under way.
struct Busy<'a>(&'a Probe, u64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap().0.remove(&self.1);
    }
}

#[async_trait]
impl Consumer for Probe {
    fn name(&self) -> &str {
        NAME
    }

    fn filter(&self) -> Filter {
        self.filter.clone()
    }

    fn begins(&self) -> Begins {
        self.begins
    }

    #[expect(clippy::panic, reason = "this is what the test asked for")]
    async fn deliver(&self, page: &Page) -> Result<Delivered, Undelivered> {
        let (room, seqs) = (page.room.get(), page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>());
        let count = {
            let mut calls = self.calls.lock().unwrap();
            calls.push((Instant::now(), room, seqs.clone()));
            calls.len() - 1
        };
        let _busy = {
            let mut busy = self.busy.lock().unwrap();
            if !busy.0.insert(room) {
                busy.1.insert(room);
            }
            Busy(self, room)
        };
        loop {
            let released = self.released.notified();
            if !self.held.lock().unwrap().contains(&room) {
                break;
            }
            released.await;
        }
        match (self.script)(count, &seqs) {
            Act::Take => {
                self.take(page, Seq::MAX);
                Ok(Delivered::All)
            }
            Act::Part(seq) => {
                self.take(page, seq);
                Ok(Delivered::UpTo(seq))
            }
            Act::Later(seq, pause) => {
                self.take(page, seq);
                Ok(Delivered::Later(seq, pause))
            }
            Act::Away => Err(Undelivered::Unavailable("nobody answers".to_owned())),
            Act::Refuse(seq) => {
                self.take(page, seq - 1);
                Err(Undelivered::Refused { seq, reason: "410".to_owned() })
            }
            Act::Panic => panic!("a consumer was told to panic"),
        }
    }
}

/// The number of a room.
pub fn room(id: u64) -> RoomId {
    RoomId::new(id)
}

/// The consumers of a node that has this one.
pub fn alone(probe: &Arc<Probe>) -> Vec<Arc<dyn Consumer>> {
    vec![probe.clone()]
}
