//! The generator's connections: one thread, one poll, frames read by their headers.
//!
//! Every entry that any connection receives is checked: its number is the next one of its room. A gap, a repetition or a
//! refusal ends the measurement.

mod driver;

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

pub use driver::{Driver, Quiet};

use crate::native::{self, Frame};
use crate::wire::Wire;
use crate::world::{Room, World};
use crate::{Failure, chat_service, ws};

/// Bytes that one read takes at most.
const READ_BYTES: usize = 256 * 1024;
/// Handshakes under way at a time while connecting.
const HANDSHAKES: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Upgrading,
    Resuming,
    Open,
}

/// One connection of one user in one room.
pub struct Conn {
    /// Its room's place in the world.
    pub room: usize,
    /// The last number that it has received.
    pub seq: u64,
    /// Requests sent.
    pub n: u64,
    /// Milliseconds after which the server has told it to come back, where it has.
    pub back_ms: Option<u64>,
    /// What it speaks.
    pub wire: Wire,
    /// Its user's place in the world.
    pub user: usize,
    stream: TcpStream,
    phase: Phase,
    pending: Vec<u8>,
    out: Vec<u8>,
}

impl Conn {
    /// Queues a text message.
    pub fn send(&mut self, text: &str) {
        self.put(ws::TEXT, text.as_bytes());
    }

    fn put(&mut self, opcode: u8, payload: &[u8]) {
        // A mask keeps proxies from being fooled; here there are none, and it need only differ.
        let mask = (self.n as u32).wrapping_mul(0x9e37_79b9).to_le_bytes();
        ws::put_client_frame(&mut self.out, opcode, mask, payload);
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) => drop(self.out.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// All connections.
pub struct Engine {
    addrs: Vec<SocketAddr>,
    wire: Wire,
    orders: chat_service::Orders,
    poll: Poll,
    events: Events,
    buf: Vec<u8>,
    conns: Vec<Option<Conn>>,
    open: usize,
    /// Entries received by all connections together.
    pub delivered: u64,
    /// Times that something had arrived on a connection: as many as the server's writes to it, unless two came before the
    /// first was read.
    pub arrivals: u64,
}

impl Engine {
    /// Makes an engine without connections.
    ///
    /// # Errors
    /// When the kernel gives no poll.
    pub fn new(addrs: Vec<SocketAddr>, wire: Wire) -> Result<Self, Failure> {
        let (poll, events, orders) = (Poll::new()?, Events::with_capacity(1024), chat_service::Orders::default());
        let (buf, conns) = (vec![0; READ_BYTES], Vec::new());
        Ok(Self { addrs, wire, orders, poll, events, buf, conns, open: 0, delivered: 0, arrivals: 0 })
    }

    /// The connection at a place.
    ///
    /// # Panics
    /// When it was dropped.
    pub fn conn(&mut self, index: usize) -> &mut Conn {
        self.conns[index].as_mut().expect("a connection that was not dropped")
    }

    /// Opens a connection for each (user, room, position), and waits until all may go on.
    ///
    /// Returns the place of the first; the others follow in order.
    ///
    /// # Errors
    /// When one is refused, or the deadline passes.
    pub fn connect(
        &mut self,
        world: &World,
        who: &[(usize, usize, u64)],
        at_once: bool,
        driver: &mut impl Driver,
        deadline: Instant,
    ) -> Result<usize, Failure> {
        let (first, before) = (self.conns.len(), self.open);
        let most = if at_once { who.len() } else { HANDSHAKES };
        let mut started = 0;
        while self.open < before + who.len() {
            while started < who.len() && started - (self.open - before) < most {
                let (user, room, seq) = who[started];
                self.start(world, user, room, seq)?;
                started += 1;
            }
            self.turn(world, driver, deadline)?;
        }
        Ok(first)
    }

    /// Begins to open a connection of a user in a room, to go on after a position; returns its place.
    ///
    /// # Errors
    /// When there can't be one.
    pub fn start(&mut self, world: &World, user: usize, room: usize, seq: u64) -> Result<usize, Failure> {
        let index = self.conns.len();
        let mut stream = TcpStream::connect(self.addrs[world.users[user].node])?;
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let (phase, wire) = (Phase::Connecting, self.wire);
        let (pending, out) = (Vec::new(), Vec::new());
        self.conns.push(Some(Conn { room, seq, n: 0, back_ms: None, wire, user, stream, phase, pending, out }));
        Ok(index)
    }

    /// The last number that the connection at a place has received; `None` where it was dropped or doesn't go on yet.
    pub fn position(&self, index: usize) -> Option<u64> {
        self.conns[index].as_ref().filter(|conn| conn.phase == Phase::Open).map(|conn| conn.seq)
    }

    /// Drops connections, all at once, without a word.
    pub fn drop_conns(&mut self, places: std::ops::Range<usize>) {
        for place in places {
            // Closing the socket also takes it out of the poll.
            if self.conns[place].take().is_some() {
                self.open -= 1;
            }
        }
    }

    /// Handles what has arrived, waiting for it up to `until` at most.
    ///
    /// # Errors
    /// When a connection fails, an entry is out of order, or `until` passed while nothing arrived.
    pub fn turn(&mut self, world: &World, driver: &mut impl Driver, until: Instant) -> Result<(), Failure> {
        if self.poll_until(world, driver, until)? { Ok(()) } else { Err(Failure::new("nothing arrived in time")) }
    }

    /// As [`Engine::turn`], but that nothing arrived is not an error: it returns false.
    ///
    /// # Errors
    /// When a connection fails or an entry is out of order.
    pub fn poll_until(&mut self, world: &World, driver: &mut impl Driver, until: Instant) -> Result<bool, Failure> {
        let wait = until.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e.into()),
            _ => {}
        }
        let tokens: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for &index in &tokens {
            // Dropped while its event was on the way.
            let Some(mut conn) = self.conns[index].take() else { continue };
            let result = self.ready(&mut conn, world, driver);
            let user = conn.user;
            let result = match result {
                Err(why @ (Failure::Ended(_) | Failure::Io(_))) => {
                    self.open -= usize::from(conn.phase == Phase::Open);
                    driver.ended(&conn, why)
                }
                result => {
                    self.conns[index] = Some(conn);
                    result
                }
            };
            result.map_err(|e| e.context(format!("connection {index} of user {user}")))?;
        }
        Ok(!tokens.is_empty())
    }

    /// Writes what was queued on a connection outside a turn.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn flush(&mut self, index: usize) -> Result<(), Failure> {
        Ok(self.conn(index).flush()?)
    }

    fn ready(&mut self, conn: &mut Conn, world: &World, driver: &mut impl Driver) -> Result<(), Failure> {
        if conn.phase == Phase::Connecting {
            if let Some(e) = conn.stream.take_error()? {
                return Err(e.into());
            }
            if conn.stream.peer_addr().is_err() {
                return Ok(());
            }
            conn.stream.set_nodelay(true)?;
            let user = &world.users[conn.user];
            let addr = self.addrs[user.node];
            conn.out = match conn.wire {
                Wire::Native => native::upgrade(addr, &user.token),
                Wire::ChatService => chat_service::upgrade(addr, world.rooms[conn.room].id, &user.token),
            }
            .into_bytes();
            conn.phase = Phase::Upgrading;
        }
        loop {
            let kept = conn.pending.len();
            self.buf[..kept].copy_from_slice(&conn.pending);
            let end = match conn.stream.read(&mut self.buf[kept..]) {
                Ok(0) => return Err(Failure::Ended("the server ended the connection".to_owned())),
                Ok(n) => {
                    self.arrivals += 1;
                    kept + n
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            };
            let at = self.read(conn, end, world, driver)?;
            conn.pending.clear();
            conn.pending.extend_from_slice(&self.buf[at..end]);
            // A short read has emptied the socket; what comes later is a new event.
            if end < self.buf.len() {
                break;
            }
        }
        Ok(conn.flush()?)
    }

    /// Reads the frames in `buf[..end]`; returns where the first incomplete one begins.
    fn read(&mut self, conn: &mut Conn, end: usize, world: &World, driver: &mut impl Driver) -> Result<usize, Failure> {
        let mut at = 0;
        if conn.phase == Phase::Upgrading {
            let Some(head) = self.buf[..end].windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(0) };
            if !self.buf.starts_with(b"HTTP/1.1 101") {
                return Err(Failure::new(String::from_utf8_lossy(&self.buf[..end]).into_owned()));
            }
            at = head + 4;
            match conn.wire {
                Wire::Native => {
                    let room = &world.rooms[conn.room];
                    conn.n = 1;
                    conn.phase = Phase::Resuming;
                    conn.send(&native::resume(1, room.id, room.epoch, conn.seq));
                }
                Wire::ChatService => {
                    conn.phase = Phase::Open;
                    self.open += 1;
                }
            }
        }
        while let Some(head) = ws::header(&self.buf[at..end]).filter(|head| at + head.end() <= end) {
            let payload = &self.buf[at + head.start..at + head.end()];
            match head.opcode {
                ws::TEXT if conn.wire == Wire::ChatService => {
                    if let Some(mine) = chat_service::delivered(&mut self.orders, conn, world, payload)? {
                        self.delivered += 1;
                        driver.entry(conn, payload);
                        if mine {
                            driver.done(conn, 0);
                        }
                    }
                }
                ws::TEXT => match native::frame(payload) {
                    Frame::Entry { room, seq } => {
                        in_order(conn, &world.rooms[conn.room], room, seq)?;
                        self.delivered += 1;
                        driver.entry(conn, payload);
                    }
                    Frame::Done { re: 1 } if conn.phase == Phase::Resuming => {
                        if !native::is_live(payload) {
                            return Err(Failure::new(String::from_utf8_lossy(payload).into_owned()));
                        }
                        conn.phase = Phase::Open;
                        self.open += 1;
                    }
                    Frame::Done { re } => driver.done(conn, re),
                    // Without its resume, a connection is of no use.
                    Frame::Fault if conn.phase == Phase::Resuming => {
                        return Err(Failure::Ended(String::from_utf8_lossy(payload).into_owned()));
                    }
                    Frame::Fault => driver.refused(conn, payload)?,
                    Frame::Reconnect { after_ms } => conn.back_ms = Some(after_ms),
                    Frame::Other => {}
                },
                ws::PING => {
                    let pong = payload.to_vec();
                    conn.put(ws::PONG, &pong);
                }
                ws::CLOSE => {
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    return Err(Failure::Ended(format!("the server closed the connection: {reason}")));
                }
                _ => {}
            }
            at += head.end();
        }
        Ok(at)
    }

    /// Waits until `delivered` entries have arrived.
    ///
    /// # Errors
    /// When they haven't by the deadline.
    pub fn await_delivered(
        &mut self,
        world: &World,
        driver: &mut impl Driver,
        delivered: u64,
        deadline: Instant,
    ) -> Result<(), Failure> {
        while self.delivered < delivered {
            self.turn(world, driver, deadline)
                .map_err(|e| e.context(format!("{} of {delivered} deliveries", self.delivered)))?;
        }
        Ok(())
    }

    /// Handles what arrives for a while.
    ///
    /// # Errors
    /// When a connection fails or an entry is out of order.
    pub fn spend(&mut self, world: &World, driver: &mut impl Driver, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.poll_until(world, driver, until)?;
        }
        Ok(())
    }
}

fn in_order(conn: &mut Conn, mine: &Room, room: u64, seq: u64) -> Result<(), Failure> {
    if room != mine.id {
        return Err(Failure::new(format!("an entry of room {room} in room {}", mine.id)));
    }
    if seq != conn.seq + 1 {
        return Err(Failure::new(format!("room {room}: entry {seq} after {}", conn.seq)));
    }
    conn.seq = seq;
    Ok(())
}
