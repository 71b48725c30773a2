//! Deduplication: a client id that comes again is not done again, and gets the first answer.
//!
//! What it came to is known from what was done lately, from a look-up in the log, or from the append that is being made.

use std::collections::{HashMap, VecDeque};

use parlance_schema::limits::ROOM_RECENT_MAX;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Seq, UserId};

use super::batch::{Batch, Fate};
use super::{LookupId, Waiting, Writer};

/// What is known of a client id.
#[derive(Clone, Debug)]
pub(super) enum Before {
    Unasked,
    Asked(LookupId),
    /// What it came to, and the last settled number when that was asked.
    Known(Option<Done>, Seq),
}

/// The newest answers, up to [`ROOM_RECENT_MAX`] of them.
#[derive(Debug, Default)]
pub(super) struct RecentAnswers {
    answers: HashMap<(UserId, ClientId), Done>,
    order: VecDeque<(UserId, ClientId)>,
}

impl RecentAnswers {
    pub fn get(&self, key: &(UserId, ClientId)) -> Option<&Done> {
        self.answers.get(key)
    }

    pub fn remember(&mut self, key: (UserId, ClientId), done: Done) {
        if self.answers.insert(key.clone(), done).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > ROOM_RECENT_MAX {
            self.order.pop_front().map(|old| self.answers.remove(&old));
        }
    }
}

impl<R> Writer<R> {
    /// What a command came to when it was done before, as far as that is known.
    pub(super) fn done_before(&self, waiting: &Waiting<R>) -> Option<Done> {
        let key = (waiting.ask.who.user, waiting.ask.client_id.clone());
        match (&waiting.before, self.recent.get(&key)) {
            (_, Some(done)) | (Before::Known(Some(done), _), None) => Some(done.clone()),
            (Before::Unasked | Before::Asked(_) | Before::Known(None, _), None) => None,
        }
    }
}

impl<R> Batch<R> {
    /// What the earlier command with the same sender and client id came to.
    pub fn same(&self, by: UserId, client_id: &ClientId) -> Option<&Done> {
        self.members.iter().find_map(|member| match &member.fate {
            Fate::Entry(_, done) if member.ask.who.user == by && member.ask.client_id == *client_id => Some(done),
            Fate::Entry(..) | Fate::Same(_) => None,
        })
    }
}
