//! Runs the checker, a program of its own that shares nothing with the server.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checker").join(name)
}

fn python() -> Command {
    let mut python = Command::new("python3");
    python.arg("-B");
    python
}

/// Has the journals of a folder judged; `None` when a rule is broken.
fn judge(folder: &Path, flags: &[&str]) -> (bool, Value) {
    let out = python().arg(script("check.py")).args(flags).arg(folder).output().expect("python3 runs the checker");
    let text = String::from_utf8_lossy(&out.stdout);
    let summary = serde_json::from_str(text.trim()).unwrap_or_else(|_| {
        panic!("the checker said {text:?} and {:?}", String::from_utf8_lossy(&out.stderr));
    });
    (out.status.success(), summary)
}

/// Nothing was lost, repeated or reordered; returns the checker's counts.
pub fn holds(folder: &Path) -> Value {
    let (held, summary) = judge(folder, &[]);
    assert!(held, "{summary}");
    summary
}

/// Acknowledged messages were lost.
pub fn loses(folder: &Path) -> Value {
    let (lost, summary) = judge(folder, &["--expect-loss"]);
    assert!(lost, "nothing was lost, so this test would not notice a loss: {summary}");
    summary
}

#[test]
fn the_checker_refuses_broken_journals() {
    let out = python().args(["-m", "unittest", "-q", "test_check"]).current_dir(script("")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
