//! What a cluster stands on: a CQL server, started here or running already, and a NATS server.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Deserialize;

use crate::Failure;
use crate::child::{Child, Scratch};

/// Longest time that the NATS server may take to start.
const STARTING: Duration = Duration::from_secs(30);
/// Starts and ends a Cassandra node.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/servers/cassandra");

/// The programs of the servers that the cluster's rows need.
#[derive(Clone, Debug, Default, Args)]
#[group(skip)]
pub struct Options {
    /// The binary of a NATS server, 2.11 or newer, for the cluster's rows.
    #[arg(long, env = "NATS_SERVER", value_name = "FILE")]
    nats_server: Option<PathBuf>,
    /// The folder with the jars of Apache Cassandra, as `tests/servers/cassandra get` fills it, for the cluster's rows.
    #[arg(long, env = "CASSANDRA_LIBRARY", value_name = "DIR")]
    cassandra: Option<PathBuf>,
    /// A CQL server that runs already, instead; the keyspace `parlance_bench_bare` is left on it.
    #[arg(long, value_name = "HOST:PORT")]
    cql: Option<String>,
}

impl Options {
    /// What is missing, in words; `None` where the servers can be started.
    pub fn missing(&self) -> Option<&'static str> {
        if self.nats_server.is_none() {
            return Some("NATS_SERVER or --nats-server must name a NATS server's binary");
        }
        let none = self.cassandra.is_none() && self.cql.is_none();
        none.then_some("CASSANDRA_LIBRARY or --cassandra must name Cassandra's jars, or --cql a server that runs")
    }
}

/// Both servers, which end when this is dropped.
pub struct Servers {
    /// The CQL server, as `host:port`.
    pub cql: String,
    /// The NATS server's URL.
    pub nats: String,
    /// Where the NATS server tells what it has counted.
    pub monitor: SocketAddr,
    _nats: Child,
    _cassandra: Option<Cassandra>,
}

/// Where a NATS server says that it listens.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

impl Servers {
    /// Starts them, on all of these cores.
    ///
    /// # Errors
    /// When one is not named or doesn't start.
    pub fn start(options: &Options, cores: &[usize], scratch: &Scratch) -> Result<Self, Failure> {
        let (Some(binary), None) = (&options.nats_server, options.missing()) else {
            return Err(Failure::new(options.missing().unwrap_or_default()));
        };
        let (nats, ports) = start_nats(binary, cores, &scratch.fresh("nats")?)?;
        let address = |all: &[String]| all.first().cloned().ok_or_else(|| Failure::new("NATS listens nowhere"));
        let monitor = address(&ports.monitoring)?;
        let monitor = monitor.trim_start_matches("http://").parse();
        let monitor = monitor.map_err(|e| Failure::new(format!("where NATS tells its counts: {e}")))?;
        let (cql, cassandra) = match (&options.cql, &options.cassandra) {
            (None, Some(library)) => {
                let (cassandra, address) = Cassandra::start(library, &scratch.fresh("cassandra")?)?;
                (address, Some(cassandra))
            }
            (cql, _) => (cql.clone().unwrap_or_default(), None),
        };
        Ok(Self { cql, nats: address(&ports.nats)?, monitor, _nats: nats, _cassandra: cassandra })
    }
}

fn start_nats(binary: &Path, cores: &[usize], folder: &Path) -> Result<(Child, Ports), Failure> {
    let (settings, path) = (folder.join("server.conf"), folder.display());
    let text = format!(
        "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\nports_file_dir: \"{path}\"\n\
         jetstream {{ store_dir: \"{path}\", sync_interval: always, max_mem: 64M, max_file: 256M }}\n"
    );
    std::fs::write(&settings, text)?;
    let args = ["-c".to_owned(), settings.display().to_string()];
    let mut nats = Child::start_on(cores, folder, binary, &args)?;
    let deadline = Instant::now() + STARTING;
    loop {
        let files = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let ports = files.filter(|file| file.extension().is_some_and(|e| e == "ports")).find_map(|file| {
            // It may be there before all of it is.
            serde_json::from_slice(&std::fs::read(file).ok()?).ok()
        });
        if let Some(ports) = ports {
            return Ok((nats, ports));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || nats.has_ended()? {
            return Err(nats.failed("doesn't say where it listens"));
        }
        std::thread::sleep(Duration::from_millis(10).min(left));
    }
}

/// A Cassandra node. A process watches over it, and ends it when this one closes its pipe, in whichever way that comes about.
struct Cassandra {
    watch: process::Child,
}

impl Cassandra {
    fn start(library: &Path, folder: &Path) -> Result<(Self, String), Failure> {
        let watch = Command::new("sh")
            .args(["-c", r#"cat >/dev/null; exec "$0" stop "$1" KILL"#, SCRIPT])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // What interrupts this process must not reach the one that cleans up after it.
            .process_group(0)
            .spawn()?;
        let cassandra = Self { watch };
        let out = Command::new(SCRIPT).arg("start").arg(library).arg(folder).output()?;
        if !out.status.success() {
            return Err(Failure::new(format!("Cassandra: {}", String::from_utf8_lossy(&out.stderr).trim())));
        }
        Ok((cassandra, String::from_utf8_lossy(&out.stdout).trim().to_owned()))
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        // Fails only where it has ended already.
        let _ = self.watch.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        let mut options = Options::default();
        assert!(options.missing().unwrap().contains("NATS_SERVER"));
        options.nats_server = Some("nats-server".into());
        assert!(options.missing().unwrap().contains("CASSANDRA_LIBRARY"));
        options.cql = Some("127.0.0.1:9042".to_owned());
        assert_eq!(options.missing(), None);
    }
}
