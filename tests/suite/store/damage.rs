//! What is left after the file system lost the end of the write-ahead log: a prefix of what was acknowledged, without a gap.

use std::path::Path;
use std::sync::Arc;

use parlance::store::Sqlite;
use parlance::store::sqlite::{Options, Synchronous};
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Append, StoreError};
use parlance_schema::{RoomId, Seq};

use crate::store::sample::{self, ALL, append, client_id, post};

/// Bytes by which the log is cut shorter each time.
const STEP: usize = 700;

fn put(folder: &Path, database: &[u8], wal: &[u8]) {
    std::fs::write(folder.join("parlance.db"), database).unwrap();
    std::fs::write(folder.join("parlance.db-wal"), wal).unwrap();
}

/// Opens a folder, checks that each room agrees with itself, and returns where the logs end.
async fn check(folder: &Path, rooms: &[RoomId]) -> Vec<Seq> {
    // What is written here is thrown away; a thousand rounds need not wait for the disk.
    let options = Options { synchronous: Synchronous::Off, ..Options::default() };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder, &options).unwrap());
    let mut ends = Vec::new();
    for room in rooms {
        let Some(waking) = store.wake(*room).await.unwrap() else {
            ends.push(0);
            continue;
        };
        let all = store.entries(*room, ALL).await.unwrap();
        assert!(all.iter().map(|e| e.seq).eq(1..=all.len() as Seq), "without a gap");
        let last = waking.snapshot.map_or(0, |(seq, _)| seq) + waking.tail.len() as Seq;
        assert_eq!(last, all.len() as Seq);
        let found = store.find(*room, all[0].by, &client_id(format!("own-{last}")), Seq::MAX).await.unwrap();
        assert_eq!(found, Some(last));
        // The room goes on from what is left.
        let next = append(*room, vec![post(&store, last + 1, all[0].by).await]);
        store.append(next).await.unwrap();
        ends.push(last);
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_write_ahead_log_leaves_a_prefix() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options { checkpoint_pages: u32::MAX, ..Options::default() };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &options).unwrap());
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(sample::room(&store).await);
    }
    let by = sample::user(&store).await;
    for seq in 1..=8 {
        for room in &rooms {
            let snapshot = (seq == 5).then(|| b"five".to_vec());
            let append = Append { snapshot, ..append(*room, vec![post(&store, seq, by).await]) };
            store.append(append).await.unwrap();
        }
    }
    let database = std::fs::read(folder.path().join("parlance.db")).unwrap();
    let wal = std::fs::read(folder.path().join("parlance.db-wal")).unwrap();
    drop(store);

    put(copy.path(), &database, &wal);
    assert_eq!(check(copy.path(), &rooms).await, [8, 8, 8], "nothing cut, nothing lost");
    let mut before = vec![8, 8, 8];
    for length in (0..wal.len()).rev().step_by(STEP) {
        put(copy.path(), &database, &wal[..length]);
        let ends = check(copy.path(), &rooms).await;
        assert!(ends.iter().zip(&before).all(|(now, before)| now <= before), "{ends:?} after {before:?}");
        assert!(ends.is_sorted_by(|a, b| a >= b && a - b <= 1), "in the order of the acknowledgements: {ends:?}");
        before = ends;
    }
    assert_eq!(before, [0, 0, 0]);
    // A log whose middle was damaged ends there.
    let mut damaged = wal.clone();
    damaged[wal.len() / 2] ^= 0xff;
    put(copy.path(), &database, &damaged);
    let ends = check(copy.path(), &rooms).await;
    assert!(ends[0] > 0 && ends[0] < 8, "{ends:?}");
}

#[tokio::test]
async fn a_log_with_a_hole_does_not_wake() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &Options::default()).unwrap());
    let (holed, cut, unreadable) = (sample::room(&store).await, sample::room(&store).await, sample::room(&store).await);
    let by = sample::user(&store).await;
    for room in [holed, cut, unreadable] {
        sample::fill(&store, room, by, 9).await;
    }
    drop(store);
    let db = rusqlite::Connection::open(folder.path().join("parlance.db")).unwrap();
    db.execute("DELETE FROM room_log WHERE room_id = ?1 AND seq = 4", [holed.get() as i64]).unwrap();
    db.execute("DELETE FROM room_log WHERE room_id = ?1 AND seq = 9", [cut.get() as i64]).unwrap();
    db.execute("UPDATE room_log SET entry = x'93' WHERE room_id = ?1 AND seq = 2", [unreadable.get() as i64]).unwrap();
    drop(db);
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &Options::default()).unwrap());
    for room in [holed, cut, unreadable] {
        assert!(matches!(store.wake(room).await, Err(StoreError::Corrupt(_))));
    }
    // From a snapshot after the damage the room can be woken.
    store.save_snapshot(holed, 6, vec![6]).await.unwrap();
    assert_eq!(store.wake(holed).await.unwrap().unwrap().tail.len(), 3);
}
