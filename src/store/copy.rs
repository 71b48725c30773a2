//! Copying everything that one store has into another: page by page, again from where it was interrupted, and then compared.
//!
//! A [`Source`] gives its rows in the order of their keys, a [`Target`] takes them, any number of times, and keeps how far it
//! has got. In the end both are read through and must have the same rows: their count, and the sum of their digests, which
//! no order changes.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use parlance_actors::ports::store::{Account, ReadMark, StoreError};
use parlance_schema::entry::Entry;
use parlance_schema::{Millis, RoomId, Seq, TenantId, UserId};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Rows that are read and written at a time.
const PAGE_ROWS: usize = 512;

/// What is moved, in this order: an id is out of use before anything has it, and a log is there before what hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// The next id of each kind.
    Ids,
    /// Unique names.
    Claims,
    /// Users.
    Accounts,
    /// Families of refresh tokens.
    Families,
    /// The rooms' logs, with the indexes of messages and client ids.
    Log,
    /// What became of messages.
    States,
    /// Rooms' folded states.
    Snapshots,
    /// Who is in which room.
    Members,
    /// How far members have read.
    Marks,
    /// What moderators did.
    Audit,
    /// Who follows logs.
    Consumers,
    /// How far they have got.
    Cursors,
    /// What they could not be given.
    DeadLetters,
    /// What may be unfinished.
    WorkMarks,
    /// What is to be looked at later.
    DueMarks,
}

/// All stages, in order.
pub const STAGES: [Stage; 15] = [
    Stage::Ids,
    Stage::Claims,
    Stage::Accounts,
    Stage::Families,
    Stage::Log,
    Stage::States,
    Stage::Snapshots,
    Stage::Members,
    Stage::Marks,
    Stage::Audit,
    Stage::Consumers,
    Stage::Cursors,
    Stage::DeadLetters,
    Stage::WorkMarks,
    Stage::DueMarks,
];

/// A row, as both stores understand it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Row {
    /// The next id of a kind.
    Id(String, u64),
    /// A claim: tenant, kind, key, target.
    Claim(TenantId, String, String, u64),
    /// A user.
    Account(#[serde(serialize_with = "fields")] Account),
    /// A family of refresh tokens: id, user, current token's hash, expiry, revoked.
    Family(String, UserId, String, Millis, bool),
    /// An entry of a room's log.
    Entry(RoomId, Arc<Entry>),
    /// What became of the message at a number, as the stores keep it, and the log's last number.
    State(RoomId, Seq, Vec<u8>, Seq),
    /// A room's state folded up to a number.
    Snapshot(RoomId, Seq, Vec<u8>),
    /// That a user is in a room, and the log's last number.
    Member(UserId, RoomId, Seq),
    /// How far a user has read in a room.
    Mark(RoomId, UserId, ReadMark),
    /// What a moderator did: id, when, who, where, what.
    Audit(u64, Millis, UserId, Option<RoomId>, String),
    /// A consumer: name, generation, whether it was dropped, where it begins, filter, whether it still walks through all rooms.
    /// Such a walk begins anew in the target, which has another order of rooms.
    Consumer(String, u64, bool, String, Vec<u8>, bool),
    /// How far a consumer has got: room, name, generation, number.
    Cursor(RoomId, String, u64, Seq),
    /// What a consumer could not be given: name, room, number, when, why.
    DeadLetter(String, RoomId, Seq, Millis, String),
    /// That something may be unfinished, by kind and number; whoever it was that said so is no node any more.
    WorkMark(u8, u64),
    /// The same, to be looked at when the time comes.
    DueMark(Millis, u8, u64),
}

/// Writes an account's fields down, which have no form of their own to be written in.
fn fields<S: Serializer>(a: &Account, to: S) -> Result<S::Ok, S::Error> {
    let names = (&a.username, &a.email, &a.full_name);
    let times = (a.created_at, a.last_seen, a.valid_after);
    (a.id, a.tenant, names, &a.password, a.role, a.active, times).serialize(to)
}

impl Row {
    /// The number of the row that says the same in both stores; what only the target needs to know is left out.
    fn digest(&self) -> Result<u128, StoreError> {
        let same = match self {
            Row::State(room, seq, state, _) => Row::State(*room, *seq, state.clone(), 0),
            Row::Member(user, room, _) => Row::Member(*user, *room, 0),
            other => other.clone(),
        };
        let bytes = rmp_serde::to_vec_named(&same).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let mut first = [0; 16];
        first.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Ok(u128::from_be_bytes(first))
    }
}

/// A place in a stage: the key of a row, in the columns that it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Numbers of the key.
    pub numbers: Vec<u64>,
    /// Texts of the key.
    pub texts: Vec<String>,
}

/// Counts rows and sums their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows.
    pub count: u64,
    /// The sum of their digests.
    pub sum: u128,
}

impl Tally {
    /// Takes a row in.
    ///
    /// # Errors
    /// When it can't be written down.
    pub fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        self.count += 1;
        self.sum = self.sum.wrapping_add(row.digest()?);
        Ok(())
    }
}

/// How far a move has got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The stage that it is in; absent once all are done.
    pub stage: Option<Stage>,
    /// The last row of it that was written.
    pub after: Place,
}

/// Where rows come from; nobody else changes it meanwhile.
#[async_trait]
pub trait Source: Send + Sync {
    /// The store's epoch, which goes with it.
    fn epoch(&self) -> u64;

    /// Reads rows of a stage after a place, in the order of their keys, each with its place; none at the end.
    ///
    /// # Errors
    /// When the store fails.
    async fn page(&self, stage: Stage, after: &Place, rows: usize) -> Result<Vec<(Place, Row)>, StoreError>;
}

/// Where rows go to; nobody else changes it meanwhile.
#[async_trait]
pub trait Target: Send + Sync {
    /// Begins a move of the source with this epoch, or tells how far it has got.
    ///
    /// # Errors
    /// When the target has something else in it, or fails.
    async fn begin(&self, epoch: u64) -> Result<Progress, StoreError>;

    /// Writes rows of a stage, in order; those that are there already stay as they are.
    ///
    /// # Errors
    /// When something else is there, or the store fails.
    async fn write(&self, stage: Stage, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Notes how far the move has got.
    ///
    /// # Errors
    /// When the store fails.
    async fn note(&self, progress: &Progress) -> Result<(), StoreError>;

    /// Reads all rows of a stage and tallies them.
    ///
    /// # Errors
    /// When the store fails, or an index does not have what it should.
    async fn tally(&self, stage: Stage) -> Result<Tally, StoreError>;

    /// Ends the move: from now on the target has the source's epoch, and nodes may use it.
    ///
    /// # Errors
    /// When the store fails.
    async fn finish(&self, epoch: u64) -> Result<(), StoreError>;
}

/// Why a move did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the stores failed, or has in it what must not be there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target has other rows than the source.
    #[error("{stage:?} differ: {} rows with the sum {:032x} there, {} with {:032x} here", .target.count, .target.sum, .source_has.count, .source_has.sum)]
    Differs {
        /// Where.
        stage: Stage,
        /// What the source has.
        source_has: Tally,
        /// What the target has.
        target: Tally,
    },
    /// The terminal failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Moves everything from `source` to `target`, compares, and says what it did.
///
/// # Errors
/// See [`CopyError`]. It can be called again then, and goes on where it was.
pub async fn run(source: &dyn Source, target: &dyn Target, out: &mut (dyn Write + Send)) -> Result<(), CopyError> {
    let mut progress = target.begin(source.epoch()).await?;
    while let Some(stage) = progress.stage {
        let page = source.page(stage, &progress.after, PAGE_ROWS).await?;
        progress = match page.last() {
            Some((place, _)) => Progress { stage: Some(stage), after: place.clone() },
            None => Progress { stage: next(stage), after: Place::default() },
        };
        target.write(stage, page.into_iter().map(|(_, row)| row).collect()).await?;
        target.note(&progress).await?;
    }
    for stage in STAGES {
        let (source_has, target) = tokio::try_join!(tally(source, stage), target.tally(stage))?;
        if source_has != target {
            return Err(CopyError::Differs { stage, source_has, target });
        }
        writeln!(out, "{:<9} {:>10} rows, {:032x}", format!("{stage:?}").to_lowercase(), target.count, target.sum)?;
    }
    Ok(target.finish(source.epoch()).await?)
}

fn next(stage: Stage) -> Option<Stage> {
    STAGES.into_iter().find(|other| *other > stage)
}

async fn tally(source: &dyn Source, stage: Stage) -> Result<Tally, StoreError> {
    let (mut tally, mut after) = (Tally::default(), Place::default());
    loop {
        let page = source.page(stage, &after, PAGE_ROWS).await?;
        let Some((last, _)) = page.last() else { return Ok(tally) };
        after = last.clone();
        for (_, row) in &page {
            tally.add(row)?;
        }
    }
}
