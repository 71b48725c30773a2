//! The command line: `parlance` alone serves; its other commands look after accounts, keys and backups.
//!
//! What serves, and which store there is, comes from outside as a [`Backend`].

mod dev;
mod feed;
mod import;
mod input;
mod keys;
mod migrate;
mod user;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::{Args, Parser, Subcommand};
use parlance_actors::ports::{Clock, Random, Store};
use parlance_schema::Fault;

use crate::config::{self, Config, Overrides, Sources};
use input::Input;

/// The exit code of a command that did what it was asked but for some rows.
const REFUSED: u8 = 3;

/// What the command line works on.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Serves until the process is told to end; when it is told so, it reads the settings again from where they came.
    async fn serve(&self, config: Config, sources: Sources) -> Result<(), Failure>;

    /// Opens the configured store; where it is a folder, for this process alone.
    ///
    /// # Errors
    /// `InUse` when another process has it.
    async fn open_store(&self, config: &Config) -> Result<Arc<dyn Store>, Failure>;

    /// Makes a consistent copy of the store in a new file; a server may run meanwhile.
    ///
    /// # Errors
    /// When the store can't be read, or the file is there or can't be written.
    async fn backup(&self, config: &Config, to: &Path) -> Result<(), Failure>;

    /// Moves the data folder's store into the configured keyspace, and says what it moved.
    ///
    /// # Errors
    /// When one of them can't be used, has in it what must not be there, or they differ in the end.
    async fn sqlite_to_scylla(&self, config: &Config, out: &mut (dyn Write + Send)) -> Result<(), Failure>;

    /// What the settings may say of dialects.
    fn dialects(&self) -> Vec<config::dialects::Spec>;

    /// The time.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Randomness fit for secrets.
    fn random(&self) -> Arc<dyn Random>;
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another process, most likely the server, has the data folder.
    #[error(
        "{0}\nThe server keeps its data folder to itself while it runs: stop the server, run this command, start it again."
    )]
    InUse(String),
    /// The settings can't be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The keys can't be used.
    #[error(transparent)]
    Keys(#[from] crate::auth::keys::KeyError),
    /// An account's rule or the store said no.
    #[error("{}", .0.detail)]
    Fault(#[from] Fault),
    /// All was done but for some rows; the exit code is 3.
    #[error("{0}")]
    Refused(String),
    /// The terminal or a pipe failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// Real-time messaging on actors: rooms that never lose, repeat or reorder a message.
#[derive(Debug, Parser)]
#[command(name = "parlance", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Common {
    /// The settings' file; ./cluster.toml where there is one
    #[arg(long, global = true, value_name = "FILE", env = config::FILE_VARIABLE)]
    config: Option<PathBuf>,
    /// The data folder; ./data
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
struct Serve {
    /// Address and port to listen on; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Adds /dev/echo, for conformance tests of the socket
    #[arg(long)]
    dev_echo: bool,
    /// Adds /dev/fault, for tests of supervision
    #[arg(long, hide = true)]
    dev_faults: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves; what happens without a command
    Serve(Serve),
    /// Looks after accounts; while the server doesn't run on the same folder
    #[command(subcommand)]
    User(user::Command),
    /// Looks after the keys that sign access tokens; while the server runs, too
    #[command(subcommand)]
    Keys(keys::Command),
    /// Copies the store to a new file, consistently; while the server runs, too
    Backup {
        /// The new file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Brings in another service's data; while the server doesn't run on the same folder
    #[command(subcommand)]
    Import(import::Command),
    /// Moves everything to another store; while the server doesn't run
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Looks after those who follow logs; on an embedded store while the server doesn't run
    #[command(subcommand)]
    Feed(feed::Command),
    /// Prints the version
    Version,
    /// What tests and measurements need
    #[command(subcommand, hide = true)]
    Dev(dev::Command),
}

/// Runs the command line of the process and says how it ended.
#[must_use]
pub fn run(backend: &dyn Backend) -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let (mut input, mut out) = (Input::stdin(), std::io::stdout());
    let done = runtime.block_on(execute(backend, cli, config::environment(&backend.dialects()), &mut input, &mut out));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has read enough.
        Err(Failure::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure @ Failure::Refused(_)) => {
            failed(&failure);
            ExitCode::from(REFUSED)
        }
        Err(failure) => failed(&failure),
    }
}

/// Runs a command line given as words, with what would be typed, into `out`; the way in for tests.
///
/// # Errors
/// What the command failed with; what `clap` refuses is `Other`.
pub async fn run_words(
    backend: &dyn Backend,
    words: impl IntoIterator<Item = impl Into<OsString> + Clone> + Send,
    typed: &str,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let cli = Cli::try_parse_from(words).map_err(|e| Failure::Other(e.to_string()))?;
    execute(backend, cli, Vec::new(), &mut Input::text(typed), out).await
}

fn failed(failure: &Failure) -> ExitCode {
    // Nothing is left to do where even that can't be written.
    let _ = writeln!(std::io::stderr(), "parlance: {failure}");
    ExitCode::FAILURE
}

async fn execute(
    backend: &dyn Backend,
    cli: Cli,
    environment: Vec<(String, String)>,
    input: &mut Input,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let inner = match &cli.command {
        Some(Command::Serve(inner)) => Some(inner),
        _ => None,
    };
    let overrides = Overrides {
        listen: inner.and_then(|s| s.listen).or(cli.serve.listen),
        data: cli.common.data,
        dev_echo: cli.serve.dev_echo || inner.is_some_and(|s| s.dev_echo),
        dev_faults: cli.serve.dev_faults || inner.is_some_and(|s| s.dev_faults),
    };
    let dialects = backend.dialects();
    let sources = Sources { file: cli.common.config, environment, overrides, dialects };
    let config = || sources.read();
    match cli.command {
        None | Some(Command::Serve(_)) => backend.serve(config()?, sources).await,
        Some(Command::User(command)) => user::execute(backend, &config()?, command, input, out).await,
        Some(Command::Keys(command)) => {
            keys::execute(backend, &config()?, sources.overrides.data.is_some(), &command, out)
        }
        Some(Command::Backup { to }) => {
            backend.backup(&config()?, &to).await?;
            Ok(writeln!(out, "{}", to.display())?)
        }
        Some(Command::Import(command)) => import::execute(backend, &config()?, command, input, out).await,
        Some(Command::Migrate(command)) => migrate::execute(backend, &config()?, &command, out).await,
        Some(Command::Feed(command)) => feed::execute(backend, &config()?, command, out).await,
        Some(Command::Dev(command)) => dev::execute(backend, &config()?, command, out).await,
        Some(Command::Version) => Ok(writeln!(out, "parlance {}", env!("CARGO_PKG_VERSION"))?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_needs_no_word() {
        let cli = Cli::try_parse_from(["parlance", "--listen", "127.0.0.1:0", "--data", "d"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen, Some(([127, 0, 0, 1], 0).into()));
        let cli = Cli::try_parse_from(["parlance", "serve", "--dev-echo", "--data", "d"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Serve(Serve { dev_echo: true, .. }))));
        assert_eq!(cli.common.data, Some("d".into()));
    }
}
