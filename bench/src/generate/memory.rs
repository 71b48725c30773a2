//! Idle connections after a short burst.

use std::time::{Duration, Instant};

use super::{Measured, Session};
use crate::engine::Quiet;
use crate::{Failure, procfs};

/// Messages in each room.
const BURST: u64 = 20;
/// Memory is at rest when it has not fallen by a hundredth for so long.
const REST: Duration = Duration::from_secs(3);
/// Longest wait for that.
const REST_MAX: Duration = Duration::from_secs(30);

/// Resident memory in KiB once it no longer falls, with the connections kept alive meanwhile.
fn at_rest(session: &mut Session) -> Result<u64, Failure> {
    let begun = Instant::now();
    let mut low = procfs::resident_kib(session.options.pid[0])?;
    let mut since = begun;
    while since.elapsed() < REST && begun.elapsed() < REST_MAX {
        session.engine.spend(&session.world, &mut Quiet, Duration::from_millis(200))?;
        let now = procfs::resident_kib(session.options.pid[0])?;
        if now * 100 < low * 99 {
            (low, since) = (now, Instant::now());
        }
    }
    Ok(procfs::resident_kib(session.options.pid[0])?)
}

/// Connects everybody, sends the burst, and gives the memory per connection in KiB.
pub(super) fn per_connection(session: &mut Session) -> Result<f64, Failure> {
    let before = procfs::resident_kib(session.options.pid[0])?;
    session.connect_all()?;
    let members = session.world.rooms[0].members.len();
    let senders: Vec<usize> = (0..session.world.rooms.len()).map(|r| r * members).collect();
    session.burst(&senders, BURST, members as u64)?;
    let after = at_rest(session)?;
    let conns = (senders.len() * members) as f64;
    Ok(after.saturating_sub(before) as f64 / conns)
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    Ok(Measured { value: per_connection(&mut session)?, ..Measured::default() })
}
