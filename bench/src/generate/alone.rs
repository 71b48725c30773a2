//! One sender, alone: the middle of the time from a send to its acknowledgement.

use std::time::{Duration, Instant};

use super::{Measured, Session, WARM_UP, wake};
use crate::{Failure, stats};

fn run(session: &mut Session, time: Duration) -> Result<Vec<f64>, Failure> {
    let (begun, mut waits_ms) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        waits_ms.push(wake::once(session, 0)?);
    }
    Ok(waits_ms)
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    session.connect_all()?;
    run(&mut session, WARM_UP)?;
    let window = Duration::from_secs_f64(session.options.seconds);
    let waits_ms = run(&mut session, window)?;
    let per_s = waits_ms.len() as f64 / window.as_secs_f64();
    Ok(Measured { value: stats::median(&waits_ms), per_s, ..Measured::default() })
}
