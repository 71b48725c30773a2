//! `parlance migrate`: moves an installation from one store to another.

use std::io::Write;

use clap::Subcommand;

use super::{Backend, Failure};
use crate::config::Config;

/// Stores to move between.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Moves the data folder's store into the keyspace of [store.scylla]; again to go on where it was interrupted
    SqliteToScylla,
}

pub(super) async fn execute(
    backend: &dyn Backend,
    config: &Config,
    command: &Command,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let Command::SqliteToScylla = command;
    backend.sqlite_to_scylla(config, out).await?;
    Ok(writeln!(out, "moved and compared; set store.kind = \"scylla\", and keep the data folder for its keys")?)
}
