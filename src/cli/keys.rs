//! `parlance keys`: the keys that sign access tokens.

use std::io::Write;
use std::path::Path;

use clap::Subcommand;

use super::{Backend, Failure};
use crate::auth::keys;
use crate::config::Config;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a new key in the data folder's keys.json, which signs from now on; a running server takes it up by itself
    Rotate {
        /// Drops all other keys at once, not when their last token has expired: all access tokens are void
        #[arg(long)]
        drop_old: bool,
    },
}

/// Runs a command. Where `is_named`, the command line names the data folder.
///
/// # Errors
/// When the keys can't be read or written, or the keys in use are elsewhere and no folder was named to make others in.
pub(super) fn execute(
    backend: &dyn Backend,
    config: &Config,
    is_named: bool,
    command: &Command,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let Command::Rotate { drop_old } = command;
    let (used, file) = (&config.auth.keys_file, config.data.dir.join(keys::FILE));
    let is_elsewhere = !used.as_os_str().is_empty() && !is_same(used, &file);
    if is_elsewhere && !is_named {
        let (used, file) = (used.display(), file.display());
        let flag = if *drop_old { " --drop-old" } else { "" };
        return Err(Failure::Other(format!(
            "the keys in use are in {used} (auth.keys_file), which servers are given and never write, and this command would \
             change {file}, which no server reads\nCopy {used} to a folder DIR of its own as keys.json, run `parlance --data \
             DIR keys rotate{flag}`, and give all nodes DIR/keys.json in the place of {used}."
        )));
    }
    let (kid, count) = keys::rotate(&config.data.dir, &*backend.random(), backend.clock().now(), *drop_old)?;
    writeln!(out, "{kid} signs; {count} in the ring")?;
    if is_elsewhere {
        let (used, file) = (used.display(), file.display());
        writeln!(out, "That is in {file}; servers read {used} (auth.keys_file): put the new file in its place.")?;
    }
    Ok(())
}

/// Whether both are the same file, however they are written.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}
