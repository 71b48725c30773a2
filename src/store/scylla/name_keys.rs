//! The migration of accounts to keys that are the same however a name's letters are written ([`name_key`]).
//!
//! It runs once, before a node serves, and can be repeated: several nodes that start together may each do it. Names that used to
//! be two may be one now. Whoever holds the new key keeps the name; another is called by its name with its id appended, and an
//! e-mail address that another has is left out.

use futures_util::TryStreamExt;
use parlance_actors::ports::store::{Account, StoreError};
use parlance_schema::limits::USERNAME_CHARS_MAX;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use super::accounts::{Kept, kept_serial, names, set};
use super::cql::{Cas, corrupt, read_failed, uint};
use super::names::{Held, UniqueName};
use super::{Db, directory};
use crate::store::{name_key, with_ending};

/// How often an account is tried that others change at the same time.
const TRIES: usize = 8;
/// Accounts that are read together.
const PAGE: i32 = 1_000;

/// Gives every account its keys, where that was not done before.
///
/// # Errors
/// When the server fails; the next start goes on.
pub(super) async fn run(db: &Db) -> Result<(), StoreError> {
    if is_done(db).await? {
        return Ok(());
    }
    let mut users = Statement::new("SELECT user_id FROM account").with_page_size(PAGE);
    users.set_consistency(Consistency::LocalQuorum);
    let pager = db.session.query_iter(users, ()).await.map_err(read_failed)?;
    let mut rows = pager.rows_stream::<(i64,)>().map_err(corrupt)?;
    let mut changed = 0_u64;
    while let Some((user,)) = rows.try_next().await.map_err(read_failed)? {
        changed += u64::from(renew(db, uint(user)?).await?);
    }
    let done = "INSERT INTO migration (name, version) VALUES ('name_keys', 1) IF NOT EXISTS";
    db.session.query_unpaged(done, ()).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    tracing::info!(changed, "accounts have their keys");
    Ok(())
}

async fn is_done(db: &Db) -> Result<bool, StoreError> {
    let mut select = Statement::new("SELECT version FROM migration WHERE name = 'name_keys'");
    select.set_consistency(Consistency::LocalSerial);
    let found = db.session.query_unpaged(select, ()).await;
    let found = found.map_err(|error| StoreError::Unavailable(error.to_string()))?.into_rows_result();
    Ok(found.map_err(corrupt)?.rows_num() > 0)
}

/// Renews an account's keys; false where they are what they should be.
async fn renew(db: &Db, user: u64) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        let Some(kept) = kept_serial(db, user).await?.filter(|kept| kept.open) else { return Ok(false) };
        let (old, key) = (old_names(&kept.account), old_key(&kept.account.username));
        let same = old == names(&kept.account) && old_key(&kept.account.full_name) == name_key(&kept.account.full_name);
        if same {
            return Ok(false);
        }
        let account = settled(db, user, &kept).await?;
        directory::put(db, &account, kept.version + 1).await?;
        if !matches!(set(db, &account, kept.version).await?, Cas::Applied) {
            continue;
        }
        let new = names(&account);
        for name in old.iter().filter(|name| !new.contains(name)) {
            if let Some(since) = name.since(db, user).await? {
                name.let_go(db, user, since).await;
            }
        }
        if key != name_key(&account.username) {
            directory::drop_key(db, &account, &key, kept.version + 1).await?;
        }
        return Ok(true);
    }
    Err(StoreError::Unavailable("an account is changed by too many".to_owned()))
}

/// An account with names that it holds.
async fn settled(db: &Db, user: u64, kept: &Kept) -> Result<Account, StoreError> {
    let mut account = kept.account.clone();
    let name = |kind, text: &str| UniqueName { tenant: account.tenant, kind, key: name_key(text) };
    if let Some(email) = &account.email
        && matches!(name("email", email).hold(db, user).await?, Held::Taken)
    {
        tracing::warn!(user, "an account has no e-mail address any more: another has the same one");
        account.email = None;
    }
    let wanted = account.username.clone();
    let mut tries = 0;
    loop {
        let name = UniqueName { tenant: account.tenant, kind: "username", key: name_key(&account.username) };
        match name.hold(db, user).await? {
            Held::Since(_) => break,
            Held::Taken => {
                tries += 1;
                let more = if tries == 1 { String::new() } else { format!("-{tries}") };
                account.username = with_ending(&wanted, &format!("-{user}{more}"), USERNAME_CHARS_MAX);
            }
        }
    }
    if tries > 0 {
        tracing::warn!(user, username = account.username, "an account has another username now");
    }
    Ok(account)
}

/// The names that an account held before.
fn old_names(account: &Account) -> Vec<UniqueName> {
    let name = |kind, text: &str| UniqueName { tenant: account.tenant, kind, key: old_key(text) };
    let email = account.email.as_deref().map(|email| name("email", email));
    std::iter::once(name("username", &account.username)).chain(email).collect()
}

/// The key that a name had before: without regard to case, and no more.
fn old_key(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
