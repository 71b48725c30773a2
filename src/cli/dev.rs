//! `parlance dev`: what tests and measurements need, and nobody else.

use std::io::Write;

use clap::Subcommand;
use parlance_actors::ids::Ids;
use parlance_actors::node;
use parlance_schema::RoomId;

use super::{Backend, Failure};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Brings a room's log up to a number of entries
    Fill {
        /// The room's id
        #[arg(long)]
        room: u64,
        /// How many entries its log shall have
        #[arg(long)]
        entries: u64,
    },
}

pub(super) async fn execute(
    backend: &dyn Backend,
    config: &Config,
    command: Command,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let Command::Fill { room, entries } = command;
    let room = RoomId::try_from(room).map_err(|error| Failure::Other(error.to_string()))?;
    let store = backend.open_store(config).await?;
    let ids = Ids::new(store.clone());
    let added = node::fill(store.as_ref(), &ids, backend.clock().now(), room, entries).await;
    let added = added.map_err(|error| Failure::Other(error.to_string()))?;
    Ok(writeln!(out, "{added} entries added")?)
}
