//! Marks for later, in a partition per hour and shard, so that only what is due is read.
//!
//! Which hours there are stands in one small partition. An hour that is over is kept in it for some days: a process whose clock is
//! wrong may still write to it, and is found then, if not at once.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use parlance_actors::ports::store::{DueMark, StoreError};
use parlance_schema::Millis;
use parlance_schema::limits::FEED_SHARDS;

use super::super::cql::{self, Values, big, int, uint};
use super::super::{Db, accounts};
use super::{mark, write_all};

const HOUR_MS: u64 = 3_600_000;
/// Hours for which one that is over is looked at now and then.
const KEPT_HOURS: u64 = 72;
/// How long a partition of an hour that is over is left alone once it was empty.
const EMPTY_FOR: Duration = Duration::from_secs(600);
/// How long after its hour a mark may be written still, by a process that was slow.
const LATE_MS: u64 = 60_000;
/// How long an hour counts as written down once this process did so.
const WRITTEN_FOR: Duration = Duration::from_secs(1_800);

/// What this process knows of hours.
#[derive(Default)]
pub(in super::super) struct Hours {
    /// When it wrote an hour down.
    written: DashMap<u64, Instant>,
    /// When it found a partition of an hour that is over empty.
    empty: DashMap<(u64, u8), Instant>,
}

fn row(DueMark { due, mark }: &DueMark) -> (u64, Values) {
    let (kind, thing) = mark.thing.code();
    let hour = due / HOUR_MS;
    let key = [hour, u64::from(mark.thing.shard()), *due, u64::from(kind), thing, mark.owner].map(big).to_vec();
    (hour, key)
}

pub(super) async fn put(db: &Db, due: DueMark) -> Result<(), StoreError> {
    let (hour, mut values) = row(&due);
    if db.hours.written.get(&hour).is_none_or(|at| at.elapsed() >= WRITTEN_FOR) {
        cql::write(&db.session, &db.statements.hour_put, (int(hour),)).await?;
        db.hours.written.retain(|_, at| at.elapsed() < WRITTEN_FOR);
        db.hours.written.insert(hour, Instant::now());
    }
    values.extend([big(due.mark.at), big(due.mark.at)]);
    write_all(db, &db.statements.due_put, vec![values]).await
}

pub(super) async fn drop_all(db: &Db, due: &[DueMark]) -> Result<(), StoreError> {
    let rows = due.iter().map(|one| {
        let mut values = vec![big(one.mark.at)];
        values.extend(row(one).1);
        values
    });
    write_all(db, &db.statements.due_drop, rows.collect()).await
}

pub(super) async fn due(db: &Db, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError> {
    let mut found: Vec<DueMark> = Vec::new();
    let hours = cql::rows::<(i64,)>(&db.session, &db.statements.hours, (int(now / HOUR_MS),)).await?;
    for (hour,) in hours {
        let hour = uint(hour)?;
        let over = (hour + 1) * HOUR_MS + LATE_MS < now;
        if over && db.hours.empty.get(&(hour, shard)).is_some_and(|at| at.elapsed() < EMPTY_FOR) {
            continue;
        }
        let wanted = limit - found.len();
        let some = of_hour(db, hour, shard, now, wanted).await?;
        if some.is_empty() && over {
            db.hours.empty.insert((hour, shard), Instant::now());
            forget(db, hour).await?;
        }
        found.extend(some);
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

async fn of_hour(db: &Db, hour: u64, shard: u8, now: Millis, limit: usize) -> Result<Vec<DueMark>, StoreError> {
    let key = (int(hour), i64::from(shard), int(now), i32::try_from(limit).unwrap_or(i32::MAX));
    let rows = cql::some_rows::<(i64, i64, i64, i64, i64)>(&db.session, &db.statements.due, key, limit).await?;
    let one = |(due, kind, thing, owner, at): (i64, i64, i64, i64, i64)| -> Result<Option<DueMark>, StoreError> {
        let due = uint(due)?;
        Ok(mark(uint(owner)?, kind, thing, at)?.map(|mark| DueMark { due, mark }))
    };
    rows.into_iter().filter_map(|row| one(row).transpose()).collect()
}

/// Takes an hour off the list that is long over and has nothing left, as the last of its shards is found empty.
async fn forget(db: &Db, hour: u64) -> Result<(), StoreError> {
    let over = (hour + 1 + KEPT_HOURS) * HOUR_MS < accounts::now();
    if !over || !(0..FEED_SHARDS).all(|shard| db.hours.empty.contains_key(&(hour, shard))) {
        return Ok(());
    }
    cql::write(&db.session, &db.statements.hour_drop, (int(hour),)).await?;
    db.hours.empty.retain(|(of, _), _| *of != hour);
    Ok(())
}
