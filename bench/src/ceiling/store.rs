//! A bare group commit: writers that each wait for their acknowledgement, and one thread that commits for all who wait; here
//! to SQLite.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::vec::Drain;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::rows::{self, Statements};
use crate::procfs::Cpu;
use crate::{Failure, stats};

/// Rows of one transaction at most.
const GROUP: usize = 512;

/// What to write.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// An empty folder for the database.
    #[arg(long)]
    pub data: PathBuf,
    /// The load.
    #[command(flatten)]
    pub load: Load,
}

/// Who writes how much.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Writers, each waiting for its acknowledgement before it writes again.
    #[arg(long)]
    pub writers: i64,
    /// Rooms that the writers are spread over.
    #[arg(long)]
    pub rooms: i64,
    /// Messages a second of all writers together; absent: as many as go.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Seconds to measure, after one second of warming up.
    #[arg(long)]
    pub seconds: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Messages acknowledged a second.
    pub acks_per_s: f64,
    /// Microseconds of CPU a message.
    pub cpu_us: f64,
    /// Median of the wait for an acknowledgement, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
}

/// A message to commit.
pub(super) struct Row<Done = oneshot::Sender<()>> {
    /// Its room, from 1.
    pub room: i64,
    /// Which of the encoded messages it is.
    pub blob: usize,
    /// Who is to be told once it is committed, and how.
    pub done: Done,
}

/// Commits what comes in to a new database, in groups, until nobody sends any more. Messages of a room stay in their order.
pub(super) fn commit_all<Done>(
    data: &Path,
    rooms: i64,
    rows: &Receiver<Row<Done>>,
    committed: impl Fn(Drain<'_, Row<Done>>),
) -> Result<(), Failure> {
    let mut db = rows::open(data)?;
    rows::create(&mut db, rooms)?;
    let blobs = rows::blobs()?;
    let mut statements = Statements::prepare(&db)?;
    let mut last = vec![0i64; rooms as usize + 1];
    let mut id = 0;
    let mut group = Vec::with_capacity(GROUP);
    while let Ok(first) = rows.recv() {
        group.push(first);
        group.extend(rows.try_iter().take(GROUP - 1));
        db.execute_batch("BEGIN IMMEDIATE")?;
        group.sort_by_key(|row| row.room);
        for same_room in group.chunk_by(|a, b| a.room == b.room) {
            let room = same_room[0].room;
            let seq = &mut last[room as usize];
            statements.advance(room, *seq, *seq + same_room.len() as i64)?;
            for row in same_room {
                *seq += 1;
                id += 1;
                statements.insert(room, *seq, id, &blobs[row.blob % blobs.len()])?;
            }
        }
        db.execute_batch("COMMIT")?;
        committed(group.drain(..));
        rows::checkpoint(&db)?;
    }
    Ok(())
}

async fn write(
    room: i64,
    pace: Option<(Duration, Duration)>,
    to: SyncSender<Row>,
    until: Instant,
) -> Vec<(Instant, f64)> {
    let mut waits = Vec::new();
    let mut blob = room as usize;
    let mut next = Instant::now() + pace.map_or(Duration::ZERO, |(offset, _)| offset);
    while Instant::now() < until {
        if let Some((_, every)) = pace {
            tokio::time::sleep_until(next.into()).await;
            next += every;
        }
        let begun = Instant::now();
        let (done, acknowledged) = oneshot::channel();
        blob += 1;
        if to.send(Row { room, blob, done }).is_err() || acknowledged.await.is_err() {
            break;
        }
        waits.push((Instant::now(), begun.elapsed().as_secs_f64() * 1000.0));
    }
    waits
}

async fn drive(options: &Load, rows: SyncSender<Row>) -> Result<Measured, Failure> {
    let warm = Instant::now() + Duration::from_secs(1);
    let until = warm + Duration::from_secs_f64(options.seconds);
    let pace = options.rate.map(|rate| options.writers as f64 / rate);
    let writers: Vec<_> = (0..options.writers)
        .map(|w| {
            let part = w as f64 / options.writers as f64;
            let pace = pace.map(|every| (Duration::from_secs_f64(every * part), Duration::from_secs_f64(every)));
            tokio::spawn(write(w % options.rooms + 1, pace, rows.clone(), until))
        })
        .collect();
    drop(rows);
    tokio::time::sleep_until(warm.into()).await;
    let (cpu, begun) = (Cpu::read(std::process::id())?, Instant::now());
    tokio::time::sleep_until(until.into()).await;
    let (spent, seconds) = (Cpu::read(std::process::id())?.since(&cpu), begun.elapsed().as_secs_f64());
    let mut waits = Vec::new();
    for writer in writers {
        let all = writer.await.map_err(|e| Failure::new(format!("a writer failed: {e}")))?;
        waits.extend(all.into_iter().filter(|(at, _)| (warm..=until).contains(at)).map(|(_, ms)| ms));
    }
    let count = waits.len() as f64;
    Ok(Measured {
        acks_per_s: count / seconds,
        cpu_us: spent / count,
        p50_ms: stats::percentile(&mut waits, 0.5),
        p99_ms: stats::percentile(&mut waits, 0.99),
    })
}

/// Writes for a while and tells what came of it.
///
/// # Errors
/// When the database fails.
pub fn main(options: &Options) -> Result<Measured, Failure> {
    measure(&options.load, |rows| {
        commit_all(&options.data, options.load.rooms, rows, |group| {
            for row in group {
                // A writer that has stopped waiting needs no answer.
                let _ = row.done.send(());
            }
        })
    })
}

/// Has writers write while a thread of its own runs `commit`, which commits what it receives until nobody writes any more.
pub(super) fn measure(
    load: &Load,
    commit: impl FnOnce(&Receiver<Row>) -> Result<(), Failure> + Send,
) -> Result<Measured, Failure> {
    let (to, rows) = sync_channel(load.writers as usize);
    std::thread::scope(|scope| {
        let committer = scope.spawn(move || commit(&rows));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let measured = runtime.block_on(drive(load, to));
        // A database that failed says more than the writers who got no answer.
        committer.join().map_err(|_| Failure::new("the committing thread panicked"))??;
        measured
    })
}
