//! SIGKILL of the server under appends: nothing acknowledged is lost, no number is missing or twice, no command is done twice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parlance::store::Scylla;
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{AppendError, LogStore, StoreError};
use parlance_schema::entry::Entry;
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{RoomId, UserId};
use tokio::task::JoinSet;

use crate::bed;
use crate::store::sample::{self, ALL, append, client_id, renamed};

/// The variable that names the folder with the server's program files.
const LIBRARY: &str = "PARLANCE_TEST_CASSANDRA";

/// How long anything may take that a test waits for.
const WITHIN: Duration = Duration::from_secs(120);

/// A server that a test may kill.
struct Server {
    library: String,
    folder: PathBuf,
}

impl Server {
    fn script(&self, words: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/cassandra");
        let done = Command::new(script).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn start(&self) -> String {
        self.script(&["start", &self.library, self.folder.to_str().unwrap()])
    }

    fn kill(&self) {
        self.script(&["stop", self.folder.to_str().unwrap(), "KILL"]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One owner of a room: appends under names of its own until it is told to end, and tells what was acknowledged.
async fn own(store: Arc<Scylla>, room: RoomId, owner: u64, by: UserId, until: Arc<AtomicU64>) -> Vec<String> {
    let (mut acknowledged, mut at, mut round) = (Vec::new(), 0, 0_u64);
    while until.load(Ordering::SeqCst) == 0 {
        let count = (LOG_BUCKET - at % LOG_BUCKET).min(8);
        let names: Vec<String> = (0..count).map(|place| format!("{owner}-{round}-{place}")).collect();
        let entry =
            |(seq, name): (u64, &String)| Entry { client_id: client_id(name), append: round, ..renamed(seq, by) };
        let entries: Vec<Entry> = (at + 1..).zip(&names).map(entry).collect();
        match store.append(append(room, entries)).await {
            Ok(()) => {
                acknowledged.extend(names);
                (at, round) = (at + count, round + 1);
            }
            Err(AppendError::Conflict { last }) => at = last,
            // A try of unknown outcome was done after all: that is found under its names, all of them.
            Err(AppendError::Duplicate(which)) => {
                assert_eq!(which.len() as u64, count, "an append is done whole or not at all: {which:?}");
                acknowledged.extend(names);
                round += 1;
            }
            Err(AppendError::Store(StoreError::Unknown(_) | StoreError::Unavailable(_))) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                // What is in doubt is asked for again, in the same words.
                if let Ok(Some(waking)) = store.wake(room).await {
                    at = waking.tail.last().map_or(at, |last| last.seq);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing() {
    let Ok(library) = std::env::var(LIBRARY) else { panic!("{LIBRARY} says nothing: `./test cql` sets it") };
    let folder = tempfile::tempdir().unwrap();
    let server = Server { library, folder: folder.path().to_owned() };
    let options = parlance::store::scylla::Options { nodes: vec![server.start()], ..bed::options("parlance_crash") };
    let owners = [Scylla::open(options.clone()).await.unwrap(), Scylla::open(options).await.unwrap()].map(Arc::new);
    let port: Arc<dyn Store> = owners[0].clone();
    let (rooms, by) = ([sample::room(&port).await, sample::room(&port).await], sample::user(&port).await);
    let until = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    // One room has an owner, one has two that each believe that they are the only one.
    for (room, owner) in [(0, 0), (1, 0), (1, 1)] {
        let (store, until, name) = (owners[owner].clone(), until.clone(), owner as u64);
        let room_id = rooms[room];
        tasks.spawn(async move { (room, own(store, room_id, name, by, until).await) });
    }
    for _ in 0..2 {
        let grown = async |by: usize| {
            let before = all(&owners[0], rooms[0]).await.len();
            let waited = tokio::time::timeout(WITHIN, async {
                while all(&owners[0], rooms[0]).await.len() < before + by {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
            waited.await.expect("appends go on");
        };
        grown(160).await;
        server.kill();
        server.start();
        grown(160).await;
    }
    until.store(1, Ordering::SeqCst);
    let acknowledged = tasks.join_all().await;
    // Read by one who has seen none of it.
    for (room, id) in rooms.into_iter().enumerate() {
        let kept = all(&owners[1], id).await;
        assert!(kept.iter().map(|e| e.seq).eq(1..=kept.len() as u64), "no number is missing or twice");
        let mut names: Vec<&str> = kept.iter().map(|e| e.client_id.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "no command is done twice");
        for name in acknowledged.iter().filter(|(of, _)| *of == room).flat_map(|(_, names)| names) {
            assert!(names.binary_search(&name.as_str()).is_ok(), "{name} was acknowledged and is lost");
        }
    }
}

/// All of a log, once the store can be read: after the server was away, that takes some seconds.
async fn all(store: &Scylla, room: RoomId) -> Vec<Arc<Entry>> {
    let read = tokio::time::timeout(WITHIN, async {
        loop {
            match store.entries(room, ALL).await {
                Ok(entries) => return entries,
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    });
    read.await.expect("the store can be read again")
}
