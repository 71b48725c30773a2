//! The commands that go into one append, and what each comes to.

use std::sync::Arc;

use parlance_schema::entry::{Entry, Fact};
use parlance_schema::view::Done;
use parlance_schema::{Fault, RoomId, Seq};

use super::actor::Ask;

/// What became of one command of a batch.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Not decided yet.
    Open,
    /// It is the entry at this place of the append.
    Entry(usize, Done),
    /// It was refused.
    Refused(Fault),
    /// It had been done before.
    Again(Done),
    /// It is the same as the command at this place of the batch.
    Same(usize),
}

/// The commands of one append, in order.
pub(super) struct Batch {
    asks: Vec<(Ask, Fate)>,
    sent: Arc<[Arc<Entry>]>,
}

impl Batch {
    pub(super) fn new(asks: Vec<Ask>) -> Self {
        Self { asks: asks.into_iter().map(|ask| (ask, Fate::Open)).collect(), sent: Arc::new([]) }
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    pub(super) fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.asks.iter().map(|(ask, _)| ask)
    }

    pub(super) fn ask(&self, at: usize) -> &Ask {
        &self.asks[at].0
    }

    pub(super) fn set(&mut self, at: usize, fate: Fate) {
        self.asks[at].1 = fate;
    }

    /// The earlier command of the batch with the same sender and client id, if that came to an entry.
    pub(super) fn same_before(&self, at: usize) -> Option<usize> {
        let ask = self.ask(at);
        self.asks[..at].iter().position(|(earlier, fate)| {
            matches!(fate, Fate::Entry(..)) && earlier.who.user == ask.who.user && earlier.client_id == ask.client_id
        })
    }

    /// Notes the entries that were given to the store.
    pub(super) fn sent(&mut self, entries: Arc<[Arc<Entry>]>) {
        self.sent = entries;
    }

    pub(super) fn entries(&self) -> Arc<[Arc<Entry>]> {
        self.sent.clone()
    }

    /// The first number and the append id of what was given to the store.
    pub(super) fn first_sent(&self) -> (Seq, u64) {
        self.sent.first().map_or((1, 0), |entry| (entry.seq, entry.append))
    }

    /// The place of the command that came to the entry at `entry`.
    pub(super) fn of_entry(&self, entry: usize) -> Option<usize> {
        self.asks.iter().position(|(_, fate)| matches!(fate, Fate::Entry(at, _) if *at == entry))
    }

    /// Whether one of the commands was refused.
    pub(super) fn has_refusal(&self) -> bool {
        self.asks.iter().any(|(_, fate)| matches!(fate, Fate::Refused(_)))
    }

    /// Each command with its outcome, to answer.
    pub(super) fn outcomes(self) -> impl Iterator<Item = (Ask, Result<Done, Fault>)> {
        let firsts: Vec<Option<Done>> = self
            .asks
            .iter()
            .map(|(_, fate)| if let Fate::Entry(_, done) = fate { Some(done.clone()) } else { None })
            .collect();
        self.asks.into_iter().map(move |(ask, fate)| {
            let outcome = match fate {
                Fate::Entry(_, done) => Ok(done),
                Fate::Again(done) => Ok(Done { again: true, ..done }),
                Fate::Refused(fault) => Err(fault),
                Fate::Same(first) => match firsts.get(first).cloned().flatten() {
                    Some(done) => Ok(Done { again: true, ..done }),
                    None => Err(Fault::internal("a repeated command lost its first try")),
                },
                Fate::Open => Err(Fault::internal("a command was not decided")),
            };
            (ask, outcome)
        })
    }

    pub(super) fn into_asks(self) -> Vec<Ask> {
        self.asks.into_iter().map(|(ask, _)| ask).collect()
    }
}

/// The answer to the command that made an entry.
pub(crate) fn done(room: RoomId, entry: &Entry) -> Done {
    let id = if let Fact::Posted { id, .. } = &entry.fact { Some(*id) } else { None };
    Done { room, seq: entry.seq, at: entry.at, id, again: false }
}
