//! Messages at a given rate, whatever comes back; how long each takes to reach the last member.

use std::time::{Duration, Instant};

use super::{Measured, PATIENCE, Session, WARM_UP, Window};
use crate::engine::{Conn, Driver};
use crate::{Failure, native, stats};

/// Deliveries a second of all rooms together, unless told otherwise.
pub const RATE: f64 = 20_000.0;

struct Waiting {
    sent: Instant,
    left: usize,
}

/// Follows every message to its last member.
#[derive(Default)]
pub(super) struct Follow {
    /// By client id, from 1.
    messages: Vec<Waiting>,
    waits_ms: Vec<f64>,
}

impl Driver for Follow {
    fn entry(&mut self, _conn: &mut Conn, payload: &[u8]) {
        let Some(id) = native::client_id(payload) else { return };
        let Some(message) = self.messages.get_mut(id as usize - 1) else { return };
        message.left -= 1;
        if message.left == 0 {
            self.waits_ms.push(message.sent.elapsed().as_secs_f64() * 1000.0);
        }
    }
}

impl Follow {
    /// Sends at the rate for a while, the rooms in turn.
    pub(super) fn run(&mut self, session: &mut Session, time: Duration) -> Result<(), Failure> {
        let (rooms, members) = (session.world.rooms.len(), session.world.rooms[0].members.len());
        let every = Duration::from_secs_f64(members as f64 / session.options.rate);
        let begun = Instant::now();
        let (mut next, end) = (begun, begun + time);
        while next < end {
            while Instant::now() < next {
                session.engine.poll_until(&session.world, self, next)?;
            }
            let turn = self.messages.len();
            let sender = turn % rooms * members + turn / rooms % members;
            self.messages.push(Waiting { sent: Instant::now(), left: members });
            session.send(sender)?;
            next += every;
        }
        Ok(())
    }
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    session.connect_all()?;
    let mut follow = Follow::default();
    follow.run(&mut session, WARM_UP)?;
    follow.waits_ms.clear();
    let (window, before) = (Window::open(&session.options)?, session.engine.delivered);
    let seconds = Duration::from_secs_f64(session.options.seconds);
    follow.run(&mut session, seconds)?;
    let (spent, delivered) = (window.close(&session.options)?, (session.engine.delivered - before) as f64);
    let goal = session.sent * session.world.rooms[0].members.len() as u64;
    session.engine.await_delivered(&session.world, &mut follow, goal, Instant::now() + PATIENCE)?;
    let value = stats::percentile(&mut follow.waits_ms, 0.99);
    let (per_s, cpu_us) = (delivered / spent.seconds, spent.cpu_us / delivered);
    Ok(Measured { value, per_s, cpu_us, busy: spent.busy, idle: spent.idle, ..Measured::default() })
}
