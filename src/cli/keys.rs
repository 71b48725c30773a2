//! `parlance keys`: the keys that sign access tokens.

use std::io::Write;

use clap::Subcommand;

use super::{Backend, Failure};
use crate::auth::keys;
use crate::config::Config;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a new key, which signs from now on; a running server takes it up by itself
    Rotate {
        /// Drops all other keys at once, not when their last token has expired: all access tokens are void
        #[arg(long)]
        drop_old: bool,
    },
}

pub(super) fn execute(
    backend: &dyn Backend,
    config: &Config,
    command: &Command,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let Command::Rotate { drop_old } = command;
    let (kid, count) = keys::rotate(&config.data.dir, &*backend.random(), backend.clock().now(), *drop_old)?;
    Ok(writeln!(out, "{kid} signs; {count} in the ring")?)
}
