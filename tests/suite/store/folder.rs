//! The data folder of the embedded store: kept over restarts, locked, refused where it can't be right.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use parlance::store::Sqlite;
use parlance::store::sqlite::{OpenError, Options, Synchronous};
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Append, ClaimKind, IdKind, MessageState, ReadMark, Who};
use parlance_schema::id::TENANT_DEFAULT;

use crate::store::sample::{self, ALL, append, post};

fn open(folder: &Path) -> Arc<dyn Store> {
    Arc::new(Sqlite::open(folder, &Options::default()).unwrap())
}

/// Every file of a folder but the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    let files = entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()));
    files.filter(|(name, _)| name != "lock").collect()
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made/on/the/way");
    let store = open(&folder);
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let all = sample::fill(&store, room, by, 50).await;
    let more = Append {
        snapshot: Some(b"folded".to_vec()),
        messages: vec![(7, MessageState { revision: 3, ..MessageState::default() })],
        members: vec![(by, true)],
        ..append(room, vec![post(&store, 51, by).await])
    };
    store.append(more).await.unwrap();
    let mark = ReadMark { seq: 4, posts: 4, own: 4 };
    store.mark_read(room, vec![(by, mark)]).await.unwrap();
    let account = sample::account(by, TENANT_DEFAULT, "ada", Some("ada@example.org"));
    store.create_account(&account).await.unwrap();
    store.claim(TENANT_DEFAULT, ClaimKind::Direct, "1:2", 5).await.unwrap();
    store.audit(5, by, None, "looked around").await.unwrap();
    let (epoch, next) = (store.epoch(), store.take_ids(IdKind::Room, 100).await.unwrap() + 100);
    drop(store);
    assert_eq!(files(&folder).keys().collect::<Vec<_>>(), ["parlance.db"], "the write-ahead log is tidied away");

    let store = open(&folder);
    assert_eq!(store.epoch(), epoch);
    assert!(store.entries(room, ALL).await.unwrap().iter().take(50).map(|e| &**e).eq(&all));
    assert_eq!(store.wake(room).await.unwrap().unwrap().snapshot, Some((51, b"folded".to_vec())));
    assert_eq!(store.messages(room, ALL).await.unwrap()[6].state.as_ref().unwrap().revision, 3);
    assert_eq!(store.rooms_of(by).await.unwrap(), [room]);
    assert_eq!(store.read_marks(room).await.unwrap(), [(by, mark)]);
    assert_eq!(store.account(Who::Email(TENANT_DEFAULT, "ADA@example.org")).await.unwrap(), Some(account));
    assert_eq!(store.claim(TENANT_DEFAULT, ClaimKind::Direct, "1:2", 6).await.unwrap(), 5);
    assert_eq!(store.take_ids(IdKind::Room, 1).await.unwrap(), next);
    drop(store);
    let db = rusqlite::Connection::open(folder.join("parlance.db")).unwrap();
    let noted: (i64, u64, String) = db
        .query_row("SELECT at, by_user, what FROM audit", [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? as u64, row.get(2)?))
        })
        .unwrap();
    assert_eq!(noted, (5, by.get(), "looked around".to_owned()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&folder), mode(&folder.join("parlance.db"))], [0o700, 0o600]);
}

#[tokio::test]
async fn one_process_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let Err(refused) = Sqlite::open(folder.path(), &Options::default()) else { panic!("opened twice") };
    assert!(matches!(refused, OpenError::InUse { .. }));
    let told = refused.to_string();
    assert!(told.contains(folder.path().to_str().unwrap()), "{told}");
    assert!(told.contains(&std::process::id().to_string()), "{told}");
    // The first one goes on, and the folder is free after it.
    sample::room(&store).await;
    drop(store);
    open(folder.path());
}

#[tokio::test]
async fn a_newer_database_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    sample::fill(&store, room, by, 5).await;
    drop(store);
    let db = rusqlite::Connection::open(folder.path().join("parlance.db")).unwrap();
    db.pragma_update(None, "user_version", 4_000).unwrap();
    drop(db);
    let before = files(folder.path());
    let Err(refused) = Sqlite::open(folder.path(), &Options::default()) else { panic!("opened") };
    assert!(matches!(refused, OpenError::Newer { found: 4_000, .. }), "{refused}");
    assert!(files(folder.path()) == before, "nothing was written");
}

#[tokio::test]
async fn a_newer_version_in_the_write_ahead_log_is_seen() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(folder.path()));
    let db = rusqlite::Connection::open(folder.path().join("parlance.db")).unwrap();
    db.pragma_update(None, "user_version", 4_000).unwrap();
    // As a process that was killed leaves it: the version is in the write-ahead log alone.
    for name in ["parlance.db", "parlance.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    drop(db);
    let before = files(copy.path());
    let Err(refused) = Sqlite::open(copy.path(), &Options::default()) else { panic!("opened") };
    assert!(matches!(refused, OpenError::Newer { found: 4_000, .. }), "{refused}");
    let after = files(copy.path());
    for name in ["parlance.db", "parlance.db-wal"] {
        assert!(after[name] == before[name], "{name} was written");
    }
}

#[tokio::test]
async fn other_files_are_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("parlance.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("CREATE TABLE somebody_elses (x)").unwrap();
    drop(db);
    let other = std::fs::read(&file).unwrap();
    for content in [other, b"plain text".to_vec(), vec![0; 5_000]] {
        std::fs::write(&file, &content).unwrap();
        let Err(refused) = Sqlite::open(folder.path(), &Options::default()) else { panic!("opened") };
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
        assert!(std::fs::read(&file).unwrap() == content);
    }
    // A file that was made and not filled is a beginning.
    std::fs::write(&file, b"").unwrap();
    open(folder.path());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    // Nobody, not even root, makes files in /proc.
    for path in [file.as_path(), &file.join("below"), Path::new("/proc"), Path::new("/proc/self")] {
        let Err(refused) = Sqlite::open(path, &Options::default()) else { panic!("opened {}", path.display()) };
        assert!(matches!(refused, OpenError::Io { .. } | OpenError::ReadOnly { .. }), "{refused}");
        assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    }
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write there all the same; everybody else is told why not.
    match Sqlite::open(&closed, &Options::default()) {
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
        Err(refused) => assert!(matches!(refused, OpenError::ReadOnly { .. }), "{refused}"),
    }
}

#[tokio::test]
async fn health_tells_what_an_acknowledgement_is_worth() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(open(folder.path()).health().await.durability, "disk");
    let options = Options { synchronous: Synchronous::Off, ..Options::default() };
    let store = Sqlite::open(folder.path(), &options).unwrap();
    let health = store.health().await;
    assert_eq!((health.backend, health.writable, health.durability), ("sqlite", true, "memory"));
}
