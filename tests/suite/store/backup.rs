//! Copies of the embedded store, made while it is used.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlance::store::Sqlite;
use parlance::store::sqlite::{BackupError, Options, backup};
use parlance_actors::ports::Store;
use parlance_schema::Seq;

use crate::store::sample::{self, append, client_id, numbers, post};

/// Opens a copy as a store, as one does to restore it.
fn restore(copy: &Path, folder: &Path) -> Arc<dyn Store> {
    std::fs::copy(copy, folder.join("parlance.db")).unwrap();
    Arc::new(Sqlite::open(folder, &Options::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_while_writing_is_consistent_and_of_another_epoch() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options { checkpoint_pages: 50, ..Options::default() };
    let sqlite = Arc::new(Sqlite::open(folder.path(), &options).unwrap());
    let store: Arc<dyn Store> = Arc::clone(&sqlite) as _;
    let stop = Arc::new(AtomicBool::new(false));
    let (mut rooms, mut tasks) = (Vec::new(), tokio::task::JoinSet::new());
    let by = sample::user(&store).await;
    for _ in 0..6 {
        let room = sample::room(&store).await;
        rooms.push(room);
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut seq = 0;
            while !stop.load(Ordering::Relaxed) {
                seq += 1;
                store.append(append(room, vec![post(&store, seq, by).await])).await.unwrap();
            }
            seq
        });
    }
    let mut epochs = vec![store.epoch()];
    let mut ends = vec![0; rooms.len()];
    for at in 0..4 {
        let copy = copies.path().join(format!("copy {at}.db"));
        let before = store.entries(rooms[0], sample::ALL).await.unwrap().len();
        if at % 2 == 0 {
            sqlite.backup(&copy).await.unwrap();
        } else {
            // As another process does, which knows only the folder.
            let (from, to) = (folder.path().to_owned(), copy.clone());
            tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap().unwrap();
        }
        let restored = tempfile::tempdir().unwrap();
        let restored_store = restore(&copy, restored.path());
        epochs.push(restored_store.epoch());
        for (room, end) in rooms.iter().zip(&mut ends) {
            let kept = numbers(&*restored_store, *room).await;
            let last = kept.len() as u64;
            assert!(kept.into_iter().eq(1..=last));
            if let Some(waking) = restored_store.wake(*room).await.unwrap() {
                assert_eq!(waking.tail.len() as u64, last);
                let own = client_id(format!("own-{last}"));
                assert_eq!(restored_store.find(*room, by, &own, Seq::MAX).await.unwrap(), Some(last));
            }
            assert!(last >= *end);
            *end = last;
        }
        assert!(ends[0] >= before as u64, "what was acknowledged before the copy is in it");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(tasks.join_all().await.into_iter().all(|last| last > 0));
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 5, "every copy has an epoch of its own");
    let left: Vec<_> = std::fs::read_dir(copies.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "nothing else is left beside the copies: {left:?}");
}

#[tokio::test]
async fn a_copy_replaces_nothing() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = copies.path().join("copy.db");
    assert!(matches!(backup(folder.path(), &to), Err(BackupError::Missing(_))));
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &Options::default()).unwrap());
    let room = sample::room(&store).await;
    std::fs::write(&to, b"precious").unwrap();
    assert!(matches!(backup(folder.path(), &to), Err(BackupError::Exists(_))));
    assert_eq!(std::fs::read(&to).unwrap(), b"precious");
    assert!(backup(folder.path(), &copies.path().join("no such folder/copy.db")).is_err());
    // What an earlier try left behind is no hindrance, and the server need not run.
    let to = copies.path().join("second.db");
    std::fs::write(copies.path().join("second.db.partial"), b"half").unwrap();
    drop(store);
    backup(folder.path(), &to).unwrap();
    let restored = tempfile::tempdir().unwrap();
    assert!(sample::room(&restore(&to, restored.path())).await > room);
}
