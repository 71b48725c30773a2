//! Drives the rows one after the other, and prints the table.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::child::{self, Scratch};
use crate::rows::{Bench, Row};
use crate::{Failure, servers, table};

/// What to run.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Writes the rows to a file as well, as JSON lines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures this row only; may be given again.
    #[arg(long = "row", value_enum, value_name = "NAME")]
    rows: Vec<Row>,
    /// Measurements of each side of a row, in turn; the table shows their medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=25))]
    rounds: u32,
    /// Seconds of each measured window.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Measures the bare ceilings only; no row holds then.
    #[arg(long)]
    ceilings: bool,
    /// The server's binary; default: `parlance` beside this program.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Where the stores are kept while it runs, on the disk that is to be measured; default: beside this program.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// The servers that the cluster's rows need.
    #[command(flatten)]
    servers: servers::Options,
}

impl Options {
    /// The rows that were asked for; all that can be measured, where none was.
    fn rows(&self) -> Result<Vec<Row>, Failure> {
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
}

/// Runs the rows.
///
/// # Errors
/// When nothing can be measured at all, or a row could not be; a row that doesn't hold is no error.
pub fn main(options: &Options) -> Result<(), Failure> {
    let exe = std::env::current_exe()?;
    let beside = exe.parent().ok_or_else(|| Failure::new("this program has no folder"))?;
    let server = options.server.clone().unwrap_or_else(|| beside.join("parlance"));
    if !options.ceilings && !server.is_file() {
        let path = server.display();
        return Err(Failure::new(format!("{path} is not there; build it with `cargo build --release`")));
    }
    let (server_core, generator_core) = child::cores()?;
    let bench = Bench {
        scratch: Scratch::new(options.scratch.as_deref().unwrap_or(beside))?,
        server: (!options.ceilings).then_some(server),
        server_core,
        generator_core,
        seconds: options.seconds,
        rounds: options.rounds as usize,
        programs: options.servers.clone(),
        servers: OnceCell::new(),
        clusters: Cell::new(0),
    };
    let rows = options.rows()?;
    let mut json = options.json.as_ref().map(File::create).transpose()?;
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
