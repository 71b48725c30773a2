//! Families of refresh tokens: their rows by conditional statements, and indexes that only say where to look.

use futures_util::{StreamExt, TryStreamExt};
use parlance_actors::ports::store::{Family, StoreError};
use parlance_schema::{Millis, UserId};

use super::Db;
use super::accounts::{AT_ONCE, DAY_MS};
use super::cql::{self, Cas, corrupt, int, uint};
use crate::store::FAMILIES_SWEEP_MAX;

/// How often a change of unknown outcome is tried.
const TRIES: usize = 4;

/// Begins a family. The indexes come first: they may tell of one that isn't there, not miss one that is.
pub(super) async fn create(db: &Db, family: &Family) -> Result<(), StoreError> {
    let user = (int(family.user.get()), &family.id);
    tokio::try_join!(
        cql::write(&db.session, &db.statements.family_of_put, user),
        expires(db, &family.id, family.expires_at),
    )?;
    let values = (&family.id, user.0, &family.current, int(family.expires_at), family.revoked);
    let mut failed = None;
    for _ in 0..TRIES {
        match cql::cas(&db.session, &db.statements.family_put, values).await {
            Ok(Cas::Applied) => return Ok(()),
            // What is there after a try of unknown outcome may be that try.
            Ok(Cas::Refused(_)) if failed.is_some() && read(db, &family.id, true).await?.as_ref() == Some(family) => {
                return Ok(());
            }
            Ok(Cas::Refused(_)) => return Err(corrupt("a family with this id is there already")),
            Err(error @ StoreError::Unknown(_)) => failed = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Unknown("a family was not decided".to_owned())))
}

/// Notes when a family expires.
async fn expires(db: &Db, id: &str, at: Millis) -> Result<(), StoreError> {
    let day = int(at / DAY_MS);
    tokio::try_join!(
        cql::write(&db.session, &db.statements.day_put, (day,)),
        cql::write(&db.session, &db.statements.expiry_put, (day, int(at), id)),
    )?;
    Ok(())
}

pub(super) async fn read(db: &Db, id: &str, serial: bool) -> Result<Option<Family>, StoreError> {
    let statement = if serial { &db.statements.family_serial } else { &db.statements.family };
    let Some((user, current, expires_at, revoked)) =
        cql::row::<(i64, String, i64, bool)>(&db.session, statement, (id,)).await?
    else {
        return Ok(None);
    };
    let user = UserId::try_from(uint(user)?).map_err(corrupt)?;
    Ok(Some(Family { id: id.to_owned(), user, current, expires_at: uint(expires_at)?, revoked }))
}

/// Compares and swaps: `[id, from, to]`.
pub(super) async fn rotate(db: &Db, [id, from, to]: [&str; 3], expires_at: Millis) -> Result<bool, StoreError> {
    expires(db, id, expires_at).await?;
    let mut failed = None;
    for _ in 0..TRIES {
        match cql::cas(&db.session, &db.statements.family_rotate, (to, int(expires_at), id, from)).await {
            Ok(Cas::Applied) => return Ok(true),
            Ok(Cas::Refused(_)) if failed.is_none() => return Ok(false),
            // A try of unknown outcome may have been done: the new token is random, and says so.
            Ok(Cas::Refused(_)) => return Ok(read(db, id, true).await?.is_some_and(|family| family.current == to)),
            Err(error @ StoreError::Unknown(_)) => failed = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Unknown("a rotation was not decided".to_owned())))
}

pub(super) async fn revoke(db: &Db, id: &str) -> Result<(), StoreError> {
    let mut failed = None;
    for _ in 0..TRIES {
        match cql::cas(&db.session, &db.statements.family_revoke, (id,)).await {
            // Refused: it is revoked already, or there is none.
            Ok(_) => return Ok(()),
            Err(error @ StoreError::Unknown(_)) => failed = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Unknown("a revocation was not decided".to_owned())))
}

pub(super) async fn revoke_all(db: &Db, user: UserId, except: Option<&str>) -> Result<(), StoreError> {
    let all = cql::rows::<(String,)>(&db.session, &db.statements.families_of, (int(user.get()),)).await?;
    let ended = all.into_iter().map(|(id,)| id).filter(|id| Some(id.as_str()) != except);
    futures_util::stream::iter(ended)
        .map(|id| async move { revoke(db, &id).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Removes families that expired, oldest days first.
pub(super) async fn sweep(db: &Db, now: Millis) -> Result<usize, StoreError> {
    let mut removed = 0;
    for (day,) in cql::rows::<(i64,)>(&db.session, &db.statements.days, ()).await? {
        let left = FAMILIES_SWEEP_MAX - removed;
        if uint(day)? > now / DAY_MS || left == 0 {
            break;
        }
        let limit = i32::try_from(left).unwrap_or(i32::MAX);
        let due = cql::rows::<(i64, String)>(&db.session, &db.statements.expiries, (day, int(now), limit)).await?;
        let whole = due.len() < left;
        let gone: Vec<bool> = futures_util::stream::iter(due)
            .map(|(at, id)| async move { remove(db, day, at, &id).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        removed += gone.into_iter().filter(|gone| *gone).count();
        // A day that is over gets no new families.
        if whole && uint(day)? < now / DAY_MS {
            cql::write(&db.session, &db.statements.day_drop, (day,)).await?;
        }
    }
    Ok(removed)
}

/// Removes a family if it expires at `at` still; says whether it did.
async fn remove(db: &Db, day: i64, at: i64, id: &str) -> Result<bool, StoreError> {
    let user = read(db, id, false).await?.map(|family| family.user);
    let gone = matches!(cql::cas(&db.session, &db.statements.family_drop, (id, at)).await?, Cas::Applied);
    if let Some(user) = user.filter(|_| gone) {
        cql::write(&db.session, &db.statements.family_of_drop, (int(user.get()), id)).await?;
    }
    cql::write(&db.session, &db.statements.expiry_drop, (day, at, id)).await?;
    Ok(gone)
}
