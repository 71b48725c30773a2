//! Taking what another store had for following logs, while no node uses the keyspace.

use parlance_actors::ports::store::{DueMark, IMPORT_OWNER, StoreError, Thing, WorkMark};
use scylla::value::CqlValue;

use super::super::cql::{self, big, corrupt, int, uint};
use super::super::receive::{id, tally_table};
use super::super::{Db, accounts};
use super::{hours, put, write_all};
use crate::store::copy::{Row, Stage, Tally};

/// A mark that no node has written, so that whichever starts finds it.
fn mark(kind: u8, thing: u64) -> Result<WorkMark, StoreError> {
    let thing = Thing::from_code(kind, thing).ok_or_else(|| corrupt(format!("a mark of the kind {kind}")))?;
    Ok(WorkMark { owner: IMPORT_OWNER, thing, at: 1 })
}

pub(in super::super) async fn write(db: &Db, row: Row) -> Result<(), StoreError> {
    let (session, statements) = (&db.session, &db.statements);
    match row {
        Row::Consumer(name, generation, dropped, begins, filter, walks) => {
            let values = (name, int(generation), dropped, begins, filter, walks.then(|| vec![0_u8]));
            cql::cas(session, &statements.consumer_take, values).await.map(drop)
        }
        Row::Cursor(room, consumer, generation, seq) => {
            let values = vec![big(room.get()), Some(CqlValue::Text(consumer)), big(generation), big(seq), big(seq)];
            write_all(db, &statements.cursor_put, vec![values]).await
        }
        Row::DeadLetter(consumer, room, seq, at, reason) => {
            let values = (consumer, int(room.get()), int(seq), int(at), reason);
            cql::write(session, &statements.dead_put, values).await
        }
        Row::WorkMark(kind, thing) => {
            cql::write(session, &statements.owner_put, (int(IMPORT_OWNER), int(accounts::now()))).await?;
            write_all(db, &statements.work_put, vec![put(&mark(kind, thing)?)]).await
        }
        Row::DueMark(due, kind, thing) => hours::put(db, DueMark { due, mark: mark(kind, thing)? }).await,
        _ => Err(corrupt("a row that is not of what follows logs")),
    }
}

pub(in super::super) async fn tally(db: &Db, stage: Stage) -> Result<Tally, StoreError> {
    let small = |kind: i64| u8::try_from(kind).map_err(corrupt);
    match stage {
        Stage::Consumers => {
            type Columns = (String, i64, bool, String, Vec<u8>, Option<Vec<u8>>);
            let sql = "SELECT name, generation, dropped, begins, filter, walk FROM consumer";
            let row = |(name, generation, dropped, begins, filter, walk): Columns| {
                Ok(Row::Consumer(name, uint(generation)?, dropped, begins, filter, walk.is_some()))
            };
            tally_table::<Columns>(db, sql, row).await
        }
        Stage::Cursors => {
            let row = |(room, name, generation, seq)| Ok(Row::Cursor(id(room)?, name, uint(generation)?, uint(seq)?));
            let sql = "SELECT room_id, consumer, generation, seq FROM feed_cursor";
            tally_table::<(i64, String, i64, i64)>(db, sql, row).await
        }
        Stage::DeadLetters => {
            let row =
                |(name, room, seq, at, reason)| Ok(Row::DeadLetter(name, id(room)?, uint(seq)?, uint(at)?, reason));
            let sql = "SELECT consumer, room_id, seq, at, reason FROM dead_letter";
            tally_table::<(String, i64, i64, i64, String)>(db, sql, row).await
        }
        Stage::WorkMarks => {
            let row = |(kind, thing)| Ok(Row::WorkMark(small(kind)?, uint(thing)?));
            tally_table::<(i64, i64)>(db, "SELECT kind, thing FROM work_mark", row).await
        }
        _ => {
            let row = |(due, kind, thing)| Ok(Row::DueMark(uint(due)?, small(kind)?, uint(thing)?));
            tally_table::<(i64, i64, i64)>(db, "SELECT due, kind, thing FROM due_mark", row).await
        }
    }
}
