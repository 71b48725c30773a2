//! Unique names and id blocks.

use async_trait::async_trait;
use parlance_actors::ports::store::{ClaimKind, ClaimStore, IdKind, StoreError};
use parlance_schema::TenantId;
use parlance_schema::limits::ID_MAX;
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::fail::{Fail, int, uint};
use super::writer::Size;
use crate::store::{claim_word, id_word};

/// Claims a key, or tells who has it.
pub(super) fn claim(db: &Connection, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, Fail> {
    let (tenant, kind) = (int(tenant.get()), claim_word(kind));
    let sql = "SELECT target FROM claim WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
    let holder = db.prepare_cached(sql)?.query_row(params![tenant, kind, key], |row| uint(row, 0)).optional()?;
    if let Some(holder) = holder {
        return Ok(holder);
    }
    let values = params![tenant, kind, key, int(target)];
    db.prepare_cached("INSERT INTO claim VALUES (?1, ?2, ?3, ?4)")?.execute(values)?;
    Ok(target)
}

#[async_trait]
impl ClaimStore for Sqlite {
    async fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, StoreError> {
        let key = key.to_owned();
        self.writer.run(Size::default(), move |db| claim(db, tenant, kind, &key, target)).await
    }

    async fn take_ids(&self, kind: IdKind, count: u64) -> Result<u64, StoreError> {
        let kind = id_word(kind);
        let work = move |db: &Connection| {
            let mut select = db.prepare_cached("SELECT next_id FROM id_block WHERE kind = ?1")?;
            let first = select.query_row([kind], |row| uint(row, 0)).optional()?.unwrap_or(1);
            let next = first.checked_add(count).filter(|next| *next <= ID_MAX + 1);
            let Some(next) = next else {
                return Err(Fail::Store(StoreError::Unavailable(format!("no {count} ids of kind {kind} are left"))));
            };
            db.prepare_cached("REPLACE INTO id_block VALUES (?1, ?2)")?.execute(params![kind, int(next)])?;
            Ok(first)
        };
        self.writer.run(Size::default(), work).await
    }
}
