//! Unique names and id blocks: lightweight transactions, whose outcome is read where it isn't known.

use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::store::{ClaimKind, ClaimStore, IdKind, StoreError};
use parlance_schema::TenantId;
use parlance_schema::limits::ID_MAX;

use super::cql::{self, Cas, int, uint};
use super::{Db, Scylla};
use crate::store::{claim_word, id_word};

/// How often a claim of unknown outcome is tried.
const CLAIM_TRIES: usize = 3;
/// How often one tries to take ids that others take at the same time.
const TAKE_TRIES: u32 = 40;

/// Claims a key, or tells who has it. A claim is for ever, so that one which is there needs no condition.
pub(super) async fn claim(db: &Db, tenant: TenantId, kind: &str, key: &str, target: u64) -> Result<u64, StoreError> {
    let name = (int(tenant.get()), kind, key);
    if let Some((holder,)) = cql::row::<(i64,)>(&db.session, &db.statements.claim, name).await? {
        return uint(holder);
    }
    let mut failed = None;
    for _ in 0..CLAIM_TRIES {
        let values = (name.0, kind, key, int(target));
        match cql::cas(&db.session, &db.statements.claim_put, values).await {
            Ok(Cas::Applied) => return Ok(target),
            Ok(Cas::Refused(found)) => {
                return found.number("target").ok_or_else(|| cql::corrupt("a claim without a target"));
            }
            Err(error @ StoreError::Unknown(_)) => failed = Some(error),
            Err(error) => return Err(error),
        }
        // What is there after this read is there for good; if nothing is, our own may be taken up late, and is then found.
        if let Some((holder,)) = cql::row::<(i64,)>(&db.session, &db.statements.claim_serial, name).await? {
            return uint(holder);
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Unknown("a claim was not decided".to_owned())))
}

/// Takes a block of ids. One whose fate is unknown is never used: the next try takes another.
async fn take(db: &Db, kind: &str, count: u64) -> Result<u64, StoreError> {
    let none = || StoreError::Unavailable(format!("no {count} ids of kind {kind} are left"));
    let mut next =
        cql::row::<(i64,)>(&db.session, &db.statements.ids, (kind,)).await?.map(|(next,)| uint(next)).transpose()?;
    for attempt in 0..TAKE_TRIES {
        let first = next.unwrap_or(1);
        let after = first.checked_add(count).filter(|after| *after <= ID_MAX + 1).ok_or_else(none)?;
        let done = match next {
            None => cql::cas(&db.session, &db.statements.ids_begin, (kind, int(after))).await?,
            Some(_) => cql::cas(&db.session, &db.statements.ids_take, (int(after), kind, int(first))).await?,
        };
        match done {
            Cas::Applied => return Ok(first),
            Cas::Refused(found) => next = found.number("next_id"),
        }
        let pause = u64::from(attempt.min(10)) * (1 + getrandom::u64().unwrap_or(0) % 8);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Err(StoreError::Unavailable(format!("too many take ids of kind {kind}")))
}

#[async_trait]
impl ClaimStore for Scylla {
    async fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, StoreError> {
        claim(&self.db, tenant, claim_word(kind), key, target).await
    }

    async fn take_ids(&self, kind: IdKind, count: u64) -> Result<u64, StoreError> {
        // Those of one process take turns: contending costs everybody a round.
        let _turn = self.db.turns.lock().await;
        let first = take(&self.db, id_word(kind), count).await?;
        if kind == IdKind::Message {
            self.db.unused_ids.add(first, count);
        }
        Ok(first)
    }
}
