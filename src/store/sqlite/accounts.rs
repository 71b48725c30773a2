//! Accounts, and what moderators did.

use async_trait::async_trait;
use parlance_actors::ports::store::{Account, AccountError, AccountStore, Family, StoreError, Who};
use parlance_schema::user::Role;
use parlance_schema::{Millis, RoomId, TenantId, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fail::{Fail, corrupt, int, uint};
use super::writer::Size;
use super::{Sqlite, families};
use crate::store::name_key;

/// An account's columns, as [`account`] reads them.
pub(super) const COLUMNS: &str =
    "user_id, tenant, username, email, full_name, password, role, active, created_at, last_seen, valid_after";

/// Which name another account has.
enum Taken {
    Username,
    Email,
    /// The account is another than the one that is to be replaced.
    Changed,
}

impl From<Taken> for AccountError {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Username => AccountError::UsernameTaken,
            Taken::Email => AccountError::EmailTaken,
            Taken::Changed => AccountError::Changed,
        }
    }
}

#[async_trait]
impl AccountStore for Sqlite {
    async fn create_account(&self, account: &Account) -> Result<(), AccountError> {
        let account = account.clone();
        Ok(self.writer.run(Size::default(), move |db| create(db, &account)).await??)
    }

    async fn update_account(&self, account: &Account) -> Result<(), AccountError> {
        let account = account.clone();
        Ok(self.writer.run(Size::default(), move |db| update(db, &account)).await??)
    }

    async fn replace_account(&self, before: &Account, after: &Account) -> Result<(), AccountError> {
        let (before, after) = (before.clone(), after.clone());
        let work = move |db: &Connection| {
            let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE user_id = ?1"))?;
            let now = select.query_row([int(before.id.get())], |row| Ok(account(row))).optional()?.transpose()?;
            if now.is_some_and(|now| now.is_as(&before)) { update(db, &after) } else { Ok(Err(Taken::Changed)) }
        };
        Ok(self.writer.run(Size::default(), work).await??)
    }

    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError> {
        let (column, tenant, key) = match who {
            Who::Id(user) => return Ok(self.accounts(&[user]).await?.pop()),
            Who::Username(tenant, name) => ("username_key", tenant, name_key(name)),
            Who::Email(tenant, address) => ("email_key", tenant, name_key(address)),
        };
        let read = move |db: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM account WHERE tenant = ?1 AND {column} = ?2");
            let mut select = db.prepare_cached(&sql)?;
            select.query_row(params![int(tenant.get()), key], |row| Ok(account(row))).optional()?.transpose()
        };
        self.readers.run(read).await
    }

    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let ids = ids.to_vec();
        let read = move |db: &Connection| {
            let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE user_id = ?1"))?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let row = select.query_row([int(id.get())], |row| Ok(account(row))).optional()?;
                found.extend(row.transpose()?);
            }
            Ok(found)
        };
        self.readers.run(read).await
    }

    async fn search_accounts(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
        let text = name_key(text);
        self.readers.run_at_once(move |db| search(db, tenant, &text, limit)).await
    }

    async fn seen(&self, users: &[(UserId, Millis)]) -> Result<(), StoreError> {
        let users = users.to_vec();
        let work = move |db: &Connection| {
            let sql = "UPDATE account SET last_seen = ?2 WHERE user_id = ?1 AND (last_seen IS NULL OR last_seen < ?2)";
            let mut update = db.prepare_cached(sql)?;
            for (user, at) in &users {
                update.execute([user.get(), *at].map(int))?;
            }
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }

    async fn create_family(&self, family: &Family) -> Result<(), StoreError> {
        let family = family.clone();
        self.writer.run(Size::default(), move |db| families::create(db, &family)).await
    }

    async fn family(&self, id: &str) -> Result<Option<Family>, StoreError> {
        let id = id.to_owned();
        self.readers.run(move |db| families::read(db, &id)).await
    }

    async fn rotate_family(&self, id: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, StoreError> {
        let [id, from, to] = [id, from, to].map(str::to_owned);
        self.writer.run(Size::default(), move |db| families::rotate(db, [&id, &from, &to], expires_at)).await
    }

    async fn revoke_family(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.writer.run(Size::default(), move |db| families::revoke(db, &id)).await
    }

    async fn revoke_families(&self, user: UserId, except: Option<&str>) -> Result<(), StoreError> {
        let except = except.map(str::to_owned);
        self.writer.run(Size::default(), move |db| families::revoke_all(db, user, except.as_deref())).await
    }

    async fn sweep_families(&self, now: Millis) -> Result<usize, StoreError> {
        self.writer.run(Size::default(), move |db| families::sweep(db, now)).await
    }

    async fn audit(&self, at: Millis, by: UserId, room: Option<RoomId>, what: &str) -> Result<(), StoreError> {
        let what = what.to_owned();
        let work = move |db: &Connection| {
            let values = params![int(at), int(by.get()), room.map(|r| int(r.get())), what];
            let sql = "INSERT INTO audit (at, by_user, room_id, what) VALUES (?1, ?2, ?3, ?4)";
            db.prepare_cached(sql)?.execute(values)?;
            Ok(())
        };
        self.writer.run(Size::default(), work).await
    }
}

/// The account of a row.
pub(super) fn account(row: &Row<'_>) -> Result<Account, Fail> {
    let role: String = row.get(6)?;
    Ok(Account {
        id: UserId::try_from(uint(row, 0)?).map_err(corrupt)?,
        tenant: TenantId::try_from(uint(row, 1)?).map_err(corrupt)?,
        username: row.get(2)?,
        email: row.get(3)?,
        full_name: row.get(4)?,
        password: row.get(5)?,
        role: role.parse::<Role>().map_err(corrupt)?,
        active: row.get(7)?,
        created_at: uint(row, 8)?,
        last_seen: row.get::<_, Option<i64>>(9)?.map(|_| uint(row, 9)).transpose()?,
        valid_after: uint(row, 10)?,
    })
}

/// Which of an account's names others have.
pub(super) struct NamesTaken {
    pub username: bool,
    pub email: bool,
}

/// Looks an account's names up.
pub(super) fn names_taken(db: &Connection, account: &Account) -> Result<NamesTaken, Fail> {
    let has = |column: &str, key: &str| -> Result<bool, Fail> {
        let sql = format!("SELECT 1 FROM account WHERE tenant = ?1 AND {column} = ?2 AND user_id <> ?3");
        Ok(db.prepare_cached(&sql)?.exists(params![int(account.tenant.get()), key, int(account.id.get())])?)
    };
    let username = has("username_key", &name_key(&account.username))?;
    let email = match &account.email {
        Some(email) => has("email_key", &name_key(email))?,
        None => false,
    };
    Ok(NamesTaken { username, email })
}

fn taken(db: &Connection, account: &Account) -> Result<Option<Taken>, Fail> {
    let names = names_taken(db, account)?;
    Ok(if names.username { Some(Taken::Username) } else { names.email.then_some(Taken::Email) })
}

fn create(db: &Connection, account: &Account) -> Result<Result<(), Taken>, Fail> {
    if let Some(taken) = taken(db, account)? {
        return Ok(Err(taken));
    }
    insert(db, account)?;
    Ok(Ok(()))
}

/// Writes a new account whose names are free.
pub(super) fn insert(db: &Connection, account: &Account) -> Result<(), Fail> {
    let sql = "INSERT INTO account (user_id, tenant, username, username_key, email, email_key, full_name, full_name_key, \
               password, role, active, created_at, last_seen, valid_after) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    db.prepare_cached(sql)?.execute(params![
        int(account.id.get()),
        int(account.tenant.get()),
        account.username,
        name_key(&account.username),
        account.email,
        account.email.as_deref().map(name_key),
        account.full_name,
        name_key(&account.full_name),
        account.password,
        account.role.word(),
        account.active,
        int(account.created_at),
        account.last_seen.map(int),
        int(account.valid_after),
    ])?;
    Ok(())
}

fn update(db: &Connection, account: &Account) -> Result<Result<(), Taken>, Fail> {
    if let Some(taken) = taken(db, account)? {
        return Ok(Err(taken));
    }
    let sql = "UPDATE account SET username = ?3, username_key = ?4, email = ?5, email_key = ?6, full_name = ?7, \
               full_name_key = ?8, password = ?9, role = ?10, active = ?11, valid_after = ?12 \
               WHERE user_id = ?1 AND tenant = ?2";
    let changed = db.prepare_cached(sql)?.execute(params![
        int(account.id.get()),
        int(account.tenant.get()),
        account.username,
        name_key(&account.username),
        account.email,
        account.email.as_deref().map(name_key),
        account.full_name,
        name_key(&account.full_name),
        account.password,
        account.role.word(),
        account.active,
        int(account.valid_after),
    ])?;
    if changed == 0 {
        return Err(corrupt(format!("there is no account {} in tenant {}", account.id, account.tenant)));
    }
    Ok(Ok(()))
}

/// Those whose username begins with the text come from the index; the rest, if still wanted, from all of the tenant's.
fn search(db: &Connection, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, Fail> {
    let mut found = Vec::new();
    let first = "username_key >= ?2 AND username_key < ?2 || char(1114111) AND instr(username_key, ?2) = 1";
    let rest = "instr(username_key, ?2) <> 1 AND (instr(username_key, ?2) > 1 OR instr(full_name_key, ?2) > 0)";
    for condition in [first, rest] {
        let sql = format!(
            "SELECT {COLUMNS} FROM account WHERE tenant = ?1 AND active AND {condition} ORDER BY username_key LIMIT ?3"
        );
        let mut select = db.prepare_cached(&sql)?;
        let wanted = int((limit - found.len()) as u64);
        let mut rows = select.query(params![int(tenant.get()), text, wanted])?;
        while let Some(row) = rows.next()? {
            found.push(account(row)?);
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}
