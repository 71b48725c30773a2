//! The rows: what each measures, beside which ceiling, and what must hold.

mod between;
mod cql;
mod dialect;
mod failing;
mod feed;
mod imported;
mod refusals;
mod row;
mod socket;
mod stored;
mod under_way;
mod waking;

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::de::DeserializeOwned;

pub use row::Row;

use crate::ceiling::store;
use crate::child::{Child, Scratch};
use crate::generate::{Measured, Scenario};
use crate::servers::{self, Servers};
use crate::table::Line;
use crate::wire::Wire;
use crate::world::{Shape, User, World};
use crate::{Failure, native, stats};

/// Longest time that a server may take to start.
const STARTING: Duration = Duration::from_secs(30);
/// Longest time that a command which prepares a store may take.
const PREPARING: Duration = Duration::from_secs(300);
/// Longest time that one measurement may take besides its window.
const MEASURING: Duration = Duration::from_secs(180);

/// What the bare fan-out needs for one delivery at saturation, in microseconds of CPU, on the machine that the targets were
/// set on. The ceiling must be as good within [`REFERENCE_WITHIN`], else it is no ceiling.
pub const REFERENCE_DELIVERY_US: f64 = 0.40;
/// What the bare fan-out needs for an idle connection there, in KiB.
pub const REFERENCE_CONNECTION_KIB: f64 = 1.3;
/// How far a ceiling may be from its reference.
pub const REFERENCE_WITHIN: f64 = 1.5;

/// What a row's measurements came to, before they become a line.
#[derive(Default)]
pub struct Outcome {
    value: Option<f64>,
    ceiling: f64,
    target: String,
    /// What doesn't hold.
    broken: Vec<String>,
    /// What is told besides.
    notes: Vec<String>,
}

impl Outcome {
    /// Notes what doesn't hold, where the value was measured and `holds` is false of it.
    fn demand(&mut self, what: &str, holds: impl FnOnce(f64) -> bool) {
        // NaN, from a measurement without a sample, holds nothing.
        if self.value.is_some_and(|value| !holds(value)) {
            self.broken.push(what.to_owned());
        }
    }
}

/// Where and how everything is measured.
pub struct Bench {
    /// The servers that clusters need, once a row needed them; they end before their folders go.
    pub servers: OnceCell<Servers>,
    /// Where the stores are kept.
    pub scratch: Scratch,
    /// The server's binary; absent where only the ceilings are measured.
    pub server: Option<PathBuf>,
    /// Whether the bare ceilings are measured.
    pub ceilings: bool,
    /// What the names of the clusters' keyspaces on a CQL server begin with.
    pub keyspace: String,
    /// The server's core.
    pub server_core: usize,
    /// The generator's core.
    pub generator_core: usize,
    /// Seconds of each measured window.
    pub seconds: f64,
    /// Measurements of each side.
    pub rounds: usize,
    /// The programs of the servers that clusters need.
    pub programs: servers::Options,
    /// Clusters that were started.
    pub clusters: Cell<u32>,
}

/// A server that runs, bare or real.
pub struct Server {
    /// Its process.
    pub child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    bare: bool,
}

impl Bench {
    /// Measures a row; where that fails, the line says why.
    pub fn line(&self, row: Row) -> Line {
        let (title, unit) = row.title();
        let failed = |why: Failure| Outcome { ceiling: f64::NAN, broken: vec![why.to_string()], ..Outcome::default() };
        let outcome = self.outcome(row).unwrap_or_else(failed);
        let ceiling = Some(outcome.ceiling).filter(|c| c.is_finite());
        let value = outcome.value.filter(|v| v.is_finite());
        let ratio = value.zip(ceiling).map(|(v, c)| v / c);
        let holds = value.is_some() && outcome.broken.is_empty();
        let note = outcome
            .broken
            .into_iter()
            .chain(outcome.notes)
            .filter(|note| !note.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        Line { row: title, value, unit, ceiling, ratio, target: outcome.target, holds, note }
    }

    /// Measures the server's value of a row, whatever holds of it.
    ///
    /// # Errors
    /// When it can't be measured.
    pub fn value(&self, row: Row) -> Result<f64, Failure> {
        let value = self.outcome(row)?.value.filter(|value| value.is_finite());
        value.ok_or_else(|| Failure::new("nothing was measured"))
    }

    fn outcome(&self, row: Row) -> Result<Outcome, Failure> {
        match row {
            Row::Fanout => self.fanout(),
            Row::Fanout8 => self.under_way(8),
            Row::Fanout1 => self.under_way(1),
            Row::Latency => self.latency(),
            Row::Refusals => self.refusals(),
            Row::Memory => self.memory(),
            Row::Acks => self.acks(),
            Row::Feed => self.feed(),
            Row::FeedFailing => self.feed_failing(),
            Row::Resume => self.resume(),
            Row::Wake => self.wake(),
            Row::Import => self.import(),
            Row::Dialect => self.dialect(),
            Row::Spread => self.spread(),
            Row::Nats => self.nats(),
            Row::RemoteAck => self.remote_ack(),
            Row::CqlAcks => self.cql_acks(),
            Row::RefusalsCql => self.refusals_cql(),
            Row::Takeover => self.takeover(),
            Row::Drain => self.drain(),
        }
    }

    /// Starts the bare server, measures it, then the real one with a new store, and so on in turn.
    fn in_turn(&self, scenario: Scenario, shape: Shape) -> Result<(Vec<Measured>, Vec<Measured>), Failure> {
        let (mut bare, mut real) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            if self.ceilings {
                bare.push(self.measure_bare(scenario, shape).map_err(|e| e.context("the bare server"))?);
            }
            if let Some(binary) = &self.server {
                real.push(self.measure_real(binary, scenario, shape)?);
            }
        }
        Ok((bare, real))
    }

    fn measure_bare(&self, scenario: Scenario, shape: Shape) -> Result<Measured, Failure> {
        let server = self.start(&std::env::current_exe()?, &["ceiling-fanout".to_owned()], true)?;
        self.generate(&server, &shape.bare(), scenario, Wire::Native)
    }

    fn measure_real(&self, binary: &Path, scenario: Scenario, shape: Shape) -> Result<Measured, Failure> {
        self.measure_wire(binary, scenario, shape, Wire::Native, &[])
    }

    fn measure_wire(
        &self,
        binary: &Path,
        scenario: Scenario,
        shape: Shape,
        wire: Wire,
        more: &[(&str, String)],
    ) -> Result<Measured, Failure> {
        let more: Vec<_> = more.iter().cloned().chain([("--wire", named(wire))]).collect();
        self.measure_served((binary, &[]), || Ok(()), scenario, shape, &more)
    }

    /// Starts a binary with these arguments besides the usual ones, does what is to be done once it runs, and measures it.
    fn measure_served(
        &self,
        (binary, args): (&Path, &[String]),
        once_it_runs: impl FnOnce() -> Result<(), Failure>,
        scenario: Scenario,
        shape: Shape,
        more: &[(&str, String)],
    ) -> Result<Measured, Failure> {
        let data = self.scratch.fresh("data")?;
        let users = self.seed(binary, &data, shape.users())?;
        let server = self.start(binary, &[&native::serve(&data)[..], args].concat(), false)?;
        once_it_runs()?;
        let room = |r| native::create(server.addr, &users, shape.members_of(r), &format!("Bench {r}"));
        let rooms = (0..shape.rooms).map(room).collect::<Result<_, _>>()?;
        let measured = self.load(&[&server], &World { users, rooms }, scenario, more)?;
        server.child.stop()?;
        Ok(measured)
    }

    /// Makes users in a data folder.
    fn seed(&self, binary: &Path, data: &Path, count: usize) -> Result<Vec<User>, Failure> {
        let made = Child::start(self.server_core, self.scratch.path(), binary, &native::seed(data, count))?;
        let users = native::users(&made.output(PREPARING)?)?;
        if users.len() == count { Ok(users) } else { Err(Failure::new("user seed made another number of users")) }
    }

    fn start(&self, program: &Path, args: &[String], bare: bool) -> Result<Server, Failure> {
        self.start_in(self.scratch.path(), program, args, bare)
    }

    /// Starts a server; what it says on standard error goes to a file in `folder`.
    ///
    /// # Errors
    /// When it doesn't say in time where it listens.
    pub fn start_in(&self, folder: &Path, program: &Path, args: &[String], bare: bool) -> Result<Server, Failure> {
        let mut child = Child::start(self.server_core, folder, program, args)?;
        let addr = child.line(STARTING, |line| {
            line.trim().strip_prefix("listening on http://")?.trim_end_matches('/').parse().ok()
        })?;
        Ok(Server { child, addr, bare })
    }

    /// The servers that clusters need, started where they aren't yet.
    fn servers(&self) -> Result<&Servers, Failure> {
        if let Some(servers) = self.servers.get() {
            return Ok(servers);
        }
        let servers = Servers::start(&self.programs, &[self.server_core, self.generator_core], &self.scratch)?;
        // A CQL server that has just started is slow; nobody is to be measured first.
        self.commit_cql(&servers, cql::SENDERS, false)?;
        Ok(self.servers.get_or_init(|| servers))
    }

    /// The number of a cluster, which none had before.
    pub fn next(&self) -> u32 {
        self.clusters.replace(self.clusters.get() + 1)
    }

    fn generate(&self, server: &Server, world: &World, scenario: Scenario, wire: Wire) -> Result<Measured, Failure> {
        self.load(&[server], world, scenario, &[("--wire", named(wire))])
    }

    /// Has the generator load servers.
    fn load(
        &self,
        servers: &[&Server],
        world: &World,
        scenario: Scenario,
        more: &[(&str, String)],
    ) -> Result<Measured, Failure> {
        let file = self.scratch.path().join("world.json");
        std::fs::write(&file, serde_json::to_vec(world)?)?;
        let mut args = vec!["generate".to_owned()];
        for (name, value) in [
            ("--scenario", named(scenario)),
            ("--core", self.server_core.to_string()),
            ("--world", file.display().to_string()),
            ("--seconds", self.seconds.to_string()),
        ] {
            args.extend([name.to_owned(), value]);
        }
        for server in servers {
            args.extend(["--addr".to_owned(), server.addr.to_string()]);
            args.extend(["--pid".to_owned(), server.child.pid().to_string()]);
        }
        args.extend(more.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]));
        if servers.iter().all(|server| !server.bare) {
            args.push("--has-log".to_owned());
        }
        self.ask(self.generator_core, &args)
    }

    /// Runs one of this program's own commands on a core, and reads its result.
    fn ask<T: DeserializeOwned>(&self, core: usize, args: &[String]) -> Result<T, Failure> {
        self.ask_on(&[core], args)
    }

    /// As [`Bench::ask`], on several cores.
    fn ask_on<T: DeserializeOwned>(&self, cores: &[usize], args: &[String]) -> Result<T, Failure> {
        let mut child = Child::start_on(cores, self.scratch.path(), &std::env::current_exe()?, args)?;
        child.line(MEASURING + Duration::from_secs_f64(self.seconds), |line| serde_json::from_str(line).ok())
    }

    /// Runs the bare group commit on the server's core.
    fn commit(&self, writers: usize, rooms: usize, rate: Option<f64>) -> Result<store::Measured, Failure> {
        let data = self.scratch.fresh("bare")?;
        let mut args: Vec<String> = vec!["ceiling-store".to_owned()];
        for (name, value) in [
            ("--data", data.display().to_string()),
            ("--writers", writers.to_string()),
            ("--rooms", rooms.to_string()),
            ("--seconds", self.seconds.to_string()),
        ] {
            args.extend([name.to_owned(), value]);
        }
        if let Some(rate) = rate {
            args.extend(["--rate".to_owned(), rate.to_string()]);
        }
        self.ask(self.server_core, &args)
    }
}

/// How a value is named on the command line.
fn named(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

/// The median of one figure of all rounds; `None` of none.
fn median<T>(all: &[T], figure: impl Fn(&T) -> f64) -> Option<f64> {
    (!all.is_empty()).then(|| stats::median(&all.iter().map(figure).collect::<Vec<_>>()))
}

/// A figure with its unit, for a note.
fn told(what: &str, value: Option<f64>, unit: &str) -> String {
    value.map_or_else(String::new, |v| format!("{what} {v:.3} {unit}"))
}
