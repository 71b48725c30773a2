//! Measures parlance beside bare ceilings on the same machine, in one run, and prints one table.
//!
//! `run` and `compare` drive everything; the other commands are the processes that it starts, each pinned to a core: the bare servers,
//! and the generator that loads them and the real one alike.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ceiling;
mod chat_service;
mod child;
mod cluster;
mod compare;
mod engine;
mod failure;
mod generate;
mod http;
mod keyspace;
mod native;
mod procfs;
mod rows;
mod run;
mod sentences;
mod servers;
mod stats;
mod table;
mod wire;
mod world;
mod ws;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Measures parlance beside bare ceilings.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures all rows, or some, and prints one table.
    Run(run::Options),
    /// Runs a command on one core, until its parent ends.
    #[command(hide = true)]
    Pinned(child::Pinned),
    /// Loads a server and tells what was seen.
    #[command(hide = true)]
    Generate(generate::Options),
    /// Measures an old binary and a new one in turns, and prints one table.
    Compare(compare::Options),
    /// Serves the bare fan-out.
    #[command(hide = true)]
    CeilingFanout(ceiling::fanout::Options),
    /// Runs the bare group commit.
    #[command(hide = true)]
    CeilingStore(ceiling::store::Options),
    /// Runs the bare group commit on a CQL server.
    #[command(hide = true)]
    CeilingCql(ceiling::cql::Options),
    /// Inserts an import's rows, bare.
    #[command(hide = true)]
    CeilingImport(ceiling::import::Options),
    /// Reads what a room wakes from, bare.
    #[command(hide = true)]
    CeilingWake(ceiling::wake::Options),
}

fn say(result: &impl serde::Serialize) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(result)?)?)
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => run::main(&options),
        Command::Pinned(options) => child::pinned(&options),
        Command::Generate(options) => generate::main(options).and_then(|m| say(&m)),
        Command::Compare(options) => compare::main(&options),
        Command::CeilingFanout(options) => ceiling::fanout::main(options),
        Command::CeilingStore(options) => ceiling::store::main(&options).and_then(|m| say(&m)),
        Command::CeilingCql(options) => ceiling::cql::main(&options).and_then(|m| say(&m)),
        Command::CeilingImport(options) => ceiling::import::main(&options).and_then(|m| say(&m)),
        Command::CeilingWake(options) => ceiling::wake::main(&options).and_then(|m| say(&m)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is gone there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "parlance-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
