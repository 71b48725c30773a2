//! Families of refresh tokens.

use parlance_actors::ports::store::{Family, StoreError};
use parlance_schema::{Millis, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use super::fail::{Fail, corrupt, int, uint};
use crate::store::FAMILIES_SWEEP_MAX;

pub(super) fn create(db: &Connection, family: &Family) -> Result<(), Fail> {
    let taken = db.prepare_cached("SELECT 1 FROM family WHERE family_id = ?1")?.exists([&family.id])?;
    if taken {
        return Err(Fail::Store(StoreError::Corrupt("a family with this id is there already".to_owned())));
    }
    let values = params![family.id, int(family.user.get()), family.current, int(family.expires_at), family.revoked];
    db.prepare_cached("INSERT INTO family VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(values)?;
    Ok(())
}

pub(super) fn read(db: &Connection, id: &str) -> Result<Option<Family>, Fail> {
    let sql = "SELECT user_id, current, expires_at, revoked FROM family WHERE family_id = ?1";
    let row = db
        .prepare_cached(sql)?
        .query_row([id], |row| Ok((uint(row, 0)?, row.get(1)?, uint(row, 2)?, row.get(3)?)))
        .optional()?;
    let Some((user, current, expires_at, revoked)) = row else { return Ok(None) };
    let user = UserId::try_from(user).map_err(corrupt)?;
    Ok(Some(Family { id: id.to_owned(), user, current, expires_at, revoked }))
}

/// Compares and swaps: `[id, from, to]`.
pub(super) fn rotate(db: &Connection, [id, from, to]: [&str; 3], expires_at: Millis) -> Result<bool, Fail> {
    let sql = "UPDATE family SET current = ?3, expires_at = ?4 WHERE family_id = ?1 AND current = ?2 AND NOT revoked";
    Ok(db.prepare_cached(sql)?.execute(params![id, from, to, int(expires_at)])? == 1)
}

pub(super) fn revoke(db: &Connection, id: &str) -> Result<(), Fail> {
    db.prepare_cached("UPDATE family SET revoked = 1 WHERE family_id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn revoke_all(db: &Connection, user: UserId, except: Option<&str>) -> Result<(), Fail> {
    let sql = "UPDATE family SET revoked = 1 WHERE user_id = ?1 AND family_id IS NOT ?2";
    db.prepare_cached(sql)?.execute(params![int(user.get()), except])?;
    Ok(())
}

pub(super) fn sweep(db: &Connection, now: Millis) -> Result<usize, Fail> {
    let sql = "DELETE FROM family WHERE family_id IN \
               (SELECT family_id FROM family WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
    Ok(db.prepare_cached(sql)?.execute([int(now), FAMILIES_SWEEP_MAX as i64])?)
}
