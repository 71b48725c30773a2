//! Wall clocks that jump: a library (`tests/clock/shim.c`) in each node adds to it what a file says.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::server::Setup;

/// A node's clock.
pub struct WallClock {
    file: std::fs::File,
    path: PathBuf,
}

impl WallClock {
    /// One that is right.
    pub fn new(path: PathBuf) -> Self {
        let file = std::fs::File::create(&path).unwrap();
        let clock = Self { file, path };
        clock.jump(0);
        clock
    }

    /// Has a server live by it.
    pub fn in_use(&self, setup: Setup, library: &Path) -> Setup {
        setup.variable("LD_PRELOAD", library.to_str().unwrap()).variable("CLOCK_OFFSET", self.path.to_str().unwrap())
    }

    /// Is off by so many seconds from now on.
    pub fn jump(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}
