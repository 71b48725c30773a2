//! The first send in a room that sleeps, beside later sends in the same room.
//!
//! The world's first room warms the server up; its last one is the room that wakes.

use std::time::Instant;

use super::{Measured, PATIENCE, Session};
use crate::engine::{Conn, Driver, Quiet};
use crate::{Failure, stats};

/// Sends in a room that is awake.
const AWAKE: usize = 41;
/// Messages that a measurement leaves in the room that woke.
pub const SENT: u64 = AWAKE as u64 + 1;

#[derive(Default)]
struct Acked(u64);

impl Driver for Acked {
    fn done(&mut self, _conn: &mut Conn, _re: u64) {
        self.0 += 1;
    }
}

/// Sends once and waits for the acknowledgement; milliseconds.
pub(super) fn once(session: &mut Session, index: usize) -> Result<f64, Failure> {
    let (mut acked, begun) = (Acked::default(), Instant::now());
    session.send(index)?;
    while acked.0 == 0 {
        session.engine.turn(&session.world, &mut acked, begun + PATIENCE)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    // No room is named in a resume before it is to wake, so each has a connection of its own, opened in turn.
    let connect = |session: &mut Session, room: usize| {
        let who = [(session.world.rooms[room].members[0], room, session.world.rooms[room].last)];
        session.engine.connect(&session.world, &who, false, &mut Quiet, Instant::now() + PATIENCE)
    };
    let warm = connect(&mut session, 0)?;
    for _ in 0..AWAKE {
        once(&mut session, warm)?;
    }
    let room = session.world.rooms.len() - 1;
    let begun = Instant::now();
    let conn = connect(&mut session, room)?;
    let connecting = begun.elapsed().as_secs_f64() * 1000.0;
    let first = connecting + once(&mut session, conn)?;
    let mut later = Vec::with_capacity(AWAKE);
    let begun = Instant::now();
    connect(&mut session, 0)?;
    let reconnecting = begun.elapsed().as_secs_f64() * 1000.0;
    for _ in 0..AWAKE {
        later.push(once(&mut session, conn)?);
    }
    let value = (first - reconnecting - stats::median(&later)).max(0.0);
    Ok(Measured { value, ..Measured::default() })
}
