//! What is in the database, other than what changes by itself: ids taken in advance, a probe, snapshots, when users were seen,
//! marks of rooms whose consumers may have work, and how far these have got.

use std::path::Path;

use futures_util::future::join_all;
use rusqlite::{Connection, OpenFlags};
use scylla::client::session::Session;
use scylla::value::Row;
use sha2::{Digest, Sha256};

use crate::cluster;
use crate::server::Setup;

/// Tables that change by themselves: on a CQL server also the hints where logs end, and the index of client ids, which is
/// written from the log when a room goes to sleep or wakes elsewhere.
const RESTLESS: [&str; 13] = [
    "meta",
    "probe",
    "id_block",
    "snapshot",
    "account_seen",
    "room",
    "pair",
    "work_owner",
    "work_mark",
    "due_mark",
    "due_hour",
    "feed_cursor",
    "fence",
];
/// Tables of the embedded database that do.
const RESTLESS_EMBEDDED: [&str; 7] = ["meta", "id_block", "snapshot", "work_mark", "due_mark", "feed_cursor", "fence"];

/// A look at the database from outside.
pub enum Database {
    /// The embedded one, and what was seen of it last: the number that changes with each commit of somebody else.
    Embedded { file: Connection, version: i64, digest: String },
    /// A keyspace. Looking at it takes long, and there is no such number.
    Keyspace { session: Box<Session>, name: String, tables: Vec<String>, digest: String },
}

impl Database {
    /// Opens it as it is now.
    pub async fn open(setup: &Setup) -> Self {
        let mut database = match (setup.keyspace(), cluster::server()) {
            (Some(name), Some(server)) => {
                let session = Box::new(cluster::session(&server).await);
                let mut tables = cluster::tables(&session, name).await;
                assert!(tables.iter().any(|table| table == "room_log"), "{tables:?}");
                tables.retain(|table| !RESTLESS.contains(&table.as_str()));
                Self::Keyspace { session, name: name.to_owned(), tables, digest: String::new() }
            }
            _ => Self::Embedded { file: embedded(&setup.data), version: -1, digest: String::new() },
        };
        database.changed(true).await;
        database
    }

    /// The tables in which something is there that was not, or the reverse, since this was asked last; none where there are
    /// none. Where looking takes long it is only done `now`.
    pub async fn changed(&mut self, now: bool) -> Option<String> {
        let (before, after) = match self {
            Self::Embedded { file, version, digest } => {
                let found = file.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap();
                if std::mem::replace(version, found) == found {
                    return None;
                }
                let found = digest_of_file(file);
                (std::mem::replace(digest, found.clone()), found)
            }
            Self::Keyspace { .. } if !now => return None,
            Self::Keyspace { session, name, tables, digest } => {
                let found = join_all(tables.iter().map(|table| digest_of_table(session, name, table))).await.concat();
                (std::mem::replace(digest, found.clone()), found)
            }
        };
        let odd: Vec<_> = after.lines().filter(|line| !before.lines().any(|other| other == *line)).collect();
        (!odd.is_empty()).then(|| odd.join(", "))
    }
}

fn embedded(data: &Path) -> Connection {
    Connection::open_with_flags(data.join("parlance.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn digest_of_file(file: &Connection) -> String {
    let mut tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(tables.iter().any(|table| table == "room_log"), "{tables:?}");
    let mut digests = String::new();
    for table in tables.iter().filter(|table| !RESTLESS_EMBEDDED.contains(&table.as_str())) {
        let mut rows = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let names: Vec<String> = rows.column_names().map(str::to_owned).collect();
        let mut rows = rows.query([]).unwrap();
        let mut hash = Sha256::new();
        while let Some(row) = rows.next().unwrap() {
            for (at, name) in names.iter().enumerate().filter(|(_, name)| *name != "last_seen") {
                hash.update(format!("{name}={:?};", row.get_ref(at).unwrap()));
            }
        }
        digests += &format!("{table} {:x}\n", hash.finalize());
    }
    digests
}

async fn digest_of_table(session: &Session, keyspace: &str, table: &str) -> String {
    let query = format!("SELECT * FROM {keyspace}.{table}");
    let found = session.query_unpaged(query, ()).await.unwrap().into_rows_result().unwrap();
    let mut hash = Sha256::new();
    for row in found.rows::<Row>().unwrap() {
        hash.update(format!("{:?};", row.unwrap().columns));
    }
    format!("{table} {:x}\n", hash.finalize())
}
