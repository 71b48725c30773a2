//! The load generator: a process of its own that opens the connections, drives the load, and reads the server's clock of
//! CPU time and its memory from the kernel. The same code drives the bare server and the real one.

pub mod acks;
pub mod alone;
pub mod bus;
pub mod drain;
pub mod fanout;
pub mod latency;
pub mod memory;
pub mod refusals;
pub mod resume;
pub mod retry;
pub mod sockets;
pub mod takeover;
pub mod wake;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::engine::{Conn, Engine, Quiet};
use crate::procfs::{self, Cpu};
use crate::wire::Wire;
use crate::world::World;
use crate::{Failure, chat_service, native, sentences};

/// Longest time that connecting, or the arrival of what is still on its way, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time before the measured window in which the server comes up to speed.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// CPU per delivery at saturation.
    Fanout,
    /// Time from a send to its last delivery, at a given rate.
    Latency,
    /// Resident memory per connection.
    Memory,
    /// Acknowledged sends a second.
    Acks,
    /// Sessions that come back and get what they missed.
    Resume,
    /// A first send in a room that sleeps.
    Wake,
    /// Resident memory per connection, then CPU per delivery at saturation.
    Sockets,
    /// Messages between nodes for each message sent, at a given rate.
    Bus,
    /// Time from a send to its acknowledgement, one sender alone.
    Alone,
    /// The first server is killed while others' clients send in its rooms.
    Takeover,
    /// The first server is told to end while its clients send.
    Drain,
    /// Time from a send to its last delivery, with and without a member whose commands are refused.
    Refusals,
}

/// How to measure it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// What to measure.
    #[arg(long, value_enum)]
    pub scenario: Scenario,
    /// A server's address; may be given again.
    #[arg(long, required = true)]
    pub addr: Vec<SocketAddr>,
    /// A server's process; may be given again.
    #[arg(long, required = true)]
    pub pid: Vec<u32>,
    /// The server's core.
    #[arg(long)]
    pub core: usize,
    /// The file that holds users and rooms, as JSON.
    #[arg(long)]
    pub world: PathBuf,
    /// Seconds to measure.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// What the connections speak.
    #[arg(long, value_enum, default_value_t)]
    pub wire: Wire,
    /// Deliveries a second of all rooms together, where the scenario has a rate.
    #[arg(long, default_value_t = latency::RATE)]
    pub rate: f64,
    /// Senders in each room, where the scenario saturates the server.
    #[arg(long, default_value_t = fanout::SENDERS)]
    pub senders: usize,
    /// Messages that each of them has under way.
    #[arg(long, default_value_t = fanout::WINDOW)]
    pub window: usize,
    /// Where the bus between the servers tells what it has counted.
    #[arg(long)]
    pub monitor: Option<SocketAddr>,
    /// Whether the server has a log that it can read.
    #[arg(long)]
    pub has_log: bool,
}

/// What came of it; which fields there are depends on the scenario.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// The row's value.
    pub value: f64,
    /// Deliveries or acknowledgements a second.
    #[serde(default)]
    pub per_s: f64,
    /// The part of its core that the server used.
    #[serde(default)]
    pub busy: f64,
    /// The part of the window in which the server's core was idle.
    #[serde(default)]
    pub idle: f64,
    /// Reads of the log.
    #[serde(default)]
    pub log_reads: u64,
    /// KiB of resident memory per connection, where it is not the row's value.
    #[serde(default)]
    pub conn_kib: f64,
    /// Microseconds of CPU per delivery, where it is not the row's value.
    #[serde(default)]
    pub cpu_us: f64,
    /// Writes of the server to sockets per delivery, as far as its clients can tell them apart.
    #[serde(default)]
    pub writes: f64,
    /// Refused commands a second.
    #[serde(default)]
    pub refused_per_s: f64,
    /// The row's value without what the scenario adds.
    #[serde(default)]
    pub without: f64,
    /// Messages of the bus a second while nobody sends.
    #[serde(default)]
    pub idle_per_s: f64,
    /// Messages that were sent again.
    #[serde(default)]
    pub again: u64,
    /// Messages that no retry has brought through.
    #[serde(default)]
    pub failed: u64,
    /// The longest time from a first send to its acknowledgement, in milliseconds.
    #[serde(default)]
    pub longest_ms: f64,
}

/// What the kernel has counted at the beginning of a measured window.
struct Window {
    begun: Instant,
    cpu: Vec<Cpu>,
    idle_us: u64,
}

/// What it has counted at the end.
struct Spent {
    seconds: f64,
    cpu_us: f64,
    busy: f64,
    idle: f64,
}

impl Window {
    fn open(options: &Options) -> Result<Self, Failure> {
        let idle_us = procfs::idle_us(options.core)?;
        let cpu = options.pid.iter().map(|pid| Cpu::read(*pid)).collect::<Result<_, _>>()?;
        Ok(Self { begun: Instant::now(), cpu, idle_us })
    }

    fn close(&self, options: &Options) -> Result<Spent, Failure> {
        let us = self.begun.elapsed().as_secs_f64() * 1e6;
        let since = |(pid, before): (&u32, &Cpu)| Ok::<_, Failure>(Cpu::read(*pid)?.since(before));
        let cpu_us = options.pid.iter().zip(&self.cpu).map(since).sum::<Result<f64, _>>()?;
        let idle_us = procfs::idle_us(options.core)? - self.idle_us;
        Ok(Spent { seconds: us / 1e6, cpu_us, busy: cpu_us / us, idle: idle_us as f64 / us })
    }
}

/// Everything that a scenario works with.
pub struct Session {
    options: Options,
    world: World,
    engine: Engine,
    texts: Vec<String>,
    frame: String,
    /// Messages sent; also the last client id.
    sent: u64,
}

impl Session {
    /// Connects every member of every room, in order.
    fn connect_all(&mut self) -> Result<(), Failure> {
        let who = everybody(&self.world);
        self.engine.connect(&self.world, &who, false, &mut Quiet, Instant::now() + PATIENCE)?;
        Ok(())
    }

    /// Sends the next message on a connection.
    fn send(&mut self, index: usize) -> Result<u64, Failure> {
        self.sent += 1;
        let conn = self.engine.conn(index);
        put_message(conn, self.world.rooms[conn.room].id, self.sent, &self.texts, &mut self.frame);
        self.engine.flush(index)?;
        Ok(self.sent)
    }

    /// Sends `count` messages in each room by the connection at the given place, and waits for all of their deliveries;
    /// `listeners` is the number of connections in each room.
    fn burst(&mut self, senders: &[usize], count: u64, listeners: u64) -> Result<(), Failure> {
        let credits = native::CREDITS as u64;
        let mut left = count;
        while left > 0 {
            let now = left.min(credits);
            let goal = self.engine.delivered + senders.len() as u64 * now * listeners;
            for &sender in senders {
                for _ in 0..now {
                    self.send(sender)?;
                }
            }
            self.engine.await_delivered(&self.world, &mut Quiet, goal, Instant::now() + PATIENCE)?;
            left -= now;
        }
        Ok(())
    }
}

/// (user, room, position) of every member of every room.
fn everybody(world: &World) -> Vec<(usize, usize, u64)> {
    let rooms = world.rooms.iter().enumerate();
    rooms.flat_map(|(r, room)| room.members.iter().map(move |user| (*user, r, room.last))).collect()
}

fn put_message(conn: &mut Conn, room: u64, client_id: u64, texts: &[String], frame: &mut String) {
    conn.n += 1;
    let literal = &texts[client_id as usize % texts.len()];
    match conn.wire {
        Wire::Native => native::send(frame, conn.n, room, client_id, literal),
        Wire::ChatService => chat_service::send(frame, room, literal),
    }
    conn.send(frame);
}

/// Measures one scenario.
///
/// # Errors
/// When the server breaks a promise or doesn't answer in time.
pub fn main(options: Options) -> Result<Measured, Failure> {
    let world = serde_json::from_slice(&std::fs::read(&options.world)?)?;
    let engine = Engine::new(options.addr.clone(), options.wire)?;
    let scenario = options.scenario;
    let texts = sentences::literals();
    let session = Session { options, world, engine, texts, frame: String::new(), sent: 0 };
    match scenario {
        Scenario::Fanout => fanout::measure(session),
        Scenario::Latency => latency::measure(session),
        Scenario::Memory => memory::measure(session),
        Scenario::Acks => acks::measure(session),
        Scenario::Resume => resume::measure(session),
        Scenario::Wake => wake::measure(session),
        Scenario::Sockets => sockets::measure(session),
        Scenario::Bus => bus::measure(session),
        Scenario::Alone => alone::measure(session),
        Scenario::Takeover => takeover::measure(session),
        Scenario::Drain => drain::measure(session),
        Scenario::Refusals => refusals::measure(session),
    }
}
