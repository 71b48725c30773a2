//! The commands that go into one append, and what each comes to.

use std::sync::Arc;

use parlance_schema::entry::Entry;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Seq, UserId};

use super::{BatchId, Doubt, Envelope, Ticket};

/// What a command of a batch came to.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It is the entry at this place of the append.
    Entry(usize, Done),
    /// It is the same as an earlier command of the batch, which came to this.
    Same(Done),
}

/// A command of a batch.
#[derive(Debug)]
pub(super) struct Member<R> {
    pub ticket: Ticket,
    pub ask: Envelope<R>,
    pub fate: Fate,
    pub doubt: Doubt,
}

/// The commands of one append, in order.
#[derive(Debug)]
pub(super) struct Batch<R> {
    pub id: BatchId,
    pub append: u64,
    pub members: Vec<Member<R>>,
    pub entries: Arc<[Arc<Entry>]>,
    /// What moderators did in a room that they are not in.
    pub moderated: Vec<(UserId, &'static str)>,
    /// Whether a snapshot goes with it.
    pub snapshot: bool,
}

impl<R> Batch<R> {
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The first number of what is appended.
    pub fn first(&self) -> Seq {
        self.entries.first().map_or(0, |entry| entry.seq)
    }

    /// The last one.
    pub fn last(&self) -> Seq {
        self.entries.last().map_or(0, |entry| entry.seq)
    }

    /// Sender and client id of the command that came to the entry at a place.
    pub fn key_of(&self, place: usize) -> Option<(UserId, ClientId)> {
        let is_it = |member: &&Member<R>| matches!(member.fate, Fate::Entry(at, _) if at == place);
        self.members.iter().find(is_it).map(|member| (member.ask.who.user, member.ask.client_id.clone()))
    }
}
