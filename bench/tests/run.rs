//! The whole way of a measurement, on the bare servers: started, loaded, measured, ended, cleaned up.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance-bench"));
    command.args(["run", "--rounds", "1", "--seconds", "0.5", "--scratch"]).arg(dir).args(args);
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn measures_the_ceilings_and_cleans_up() {
    let dir = folder("ceilings");
    let json = dir.with_extension("json");
    let out = run(&dir, &["--ceilings", "--row", "resume", "--row", "acks", "--json", json.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(is_empty(&dir));
    let lines = std::fs::read_to_string(&json).unwrap();
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["row", "value", "unit", "ceiling", "ratio", "target", "holds"] {
            assert!(line.get(key).is_some(), "{key} is missing in {line}");
        }
        assert!(line["ceiling"].as_f64().unwrap() > 0.0);
        // Nothing holds of a server that was not measured.
        assert!(line["value"].is_null() && line["holds"] == false);
    }
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("| row "));
    std::fs::remove_dir(dir).unwrap();
    std::fs::remove_file(json).unwrap();
}

#[test]
fn a_server_that_does_not_start_is_a_row_that_fails() {
    let dir = folder("no-server");
    let out = run(&dir, &["--row", "acks", "--server", "/bin/false"]);
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).contains("| NO "));
    assert!(is_empty(&dir));
    std::fs::remove_dir(dir).unwrap();
}

#[test]
fn a_cluster_s_row_without_servers_says_what_is_missing() {
    let dir = folder("no-servers");
    let args = ["--row", "remote-ack", "--ceilings"];
    let out = command(&dir, &args).env_remove("NATS_SERVER").env_remove("CASSANDRA_LIBRARY").output().unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).contains("NATS_SERVER"));
    assert!(is_empty(&dir));
    std::fs::remove_dir(dir).unwrap();
}
