//! The binary: the command line on the real backends.

use std::process::ExitCode;

fn main() -> ExitCode {
    parlance::cli::run(&parlance::compose::Real)
}
