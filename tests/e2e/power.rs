//! Power failures under load. Killing a process spares the kernel's page cache; here all that was not synced is taken
//! back, by a library (`tests/powerfail/shim.c`) that is loaded into the server.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::checker;
use crate::server::{Setup, skip};
use crate::shim;
use crate::stage::Stage;

const ROUNDS: usize = 5;

/// Adds the library to a server's set-up; opening the FIFO for writing is the failure.
fn exposed(setup: Setup, library: &Path, fifo: &Path) -> Setup {
    std::fs::create_dir_all(&setup.data).unwrap();
    let (data, library) = (setup.data.to_str().unwrap().to_owned(), library.to_str().unwrap());
    setup
        .variable("LD_PRELOAD", library)
        .variable("POWERFAIL_FOLDER", &data)
        .variable("POWERFAIL_FIFO", fifo.to_str().unwrap())
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Has the power fail again and again under load; what the library said each time.
/// Messages are long, so that the write-ahead log is copied back into the database meanwhile.
async fn fail(stage: &mut Stage, fifo: &Path, rounds: usize) -> Vec<String> {
    let traffic = stage.traffic_of(3, 150);
    let mut said = Vec::new();
    for round in 0..rounds {
        stage.acked_more(200 + round as u64 * 61).await;
        std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
        let status = stage.server.ended().await;
        assert_eq!(status.code(), Some(137), "{}", stage.server.said());
        let taken = stage.server.said_in_the_end();
        said.push(taken.lines().find(|line| line.starts_with("powerfail:")).unwrap_or_default().to_owned());
        stage.server.restart().await;
    }
    stage.acked_more(20).await;
    traffic.stop().await;
    said
}

async fn staged() -> Option<(Stage, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let library = match shim::build("powerfail/shim.c", folder.path()) {
        Ok(library) => library,
        Err(error) => {
            skip(&format!("no power failures: there is no C compiler ({error}); apt-get install gcc"));
            return None;
        }
    };
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    Some((Stage::set_with(4, 6, |setup| exposed(setup, &library, &fifo)).await, folder))
}

/// The store's part of `/health`.
async fn durability(stage: &Stage) -> Value {
    let (_, health) = stage.server.get("/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    health["checks"]["store"]["durability"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_failure_loses_nothing_that_was_acknowledged() {
    let Some((mut stage, folder)) = staged().await else { return };
    assert_eq!(durability(&stage).await, "disk");
    let said = fail(&mut stage, &folder.path().join("fifo"), ROUNDS).await;
    for line in &said {
        assert!(!line.contains("syncs=0"), "the server syncs: {line}");
    }
    assert!(said.iter().any(|line| !line.contains("writes=0")), "some failure met unsynced writes: {said:?}");
    let database = stage.server.setup.data.join("parlance.db").metadata().unwrap().len();
    assert!(database > 4_000_000, "the log was copied back into the database, which has {database} bytes");
    let counts = stage.judge().await;
    println!("{ROUNDS} failures: {counts}\n{said:#?}");
}

/// The same without syncs must lose acknowledged messages, or the test above would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncs_a_power_failure_loses_acknowledged_messages() {
    let Some((mut stage, folder)) = staged().await else { return };
    // The rooms are there for good; what comes after that is not synced.
    stage.server.terminate();
    assert!(stage.server.ended().await.success());
    let careless = stage.server.setup.clone().variable("PARLANCE_DEV_SYNCHRONOUS", "off");
    stage.server.restart_as(careless).await;
    assert_eq!(durability(&stage).await, "memory");
    let said = fail(&mut stage, &folder.path().join("fifo"), 1).await;
    let resets: u64 = stage.clients.iter().map(|client| client.see(|state| state.resets)).sum();
    assert!(resets > 0, "clients that are ahead are told to reset");
    let (journals, _data, _server) = stage.close().await;
    let counts = checker::loses(&journals);
    println!("1 failure: {counts}\n{said:#?}");
}
