//! The CQL server: one Apache Cassandra node, which syncs its commit log before it answers.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::net::HUB;

/// A server that can be killed and started again.
pub struct Cassandra {
    folder: TempDir,
    pub address: String,
}

fn script(words: &[&str], folder: &Path) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/cassandra");
    let out = Command::new(path).args(words).arg(folder).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn library() -> PathBuf {
    std::env::var_os("CASSANDRA_LIBRARY").expect("CASSANDRA_LIBRARY names its jars: ./test chaos gets them").into()
}

impl Cassandra {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("address"), format!("{HUB}\n")).unwrap();
        let mut server = Self { folder, address: String::new() };
        server.run();
        server
    }

    /// Starts it, again if it ran before, and waits until it answers.
    pub fn run(&mut self) {
        self.address = script(&["start", &library().to_string_lossy()], self.folder.path());
    }

    /// Kills it as a lost machine would.
    pub fn kill(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/cassandra");
        let status = Command::new(path).arg("stop").arg(self.folder.path()).arg("KILL").status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        self.kill();
    }
}
