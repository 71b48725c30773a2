//! What must hold, whatever the writer did: told from the log, the law, and what was asked and answered.

use std::collections::BTreeMap;

use parlance_domain::room::writer::{Effect, Inspection, Wanted, Writer};
use parlance_schema::command::Command;
use parlance_schema::limits::{APPEND_ENTRIES_MAX, LOG_BUCKET};
use parlance_schema::user::Principal;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Code, Fault, MessageId, Seq, UserId};

use super::Rng;
use super::store::Store;
use crate::world::user;

/// A command that was given to the writer.
struct Asked {
    who: Principal,
    client_id: ClientId,
    command: Command,
    /// The log's last number when it came.
    came_at: Seq,
    /// The numbers that it got, if it was done by this very try.
    done: Option<Seq>,
    answered: bool,
    /// Whether its answer says that it was not done, and will not be.
    surely_not: bool,
}

pub struct Reference {
    asked: Vec<Asked>,
    published: Seq,
    /// How often what happened.
    pub seen: BTreeMap<&'static str, u64>,
}

impl Reference {
    pub fn new(store: &Store) -> Self {
        Self { asked: Vec::new(), published: store.last(), seen: BTreeMap::new() }
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    /// Notes a command, and says under which number it is answered.
    pub fn asked(&mut self, who: Principal, client_id: &ClientId, command: &Command, store: &Store) -> u64 {
        let (client_id, command, came_at) = (client_id.clone(), command.clone(), store.last());
        let (done, answered, surely_not) = (None, false, false);
        self.asked.push(Asked { who, client_id, command, came_at, done, answered, surely_not });
        self.asked.len() as u64 - 1
    }

    /// A client id that somebody used before.
    pub fn earlier(&self, rng: &mut Rng, who: u64) -> Option<ClientId> {
        let mine: Vec<_> = self.asked.iter().filter(|asked| asked.who.user == user(who)).collect();
        let one = mine.get(rng.below(mine.len() as u64) as usize)?;
        Some(one.client_id.clone())
    }

    pub fn check(&mut self, effect: &Effect<u64>, store: &Store) {
        match effect {
            Effect::Reply(reply, outcome) => self.check_reply(*reply as usize, outcome, store),
            Effect::HandBack(handed) => {
                for (ask, unsure) in handed {
                    let asked = &mut self.asked[ask.reply as usize];
                    assert!(!std::mem::replace(&mut asked.answered, true), "answered, and handed back");
                    assert_eq!((&asked.client_id, &asked.command), (&ask.client_id, &ask.command));
                    asked.surely_not = !unsure;
                    self.note(if *unsure { "unsure" } else { "handed back" });
                }
                // Each kind in the order in which they came.
                let sure: Vec<u64> = handed.iter().filter(|(_, unsure)| !unsure).map(|(ask, _)| ask.reply).collect();
                assert!(sure.is_sorted());
            }
            Effect::Append(_, append) => {
                let (first, count) = (append.expected + 1, append.entries.len());
                assert!((1..=APPEND_ENTRIES_MAX).contains(&count));
                assert!(append.entries.iter().zip(first..).all(|(entry, seq)| entry.seq == seq), "numbers have a gap");
                assert_eq!((first - 1) / LOG_BUCKET, (first + count as u64 - 2) / LOG_BUCKET, "it crosses a bucket");
                assert!(append.entries.iter().all(|entry| entry.append == append.entries[0].append));
                let members: Vec<_> = append.entries.iter().flat_map(|entry| entry.membership()).collect();
                assert_eq!(append.members, members);
                if let Some(state) = &append.snapshot {
                    self.note("snapshots");
                    assert_eq!(state.last, append.expected + count as u64);
                }
            }
            Effect::Publish(entries) => {
                for entry in entries.iter() {
                    assert_eq!(store.log.get(entry.seq as usize - 1), Some(entry), "published, and not in the log");
                    assert!(entry.seq > self.published, "published twice, or out of order");
                    self.published = entry.seq;
                }
            }
            Effect::PublishLast(last) => assert!(*last <= store.last()),
            Effect::PublishAgain(last, append) => {
                assert_eq!(store.log[*last as usize - 1].append, *append);
                self.note("put right");
            }
            Effect::KeepSnapshot(state) => {
                assert_eq!(**state, store.at(state.last).state, "what is kept is not what the log says");
                self.note("kept");
            }
            Effect::Audit(..) => self.note("audits"),
            Effect::LookUp(_, Wanted { targets, client_ids, settled, beyond }) => {
                assert!(*settled <= store.last(), "more is settled than there is");
                assert!(!targets.is_empty() || !client_ids.is_empty() || beyond.is_some(), "nothing is asked for");
                assert!(targets.len() <= 64 && client_ids.len() <= 64);
            }
            Effect::Reread { .. }
            | Effect::FetchIds
            | Effect::Sleep
            | Effect::StepDown
            | Effect::AwaitOverdue
            | Effect::Unlist
            | Effect::Stop => {}
        }
    }

    fn check_reply(&mut self, at: usize, outcome: &Result<Done, Fault>, store: &Store) {
        let asked = &mut self.asked[at];
        assert!(!std::mem::replace(&mut asked.answered, true), "answered twice: {:?}", asked.command);
        match outcome {
            Ok(done) => {
                let entry = store.log.get(done.seq as usize - 1).expect("acknowledged, and not in the log");
                assert_eq!((entry.by, &entry.client_id), (asked.who.user, &asked.client_id), "another's number");
                assert_eq!(done.at, entry.at);
                if !done.again {
                    asked.done = Some(done.seq);
                }
                self.note(if done.again { "again" } else { "done" });
            }
            Err(fault) if fault.code == Code::StoreUnavailable => {
                asked.surely_not = true;
                self.note("store_unavailable");
            }
            Err(fault) if fault.code == Code::OutcomeUnknown => self.note("outcome_unknown"),
            Err(fault) => {
                asked.surely_not = true;
                self.check_refusal(at, fault, store);
                self.note("refused");
            }
        }
    }

    /// A refusal is by the log as it was at some time since the command came, where its client id was not in it.
    fn check_refusal(&self, at: usize, fault: &Fault, store: &Store) {
        let asked = &self.asked[at];
        let done = store.keys.get(&(asked.who.user, asked.client_id.clone())).copied().unwrap_or(Seq::MAX);
        let by_the_log = (asked.came_at..=store.last()).filter(|seq| *seq < done).any(|seq| {
            let decided = store.decide(seq, asked.who.user.get(), &asked.command, MessageId::new(1));
            decided.is_err_and(|refused| refused == *fault)
        });
        assert!(by_the_log, "{:?} of {:?} was refused by no log since it came: {fault:?}", asked.command, asked.who);
    }

    /// What the writer believes is what the log says.
    pub fn check_writer(&self, writer: &Writer<u64>, store: &Store) {
        assert!(writer.settled() <= store.last());
        let inspect = writer.inspect();
        if inspect.phase == "idle" || inspect.phase == "looking up" {
            assert_eq!(inspect.last, writer.settled());
        }
        if inspect.last == writer.settled()
            && let Some(state) = writer.state()
        {
            assert_eq!(*state, store.at(state.last).state, "the state is not what the log says");
        }
    }

    pub fn finish(&self, store: &Store, left: &Inspection) {
        assert_eq!((left.waiting, left.refusing, left.appending, left.looking_up), (0, 0, 0, 0), "{left:?}");
        let mut tries: BTreeMap<(UserId, &ClientId), Vec<&Asked>> = BTreeMap::new();
        for asked in &self.asked {
            assert!(asked.answered, "never answered: {:?}", asked.command);
            tries.entry((asked.who.user, &asked.client_id)).or_default().push(asked);
        }
        for ((by, client_id), tries) in tries {
            assert!(tries.iter().filter(|asked| asked.done.is_some()).count() <= 1, "{client_id:?} was done twice");
            // A command that was certainly not done is not there.
            if tries.iter().all(|asked| asked.surely_not) {
                assert_eq!(store.keys.get(&(by, client_id.clone())), None, "{:?} was done after all", tries[0].command);
            }
        }
        let mut last: BTreeMap<UserId, Seq> = BTreeMap::new();
        for asked in self.asked.iter() {
            if let Some(seq) = asked.done {
                let before = last.insert(asked.who.user, seq);
                assert!(before < Some(seq), "a sender's commands were done in another order");
            }
        }
    }
}
