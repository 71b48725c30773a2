//! Drives the rows one after the other, and prints the table.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use crate::child::{self, Scratch};
use crate::rows::{Bench, Row};
use crate::{Failure, servers, table};

/// What is measured, and where.
#[derive(Clone, Debug, Args)]
pub struct Measurement {
    /// Writes the rows to a file as well, as JSON lines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures this row only; may be given again.
    #[arg(long = "row", value_enum, value_name = "NAME")]
    rows: Vec<Row>,
    /// Seconds of each measured window.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where the stores are kept while it runs, on the disk that is to be measured; default: beside this program.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// The servers that the cluster's rows need.
    #[command(flatten)]
    servers: servers::Options,
}

impl Measurement {
    /// The rows that were asked for; all that can be measured, where none was.
    ///
    /// # Errors
    /// When nobody can be told of those that can't.
    pub fn rows(&self) -> Result<Vec<Row>, Failure> {
        if !self.rows.is_empty() {
            return Ok(self.rows.clone());
        }
        let mut rows = Row::ALL.to_vec();
        if let Some(missing) = self.servers.missing() {
            rows.retain(|row| !row.needs_servers());
            writeln!(std::io::stderr(), "SKIPPED: the cluster's rows: {missing}")?;
        }
        Ok(rows)
    }

    /// Readies the measurement of a server, or of the ceilings alone where there is none.
    ///
    /// # Errors
    /// When there is no place for the stores, or only one core.
    pub fn bench(&self, server: Option<PathBuf>, rounds: u32) -> Result<Bench, Failure> {
        let (server_core, generator_core) = child::cores()?;
        Ok(Bench {
            scratch: Scratch::new(self.scratch.as_deref().unwrap_or(&beside()?))?,
            server,
            ceilings: true,
            keyspace: "parlance_bench".to_owned(),
            server_core,
            generator_core,
            seconds: self.seconds,
            rounds: rounds as usize,
            programs: self.servers.clone(),
            servers: OnceCell::new(),
            clusters: Cell::new(0),
        })
    }

    /// The file that the rows go to as well.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn json(&self) -> Result<Option<File>, Failure> {
        Ok(self.json.as_ref().map(File::create).transpose()?)
    }
}

/// The folder that this program is in.
fn beside() -> Result<PathBuf, Failure> {
    let exe = std::env::current_exe()?;
    exe.parent().map(Path::to_owned).ok_or_else(|| Failure::new("this program has no folder"))
}

/// The server's binary, if it is there.
///
/// # Errors
/// When it isn't.
pub fn binary(path: &Path) -> Result<PathBuf, Failure> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    Err(Failure::new(format!("{} is not there; build it with `cargo build --profile dist`", path.display())))
}

/// What to run.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each side of a row, in turn; the table shows their medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=25))]
    rounds: u32,
    /// Measures the bare ceilings only; no row holds then.
    #[arg(long)]
    ceilings: bool,
    /// The server's binary; default: `parlance` beside this program.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// What is measured, and where.
    #[command(flatten)]
    measurement: Measurement,
}

/// Runs the rows.
///
/// # Errors
/// When nothing can be measured at all, or a row could not be; a row that doesn't hold is no error.
pub fn main(options: &Options) -> Result<(), Failure> {
    let server = match (&options.server, options.ceilings) {
        (_, true) => None,
        (Some(server), false) => Some(binary(server)?),
        (None, false) => Some(binary(&beside()?.join("parlance"))?),
    };
    let bench = options.measurement.bench(server, options.rounds)?;
    let rows = options.measurement.rows()?;
    let mut json = options.measurement.json()?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let begun = Instant::now();
        let line = bench.line(row);
        writeln!(std::io::stderr(), "{}: {:.0} s", line.row, begun.elapsed().as_secs_f64())?;
        if let Some(json) = &mut json {
            writeln!(json, "{}", serde_json::to_string(&line)?)?;
        }
        lines.push(line);
    }
    write!(std::io::stdout(), "{}", table::markdown(&lines))?;
    let missing = lines.iter().filter(|line| line.ceiling.is_none()).count();
    if missing == 0 { Ok(()) } else { Err(Failure::new(format!("{missing} rows could not be measured"))) }
}
