//! What was done lately, to answer those who send it again.

use std::collections::{HashMap, VecDeque};

use parlance_schema::limits::ROOM_RECENT_MAX;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, UserId};

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
