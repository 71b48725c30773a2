//! Wall clocks that jump: a library (`tests/clock/shim.c`) in each node adds to it what a file says.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Setup;

/// Builds the library.
pub fn build(folder: &Path) -> PathBuf {
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clock/shim.c");
    let built = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).output();
    let built = built.expect("a C compiler, as the server's build needs one");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

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
