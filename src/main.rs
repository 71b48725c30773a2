//! The binary: the command line on the real backends.

use std::process::ExitCode;

/// Small objects that one thread makes and another drops are what a message consists of; glibc's allocator takes locks
/// and merges chunks for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    parlance::cli::run(&parlance::compose::Real)
}
