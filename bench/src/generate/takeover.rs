//! A server is killed while clients of the others send in the rooms that it had; how long each room takes until a message
//! is acknowledged again.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::retry::Senders;
use super::{Measured, PATIENCE, Session};
use crate::Failure;

/// Time between two messages of a room.
const EVERY: Duration = Duration::from_millis(200);
/// Time before the kill.
const BEFORE: Duration = Duration::from_secs(2);

/// Sends a signal to the first server.
pub(super) fn signal(session: &Session, signal: Signal) -> Result<Instant, Failure> {
    let pid = i32::try_from(session.options.pid[0]).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Failure::new("--pid is none"))?;
    rustix::process::kill_process(pid, signal).map_err(|e| Failure::Io(e.into()))?;
    Ok(Instant::now())
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    let mut senders = Senders::start(&mut session, EVERY)?;
    senders.spend(&mut session, BEFORE)?;
    let killed = signal(&session, Signal::KILL)?;
    // The first acknowledgement of each room whose try began after the kill.
    let first = |senders: &Senders, room: usize| {
        senders.acked.iter().find(|acked| acked.room == room && acked.asked >= killed).map(|acked| acked.at - killed)
    };
    let rooms = session.world.rooms.len();
    senders.until(&mut session, killed + PATIENCE, "an acknowledgement in each room", |senders, _| {
        (0..rooms).all(|room| first(senders, room).is_some())
    })?;
    let last = (0..rooms).filter_map(|room| first(&senders, room)).max().unwrap_or_default();
    let left = senders.stop(&mut session)?;
    if !senders.back.is_empty() {
        return Err(Failure::new("other servers' connections were lost"));
    }
    let longest_ms = senders.longest.as_secs_f64() * 1000.0;
    let (again, failed) = (senders.again, senders.refused + left);
    Ok(Measured { value: last.as_secs_f64(), again, failed, longest_ms, ..Measured::default() })
}
