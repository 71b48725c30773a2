//! One sender a room, each sending again as soon as its message is acknowledged.

use std::time::{Duration, Instant};

use super::fanout::Closed;
use super::{Measured, Session, WARM_UP};
use crate::Failure;
use crate::procfs::Cpu;

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    session.connect_all()?;
    let senders: Vec<usize> = (0..session.world.rooms.len()).collect();
    let mut load = Closed::start(&mut session, &senders, 1)?;
    session.engine.spend(&session.world, &mut load, WARM_UP)?;
    let (cpu, acked, begun) = (Cpu::read(session.options.pid)?, load.acked, Instant::now());
    session.engine.spend(&session.world, &mut load, Duration::from_secs_f64(session.options.seconds))?;
    let seconds = begun.elapsed().as_secs_f64();
    let spent = Cpu::read(session.options.pid)?.since(&cpu);
    let per_s = (load.acked - acked) as f64 / seconds;
    load.stop(&mut session, 1)?;
    Ok(Measured { value: per_s, per_s, busy: spent / 1e6 / seconds, log_reads: 0 })
}
