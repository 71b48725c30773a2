//! The store that the writer's answers come from: one log, with what it folds to at each of its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlance_domain::message::{self, Target};
use parlance_domain::room::writer::{Append, Appended, Found, Reread, Unread, Wanted, done};
use parlance_domain::room::{self, Ask, State};
use parlance_schema::command::{Command, Kind};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{ClientId, MessageId, RoomId, Seq, UserId};

use super::{Rng, commands};
use crate::world::{START, create, post, principal};

/// What a log says after one of its entries.
#[derive(Clone)]
pub struct Sight {
    pub state: State,
    pub messages: Arc<BTreeMap<Seq, Target>>,
}

pub struct Store {
    pub log: Vec<Arc<Entry>>,
    /// What the log says after each of its entries.
    pub sights: Vec<Sight>,
    pub keys: BTreeMap<(UserId, ClientId), Seq>,
    others: u64,
}

impl Store {
    /// A group of 1 to 6 with so many entries.
    pub fn new(entries: u64) -> Self {
        let mut store = Self { log: Vec::new(), sights: Vec::new(), keys: BTreeMap::new(), others: 0 };
        store.write_as(1, &create(Kind::Group, 2..=6));
        while store.last() < entries {
            store.write_as(1 + store.last() % 6, &post("before"));
        }
        store
    }

    pub fn last(&self) -> Seq {
        self.log.len() as Seq
    }

    pub fn state(&self) -> &State {
        &self.sights.last().unwrap().state
    }

    /// The state after the entry with a number.
    pub fn at(&self, seq: Seq) -> &Sight {
        &self.sights[seq as usize - 1]
    }

    /// What a command comes to in the log as it was after an entry.
    pub fn decide(&self, seq: Seq, who: u64, command: &Command, id: MessageId) -> Result<Fact, parlance_schema::Fault> {
        let sight = self.at(seq);
        let target = room::needs(command).and_then(|seq| sight.messages.get(&seq));
        let who = principal(who);
        room::decide(Some(&sight.state), &Ask { who: &who, command, now: START, id, target })
    }

    /// Another owner writes what somebody wants, if that is allowed.
    pub fn others_write_as(&mut self, who: u64, command: &Command) {
        self.write_as(who, command);
    }

    fn write_as(&mut self, who: u64, command: &Command) {
        self.others += 1;
        let id = MessageId::new(self.others);
        let fact = if self.log.is_empty() {
            let who = principal(who);
            room::decide(None, &Ask { who: &who, command, now: START, id, target: None })
        } else {
            self.decide(self.last(), who, command, id)
        };
        let Ok(fact) = fact else { return };
        let posts = self.log.last().map_or(0, |entry| entry.posts) + u64::from(matches!(fact, Fact::Posted { .. }));
        let client_id = ClientId::new(format!("o{}", self.others)).unwrap();
        let by = principal(who).user;
        let append = (1 << 52) + self.others;
        self.push(Arc::new(Entry { seq: self.last() + 1, at: START, by, client_id, posts, append, fact }));
    }

    /// Another owner writes something.
    pub fn others_write(&mut self, rng: &mut Rng) {
        for _ in 0..=rng.below(2) {
            let (who, command) = commands::random(rng, self.last());
            self.write_as(who, &command);
        }
    }

    fn push(&mut self, entry: Arc<Entry>) {
        let before = self.sights.last();
        let (state, mut messages) = match before {
            Some(sight) => {
                let mut state = sight.state.clone();
                state.fold(&entry);
                (state, sight.messages.clone())
            }
            None => (State::opened(&entry).unwrap(), Arc::default()),
        };
        if let Some(seq) = entry.message() {
            let messages = Arc::make_mut(&mut messages);
            if seq == entry.seq {
                messages.insert(seq, Target { by: Some(entry.by), ..Target::default() });
            } else if let Some(target) = messages.get_mut(&seq) {
                message::fold(&mut target.state, &entry);
            }
        }
        let earlier = self.keys.insert((entry.by, entry.client_id.clone()), entry.seq);
        assert_eq!(earlier, None, "a client id was done twice");
        self.sights.push(Sight { state, messages });
        self.log.push(entry);
    }

    /// Appends on the two conditions that stores have.
    pub fn append(&mut self, append: &Append) -> Appended {
        if append.expected != self.last() {
            return Appended::WentOn;
        }
        let taken = |(at, entry): (usize, &Arc<Entry>)| {
            self.keys.get(&(entry.by, entry.client_id.clone())).map(|seq| (at, *seq))
        };
        let duplicates: Vec<_> = append.entries.iter().enumerate().filter_map(taken).collect();
        if !duplicates.is_empty() {
            return Appended::Duplicate(duplicates);
        }
        append.entries.iter().for_each(|entry| self.push(entry.clone()));
        Appended::Done
    }

    /// Reads what is asked for, and of client ids nothing that was not asked for.
    pub fn look_up(&self, rng: &mut Rng, unread: u64, wanted: &Wanted) -> Found {
        let Wanted { targets, client_ids, settled, beyond } = wanted;
        let messages = self.sights.last().unwrap().messages.clone();
        let target = |rng: &mut Rng, seq: &Seq| {
            (*seq, if rng.chance(unread) { Err(Unread) } else { Ok(messages.get(seq).cloned()) })
        };
        let entry = |seq: &Seq| done(RoomId::new(1), &self.log[*seq as usize - 1]);
        let client_id = |rng: &mut Rng, key: &(UserId, ClientId)| {
            let there = self.keys.get(key).filter(|seq| *seq <= settled).map(entry);
            (key.clone(), if rng.chance(unread) { Err(Unread) } else { Ok(there) })
        };
        let look = |rng: &mut Rng, seq: Seq| {
            if rng.chance(unread) {
                return Err(Unread);
            }
            Ok(self.log.get(seq as usize - 1).map(|entry| entry.append))
        };
        Found {
            targets: targets.iter().map(|seq| target(rng, seq)).collect(),
            done: client_ids.iter().map(|key| client_id(rng, key)).collect(),
            beyond: beyond.map(|seq| look(rng, seq)),
        }
    }

    pub fn reread(&self, doubt: Option<(Seq, u64)>, pairs: &[(usize, Seq)]) -> Reread {
        let there = |(seq, append): (Seq, u64)| self.log.get(seq as usize - 1).is_some_and(|e| e.append == append);
        let entry = |(at, seq): &(usize, Seq)| (*at, self.log.get(*seq as usize - 1).cloned());
        Reread {
            state: Some(self.state().clone()),
            landed: doubt.is_some_and(there),
            found: pairs.iter().map(entry).collect(),
        }
    }
}
