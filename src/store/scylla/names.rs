//! Usernames and e-mail addresses: each is held by one account, and an account is open once it holds its own.
//!
//! A name's row says who claimed it, the account's row whether that came to anything. Whoever claims a name and dies leaves
//! the claim half-made; the next one to want the name takes it over, after making sure by the account's version that the
//! first one, should it still be alive, can't finish. Clocks only decide how soon.

use parlance_actors::ports::store::StoreError;
use parlance_schema::TenantId;

use super::Db;
use super::accounts::{self, Kept};
use super::cql::{self, Cas, Found, int, uint};

/// Milliseconds for which a claim that has not come to anything yet is left to whoever made it.
const GRACE_MS: u64 = 10_000;
/// How often one tries to claim a name that others claim at the same time.
const TRIES: usize = 8;

/// A name to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UniqueName {
    pub tenant: TenantId,
    /// `username` or `email`.
    pub kind: &'static str,
    /// Without regard to case.
    pub key: String,
}

/// What a claim of a name came to.
#[derive(Debug)]
pub(super) enum Held {
    /// It is ours, since this moment, which tells this claim from any other.
    Since(u64),
    /// Another account has it, or is about to.
    Taken,
}

impl UniqueName {
    fn values(&self) -> (i64, &'static str, &str) {
        (int(self.tenant.get()), self.kind, &self.key)
    }

    /// Claims the name for a user.
    pub async fn hold(&self, db: &Db, user: u64) -> Result<Held, StoreError> {
        let (tenant, kind, key) = self.values();
        let mut failed = None;
        for _ in 0..TRIES {
            let now = accounts::now();
            match cql::cas(&db.session, &db.statements.name_put, (tenant, kind, key, int(user), int(now))).await {
                Ok(Cas::Applied) => return Ok(Held::Since(now)),
                Ok(Cas::Refused(found)) => {
                    let (holder, since) = holder(&found)?;
                    if holder != user && !self.is_free(db, holder, since, now).await? {
                        return Ok(Held::Taken);
                    }
                    // A claim of one's own is renewed, so that nobody lets go what was meant before.
                    let fresh = now.max(since + 1);
                    let values = (int(user), int(fresh), tenant, kind, key, int(holder), int(since));
                    match cql::cas(&db.session, &db.statements.name_take, values).await {
                        Ok(Cas::Applied) => return Ok(Held::Since(fresh)),
                        Ok(Cas::Refused(_)) => {}
                        Err(error @ StoreError::Unknown(_)) => failed = Some(error),
                        Err(error) => return Err(error),
                    }
                }
                // The next try finds out: a claim of one's own is one's own.
                Err(error @ StoreError::Unknown(_)) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::Unavailable("too many claim the same name".to_owned())))
    }

    /// Whether what another user holds has come to nothing and can't any more.
    async fn is_free(&self, db: &Db, holder: u64, since: u64, now: u64) -> Result<bool, StoreError> {
        let Some(kept) = accounts::kept_serial(db, holder).await? else { return Ok(true) };
        if kept.open && self.is_of(&kept) {
            return Ok(false);
        }
        if now.saturating_sub(since) < GRACE_MS {
            return Ok(false);
        }
        let version = int(kept.version);
        let fenced = if kept.open {
            let values = (version + 1, int(holder), version);
            cql::cas(&db.session, &db.statements.account_touch, values).await?
        } else {
            cql::cas(&db.session, &db.statements.account_drop, (int(holder), version)).await?
        };
        // Where it wasn't, the holder is alive and has just got further.
        Ok(matches!(fenced, Cas::Applied))
    }

    fn is_of(&self, kept: &Kept) -> bool {
        accounts::names(&kept.account).contains(self)
    }

    /// Lets the name go, if it is still the claim of that moment. One that stays by an error is taken over some day.
    pub async fn let_go(&self, db: &Db, user: u64, since: u64) {
        let (tenant, kind, key) = self.values();
        let values = (tenant, kind, key, int(user), int(since));
        if let Err(error) = cql::cas(&db.session, &db.statements.name_drop, values).await {
            tracing::info!(%error, "a name was not let go");
        }
    }

    /// Since when a user holds the name, if so.
    pub async fn since(&self, db: &Db, user: u64) -> Result<Option<u64>, StoreError> {
        let found = cql::row::<(i64, i64)>(&db.session, &db.statements.name_serial, self.values()).await?;
        let Some((holder, since)) = found else { return Ok(None) };
        Ok((uint(holder)? == user).then_some(uint(since)?))
    }

    /// Who holds the name, if somebody does; the account says whether it is theirs.
    pub async fn holder(&self, db: &Db) -> Result<Option<u64>, StoreError> {
        let found = cql::row::<(i64,)>(&db.session, &db.statements.name, self.values()).await?;
        found.map(|(user,)| uint(user)).transpose()
    }
}

fn holder(found: &Found) -> Result<(u64, u64), StoreError> {
    let both = found.number("user_id").zip(found.number("since"));
    both.ok_or_else(|| cql::corrupt("a name's row without a holder"))
}
