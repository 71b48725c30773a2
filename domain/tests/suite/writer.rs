//! The writer of a room, stepped without a runtime: commands, answers of a store that fails in all ways that one can, other writers,
//! and the end of the room, in random order. What it does is judged by [`reference`], which knows the log and the law alone.
//!
//! `WRITER_STEPS` says how many steps; a million of them take a minute or two without optimisation:
//! `WRITER_STEPS=1000000 cargo test -p parlance-domain --test suite random_steps`.

mod commands;
mod order;
mod reference;
mod store;

use std::collections::BTreeMap;

use parlance_domain::room::writer::{
    Append, Appended, BatchId, Effect, Env, Envelope, Input, LookupId, Wanted, Writer,
};
use parlance_schema::{ClientId, MessageId, RoomId, Seq};

use crate::world::{START, principal};
use reference::Reference;
use store::Store;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Rng(u64);

impl Rng {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// Whether something happens, in cases of a hundred.
    pub fn chance(&mut self, of_100: u64) -> bool {
        self.below(100) < of_100
    }
}

/// What a writer asked for and has no answer to yet.
enum Open {
    LookUp(LookupId, Wanted),
    Append(BatchId, Append),
    Reread { id: BatchId, doubt: Option<(Seq, u64)>, pairs: Vec<(usize, Seq)> },
    Ids,
    StepDown,
    Overdue,
    Farewell,
}

/// How unkind the world is, in cases of a hundred.
#[derive(Clone, Copy, Default)]
struct Weather {
    unread: u64,
    refused: u64,
    unknown: u64,
    others: u64,
    no_ids: u64,
}

/// One writer, its store, and what is under way between them.
struct Bench {
    rng: Rng,
    writer: Writer<u64>,
    store: Store,
    reference: Reference,
    open: Vec<Open>,
    /// Appends of which nobody waits for the outcome any more, and that may still come.
    late: Vec<Append>,
    weather: Weather,
    single_node: bool,
    at_home: bool,
    elapsed_ms: u64,
    next_message: u64,
    ids_left: u64,
    stopped: bool,
    steps: u64,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let single_node = rng.chance(40);
        let rough = rng.chance(80);
        let mut up_to = |most: u64| if rough { rng.below(most + 1) } else { 0 };
        let weather =
            Weather { unread: up_to(15), refused: up_to(3), unknown: up_to(15), others: up_to(10), no_ids: up_to(5) };
        let weather = if single_node { Weather { others: 0, ..weather } } else { weather };
        // Now and then near the end of a bucket of the log.
        let entries = match rng.below(50) {
            0 => 1_000 + rng.below(24),
            1..4 => 240 + rng.below(16),
            _ => 1 + rng.below(4),
        };
        let store = Store::new(entries);
        let snapshot_at = store.last().saturating_sub(rng.below(257));
        let writer = Writer::new(RoomId::new(1), Some(store.state().clone()), snapshot_at, 0);
        let reference = Reference::new(&store);
        let (open, late) = (Vec::new(), Vec::new());
        let (at_home, elapsed_ms, next_message, ids_left) = (true, 0, 1 << 20, 1_000);
        let (stopped, steps) = (false, 0);
        Self {
            rng,
            writer,
            store,
            reference,
            open,
            late,
            weather,
            single_node,
            at_home,
            elapsed_ms,
            next_message,
            ids_left,
            stopped,
            steps,
        }
    }

    /// Has the writer take one step, and takes note of what it wants.
    fn step(&mut self, input: Input<u64>) {
        self.steps += 1;
        if std::env::var("WRITER_TRACE").is_ok() {
            println!("{input:?} at {}", self.store.last());
        }
        self.elapsed_ms += self.rng.below(40);
        let (rng, ids_left, next) = (&mut self.rng, &mut self.ids_left, &mut self.next_message);
        let mut env = Env {
            now: START,
            elapsed_ms: self.elapsed_ms,
            random: &mut || rng.bits() >> 12 | 1,
            message_id: &mut || {
                *ids_left = ids_left.checked_sub(1)?;
                *next += 1;
                Some(MessageId::new(*next))
            },
            single_node: self.single_node,
            at_home: self.at_home,
            idle_ms: 5_000,
        };
        let effects: Vec<_> = self.writer.step(&mut env, input).collect();
        for effect in effects {
            if std::env::var("WRITER_TRACE").is_ok() {
                println!("    {effect:?}");
            }
            self.reference.check(&effect, &self.store);
            self.note(effect);
        }
        self.reference.check_writer(&self.writer, &self.store);
    }

    fn note(&mut self, effect: Effect<u64>) {
        match effect {
            Effect::LookUp(id, wanted) => self.open.push(Open::LookUp(id, wanted)),
            Effect::Append(id, append) => self.open.push(Open::Append(id, append)),
            Effect::Reread { id, doubt, pairs, .. } => self.open.push(Open::Reread { id, doubt, pairs }),
            Effect::FetchIds => self.open.push(Open::Ids),
            Effect::StepDown => self.open.push(Open::StepDown),
            Effect::AwaitOverdue => self.open.push(Open::Overdue),
            Effect::Unlist => self.open.push(Open::Farewell),
            Effect::Sleep => self.step(Input::HandOver),
            Effect::Stop => self.stopped = true,
            Effect::Publish(_)
            | Effect::PublishLast(_)
            | Effect::PublishAgain(..)
            | Effect::Reply(..)
            | Effect::Audit(..)
            | Effect::KeepSnapshot(_)
            | Effect::HandBack(_) => {}
        }
    }

    /// Somebody sends a command.
    fn ask(&mut self) {
        let (who, command) = commands::random(&mut self.rng, self.store.last());
        // Some are sent twice, the second time perhaps much later, and perhaps saying something else.
        let client_id = match self.rng.chance(15).then(|| self.reference.earlier(&mut self.rng, who)).flatten() {
            Some(client_id) => client_id,
            None => ClientId::new(format!("c{}", self.steps)).unwrap(),
        };
        let who = principal(who);
        let reply = self.reference.asked(who, &client_id, &command, &self.store);
        self.step(Input::Ask(Box::new(Envelope { who, client_id, command, reply })));
    }

    /// Something that is under way comes to its end.
    fn answer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.rng.below(self.open.len() as u64) as usize;
        match self.open.remove(at) {
            Open::LookUp(id, wanted) => {
                let unread = self.weather.unread;
                let found = self.store.look_up(&mut self.rng, unread, &wanted);
                self.step(Input::Found(id, Box::new(found)));
            }
            Open::Append(id, append) => self.answer_append(id, append),
            Open::Reread { id, doubt, pairs } => {
                let unread = self.rng.chance(self.weather.unread / 4);
                let found = (!unread).then(|| Box::new(self.store.reread(doubt, &pairs)));
                self.step(Input::Reread(id, found));
            }
            Open::Ids => {
                let there = !self.rng.chance(self.weather.no_ids * 4);
                self.ids_left = if there { 1 + self.rng.below(20) } else { 0 };
                self.next_message += u64::from(there);
                self.step(Input::Ids(there.then_some(MessageId::new(self.next_message))));
            }
            Open::StepDown => {
                let came = self.rng.chance(50);
                self.step(if came { Input::HandOver } else { Input::NobodyComes });
            }
            Open::Overdue => self.step(Input::Overdue),
            Open::Farewell => self.step(Input::Farewell),
        }
    }

    fn answer_append(&mut self, id: BatchId, append: Append) {
        let Weather { refused, unknown, .. } = self.weather;
        if self.rng.chance(refused) {
            return self.step(Input::Appended(id, Appended::Refused));
        }
        if self.rng.chance(unknown) {
            match self.rng.below(3) {
                0 => drop(self.store.append(&append)),
                1 => self.late.push(append),
                _ => {}
            }
            return self.step(Input::Appended(id, Appended::Unknown));
        }
        let outcome = self.store.append(&append);
        self.step(Input::Appended(id, outcome));
    }

    fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            match self.rng.below(100) {
                0..45 => self.ask(),
                45..88 => self.answer(),
                88..93 => self.step(Input::Tick),
                93..95 if self.rng.chance(self.weather.others * 4) => self.store.others_write(&mut self.rng),
                95..97 => {
                    // What nobody waits for any more, if its condition still holds.
                    if let Some(append) = self.late.pop() {
                        let _ = self.store.append(&append);
                    }
                }
                97 if self.rng.chance(4) => self.at_home = !self.at_home,
                98 if self.rng.chance(4) => self.step(Input::HandOver),
                _ => {}
            }
            if self.stopped && self.rng.chance(5) {
                return;
            }
        }
    }

    /// Trouble ends; everybody must have an answer, or have their command back.
    fn calm(&mut self) {
        self.weather = Weather::default();
        for _ in 0..100_000 {
            if self.open.is_empty() {
                break;
            }
            self.answer();
        }
        self.reference.finish(&self.store, &self.writer.inspect());
    }
}

#[test]
fn random_steps() {
    let wanted = std::env::var("WRITER_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(40_000_u64);
    let only = std::env::var("WRITER_SEED").ok().and_then(|seed| seed.parse().ok());
    let (mut steps, mut seen) = (0, BTreeMap::new());
    for seed in 1.. {
        let seed = only.unwrap_or(seed);
        let outcome = std::panic::catch_unwind(|| {
            let mut bench = Bench::new(seed);
            let count = 40 + bench.rng.below(400);
            bench.run(count);
            bench.calm();
            (bench.steps, bench.reference.seen.clone(), bench.stopped)
        });
        let Ok((more, what, stopped)) = outcome else { panic!("with WRITER_SEED={seed}") };
        steps += more;
        *seen.entry("stopped").or_insert(0) += u64::from(stopped);
        what.into_iter().for_each(|(what, count)| *seen.entry(what).or_insert(0) += count);
        if steps >= wanted || only.is_some() {
            break;
        }
    }
    println!("{steps} steps: {seen:?}");
    // It all happened, or the test says nothing.
    for what in [
        "done",
        "again",
        "refused",
        "store_unavailable",
        "outcome_unknown",
        "handed back",
        "unsure",
        "snapshots",
        "kept",
        "stopped",
        "audits",
        "put right",
    ] {
        assert!(only.is_some() || seen.get(what).is_some_and(|count| *count > 0), "{what} never happened: {seen:?}");
    }
}
