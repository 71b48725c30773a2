//! A bare wake: what reading a room's snapshot and the entries after it costs on a database just opened.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::rows::{self, Statements};
use crate::Failure;

/// Bytes of a snapshot: about what a room of a hundred members comes to.
const SNAPSHOT_BYTES: usize = 4096;
/// Entries of one transaction while filling.
const GROUP: i64 = 10_000;

/// What to read.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The database's folder; empty at the first call, which fills it.
    #[arg(long)]
    pub data: PathBuf,
    /// Entries of the room's log.
    #[arg(long)]
    pub entries: i64,
}

fn fill(options: &Options) -> Result<(), Failure> {
    let mut db = rows::open(&options.data)?;
    rows::create(&mut db, 1)?;
    let blobs = rows::blobs()?;
    let mut statements = Statements::prepare(&db)?;
    let mut last = 0;
    while last < options.entries {
        let to = (last + GROUP).min(options.entries);
        db.execute_batch("BEGIN IMMEDIATE")?;
        statements.advance(1, last, to)?;
        for seq in last + 1..=to {
            statements.insert(1, seq, seq, &blobs[seq as usize % blobs.len()])?;
        }
        db.execute_batch("COMMIT")?;
        rows::checkpoint(&db)?;
        last = to;
    }
    let kept = options.entries - parlance_schema::limits::SNAPSHOT_EVERY as i64 / 2;
    db.execute("INSERT INTO snapshot VALUES (1, ?1, ?2)", rusqlite::params![kept, vec![0u8; SNAPSHOT_BYTES]])?;
    Ok(())
}

/// Reads as a room does that wakes; milliseconds.
///
/// # Errors
/// When the database fails.
pub fn main(options: &Options) -> Result<f64, Failure> {
    if !options.data.join("bare.sqlite").exists() {
        fill(options)?;
    }
    let db = rows::open(&options.data)?;
    let begun = Instant::now();
    let kept: i64 = db.query_row("SELECT seq, state FROM snapshot WHERE room_id = 1", [], |row| {
        row.get::<_, Vec<u8>>(1)?;
        row.get(0)
    })?;
    let mut tail = db.prepare("SELECT entry FROM room_log WHERE room_id = 1 AND seq > ?1 ORDER BY seq")?;
    let entries: Result<Vec<Vec<u8>>, _> = tail.query_map([kept], |row| row.get(0))?.collect();
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    if kept + entries?.len() as i64 == options.entries { Ok(ms) } else { Err(Failure::new("the tail has a hole")) }
}
