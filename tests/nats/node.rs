//! Nodes of the real binary: they find each other, leave, and refuse to share a name.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "0hunter42";

struct Node {
    child: Child,
    url: String,
    data: TempDir,
}

/// What a node is told; the rest is as it comes.
fn command(name: &str, servers: &str, data: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data.path()).current_dir(data.path());
    for (setting, value) in [
        ("CLUSTER__NODE", name),
        ("CLUSTER__LEASE_MS", "2000"),
        ("NATS__SERVERS", servers),
        ("NATS__USER", "parlance"),
        ("NATS__PASSWORD", PASSWORD),
        ("STORE__KIND", "memory"),
        ("LOG__FILTER", "debug"),
    ] {
        command.env(format!("PARLANCE_{setting}"), value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Node {
    fn start(name: &str, servers: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(data.path().join("log")).unwrap();
        let mut child = command(name, servers, &data).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let log = || std::fs::read_to_string(data.path().join("log")).unwrap();
        let url = url.unwrap_or_else(|| panic!("{name} does not start:\n{}", log()));
        Self { child, url, data }
    }

    /// Tries to start one that must refuse; what it says.
    fn refused(name: &str, servers: &str, required: bool) -> String {
        let data = tempfile::tempdir().unwrap();
        let mut command = command(name, servers, &data);
        command.env("PARLANCE_NATS__REQUIRED", required.to_string());
        let out = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{said}");
        said
    }

    async fn get(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap().text().await.unwrap()
    }

    async fn bus(&self) -> String {
        let health: Value = serde_json::from_str(&self.get("/health").await).unwrap();
        health["checks"]["bus"]["state"].as_str().unwrap().to_owned()
    }

    /// Waits until the node sees so many, itself included.
    async fn sees(&self, nodes: usize) {
        let deadline = Instant::now() + PATIENCE;
        let line = format!("parlance_nodes {nodes}");
        while !self.get("/metrics").await.lines().any(|there| there == line) {
            assert!(Instant::now() < deadline, "never {nodes} nodes");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells it to stop, and waits for that; what it logged.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        let mut said = String::new();
        std::fs::File::open(self.data.path().join("log")).unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn guarded() -> Server {
    Server::with(&format!("authorization {{ user: parlance, password: \"{PASSWORD}\" }}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_and_share_no_name() {
    let server = guarded();
    let (one, two) = (Node::start("a", &server.url()), Node::start("b", &server.url()));
    one.sees(2).await;
    two.sees(2).await;
    assert_eq!((one.bus().await, two.bus().await), ("nats".into(), "nats".into()));
    let said = Node::refused("a", &server.url(), false);
    assert!(said.contains("another node is called a") && said.contains("cluster.node"), "{said}");
    one.sees(2).await;
    // One leaves in order, and is gone; the other dies, and its next start has its name at once when that has run out.
    let said = two.stop();
    assert!(said.contains("joining") && !said.contains(PASSWORD), "{said}");
    one.sees(1).await;
    drop(one);
    let again = Node::start("a", &server.url());
    again.sees(1).await;
    assert!(!again.stop().contains("another node"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_serves_while_nats_is_away() {
    let mut server = guarded();
    server.kill();
    let node = Node::start("a", &server.url());
    assert_eq!(node.bus().await, "nats: away");
    let said = Node::refused("b", &server.url(), true);
    assert!(said.contains("nats.servers"), "{said}");
    server.run();
    let deadline = Instant::now() + PATIENCE;
    while node.bus().await != "nats" {
        assert!(Instant::now() < deadline, "the node never finds NATS");
        sleep(Duration::from_millis(20)).await;
    }
    let other = Node::start("b", &server.url());
    node.sees(2).await;
    other.sees(2).await;
}
