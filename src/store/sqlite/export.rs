//! All that a store has, page by page in the order of its keys, for moving it elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use parlance_actors::ports::store::{LogStore, ReadMark, StoreError};
use parlance_schema::RoomId;
use rusqlite::{Connection, Row as SqlRow, params_from_iter, types::Value};

use super::append::decode;
use super::fail::{Fail, corrupt, int, uint};
use super::{Sqlite, accounts};
use crate::store::copy::{Place, Row, Source, Stage};

/// How a stage's table is read: its key's columns, those with numbers first, and what is read of it.
struct ExportTable {
    key: &'static [&'static str],
    /// How many of the key's columns are numbers.
    numbers: usize,
    columns: &'static str,
    from: &'static str,
    row: fn(&SqlRow<'_>) -> Result<Row, Fail>,
}

fn table(stage: Stage) -> ExportTable {
    let table = |key, numbers, columns, from, row| ExportTable { key, numbers, columns, from, row };
    match stage {
        Stage::Ids => table(&["kind"], 0, "kind, next_id", "id_block", |row| Ok(Row::Id(row.get(0)?, uint(row, 1)?))),
        Stage::Claims => table(&["tenant", "kind", "key"], 1, "tenant, kind, key, target", "claim", |row| {
            Ok(Row::Claim(id(row, 0)?, row.get(1)?, row.get(2)?, uint(row, 3)?))
        }),
        Stage::Accounts => {
            table(&["user_id"], 1, accounts::COLUMNS, "account", |row| Ok(Row::Account(accounts::account(row)?)))
        }
        Stage::Families => {
            let columns = "family_id, user_id, current, expires_at, revoked";
            table(&["family_id"], 0, columns, "family", |row| {
                Ok(Row::Family(row.get(0)?, id(row, 1)?, row.get(2)?, uint(row, 3)?, row.get(4)?))
            })
        }
        Stage::Log => table(&["room_id", "seq"], 2, "room_id, seq, entry", "room_log", |row| {
            Ok(Row::Entry(id(row, 0)?, Arc::new(decode(row.get_ref(2)?.as_blob().map_err(corrupt)?)?)))
        }),
        Stage::States => {
            let from = "message_state JOIN room USING (room_id)";
            table(&["room_id", "seq"], 2, "room_id, seq, state, last_seq", from, |row| {
                Ok(Row::State(id(row, 0)?, uint(row, 1)?, row.get(2)?, uint(row, 3)?))
            })
        }
        Stage::Snapshots => table(&["room_id"], 1, "room_id, seq, state", "snapshot", |row| {
            Ok(Row::Snapshot(id(row, 0)?, uint(row, 1)?, row.get(2)?))
        }),
        Stage::Members => {
            let from = "member JOIN room USING (room_id)";
            table(&["user_id", "room_id"], 2, "user_id, room_id, last_seq", from, |row| {
                Ok(Row::Member(id(row, 0)?, id(row, 1)?, uint(row, 2)?))
            })
        }
        Stage::Marks => table(&["room_id", "user_id"], 2, "room_id, user_id, seq, posts, own", "read_mark", |row| {
            let mark = ReadMark { seq: uint(row, 2)?, posts: uint(row, 3)?, own: uint(row, 4)? };
            Ok(Row::Mark(id(row, 0)?, id(row, 1)?, mark))
        }),
        Stage::Audit => table(&["audit_id"], 1, "audit_id, at, by_user, room_id, what", "audit", |row| {
            let room = row.get::<_, Option<i64>>(3)?.map(|_| id::<RoomId>(row, 3)).transpose()?;
            Ok(Row::Audit(uint(row, 0)?, uint(row, 1)?, id(row, 2)?, room, row.get(4)?))
        }),
        Stage::Consumers | Stage::Cursors | Stage::DeadLetters | Stage::WorkMarks | Stage::DueMarks => {
            feed_table(stage)
        }
    }
}

/// The same for what lets logs be followed.
fn feed_table(stage: Stage) -> ExportTable {
    let table = |key, numbers, columns, from, row| ExportTable { key, numbers, columns, from, row };
    match stage {
        Stage::Consumers => {
            let columns = "name, generation, dropped, begins, filter, walk IS NOT NULL";
            table(&["name"], 0, columns, "consumer", |row| {
                let (filter, walks) = (row.get(4)?, row.get(5)?);
                Ok(Row::Consumer(row.get(0)?, uint(row, 1)?, row.get(2)?, row.get(3)?, filter, walks))
            })
        }
        Stage::Cursors => {
            let columns = "room_id, consumer, generation, seq";
            table(&["room_id", "generation", "consumer"], 2, columns, "feed_cursor", |row| {
                Ok(Row::Cursor(id(row, 0)?, row.get(1)?, uint(row, 2)?, uint(row, 3)?))
            })
        }
        Stage::DeadLetters => {
            let columns = "consumer, room_id, seq, at, reason";
            table(&["room_id", "seq", "consumer"], 2, columns, "dead_letter", |row| {
                Ok(Row::DeadLetter(row.get(0)?, id(row, 1)?, uint(row, 2)?, uint(row, 3)?, row.get(4)?))
            })
        }
        Stage::DueMarks => {
            let from = "(SELECT DISTINCT due, kind, thing FROM due_mark)";
            table(&["due", "kind", "thing"], 3, "due, kind, thing", from, |row| {
                Ok(Row::DueMark(uint(row, 0)?, row.get(1)?, uint(row, 2)?))
            })
        }
        _ => {
            let from = "(SELECT DISTINCT kind, thing FROM work_mark)";
            table(&["kind", "thing"], 2, "kind, thing", from, |row| Ok(Row::WorkMark(row.get(0)?, uint(row, 1)?)))
        }
    }
}

/// An id of a column.
fn id<T: TryFrom<u64, Error: std::fmt::Display>>(row: &SqlRow<'_>, column: usize) -> Result<T, Fail> {
    T::try_from(uint(row, column)?).map_err(corrupt)
}

fn page(db: &Connection, stage: Stage, after: &Place, rows: usize) -> Result<Vec<(Place, Row)>, Fail> {
    let table = table(stage);
    let key = table.key.join(", ");
    let mut values: Vec<Value> = after.numbers.iter().map(|number| Value::Integer(int(*number))).collect();
    values.extend(after.texts.iter().map(|text| Value::Text(text.clone())));
    let condition = if values.is_empty() {
        String::new()
    } else {
        let marks: Vec<String> = (1..=table.key.len()).map(|at| format!("?{at}")).collect();
        format!("WHERE ({key}) > ({}) ", marks.join(", "))
    };
    // The key comes last, so that each row's own columns begin at 0.
    let sql = format!("SELECT {}, {key} FROM {} {condition}ORDER BY {key} LIMIT {rows}", table.columns, table.from);
    let mut select = db.prepare_cached(&sql)?;
    let first = select.column_count() - table.key.len();
    let mut found = select.query(params_from_iter(values))?;
    let mut page = Vec::new();
    while let Some(row) = found.next()? {
        let mut place = Place::default();
        for at in 0..table.key.len() {
            if at < table.numbers {
                place.numbers.push(uint(row, first + at)?);
            } else {
                place.texts.push(row.get(first + at)?);
            }
        }
        page.push((place, (table.row)(row)?));
    }
    Ok(page)
}

#[async_trait]
impl Source for Sqlite {
    fn epoch(&self) -> u64 {
        LogStore::epoch(self)
    }

    async fn page(&self, stage: Stage, after: &Place, rows: usize) -> Result<Vec<(Place, Row)>, StoreError> {
        let after = after.clone();
        self.readers.run(move |db| page(db, stage, &after, rows)).await
    }
}
