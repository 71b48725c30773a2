//! Group commit: jobs committed together don't touch one another, and a failing disk is never taken for a working one.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use parlance::store::Sqlite;
use parlance::store::sqlite::{Options, Synchronous};
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{AppendError, ClaimKind, StoreError};
use parlance_schema::id::TENANT_DEFAULT;

use crate::store::sample::{self, append, client_id, numbers, post, renamed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_jobs_do_not_harm_their_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &Options::default()).unwrap());
    let used = sample::message(&store).await;
    let (first, by) = (sample::room(&store).await, sample::user(&store).await);
    store.append(append(first, vec![sample::post_as(1, by, used)])).await.unwrap();
    for round in 0..5 {
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..100 {
            let room = sample::room(&store).await;
            let good = append(room, vec![post(&store, 1, by).await]);
            let job = match at % 5 {
                // One fails half-way, when its first entry is written already.
                0 => append(room, vec![renamed(1, by), sample::post_as(2, by, used)]),
                1 => append(first, vec![renamed(1, by)]),
                2 => append(
                    first,
                    vec![
                        renamed(2 + round, by),
                        parlance_schema::entry::Entry { client_id: client_id("own-1"), ..renamed(3 + round, by) },
                    ],
                ),
                _ => good,
            };
            let store = Arc::clone(&store);
            tasks.spawn(async move { (at, room, store.append(job).await) });
        }
        for (at, room, done) in tasks.join_all().await {
            let kept = numbers(&*store, room).await;
            match (at % 5, done) {
                (0, Err(AppendError::Store(StoreError::Corrupt(_)))) => assert!(kept.is_empty()),
                (1, Err(AppendError::Conflict { last })) => assert_eq!(last, round + 1),
                (2, Err(AppendError::Duplicate(which))) => assert_eq!(which, [(1, 1)]),
                (3 | 4, Ok(())) => assert_eq!(kept, [1]),
                (_, done) => panic!("{at}: {done:?}"),
            }
        }
        store.append(append(first, vec![renamed(2 + round, by)])).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_stays_small_while_others_read_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let pages: u32 = 64;
    let options = Options { checkpoint_pages: pages, synchronous: Synchronous::Off, ..Options::default() };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &options).unwrap());
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    sample::fill(&store, room, by, 400).await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Arc::clone(&store);
        readers.spawn(async move { while store.wake(room).await.is_ok() {} });
    }
    for seq in 401..=1_400 {
        store.append(append(room, vec![post(&store, seq, by).await])).await.unwrap();
    }
    readers.shutdown().await;
    let bytes = std::fs::metadata(folder.path().join("parlance.db-wal")).unwrap().len();
    // A thousand appends, and as many message ids, write far more than that.
    assert!(bytes < u64::from(pages) * 16 * 4_096, "{bytes} bytes");
}

/// The environment variable with the data folder of a process whose files can't grow; see below.
const FOLDER: &str = "PARLANCE_TEST_STORE_FOLDER";

/// Bytes that a file may have there, in the shell's blocks of 512 bytes: enough to open a store, not to fill it.
const BLOCKS_MAX: u32 = 400;

/// Writes until the disk fails. Run by the test below in a process of its own; by itself it has nothing to do.
#[test]
fn in_a_process_whose_files_cannot_grow() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let fatal = Arc::new(move |why: &str| hook.lock().unwrap().push(why.to_owned()));
    let options = Options { fatal, ..Options::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let acknowledged = runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(Path::new(&folder), &options).unwrap());
        let acknowledged = AtomicU64::new(0);
        loop {
            let next = acknowledged.load(Ordering::Relaxed) + 1;
            match store.claim(TENANT_DEFAULT, ClaimKind::Create, &next.to_string(), next).await {
                Ok(_) => acknowledged.store(next, Ordering::Relaxed),
                Err(StoreError::Unknown(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(told.lock().unwrap().len(), 1, "the hook was told once");
        assert!(told.lock().unwrap()[0].contains("I/O"), "{told:?}");
        // Nothing is written after that; what comes later was certainly not done.
        let late = store.claim(TENANT_DEFAULT, ClaimKind::Create, "late", 1).await;
        assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
        assert!(!store.health().await.writable);
        acknowledged.load(Ordering::Relaxed)
    });
    std::fs::write(Path::new(&folder).join("told"), acknowledged.to_string()).unwrap();
}

#[tokio::test]
async fn an_error_of_the_disk_is_fatal_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS_MAX}; exec \"$0\" --exact \"$1\"");
    let child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg("store::groups::in_a_process_whose_files_cannot_grow")
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{:?} {}", child.status.signal(), String::from_utf8_lossy(&child.stdout));
    let acknowledged: u64 = std::fs::read_to_string(folder.path().join("told")).unwrap().parse().unwrap();
    assert!(acknowledged > 5);
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &Options::default()).unwrap());
    for target in 1..=acknowledged {
        let holder = store.claim(TENANT_DEFAULT, ClaimKind::Create, &target.to_string(), 1 << 40).await.unwrap();
        assert_eq!(holder, target, "what was acknowledged is there");
    }
}
