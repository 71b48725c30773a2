//! What a running server does when it gets a signal.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::raw::PATIENCE;
use crate::server::Server;
use crate::stage::folder;

fn write(path: &Path, rates: &str) {
    std::fs::write(path, format!("[rates]\n{rates}\n")).unwrap();
}

async fn signal(server: &Server, signal: Signal, told: &str) {
    for node in &server.nodes {
        node.signal(signal);
    }
    let deadline = Instant::now() + PATIENCE;
    while server.nodes.iter().any(|node| !node.said().contains(told)) {
        assert!(Instant::now() < deadline, "{told:?} should be logged: {}", server.said());
        sleep(Duration::from_millis(10)).await;
    }
}

/// The status of a login with a wrong password.
async fn attempt(server: &Server) -> u16 {
    server.post("/v1/auth/login", "", &json!({"username": "nobody", "password": "wrong horse battery"})).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_read_again_and_a_mistake_changes_nothing() {
    let (folder, setup) = folder();
    let file = folder.path().join("settings.toml");
    write(&file, "attempts_per_s = 0");
    let setup = setup.argument("--config").argument(&file.display().to_string()).set("log.filter", "info");
    let mut server = setup.start().await;
    let many = 8 * server.nodes.len();
    for _ in 0..many {
        assert_eq!(attempt(&server).await, 401);
    }
    write(&file, "attempts_per_s = 0.001\nattempts_burst = 1");
    signal(&server, Signal::HUP, "rates.attempts_burst, rates.attempts_per_s").await;
    let refused = async |server: &Server| {
        let mut refused = 0;
        for _ in 0..many {
            refused += usize::from(attempt(server).await == 429);
        }
        refused
    };
    // Each node lets one in.
    assert_eq!(refused(&server).await, many - server.nodes.len());
    write(&file, "attempts_per_s = nan");
    signal(&server, Signal::HUP, "the old ones stay").await;
    assert!(server.said().contains("rates.attempts_per_s"), "{}", server.said());
    assert_eq!(refused(&server).await, many);
    for (other, told) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        signal(&server, other, told).await;
    }
    assert_eq!(refused(&server).await, many);
    for node in &mut server.nodes {
        assert!(!node.has_ended());
        node.terminate();
        assert!(node.ended().await.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_without_a_file_ends_nothing() {
    let (_folder, setup) = folder();
    let mut server = setup.set("log.filter", "info").start().await;
    signal(&server, Signal::HUP, "none has changed").await;
    for node in &mut server.nodes {
        assert!(!node.has_ended());
    }
    assert_eq!(attempt(&server).await, 401);
}
