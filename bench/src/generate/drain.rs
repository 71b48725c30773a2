//! A server is told to end while its clients send; they go to the others as it lets them go.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::retry::Senders;
use super::{Measured, PATIENCE, Session, takeover};
use crate::Failure;

/// Time between two messages of a room.
const EVERY: Duration = Duration::from_secs(1);
/// Time before it is told, and after all have come back.
const AROUND: Duration = Duration::from_secs(2);
/// The time over which those who come back are counted.
const SECOND: Duration = Duration::from_secs(1);

/// The most that came in any one second; `times` are in order.
fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |from: usize| times[from..].iter().take_while(|at| **at - times[from] < SECOND).count();
    (0..times.len()).map(within).max().unwrap_or_default()
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    let mut senders = Senders::start(&mut session, EVERY)?;
    senders.spend(&mut session, AROUND)?;
    let told = takeover::signal(&session, Signal::TERM)?;
    let sessions: usize = session.world.rooms.iter().map(|room| room.members.len()).sum();
    senders.until(&mut session, told + PATIENCE, "that everybody is elsewhere", |senders, session| {
        senders.back.len() >= sessions && senders.is_whole(session)
    })?;
    let took = told.elapsed();
    senders.spend(&mut session, AROUND)?;
    let left = senders.stop(&mut session)?;
    let value = most_in_a_second(&senders.back) as f64;
    let longest_ms = senders.longest.as_secs_f64() * 1000.0;
    let (again, failed) = (senders.again, senders.refused + left);
    Ok(Measured {
        value,
        per_s: sessions as f64 / took.as_secs_f64(),
        again,
        failed,
        longest_ms,
        ..Measured::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_fullest_second() {
        let begun = Instant::now();
        let times: Vec<Instant> =
            [0, 900, 1_000, 1_100, 1_850, 3_000].map(|ms| begun + Duration::from_millis(ms)).into();
        assert_eq!(most_in_a_second(&times), 4);
        assert_eq!(most_in_a_second(&[]), 0);
    }
}
