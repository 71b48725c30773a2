//! The consumers that are registered, by lightweight transactions alone, and the walk through all logs that each begins with.

use parlance_actors::ports::store::{Begins, Filter, Registered, StoreError, Walk};
use parlance_schema::RoomId;

use super::super::Db;
use super::super::cql::{self, Cas, corrupt, decode, encode, int, uint};
use crate::store::{begins_of, begins_word};

/// How often a change is tried whose outcome is unknown, or that another one was quicker than.
const TRIES: usize = 5;

/// A consumer's row.
struct Kept {
    registered: Registered,
    dropped: bool,
}

type Columns = (String, i64, bool, String, Vec<u8>, Option<Vec<u8>>);

async fn kept(db: &Db) -> Result<Vec<Kept>, StoreError> {
    let rows = cql::rows::<Columns>(&db.session, &db.statements.consumers, ()).await?;
    let one = |(name, generation, dropped, begins, filter, walk): Columns| {
        let walk = walk.map(|bytes| Walk(bytes.get(1..).unwrap_or_default().to_vec()));
        let (generation, begins, filter) = (uint(generation)?, begins_of(&begins)?, decode(&filter)?);
        Ok(Kept { registered: Registered { name, filter, begins, generation, walk }, dropped })
    };
    rows.into_iter().map(one).collect()
}

/// A walk as it is kept: not every server tells an empty blob from none.
fn blob(walk: &Walk) -> Vec<u8> {
    std::iter::once(0).chain(walk.0.iter().copied()).collect()
}

async fn find(db: &Db, name: &str) -> Result<Option<Kept>, StoreError> {
    Ok(kept(db).await?.into_iter().find(|kept| kept.registered.name == name))
}

pub(super) async fn all(db: &Db) -> Result<Vec<Registered>, StoreError> {
    let all = kept(db).await?.into_iter();
    Ok(all.filter(|kept| !kept.dropped).map(|kept| kept.registered).collect())
}

fn undecided(name: &str) -> StoreError {
    StoreError::Unknown(format!("a change of the consumer {name} was not decided"))
}

/// What became of a change; `false` where it is to be looked at again.
fn applied(done: Result<Cas, StoreError>) -> Result<bool, StoreError> {
    match done {
        Ok(Cas::Applied) => Ok(true),
        Ok(Cas::Refused(_)) | Err(StoreError::Unknown(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn register(db: &Db, name: &str, filter: &Filter, begins: Begins) -> Result<Registered, StoreError> {
    let (session, statements, start) = (&db.session, &db.statements, blob(&Walk::default()));
    for _ in 0..TRIES {
        let done = match find(db, name).await? {
            Some(Kept { registered, dropped: false }) if registered.filter == *filter => return Ok(registered),
            Some(Kept { registered, dropped: false }) => {
                let values = (encode(filter)?, name, int(registered.generation));
                cql::cas(session, &statements.consumer_filter, values).await
            }
            Some(Kept { registered, dropped: true }) => {
                let next = (int(registered.generation + 1), begins_word(begins), encode(filter)?, &start);
                let values = (next.0, next.1, next.2, next.3, name, int(registered.generation), true);
                cql::cas(session, &statements.consumer_again, values).await
            }
            None => {
                let values = (name, begins_word(begins), encode(filter)?, &start);
                cql::cas(session, &statements.consumer_put, values).await
            }
        };
        applied(done)?;
    }
    match find(db, name).await? {
        Some(Kept { registered, dropped: false }) if registered.filter == *filter => Ok(registered),
        _ => Err(undecided(name)),
    }
}

pub(super) async fn reset(db: &Db, name: &str) -> Result<Option<Registered>, StoreError> {
    let Some(Kept { registered, dropped: false }) = find(db, name).await? else { return Ok(None) };
    let next = registered.generation + 1;
    for _ in 0..TRIES {
        let (start, begins) = (blob(&Walk::default()), begins_word(Begins::Start));
        let filter = encode(&registered.filter)?;
        let values = (int(next), begins, filter, start, name, int(registered.generation), false);
        applied(cql::cas(&db.session, &db.statements.consumer_again, values).await)?;
        match find(db, name).await? {
            Some(Kept { registered: now, dropped: false }) if now.generation >= next => return Ok(Some(now)),
            Some(Kept { dropped: false, .. }) => {}
            _ => return Ok(None),
        }
    }
    Err(undecided(name))
}

pub(super) async fn unregister(db: &Db, name: &str) -> Result<bool, StoreError> {
    for attempt in 0..TRIES {
        let Some(Kept { registered, dropped: false }) = find(db, name).await? else { return Ok(attempt > 0) };
        let values = (name, int(registered.generation));
        if applied(cql::cas(&db.session, &db.statements.consumer_drop, values).await)? {
            return Ok(true);
        }
    }
    Err(undecided(name))
}

pub(super) async fn note_walk(
    db: &Db,
    name: &str,
    generation: u64,
    from: &Walk,
    to: Option<&Walk>,
) -> Result<bool, StoreError> {
    let values = (to.map(blob), name, int(generation), blob(from));
    let done = cql::cas(&db.session, &db.statements.consumer_walk, values).await?;
    Ok(matches!(done, Cas::Applied))
}

/// The rooms of the next logs: each has a first bucket, and the place is the last bucket that was looked at.
pub(super) async fn walk(db: &Db, after: &Walk, limit: usize) -> Result<(Vec<RoomId>, Option<Walk>), StoreError> {
    let rows = i32::try_from(limit).unwrap_or(i32::MAX);
    let (session, statements) = (&db.session, &db.statements);
    let buckets = if after.0.is_empty() {
        cql::some_rows::<(i64, i64)>(session, &statements.logs_first, (rows,), limit).await?
    } else {
        let half = |at: usize| after.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
        let (room, bucket) = half(0).zip(half(8)).ok_or_else(|| corrupt("a place in the walk through all logs"))?;
        cql::some_rows::<(i64, i64)>(session, &statements.logs_after, (room, bucket, rows), limit).await?
    };
    let next = buckets.last().map(|(room, bucket)| Walk([room.to_be_bytes(), bucket.to_be_bytes()].concat()));
    let first = buckets.into_iter().filter(|(_, bucket)| *bucket == 0);
    let rooms = first.map(|(room, _)| RoomId::try_from(uint(room)?).map_err(corrupt)).collect::<Result<_, _>>()?;
    Ok((rooms, next))
}
