//! An import's progress, which is in the store and moves with what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Bulk, BulkError, IdKind, Record, StoreError, Taken};
use parlance_schema::limits::ID_MAX;
use parlance_schema::{Millis, TenantId};
use serde::{Deserialize, Serialize};

use super::source::{Column, Next, Rows};
use super::{Error, Options, REPORT_ROWS_MAX, chats, messages, users};

/// The name of the first import from this service.
const NAME: &str = "chat-service";
/// Imports into one store.
const IMPORTS_MAX: u32 = 1_000;
/// Records that are read at a time.
const PAGE: usize = 10_000;

/// What is brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    Users,
    Chats,
    Participants,
    Messages,
}

impl What {
    pub const ALL: [What; 4] = [What::Users, What::Chats, What::Participants, What::Messages];

    pub const fn word(self) -> &'static str {
        match self {
            What::Users => "users",
            What::Chats => "chats",
            What::Participants => "participants",
            What::Messages => "messages",
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Accounts are being written.
    Users,
    /// All accounts are written.
    Chats,
    /// It is decided which room each chat becomes.
    Messages,
    /// Logs are being written.
    Logs,
    /// Everything is written.
    Done,
}

/// What came of the rows of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows that were read.
    pub read: u64,
    /// Rows that are in the store now.
    pub imported: u64,
    /// Of those, rows that were changed to fit. Messages are read and written apart: one that is changed by both counts twice.
    pub changed: u64,
    /// Rows that are not.
    pub refused: u64,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// A user's old id; the value is the new one.
    User = 1,
    /// A chat's old id; the value is the room's.
    Chat = 2,
    /// A message's old id, where it has another one now; the value is that.
    Message = 3,
    /// A row of the report that was refused.
    Refused = 10,
    /// A row of the report that was changed.
    Changed = 11,
}

/// A row of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub what: What,
    pub row: u64,
    pub id: Option<u64>,
    pub why: String,
}

/// What the import needs to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    pub began_at: Millis,
    pub finished_at: Option<Millis>,
    pub phase: Phase,
    pub tenant: TenantId,
    /// The files that it was begun with; empty in one that was written before they were noted.
    #[serde(default)]
    pub files: Vec<What>,
    /// Digests of the files, as far as they are known.
    pub digests: BTreeMap<What, u64>,
    pub tallies: [Tally; 4],
    /// Rows of the report so far: refused, changed.
    pub notes: [u64; 2],
    /// Rows of the users' file that are done with.
    pub rows: u64,
    /// The room that is being written.
    pub room: usize,
    /// Messages that are done with, in the rooms' order.
    pub messages: u64,
}

/// What is to be written next.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub bulk: Bulk,
    pub progress: Progress,
}

impl Piece {
    /// Notes a row that is refused.
    pub fn refuse(&mut self, what: What, row: u64, id: Option<u64>, why: impl Into<String>) {
        self.progress.tallies[what as usize].refused += 1;
        self.note(0, Kept::Refused, Note { what, row, id, why: why.into() });
    }

    /// Notes what was changed about a row, whose import is noted elsewhere.
    pub fn change(&mut self, what: What, row: u64, id: u64, changes: &[String]) {
        self.progress.tallies[what as usize].changed += u64::from(!changes.is_empty());
        for why in changes {
            self.note(1, Kept::Changed, Note { what, row, id: Some(id), why: why.clone() });
        }
    }

    /// Notes a row that is imported, with what was changed about it.
    pub fn import(&mut self, what: What, row: u64, id: u64, changes: &[String]) {
        self.progress.tallies[what as usize].imported += 1;
        self.change(what, row, id, changes);
    }

    fn note(&mut self, which: usize, kind: Kept, note: Note) {
        let key = self.progress.notes[which];
        self.progress.notes[which] += 1;
        if key < REPORT_ROWS_MAX
            && let Ok(value) = rmp_serde::to_vec_named(&note)
        {
            self.bulk.records.push(Record { kind: kind as u8, key, value });
        }
    }

    /// Moves the ids of a kind past one.
    pub fn past(&mut self, kind: IdKind, id: u64) {
        match self.bulk.past.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, last)) => *last = id.max(*last),
            None => self.bulk.past.push((kind, id)),
        }
    }

    /// Keeps which id became which.
    pub fn keep(&mut self, kind: Kept, old: u64, new: u64) {
        self.bulk.records.push(Record { kind: kind as u8, key: old, value: new.to_be_bytes().to_vec() });
    }
}

/// An import that is under way.
pub(super) struct Job {
    pub store: Arc<dyn Store>,
    pub name: String,
    pub step: u64,
    pub progress: Progress,
    /// The next id of each kind that nobody has, once it was asked for.
    unused: [Option<u64>; 3],
}

impl Job {
    /// The last import that was begun in a store: its name, its pieces and its progress.
    pub async fn last(store: &dyn Store) -> Result<Option<(String, u64, Progress)>, Error> {
        let mut last = None;
        for number in 1..=IMPORTS_MAX {
            let name = name(number);
            let Some((step, bytes)) = store.import(&name).await? else { break };
            let progress = rmp_serde::from_slice(&bytes)
                .map_err(|error| StoreError::Corrupt(format!("the progress of import {name}: {error}")))?;
            last = Some((name, step, progress));
        }
        Ok(last)
    }

    /// Finds the import to go on with, or begins one.
    pub async fn open(store: Arc<dyn Store>, options: &Options, now: Millis) -> Result<Self, Error> {
        let unused = [None; 3];
        match Self::last(store.as_ref()).await? {
            Some((name, step, progress)) if progress.phase < Phase::Done || !options.again => {
                Self { store, name, step, progress, unused }.resume(options)
            }
            last => {
                let number = last.map_or(1, |(last, ..)| number(&last) + 1);
                if number > IMPORTS_MAX {
                    return Err(Error::Other(format!("there were {IMPORTS_MAX} imports already")));
                }
                Ok(Self { store, name: name(number), step: 0, progress: Progress::new(options, now), unused })
            }
        }
    }

    fn resume(self, options: &Options) -> Result<Self, Error> {
        if self.progress.tenant != options.tenant {
            let tenant = self.progress.tenant;
            return Err(Error::Other(format!(
                "the import that is here goes to tenant {tenant}: say --tenant {tenant}"
            )));
        }
        let given = given(options);
        let known = !self.progress.files.is_empty();
        if known && self.progress.phase < Phase::Done && !options.abandon && given != self.progress.files {
            let files: Vec<&str> = self.progress.files.iter().map(|what| what.word()).collect();
            return Err(Error::Other(format!(
                "the import that was begun here has these files: {}; it goes on with the same files only",
                files.join(", ")
            )));
        }
        Ok(self)
    }

    /// Refuses other files than those of an import that has come to its end.
    pub async fn check_same(&self, options: &Options) -> Result<(), Error> {
        for (what, input) in options.files() {
            let mut rows = Rows::open(input, columns(what))?;
            while !matches!(rows.next()?, Next::End) {}
            if self.progress.digests.get(&what) != Some(&rows.digest()) {
                let why = "an import has come to its end here, of other files or given up half way; --again brings these in as well, as new users";
                return Err(Error::Other(why.to_owned()));
            }
        }
        Ok(())
    }

    /// Notes a file's digest, and refuses another one than before.
    pub fn check_digest(&mut self, what: What, digest: u64) -> Result<(), Error> {
        match self.progress.digests.insert(what, digest) {
            Some(before) if before != digest => Err(Error::Other(format!(
                "the import that was begun here had other {}: it goes on with the same files only",
                what.word()
            ))),
            _ => Ok(()),
        }
    }

    /// An empty piece that goes on from here.
    pub fn piece(&self) -> Piece {
        let bulk = Bulk { import: self.name.clone(), step: self.step, ..Bulk::default() };
        Piece { bulk, progress: self.progress.clone() }
    }

    /// Writes a piece; or tells what of it is there already, and writes nothing.
    pub async fn commit(&mut self, piece: &Piece) -> Result<Result<(), Vec<Taken>>, Error> {
        let bulk = Bulk { progress: encode(&piece.progress)?, ..piece.bulk.clone() };
        match self.store.bulk(bulk).await {
            Ok(()) => {
                self.landed(piece.progress.clone());
                Ok(Ok(()))
            }
            Err(BulkError::Taken(taken)) => Ok(Err(taken)),
            Err(error) => Err(failed(error)),
        }
    }

    /// Notes that the next piece is written.
    pub fn landed(&mut self, progress: Progress) {
        self.step += 1;
        self.progress = progress;
    }

    /// Writes a piece that has nothing which could be taken.
    pub async fn commit_all(&mut self, piece: &Piece) -> Result<(), Error> {
        self.commit(piece).await?.map_err(|taken| Error::Other(format!("the store has changed meanwhile: {taken:?}")))
    }

    /// An id that nobody has. It is ours when a piece was written that moves the ids past it.
    pub async fn next_id(&mut self, kind: IdKind) -> Result<u64, Error> {
        let place = kind as usize;
        let id = match self.unused[place] {
            Some(id) => id,
            // Taking none tells which one is next; nobody else takes any meanwhile.
            None => self.store.take_ids(kind, 0).await?,
        };
        if id > ID_MAX {
            return Err(Error::Other("there are no ids left in this store".to_owned()));
        }
        self.unused[place] = Some(id + 1);
        Ok(id)
    }

    /// Reads all records of a kind.
    pub async fn records(&self, kind: Kept) -> Result<Vec<Record>, Error> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let page = self.store.records(&self.name, kind as u8, from, PAGE).await?;
            let full = page.len() == PAGE;
            from = page.last().map_or(0, |record| record.key + 1);
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    /// Reads which id became which.
    pub async fn kept(&self, kind: Kept) -> Result<Vec<(u64, u64)>, Error> {
        self.records(kind).await?.iter().map(|record| Ok((record.key, value(record)?))).collect()
    }

    /// What a message's old id became; the same where nothing is kept of it.
    pub async fn message(&self, old: u64) -> Result<u64, Error> {
        let found = self.store.records(&self.name, Kept::Message as u8, old, 1).await?.pop();
        found.filter(|record| record.key == old).map_or(Ok(old), |record| value(&record))
    }

    /// Notes that everything is written.
    pub async fn finish(&mut self, now: Millis) -> Result<(), Error> {
        let mut piece = self.piece();
        piece.progress.phase = Phase::Done;
        piece.progress.finished_at = Some(now);
        self.commit_all(&piece).await
    }
}

/// The name of the first, second… import.
fn name(number: u32) -> String {
    if number == 1 { NAME.to_owned() } else { format!("{NAME}-{number}") }
}

fn number(name: &str) -> u32 {
    name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.parse().ok()).unwrap_or(1)
}

impl Progress {
    fn new(options: &Options, now: Millis) -> Self {
        Self {
            files: given(options),
            began_at: now,
            finished_at: None,
            phase: Phase::Users,
            tenant: options.tenant,
            digests: BTreeMap::new(),
            tallies: [Tally::default(); 4],
            notes: [0; 2],
            rows: 0,
            room: 0,
            messages: 0,
        }
    }
}

/// Which files there are.
fn given(options: &Options) -> Vec<What> {
    options.files().into_iter().map(|(what, _)| what).collect()
}

/// The columns of a file.
const fn columns(what: What) -> &'static [Column] {
    match what {
        What::Users => &users::COLUMNS,
        What::Chats => &chats::CHAT_COLUMNS,
        What::Participants => &chats::PARTICIPANT_COLUMNS,
        What::Messages => &messages::COLUMNS,
    }
}

/// A progress as it is kept.
pub(super) fn encode(progress: &Progress) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(progress).map_err(|error| Error::Other(format!("the progress can't be written: {error}")))
}

/// What a failed piece means to whoever runs the import.
pub(super) fn failed(error: BulkError) -> Error {
    match error {
        BulkError::Store(error) => Error::Store(error),
        other => Error::Other(format!("the store has changed meanwhile: {other}")),
    }
}

fn value(record: &Record) -> Result<u64, Error> {
    let corrupt = |_| Error::Store(StoreError::Corrupt(format!("record {} of an import", record.key)));
    record.value.as_slice().try_into().map(u64::from_be_bytes).map_err(corrupt)
}
