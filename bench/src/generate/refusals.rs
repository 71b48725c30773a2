//! A room in which members send at a given rate, by turns alone and beside a member whose commands are refused: how long
//! each message takes to reach the last of the others.

use std::time::{Duration, Instant};

use super::{Measured, PATIENCE, Session, WARM_UP};
use crate::engine::{Conn, Driver};
use crate::native::refused;
use crate::{Failure, native, stats};

/// Messages that are in the log before: more than a room's owner keeps in memory, so that some lookups go to the store.
const BEFORE: u64 = 600;
/// Messages a second of all members together.
const MESSAGES_PER_S: u32 = 100;
/// Refused commands a second: as many commands as the server takes of one session unless it is told otherwise.
const REFUSED_PER_S: u32 = parlance_schema::limits::COMMANDS_PER_S;
/// Windows of each sort, in turn.
const TURNS: usize = 4;
/// The first number of another member's message: what is before opens the room.
const FIRST: u64 = 2;

struct Waiting {
    sent: Instant,
    left: usize,
}

/// The members and what they saw.
struct Room {
    /// The last of the members, whose commands are refused.
    refused: usize,
    /// By client id, from the one after `before`.
    messages: Vec<Waiting>,
    before: u64,
    waits_ms: Vec<f64>,
    /// Messages of which some member waits.
    open: usize,
    asked: u64,
    answered: u64,
    first_asked: u64,
    wrong: Option<String>,
}

impl Driver for Room {
    fn entry(&mut self, conn: &mut Conn, payload: &[u8]) {
        if conn.user == self.refused {
            return;
        }
        let Some(place) = native::client_id(payload).and_then(|id| id.checked_sub(self.before + 1)) else { return };
        let Some(message) = self.messages.get_mut(place as usize) else { return };
        message.left -= 1;
        if message.left == 0 {
            self.open -= 1;
            self.waits_ms.push(message.sent.elapsed().as_secs_f64() * 1000.0);
        }
    }

    fn done(&mut self, conn: &mut Conn, re: u64) {
        if conn.user == self.refused {
            let turn = re - self.first_asked;
            self.wrong =
                Some(format!("a request was done that should be refused, the {}th kind", turn % refused::KINDS));
        }
    }

    fn refused(&mut self, conn: &mut Conn, payload: &[u8]) -> Result<(), Failure> {
        if conn.user != self.refused || refused::is_overload(payload) {
            return Err(Failure::new(String::from_utf8_lossy(payload).into_owned()));
        }
        self.answered += 1;
        Ok(())
    }
}

impl Room {
    /// Sends for a while, with refused commands or without; returns what each message took to reach its last member.
    fn run(&mut self, session: &mut Session, time: Duration, refusing: bool) -> Result<Vec<f64>, Failure> {
        let (message_every, refused_every) =
            (Duration::from_secs(1) / MESSAGES_PER_S, Duration::from_secs(1) / REFUSED_PER_S);
        let begun = Instant::now();
        let (mut message_due, mut refused_due) = (begun, begun);
        loop {
            let next = if refusing { message_due.min(refused_due) } else { message_due };
            if next >= begun + time {
                break;
            }
            while Instant::now() < next {
                session.engine.poll_until(&session.world, self, next)?;
            }
            if next == message_due {
                self.send(session)?;
                message_due += message_every;
            } else {
                self.ask(session)?;
                refused_due += refused_every;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while self.open > 0 || self.answered < self.asked {
            if let Some(wrong) = self.wrong.take() {
                return Err(Failure::new(wrong));
            }
            session.engine.turn(&session.world, self, deadline)?;
        }
        Ok(std::mem::take(&mut self.waits_ms))
    }

    /// The next of the others sends a message.
    fn send(&mut self, session: &mut Session) -> Result<(), Failure> {
        let sender = self.messages.len() % self.refused;
        self.messages.push(Waiting { sent: Instant::now(), left: self.refused });
        self.open += 1;
        session.send(sender)?;
        Ok(())
    }

    /// The last member asks for what is refused.
    fn ask(&mut self, session: &mut Session) -> Result<(), Failure> {
        let room = &session.world.rooms[0];
        let (id, owner) = (room.id, session.world.users[room.members[0]].id);
        let conn = session.engine.conn(self.refused);
        conn.n += 1;
        let frame = refused::request(conn.n, self.asked, id, owner, FIRST + self.asked % BEFORE);
        conn.send(&frame);
        self.asked += 1;
        session.engine.flush(self.refused)
    }
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    session.connect_all()?;
    let members = session.world.rooms[0].members.len();
    session.burst(&[0], BEFORE, members as u64)?;
    let refused = members - 1;
    let mut room = Room {
        refused,
        messages: Vec::new(),
        before: session.sent,
        waits_ms: Vec::new(),
        open: 0,
        asked: 0,
        answered: 0,
        first_asked: session.engine.conn(refused).n + 1,
        wrong: None,
    };
    room.run(&mut session, WARM_UP, true)?;
    let window = Duration::from_secs_f64(session.options.seconds);
    let (mut with, mut without, asked) = (Vec::new(), Vec::new(), room.asked);
    for _ in 0..TURNS {
        without.extend(room.run(&mut session, window, false)?);
        with.extend(room.run(&mut session, window, true)?);
    }
    let refused_per_s = (room.asked - asked) as f64 / (window.as_secs_f64() * TURNS as f64);
    let (value, without) = (stats::percentile(&mut with, 0.99), stats::percentile(&mut without, 0.99));
    Ok(Measured { value, without, refused_per_s, ..Measured::default() })
}
