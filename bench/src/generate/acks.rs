//! All members send, each again as soon as its message is acknowledged.

use std::time::Duration;

use super::fanout::Closed;
use super::{Measured, Session, WARM_UP, Window};
use crate::Failure;

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    session.connect_all()?;
    let members = session.world.rooms[0].members.len();
    let senders: Vec<usize> = (0..session.world.rooms.len() * members).collect();
    let mut load = Closed::start(&mut session, &senders, 1)?;
    session.engine.spend(&session.world, &mut load, WARM_UP)?;
    let (window, acked) = (Window::open(&session.options)?, load.acked);
    let seconds = Duration::from_secs_f64(session.options.seconds);
    session.engine.spend(&session.world, &mut load, seconds)?;
    let spent = window.close(&session.options)?;
    let per_s = (load.acked - acked) as f64 / spent.seconds;
    load.stop(&mut session, members as u64)?;
    Ok(Measured { value: per_s, per_s, busy: spent.busy, idle: spent.idle, ..Measured::default() })
}
