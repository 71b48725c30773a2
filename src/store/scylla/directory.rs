//! Searching accounts by a part of their names: candidates from a table in the order of usernames, which the accounts confirm.

use futures_util::{StreamExt, TryStreamExt};
use parlance_actors::ports::store::{Account, StoreError};
use parlance_schema::{TenantId, UserId};

use super::accounts::AT_ONCE;
use super::cql::{self, corrupt, int, read_failed, uint};
use super::{Db, accounts};
use crate::store::name_key;

/// Parts that a tenant's accounts are kept in.
const SHARDS: u64 = 16;
/// Accounts of one part that a search looks at where no username begins with the text.
const SCAN_MAX: usize = 5_000;
/// Candidates of one part that may be out of date, so that so many more are taken.
const STALE_MAX: usize = 8;

/// A candidate: username's key, user.
type Candidate = (String, u64);

/// Lists an account, as of a version of it.
pub(super) async fn put(db: &Db, account: &Account, version: u64) -> Result<(), StoreError> {
    let (tenant, user) = (account.tenant.get(), account.id.get());
    let (name, full) = (name_key(&account.username), name_key(&account.full_name));
    let values = (int(tenant), int(user % SHARDS), name, int(user), full, int(version));
    cql::write(&db.session, &db.statements.directory_put, values).await
}

/// Takes an account off the list under its username, as of a version of it.
pub(super) async fn drop_row(db: &Db, account: &Account, version: u64) -> Result<(), StoreError> {
    drop_key(db, account, &name_key(&account.username), version).await
}

/// Takes an account off the list under a key that it had, as of a version of it.
pub(super) async fn drop_key(db: &Db, account: &Account, key: &str, version: u64) -> Result<(), StoreError> {
    let (tenant, user) = (account.tenant.get(), account.id.get());
    let values = (int(version), int(tenant), int(user % SHARDS), key, int(user));
    cql::write(&db.session, &db.statements.directory_drop, values).await
}

/// Finds active accounts: those whose username begins with `text` first, then those that have it elsewhere.
pub(super) async fn search(db: &Db, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let parts = (0..SHARDS).map(|shard| beginning(db, tenant, shard, text, limit));
    confirm(db, together(parts).await?, |name, _| name.starts_with(text), limit, &mut found).await?;
    if found.len() < limit {
        let parts = (0..SHARDS).map(|shard| elsewhere(db, tenant, shard, text));
        let rest = |name: &str, full: &str| !name.starts_with(text) && (name.contains(text) || full.contains(text));
        confirm(db, together(parts).await?, rest, limit, &mut found).await?;
    }
    Ok(found)
}

async fn together(
    parts: impl Iterator<Item = impl Future<Output = Result<Vec<Candidate>, StoreError>>>,
) -> Result<Vec<Candidate>, StoreError> {
    let parts: Vec<Vec<Candidate>> = futures_util::stream::iter(parts).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut all: Vec<Candidate> = parts.into_iter().flatten().collect();
    all.sort_unstable();
    Ok(all)
}

/// Those of a part whose username begins with the text.
async fn beginning(
    db: &Db,
    tenant: TenantId,
    shard: u64,
    text: &str,
    limit: usize,
) -> Result<Vec<Candidate>, StoreError> {
    let key = (int(tenant.get()), int(shard), text);
    let pager = db.session.execute_iter(db.statements.directory_from.clone(), key).await.map_err(read_failed)?;
    let mut rows = pager.rows_stream::<(String, i64, String)>().map_err(corrupt)?;
    let mut found = Vec::new();
    while let Some((name, user, _)) = rows.try_next().await.map_err(read_failed)? {
        if !name.starts_with(text) || found.len() >= limit.saturating_add(STALE_MAX) {
            break;
        }
        found.push((name, uint(user)?));
    }
    Ok(found)
}

/// Those of a part that have the text elsewhere, of as many as may be looked at.
async fn elsewhere(db: &Db, tenant: TenantId, shard: u64, text: &str) -> Result<Vec<Candidate>, StoreError> {
    let key = (int(tenant.get()), int(shard), "");
    let rows =
        cql::some_rows::<(String, i64, String)>(&db.session, &db.statements.directory_from, key, SCAN_MAX).await?;
    let has = |(name, _, full): &(String, i64, String)| {
        !name.starts_with(text) && (name.contains(text) || full.contains(text))
    };
    rows.into_iter().filter(has).map(|(name, user, _)| Ok((name, uint(user)?))).collect()
}

/// Adds the accounts of candidates that are what they are listed as, until there are enough.
async fn confirm(
    db: &Db,
    candidates: Vec<Candidate>,
    fits: impl Fn(&str, &str) -> bool,
    limit: usize,
    found: &mut Vec<Account>,
) -> Result<(), StoreError> {
    for some in candidates.chunks(AT_ONCE) {
        if found.len() >= limit {
            break;
        }
        let read = some
            .iter()
            .map(|(_, user)| async move { accounts::open(db, UserId::try_from(*user).map_err(corrupt)?).await });
        for ((listed, _), account) in some.iter().zip(futures_util::future::try_join_all(read).await?) {
            let Some(account) = account.filter(|account| account.active) else { continue };
            let (name, full) = (name_key(&account.username), name_key(&account.full_name));
            if name == *listed && fits(&name, &full) && found.len() < limit {
                found.push(account);
            }
        }
    }
    Ok(())
}
