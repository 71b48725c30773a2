//! Rooms at saturation: senders keep a fixed number of messages under way each.

use std::time::{Duration, Instant};

use super::{Measured, PATIENCE, Session, WARM_UP, Window, put_message};
use crate::engine::{Conn, Driver};
use crate::{Failure, native};

/// Senders in each room, unless told otherwise.
pub const SENDERS: usize = 4;
/// Messages that each sender has under way, unless told otherwise.
pub const WINDOW: usize = 16;
/// Messages under way in each room then.
pub const IN_FLIGHT: usize = SENDERS * WINDOW;
const _: () = assert!(WINDOW <= native::CREDITS);

/// A closed loop: a message that is acknowledged is followed by the next one.
pub(super) struct Closed {
    texts: Vec<String>,
    rooms: Vec<u64>,
    frame: String,
    sent: u64,
    /// Messages acknowledged.
    pub(super) acked: u64,
    stopping: bool,
}

impl Closed {
    /// Has each sender send its first messages; what was sent before is acknowledged.
    pub(super) fn start(session: &mut Session, senders: &[usize], window: usize) -> Result<Self, Failure> {
        let acked = session.sent;
        for &sender in senders {
            for _ in 0..window {
                session.send(sender)?;
            }
        }
        Ok(Self {
            texts: session.texts.clone(),
            rooms: session.world.rooms.iter().map(|room| room.id).collect(),
            frame: String::new(),
            sent: session.sent,
            acked,
            stopping: false,
        })
    }

    /// Sends no more, and waits until all that was sent is acknowledged and delivered to all `listeners`.
    pub(super) fn stop(&mut self, session: &mut Session, listeners: u64) -> Result<(), Failure> {
        self.stopping = true;
        let deadline = Instant::now() + PATIENCE;
        session.engine.await_delivered(&session.world, self, self.sent * listeners, deadline)?;
        while self.acked < self.sent {
            session.engine.turn(&session.world, self, deadline)?;
        }
        let (got, sent) = (session.engine.delivered, self.sent);
        if got == sent * listeners { Ok(()) } else { Err(Failure::new(format!("{got} deliveries of {sent} messages"))) }
    }
}

impl Driver for Closed {
    fn done(&mut self, conn: &mut Conn, _re: u64) {
        self.acked += 1;
        if !self.stopping {
            self.sent += 1;
            put_message(conn, self.rooms[conn.room], self.sent, &self.texts, &mut self.frame);
        }
    }
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    session.connect_all()?;
    let (senders, window) = (session.options.senders, session.options.window);
    saturated(&mut session, senders, window)
}

/// CPU per delivery of everybody who is connected, with so many senders in each room, each with so many messages under way.
pub(super) fn saturated(session: &mut Session, senders: usize, each: usize) -> Result<Measured, Failure> {
    let members = session.world.rooms[0].members.len();
    let senders: Vec<usize> =
        (0..session.world.rooms.len()).flat_map(|r| (0..senders).map(move |s| r * members + s)).collect();
    let mut load = Closed::start(session, &senders, each)?;
    session.engine.spend(&session.world, &mut load, WARM_UP)?;
    let (window, before) = (Window::open(&session.options)?, (session.engine.delivered, session.engine.arrivals));
    let seconds = Duration::from_secs_f64(session.options.seconds);
    session.engine.spend(&session.world, &mut load, seconds)?;
    let spent = window.close(&session.options)?;
    let delivered = (session.engine.delivered - before.0) as f64;
    let writes = (session.engine.arrivals - before.1) as f64 / delivered;
    load.stop(session, members as u64)?;
    let (value, per_s) = (spent.cpu_us / delivered, delivered / spent.seconds);
    Ok(Measured { value, per_s, writes, busy: spent.busy, idle: spent.idle, ..Measured::default() })
}
