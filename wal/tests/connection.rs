//! A database whose log is gathered, beside one whose log is not.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("parlance-wal-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn prepare(db: &Connection) {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(())).unwrap();
    // So few pages that a transaction spills: its frames are written, read back and written again before the commit.
    db.pragma_update(None, "cache_size", 10).unwrap();
    db.execute_batch("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, of BLOB NOT NULL)").unwrap();
}

fn gathered(file: &Path) -> Connection {
    parlance_wal::register().unwrap();
    let db = Connection::open_with_flags_and_vfs(file, OpenFlags::default(), parlance_wal::NAME).unwrap();
    prepare(&db);
    db
}

/// A transaction that touches pages all over the database.
fn work(db: &Connection, seed: i64) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    for at in 0..300_i64 {
        let id = (seed * 7_919 + at * 104_729) % 3_001;
        let of = vec![(seed + at) as u8; 200 + (id % 5_000) as usize];
        db.execute("REPLACE INTO entry VALUES (?1, ?2)", params![id, of])?;
        if at % 7 == 0 {
            db.execute("DELETE FROM entry WHERE id = ?1", [(id * 31) % 3_001])?;
        }
    }
    db.execute_batch("COMMIT")
}

fn all(db: &Connection) -> Vec<(i64, Vec<u8>)> {
    let mut select = db.prepare("SELECT id, of FROM entry ORDER BY id").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn others_see_each_commit_and_the_file_is_whole() {
    let folder = Folder::new("beside");
    let (ours, theirs) = (gathered(&folder.0.join("ours.db")), Connection::open(folder.0.join("theirs.db")).unwrap());
    prepare(&theirs);
    let reader = Connection::open_with_flags(folder.0.join("ours.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    for seed in 0..20 {
        work(&ours, seed).unwrap();
        work(&theirs, seed).unwrap();
        assert_eq!(all(&reader), all(&theirs), "after transaction {seed}");
        if seed % 5 == 4 {
            let state = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
            let (log, copied): (i64, i64) = ours.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], state).unwrap();
            assert_eq!(log, copied, "all of the log is copied back, and it begins anew");
        }
    }
    drop((ours, reader));
    let again = gathered(&folder.0.join("ours.db"));
    assert_eq!(all(&again), all(&theirs));
    let sound: String = again.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn a_transaction_that_is_given_up_leaves_nothing() {
    let folder = Folder::new("rollback");
    let db = gathered(&folder.0.join("ours.db"));
    work(&db, 1).unwrap();
    let before = all(&db);
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    db.execute("DELETE FROM entry WHERE id % 2 = 0", []).unwrap();
    db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(all(&db), before);
    work(&db, 2).unwrap();
    assert_ne!(all(&db), before);
}
