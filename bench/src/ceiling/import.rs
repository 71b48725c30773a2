//! A bare bulk insert: the rows of an import's messages, encoded beforehand, in the import's order and transactions of its
//! size.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::rows::{self, Statements};
use crate::Failure;

/// Rows of one transaction.
const GROUP: i64 = 32_768;

/// What to write.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// An empty folder for the database.
    #[arg(long)]
    pub data: PathBuf,
    /// Messages.
    #[arg(long)]
    pub messages: i64,
    /// Rooms; a message's id and the number of rooms tell its room.
    #[arg(long)]
    pub rooms: i64,
    /// Members of each room.
    #[arg(long)]
    pub members: i64,
}

/// Writes room after room, and tells how many messages a second were on disk in the end.
///
/// # Errors
/// When the database fails.
pub fn main(options: &Options) -> Result<f64, Failure> {
    let mut db = rows::open(&options.data)?;
    let blobs = rows::blobs()?;
    let begun = Instant::now();
    rows::create(&mut db, options.rooms)?;
    let mut statements = Statements::prepare(&db)?;
    let each = options.messages / options.rooms;
    let mut written = 0;
    db.execute_batch("BEGIN IMMEDIATE")?;
    for room in 1..=options.rooms {
        statements.advance(room, 0, each)?;
        for seq in 1..=each {
            let id = (seq - 1) * options.rooms + room;
            let by = (room + seq % options.members) % options.rooms + 1;
            let blob = &blobs[id as usize % blobs.len()];
            statements.insert_as(room, seq, by, id, &format!("chat-service/{id}"), blob)?;
            written += 1;
            if written % GROUP == 0 {
                db.execute_batch("COMMIT")?;
                rows::checkpoint(&db)?;
                db.execute_batch("BEGIN IMMEDIATE")?;
            }
        }
    }
    db.execute_batch("COMMIT")?;
    Ok(written as f64 / begun.elapsed().as_secs_f64())
}
