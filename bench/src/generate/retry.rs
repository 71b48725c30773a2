//! Senders that send a message again, under the same client id, until it is acknowledged: on whichever connection their
//! user has by then. Who loses a connection comes back to another server when it was told to.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{PATIENCE, Session, put_message};
use crate::Failure;
use crate::engine::{Conn, Driver};

/// Time between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// When a message is sent again that was refused without a word about when.
const AGAIN: Duration = Duration::from_secs(1);

/// A message under way.
struct Message {
    id: u64,
    first: Instant,
    tries: u32,
    /// The request that waits for its reply, and since when.
    asked: Option<(u64, Instant)>,
}

/// A user who sends.
struct Sender {
    room: usize,
    message: Option<Message>,
    due: Instant,
}

/// A connection that was lost, to be opened again.
struct Lost {
    user: usize,
    room: usize,
    seq: u64,
    due: Instant,
}

/// An acknowledged message.
pub(super) struct Acked {
    /// The room's place in the world.
    pub room: usize,
    /// When the try began that was acknowledged.
    pub asked: Instant,
    /// When it was.
    pub at: Instant,
}

/// What a refusal says of itself.
#[derive(Deserialize)]
struct Refusal {
    re: u64,
    fault: Fault,
}

#[derive(Deserialize)]
struct Fault {
    retry: String,
    retry_after_ms: Option<u64>,
}

/// All of them, and what they saw.
pub(super) struct Senders {
    every: Duration,
    senders: HashMap<usize, Sender>,
    /// Each user's latest connection.
    conns: HashMap<usize, usize>,
    lost: Vec<Lost>,
    sending: bool,
    /// Acknowledged messages.
    pub acked: Vec<Acked>,
    /// When connections were opened again.
    pub back: Vec<Instant>,
    /// Messages that were sent again.
    pub again: u64,
    /// Messages that the server has refused for good.
    pub refused: u64,
    /// The longest time from a first send to its acknowledgement.
    pub longest: Duration,
}

impl Senders {
    /// Connects every member of every room; the first one of each sends once in so long.
    pub fn start(session: &mut Session, every: Duration) -> Result<Self, Failure> {
        session.connect_all()?;
        let (mut senders, mut conns) = (HashMap::new(), HashMap::new());
        let (now, count) = (Instant::now(), session.world.rooms.len() as u32);
        for (room, of) in session.world.rooms.iter().enumerate() {
            let due = now + every * room as u32 / count;
            senders.insert(of.members[0], Sender { room, message: None, due });
            for user in &of.members {
                conns.insert(*user, conns.len());
            }
        }
        let (lost, acked, back) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            every,
            senders,
            conns,
            lost,
            sending: true,
            acked,
            back,
            again: 0,
            refused: 0,
            longest: Duration::ZERO,
        })
    }

    /// Has them send until `done` holds.
    ///
    /// # Errors
    /// When it doesn't by the deadline, or a connection gets what it should not.
    pub fn until(
        &mut self,
        session: &mut Session,
        deadline: Instant,
        what: &str,
        done: impl Fn(&Self, &Session) -> bool,
    ) -> Result<(), Failure> {
        while !done(self, session) {
            if Instant::now() > deadline {
                return Err(Failure::new(format!("{what} did not come about in time")));
            }
            self.come_back(session)?;
            self.send_due(session)?;
            session.engine.poll_until(&session.world, self, Instant::now() + LOOK_EVERY)?;
        }
        Ok(())
    }

    /// Has them send for a while.
    pub fn spend(&mut self, session: &mut Session, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        self.until(session, end + PATIENCE, "time", |_, _| Instant::now() >= end)
    }

    /// Has them send nothing new, and waits until all is acknowledged and everybody has it; how many messages never were.
    pub fn stop(&mut self, session: &mut Session) -> Result<u64, Failure> {
        self.sending = false;
        let end = Instant::now() + PATIENCE;
        let quiet = |all: &Self, _: &Session| all.senders.values().all(|one| one.message.is_none());
        self.until(session, end + PATIENCE, "quiet", |all, session| quiet(all, session) || Instant::now() >= end)?;
        let left = self.senders.values().filter(|one| one.message.is_some()).count() as u64;
        self.until(session, Instant::now() + PATIENCE, "that everybody has everything", Self::is_even)?;
        Ok(left)
    }

    /// Whether everybody is connected.
    pub fn is_whole(&self, session: &Session) -> bool {
        self.lost.is_empty() && self.conns.values().all(|at| session.engine.position(*at).is_some())
    }

    /// Whether everybody is connected, and all members of each room have as much.
    fn is_even(&self, session: &Session) -> bool {
        let seq = |user: &usize| session.engine.position(self.conns[user]);
        let even = |members: &[usize]| members.iter().all(|user| seq(user) == seq(&members[0]));
        self.is_whole(session) && session.world.rooms.iter().all(|room| even(&room.members))
    }

    fn come_back(&mut self, session: &mut Session) -> Result<(), Failure> {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.lost).into_iter().partition(|lost| lost.due <= now);
        self.lost = later;
        let due: Vec<Lost> = due;
        for Lost { user, room, seq, .. } in due {
            let others = session.options.addr.len() - 1;
            session.world.users[user].node = 1 + user % others;
            let at = session.engine.start(&session.world, user, room, seq)?;
            self.conns.insert(user, at);
            self.back.push(now);
        }
        Ok(())
    }

    fn send_due(&mut self, session: &mut Session) -> Result<(), Failure> {
        let now = Instant::now();
        for (user, sender) in &mut self.senders {
            let at = self.conns[user];
            let waits = sender.message.as_ref().is_some_and(|message| message.asked.is_some());
            let idle = sender.message.is_none() && !self.sending;
            if waits || idle || sender.due > now || session.engine.position(at).is_none() {
                continue;
            }
            let message = sender.message.get_or_insert_with(|| {
                session.sent += 1;
                Message { id: session.sent, first: now, tries: 0, asked: None }
            });
            self.again += u64::from(message.tries == 1);
            message.tries += 1;
            let conn = session.engine.conn(at);
            let room = session.world.rooms[sender.room].id;
            put_message(conn, room, message.id, &session.texts, &mut session.frame);
            message.asked = Some((conn.n, now));
            session.engine.flush(at)?;
        }
        Ok(())
    }
}

impl Driver for Senders {
    fn done(&mut self, conn: &mut Conn, re: u64) {
        let Some(sender) = self.senders.get_mut(&conn.user) else { return };
        let Some(message) = &sender.message else { return };
        let Some((_, asked)) = message.asked.filter(|(n, _)| *n == re) else { return };
        let at = Instant::now();
        self.acked.push(Acked { room: sender.room, asked, at });
        self.longest = self.longest.max(at - message.first);
        sender.due = message.first + self.every;
        sender.message = None;
    }

    fn refused(&mut self, conn: &mut Conn, payload: &[u8]) -> Result<(), Failure> {
        let refusal: Refusal = serde_json::from_slice(payload)?;
        let Some(sender) = self.senders.get_mut(&conn.user) else { return Ok(()) };
        let Some(message) = &mut sender.message else { return Ok(()) };
        if message.asked.is_some_and(|(n, _)| n == refusal.re) {
            message.asked = None;
            sender.due = Instant::now() + refusal.fault.retry_after_ms.map_or(AGAIN, Duration::from_millis);
            if refusal.fault.retry == "never" {
                self.refused += 1;
                sender.message = None;
            }
        }
        Ok(())
    }

    fn ended(&mut self, conn: &Conn, _why: Failure) -> Result<(), Failure> {
        if let Some(message) = self.senders.get_mut(&conn.user).and_then(|sender| sender.message.as_mut()) {
            message.asked = None;
        }
        let due = Instant::now() + Duration::from_millis(conn.back_ms.unwrap_or_default());
        self.lost.push(Lost { user: conn.user, room: conn.room, seq: conn.seq, due });
        Ok(())
    }
}
