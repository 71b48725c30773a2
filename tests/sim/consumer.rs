//! Consumers in the simulated cluster, and the destination to which they give entries: late, not at all, in part, or with nobody to say
//! that it was done. What has arrived there outlives all nodes.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::consumer::{Consumer, Delivered, Page, Undelivered};
use parlance_schema::{RoomId, Seq};
use tokio::time::sleep;

use super::gate::Gate;
use super::rng::Rng;

/// How a destination misbehaves, in cases of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whims {
    /// A call that reaches nothing.
    pub away: u64,
    /// A call that is done, and looks as if it had reached nothing.
    pub unknown: u64,
    /// A page that is done in part.
    pub part: u64,
    /// A page whose rest is to come some seconds later.
    pub later: u64,
    /// A call that has the consumer panic.
    pub panic: u64,
    /// A call that takes up to three seconds.
    pub slow: u64,
}

/// What has arrived of a room: each number where it came first, in that order.
#[derive(Default)]
struct Arrived {
    firsts: Vec<Seq>,
    seen: HashSet<Seq>,
}

/// What has arrived, by consumer and room.
#[derive(Default)]
pub struct Destination {
    arrived: Mutex<BTreeMap<(String, RoomId), Arrived>>,
    whims: Mutex<Whims>,
}

impl Destination {
    pub fn set(&self, whims: Whims) {
        *self.whims.lock().unwrap_or_else(PoisonError::into_inner) = whims;
    }

    fn whims(&self) -> Whims {
        *self.whims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(&self, consumer: &str, room: RoomId, seqs: &[Seq]) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let Arrived { firsts, seen } = arrived.entry((consumer.to_owned(), room)).or_default();
        firsts.extend(seqs.iter().filter(|seq| seen.insert(**seq)));
    }

    /// What a consumer was given of a room, each number where it came first.
    pub fn firsts(&self, consumer: &str, room: RoomId) -> Vec<Seq> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.get(&(consumer.to_owned(), room)).map(|arrived| arrived.firsts.clone()).unwrap_or_default()
    }
}

/// A consumer of one node.
pub struct Simulated {
    pub name: String,
    pub destination: Arc<Destination>,
    pub gate: Arc<Gate>,
    pub rng: Rng,
    /// Whether it says that it is done when it is, and not before.
    pub effect_first: bool,
}

#[async_trait]
impl Consumer for Simulated {
    fn name(&self) -> &str {
        &self.name
    }

    #[expect(clippy::panic, reason = "a whim")]
    async fn deliver(&self, page: &Page) -> Result<Delivered, Undelivered> {
        let whims = self.destination.whims();
        let away = || Err(Undelivered::Unavailable("it can't be reached".into()));
        let slow = if self.rng.chance(whims.slow) { self.rng.between(200, 3_000) } else { 0 };
        sleep(Duration::from_millis(self.rng.below(6) + slow)).await;
        self.gate.pass().await;
        if self.rng.chance(whims.away) {
            return away();
        }
        if self.rng.chance(whims.panic) {
            panic!("a consumer was told to crash");
        }
        let seqs: Vec<Seq> = page.entries.iter().map(|entry| entry.seq).collect();
        let (part, later) = (self.rng.chance(whims.part), self.rng.chance(whims.later));
        let count = if part || later { self.rng.below(seqs.len() as u64 + 1) as usize } else { seqs.len() };
        let done = if count == 0 { seqs[0] - 1 } else { seqs[count - 1] };
        if self.effect_first {
            self.destination.arrive(&self.name, page.room, &seqs[..count]);
            sleep(Duration::from_millis(self.rng.below(6))).await;
            self.gate.pass().await;
        } else {
            let (to, gate, name, room) = (self.destination.clone(), self.gate.clone(), self.name.clone(), page.room);
            let (seqs, wait) = (seqs[..count].to_vec(), self.rng.between(500, 4_000));
            tokio::spawn(async move {
                sleep(Duration::from_millis(wait)).await;
                gate.pass().await;
                to.arrive(&name, room, &seqs);
            });
        }
        if self.rng.chance(whims.unknown) {
            return away();
        }
        match (later, count == seqs.len()) {
            (true, _) => Ok(Delivered::Later(done, Duration::from_millis(self.rng.between(500, 6_000)))),
            (false, true) => Ok(Delivered::All),
            (false, false) => Ok(Delivered::UpTo(done)),
        }
    }
}
