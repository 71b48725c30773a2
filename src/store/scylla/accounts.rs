//! Accounts, and what moderators did.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use parlance_actors::ports::store::{Account, AccountError, AccountStore, Family, StoreError, Who};
use parlance_schema::user::Role;
use parlance_schema::{Millis, RoomId, TenantId, UserId};
use scylla::DeserializeRow;

use super::cql::{self, Cas, corrupt, int, uint};
use super::names::{Held, UniqueName};
use super::{Db, Scylla, directory, families};
use crate::store::name_key;

/// Accounts that are read at the same time.
pub(super) const AT_ONCE: usize = 16;
/// How often a change is tried that others overtake.
const TRIES: usize = 8;
/// Milliseconds of a day, by which audits and expiries are kept.
pub(super) const DAY_MS: u64 = 86_400_000;

/// An account as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub account: Account,
    /// Whether it holds its names; before, it is nobody's.
    pub open: bool,
    pub version: u64,
}

#[derive(DeserializeRow)]
struct Row {
    user_id: i64,
    tenant: i64,
    state: Option<String>,
    version: i64,
    username: String,
    email: Option<String>,
    full_name: String,
    password: Option<String>,
    role: String,
    active: bool,
    created_at: i64,
    valid_after: i64,
}

impl Row {
    fn kept(self) -> Result<Kept, StoreError> {
        let account = Account {
            id: UserId::try_from(uint(self.user_id)?).map_err(corrupt)?,
            tenant: TenantId::try_from(uint(self.tenant)?).map_err(corrupt)?,
            username: self.username,
            email: self.email,
            full_name: self.full_name,
            password: self.password,
            role: self.role.parse::<Role>().map_err(corrupt)?,
            active: self.active,
            created_at: uint(self.created_at)?,
            last_seen: None,
            valid_after: uint(self.valid_after)?,
        };
        Ok(Kept { account, open: self.state.as_deref() == Some("open"), version: uint(self.version)? })
    }
}

/// The time in milliseconds, for telling old claims from new ones.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// The names that an account is to hold.
pub(super) fn names(account: &Account) -> Vec<UniqueName> {
    let name = |kind, text: &str| UniqueName { tenant: account.tenant, kind, key: name_key(text) };
    let email = account.email.as_deref().map(|email| name("email", email));
    std::iter::once(name("username", &account.username)).chain(email).collect()
}

fn taken(name: &UniqueName) -> AccountError {
    if name.kind == "email" { AccountError::EmailTaken } else { AccountError::UsernameTaken }
}

/// Reads an account, after all changes that were begun before.
pub(super) async fn kept_serial(db: &Db, user: u64) -> Result<Option<Kept>, StoreError> {
    let row = cql::row::<Row>(&db.session, &db.statements.account_serial, (int(user),)).await?;
    row.map(Row::kept).transpose()
}

/// Reads an account that is open, with when it was last seen.
pub(super) async fn open(db: &Db, user: UserId) -> Result<Option<Account>, StoreError> {
    let key = (int(user.get()),);
    let (row, seen) = tokio::try_join!(
        cql::row::<Row>(&db.session, &db.statements.account, key),
        cql::row::<(i64,)>(&db.session, &db.statements.seen, key),
    )?;
    let Some(kept) = row.map(Row::kept).transpose()?.filter(|kept| kept.open) else { return Ok(None) };
    let last_seen = seen.map(|(at,)| uint(at)).transpose()?;
    Ok(Some(Account { last_seen, ..kept.account }))
}

/// Reads open accounts, in the order of their ids given.
async fn all(db: &Db, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
    let found: Vec<Option<Account>> =
        futures_util::stream::iter(ids.to_vec()).map(|id| open(db, id)).buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn by_name(db: &Db, tenant: TenantId, kind: &'static str, text: &str) -> Result<Option<Account>, StoreError> {
    let name = UniqueName { tenant, kind, key: name_key(text) };
    let Some(holder) = name.holder(db).await? else { return Ok(None) };
    let account = open(db, UserId::try_from(holder).map_err(corrupt)?).await?;
    Ok(account.filter(|account| names(account).contains(&name)))
}

/// Holds names, or none of them where one is taken.
async fn hold(db: &Db, user: u64, wanted: &[UniqueName]) -> Result<Vec<(UniqueName, u64)>, AccountError> {
    let mut held: Vec<(UniqueName, u64)> = Vec::new();
    for name in wanted {
        let failed = match name.hold(db, user).await {
            Ok(Held::Since(since)) => {
                held.push((name.clone(), since));
                continue;
            }
            Ok(Held::Taken) => taken(name),
            Err(error) => error.into(),
        };
        let_go(db, user, &held).await;
        return Err(failed);
    }
    Ok(held)
}

async fn let_go(db: &Db, user: u64, held: &[(UniqueName, u64)]) {
    for (name, since) in held {
        name.let_go(db, user, *since).await;
    }
}

/// Opens an account in three steps, of which the last one counts: its row, its names, and that it is open.
pub(super) async fn create(db: &Db, account: &Account) -> Result<(), AccountError> {
    let id = account.id.get();
    put(db, account).await?;
    directory::put(db, account, 1).await?;
    let held = match hold(db, id, &names(account)).await {
        Ok(held) => held,
        Err(error) => {
            give_up(db, account, &[]).await;
            return Err(error);
        }
    };
    let mut failed = None;
    for _ in 0..TRIES {
        match cql::cas(&db.session, &db.statements.account_open, (1_i64, int(id), 0_i64)).await {
            Ok(Cas::Applied) => return seen(db, account).await,
            Ok(Cas::Refused(_)) => break,
            Err(error @ StoreError::Unknown(_)) => failed = Some(error),
            Err(error) => {
                give_up(db, account, &held).await;
                return Err(error.into());
            }
        }
    }
    // Refused: an earlier try was done, or somebody took us for dead.
    match kept_serial(db, id).await? {
        Some(kept) if kept.open => seen(db, account).await,
        Some(_) => Err(failed.unwrap_or_else(|| StoreError::Unknown("an account was not opened".to_owned())).into()),
        None => {
            give_up(db, account, &held).await;
            Err(StoreError::Unavailable("the account's names were taken over".to_owned()).into())
        }
    }
}

/// Writes an account's row, not open yet.
async fn put(db: &Db, account: &Account) -> Result<(), AccountError> {
    let mut unknown = false;
    for _ in 0..TRIES {
        let values = (
            int(account.id.get()),
            int(account.tenant.get()),
            &account.username,
            &account.email,
            &account.full_name,
            &account.password,
            account.role.word(),
            account.active,
            int(account.created_at),
            int(account.valid_after),
        );
        match cql::cas(&db.session, &db.statements.account_put, values).await {
            Ok(Cas::Applied) => return Ok(()),
            // Ids are used once: what is there then is our own.
            Ok(Cas::Refused(_)) if unknown => return Ok(()),
            Ok(Cas::Refused(_)) => {
                return Err(StoreError::Corrupt(format!("account {} is there already", account.id)).into());
            }
            Err(StoreError::Unknown(_)) => unknown = true,
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Unknown("an account's row was not decided".to_owned()).into())
}

async fn seen(db: &Db, account: &Account) -> Result<(), AccountError> {
    if let Some(at) = account.last_seen {
        note_seen(db, account.id, at).await?;
    }
    Ok(())
}

/// Takes back what was written of an account that is not to be. What stays by an error is nobody's, and is taken over.
async fn give_up(db: &Db, account: &Account, held: &[(UniqueName, u64)]) {
    let id = account.id.get();
    let dropped = cql::cas(&db.session, &db.statements.account_drop, (int(id), 0_i64)).await.map(drop);
    let_go(db, id, held).await;
    let unlisted = directory::drop_row(db, account, 1).await;
    if let Err(error) = dropped.and(unlisted) {
        tracing::info!(user = %account.id, %error, "what is left of an account that was not opened stays");
    }
}

/// Changes an account, whatever it is or if it is as `expected`: new names are held first, the row is changed on the condition of
/// its version, old names go.
async fn update(db: &Db, expected: Option<&Account>, account: &Account) -> Result<(), AccountError> {
    let id = account.id.get();
    let mut failed: Option<StoreError> = None;
    for _ in 0..TRIES {
        let none = || StoreError::Corrupt(format!("there is no account {} in tenant {}", account.id, account.tenant));
        let before = kept_serial(db, id).await?.filter(|kept| kept.open && kept.account.tenant == account.tenant);
        let before = before.ok_or_else(none)?;
        if expected.is_some_and(|expected| !before.account.is_as(expected)) {
            return match failed {
                // An earlier try of ours was done.
                Some(_) if before.account.is_as(account) => Ok(()),
                Some(error) => Err(error.into()),
                None => Err(AccountError::Changed),
            };
        }
        let (old, new) = (names(&before.account), names(account));
        let mut leaving = Vec::new();
        for name in old.iter().filter(|name| !new.contains(name)) {
            leaving.extend(name.since(db, id).await?.map(|since| (name.clone(), since)));
        }
        let wanted: Vec<UniqueName> = new.into_iter().filter(|name| !old.contains(name)).collect();
        let held = hold(db, id, &wanted).await?;
        directory::put(db, account, before.version + 1).await?;
        match set(db, account, before.version).await {
            Ok(Cas::Applied) => {
                let_go(db, id, &leaving).await;
                if name_key(&before.account.username) != name_key(&account.username) {
                    directory::drop_row(db, &before.account, before.version + 1).await?;
                }
                return Ok(());
            }
            // It may be that an earlier try of ours was done: then this one changes nothing, the next finds it so.
            Ok(Cas::Refused(_)) => let_go(db, id, &held).await,
            Err(error @ StoreError::Unknown(_)) => failed = Some(error),
            Err(error) => {
                let_go(db, id, &held).await;
                return Err(error.into());
            }
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Unavailable("an account is changed by too many".to_owned())).into())
}

pub(super) async fn set(db: &Db, account: &Account, version: u64) -> Result<Cas, StoreError> {
    let values = (
        int(version + 1),
        &account.username,
        &account.email,
        &account.full_name,
        &account.password,
        account.role.word(),
        account.active,
        int(account.valid_after),
        int(account.id.get()),
        int(version),
    );
    cql::cas(&db.session, &db.statements.account_set, values).await
}

async fn note_seen(db: &Db, user: UserId, at: Millis) -> Result<(), StoreError> {
    cql::write(&db.session, &db.statements.seen_put, (int(user.get()), int(at), int(at))).await
}

#[async_trait]
impl AccountStore for Scylla {
    async fn create_account(&self, account: &Account) -> Result<(), AccountError> {
        create(&self.db, account).await
    }

    async fn update_account(&self, account: &Account) -> Result<(), AccountError> {
        update(&self.db, None, account).await
    }

    async fn replace_account(&self, before: &Account, after: &Account) -> Result<(), AccountError> {
        update(&self.db, Some(before), after).await
    }

    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError> {
        match who {
            Who::Id(user) => open(&self.db, user).await,
            Who::Username(tenant, name) => by_name(&self.db, tenant, "username", name).await,
            Who::Email(tenant, address) => by_name(&self.db, tenant, "email", address).await,
        }
    }

    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        all(&self.db, ids).await
    }

    async fn search_accounts(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
        directory::search(&self.db, tenant, &name_key(text), limit).await
    }

    async fn seen(&self, users: &[(UserId, Millis)]) -> Result<(), StoreError> {
        let writes = futures_util::stream::iter(users.to_vec()).map(|(user, at)| note_seen(&self.db, user, at));
        writes.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn create_family(&self, family: &Family) -> Result<(), StoreError> {
        families::create(&self.db, family).await
    }

    async fn family(&self, id: &str) -> Result<Option<Family>, StoreError> {
        families::read(&self.db, id, false).await
    }

    async fn rotate_family(&self, id: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, StoreError> {
        families::rotate(&self.db, [id, from, to], expires_at).await
    }

    async fn revoke_family(&self, id: &str) -> Result<(), StoreError> {
        families::revoke(&self.db, id).await
    }

    async fn revoke_families(&self, user: UserId, except: Option<&str>) -> Result<(), StoreError> {
        families::revoke_all(&self.db, user, except).await
    }

    async fn sweep_families(&self, now: Millis) -> Result<usize, StoreError> {
        families::sweep(&self.db, now).await
    }

    async fn audit(&self, at: Millis, by: UserId, room: Option<RoomId>, what: &str) -> Result<(), StoreError> {
        let id = getrandom::u64().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let room = room.map(|room| int(room.get()));
        let values = (int(at / DAY_MS), int(at), int(id >> 1), int(by.get()), room, what);
        cql::write(&self.db.session, &self.db.statements.audit_put, values).await
    }
}
