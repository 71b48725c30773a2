//! Bringing another service's data in: its users, chats, participants and messages, from files of rows.
//!
//! `source` reads rows, `fields` and `field` what stands in them; `users` writes the accounts, `chats` decides which room each chat
//! becomes and who is in it, `messages` reads the messages, on the threads of `ordered_pool`, and has `sort` bring them into the
//! rooms' order, `log_builder` makes a room's entries of them as its commands would have, `logs` writes them. Everything goes to
//! the store in pieces, each with the progress of `job` in the same transaction; so an import that was ended at any point
//! goes on after its last piece. What does not depend on the files' order is made again from the files each time; the files
//! must be the same ones.

mod bar;
mod chats;
mod field;
mod fields;
mod job;
mod log_builder;
mod logs;
mod messages;
mod ordered_pool;
mod people;
mod report;
mod sort;
mod source;
mod users;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::StoreError;
use parlance_schema::{Millis, TenantId};

pub use job::Tally;
pub use source::{Format, Input};

use bar::Bar;
use job::{Job, Phase, What};

/// Rows of a report.
const REPORT_ROWS_MAX: u64 = 10_000;

/// Why an import did not come to its end. What it has written stays, and running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or written.
    #[error("{path}: {error}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file is not one of rows with the columns that are needed.
    #[error("{path}: {why}", path = .path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another import stands in the way.
    #[error("{0}")]
    Other(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

/// What to bring in, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The service's users.
    pub users: Input,
    /// Its chats.
    pub chats: Option<Input>,
    /// Who is in which chat.
    pub participants: Option<Input>,
    /// Its messages.
    pub messages: Option<Input>,
    /// The tenant that all of it goes to.
    pub tenant: TenantId,
    /// A folder for files that are needed meanwhile; what is in it is removed.
    pub scratch: PathBuf,
    /// A folder for the report and the files that say which id became which.
    pub out: PathBuf,
    /// Begins another import although one has come to its end.
    pub again: bool,
    /// Gives up an import that was begun: what is written stays, the rest is not brought in.
    pub abandon: bool,
    /// Bytes of messages that are sorted in memory; more go through files.
    pub sort_bytes: usize,
    /// Entries that are written together.
    pub batch_entries: usize,
}

impl Options {
    /// An import of these users into a data folder, with the usual bounds.
    #[must_use]
    pub fn new(users: Input, data: &Path) -> Self {
        Self {
            users,
            chats: None,
            participants: None,
            messages: None,
            tenant: parlance_schema::id::TENANT_DEFAULT,
            scratch: data.join("import-scratch"),
            out: data.join("import"),
            again: false,
            abandon: false,
            sort_bytes: 256 * 1024 * 1024,
            batch_entries: 32_768,
        }
    }

    /// The files that there are, in the order in which they are read.
    fn files(&self) -> Vec<(What, &Input)> {
        let all = [Some(&self.users), self.chats.as_ref(), self.participants.as_ref(), self.messages.as_ref()];
        What::ALL.into_iter().zip(all).filter_map(|(what, input)| Some((what, input?))).collect()
    }
}

/// What came of an import.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Counts of users, chats, participants and messages.
    pub tallies: [Tally; 4],
    /// Whether it had come to its end before.
    pub before: bool,
    /// Where the report is.
    pub report: PathBuf,
}

impl Summary {
    /// Rows that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.refused).sum()
    }
}

/// Brings everything in, or goes on where an earlier run was ended.
///
/// # Errors
/// When a file or the store fails, or another import stands in the way; rows that are refused are no error.
pub async fn run(
    store: Arc<dyn Store>,
    options: &Options,
    now: Millis,
    out: &mut (dyn Write + Send),
) -> Result<Summary, Error> {
    let scratch = Scratch::new(&options.scratch)?;
    let mut job = Job::open(store, options, now).await?;
    let before = job.progress.phase == Phase::Done;
    if options.abandon {
        if before || job.step == 0 {
            return Err(Error::Other("there is no import that was begun and has not come to its end".to_owned()));
        }
        job.finish(now).await?;
    } else if before {
        job.check_same(options).await?;
    } else {
        let users = users::import(&mut job, options).await?;
        let rooms = chats::plan(&mut job, options, &users).await?;
        if let Some(input) = &options.messages {
            let read = messages::read(&mut job, options, input, &rooms, &users, scratch.path()).await?;
            drop(users);
            logs::write(&mut job, options, rooms, read).await?;
        } else {
            logs::write(&mut job, options, rooms, messages::Read::default()).await?;
        }
        job.finish(now).await?;
    }
    report::write(&job, &options.out, before, out).await
}

/// The import that was begun in a store and has not come to its end, if there is one: its name.
///
/// # Errors
/// When the store fails.
pub async fn unfinished(store: &dyn Store) -> Result<Option<String>, Error> {
    Ok(Job::last(store).await?.filter(|(_, _, progress)| progress.phase < Phase::Done).map(|(name, ..)| name))
}

/// The folder for what is needed meanwhile: emptied at the beginning, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: &Path) -> Result<Self, Error> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(path, error)),
            _ => std::fs::create_dir_all(path).map_err(|error| Error::io(path, error))?,
        }
        Ok(Self(path.to_owned()))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next import.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
