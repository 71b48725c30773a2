//! All sessions drop at once, miss some messages, and all come back at once.
//!
//! One more connection a room, of its first member, stays and sends what the others miss.

use std::time::{Duration, Instant};

use super::{Measured, PATIENCE, Session, everybody};
use crate::engine::Quiet;
use crate::procfs::Cpu;
use crate::{Failure, native};

/// Messages that each session misses.
const MISSED: u64 = 50;
/// How often they drop and come back.
const CYCLES: usize = 4;
/// The server has dealt with the dropped connections when it uses less than this of a core, over [`QUIET_SPAN`].
const QUIET_BUSY: f64 = 0.02;
const QUIET_SPAN: Duration = Duration::from_millis(300);
const QUIET_MAX: Duration = Duration::from_secs(20);

fn await_quiet(session: &mut Session) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let cpu = Cpu::read(session.options.pid[0])?;
        session.engine.spend(&session.world, &mut Quiet, QUIET_SPAN)?;
        let busy = Cpu::read(session.options.pid[0])?.since(&cpu) / QUIET_SPAN.as_micros() as f64;
        if busy < QUIET_BUSY {
            return Ok(());
        }
        if begun.elapsed() > QUIET_MAX {
            return Err(Failure::new("the server doesn't come to rest"));
        }
    }
}

fn log_reads(session: &Session) -> Result<u64, Failure> {
    if session.options.has_log { native::log_reads(session.options.addr[0]) } else { Ok(0) }
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    let deadline = || Instant::now() + PATIENCE;
    let stay: Vec<_> =
        session.world.rooms.iter().enumerate().map(|(r, room)| (room.members[0], r, room.last)).collect();
    session.engine.connect(&session.world, &stay, false, &mut Quiet, deadline())?;
    let senders: Vec<usize> = (0..stay.len()).collect();
    let mut who = everybody(&session.world);
    let mut first = session.engine.connect(&session.world, &who, false, &mut Quiet, deadline())?;
    let (mut spent, mut log_reads_seen) = (0.0, 0);
    for _ in 0..CYCLES {
        for (place, (_, _, position)) in who.iter_mut().enumerate() {
            *position = session.engine.conn(first + place).seq;
        }
        session.engine.drop_conns(first..first + who.len());
        session.burst(&senders, MISSED, 1)?;
        await_quiet(&mut session)?;
        let (reads, cpu) = (log_reads(&session)?, Cpu::read(session.options.pid[0])?);
        let goal = session.engine.delivered + who.len() as u64 * MISSED;
        first = session.engine.connect(&session.world, &who, true, &mut Quiet, deadline())?;
        session.engine.await_delivered(&session.world, &mut Quiet, goal, deadline())?;
        spent += Cpu::read(session.options.pid[0])?.since(&cpu);
        log_reads_seen += log_reads(&session)? - reads;
    }
    let sessions = (who.len() * CYCLES) as f64;
    Ok(Measured { value: spent / sessions, log_reads: log_reads_seen, ..Measured::default() })
}
