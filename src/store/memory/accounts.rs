//! Accounts and refresh tokens in memory.

use async_trait::async_trait;
use parlance_actors::ports::store::{Account, AccountError, AccountStore, Family, StoreError, Who};
use parlance_schema::{Millis, RoomId, TenantId, UserId};

use super::{All, Memory};
use crate::store::{FAMILIES_SWEEP_MAX, name_key};

#[async_trait]
impl AccountStore for Memory {
    async fn create_account(&self, account: &Account) -> Result<(), AccountError> {
        let mut all = self.lock();
        all.judge_names(account)?;
        if all.accounts.contains_key(&account.id) {
            return Err(StoreError::Corrupt(format!("account {} is there already", account.id)).into());
        }
        all.accounts.insert(account.id, account.clone());
        Ok(())
    }

    async fn update_account(&self, account: &Account) -> Result<(), AccountError> {
        self.lock().update(account)
    }

    async fn replace_account(&self, before: &Account, after: &Account) -> Result<(), AccountError> {
        let mut all = self.lock();
        if !all.accounts.get(&before.id).is_some_and(|kept| kept.is_as(before)) {
            return Err(AccountError::Changed);
        }
        all.update(after)
    }

    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError> {
        let all = self.lock();
        let found = match who {
            Who::Id(user) => all.accounts.get(&user),
            Who::Username(tenant, name) => {
                let key = name_key(name);
                all.accounts.values().find(|a| a.tenant == tenant && name_key(&a.username) == key)
            }
            Who::Email(tenant, address) => {
                let key = Some(name_key(address));
                all.accounts.values().find(|a| a.tenant == tenant && a.email.as_deref().map(name_key) == key)
            }
        };
        Ok(found.cloned())
    }

    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        let all = self.lock();
        Ok(ids.iter().filter_map(|id| all.accounts.get(id)).cloned().collect())
    }

    async fn search_accounts(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
        let text = name_key(text);
        let all = self.lock();
        let mut found: Vec<_> = all
            .accounts
            .values()
            .filter(|a| a.tenant == tenant && a.active)
            .filter(|a| name_key(&a.username).contains(&text) || name_key(&a.full_name).contains(&text))
            .map(|a| (!name_key(&a.username).starts_with(&text), name_key(&a.username), a))
            .collect();
        found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        Ok(found.into_iter().take(limit).map(|(_, _, account)| account.clone()).collect())
    }

    async fn seen(&self, users: &[(UserId, Millis)]) -> Result<(), StoreError> {
        let mut all = self.lock();
        for (user, at) in users {
            if let Some(account) = all.accounts.get_mut(user) {
                account.last_seen = account.last_seen.max(Some(*at));
            }
        }
        Ok(())
    }

    async fn create_family(&self, family: &Family) -> Result<(), StoreError> {
        let mut all = self.lock();
        if all.families.contains_key(&family.id) {
            return Err(StoreError::Corrupt("a family with this id is there already".to_owned()));
        }
        all.families.insert(family.id.clone(), family.clone());
        Ok(())
    }

    async fn family(&self, id: &str) -> Result<Option<Family>, StoreError> {
        Ok(self.lock().families.get(id).cloned())
    }

    async fn rotate_family(&self, id: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, StoreError> {
        let mut all = self.lock();
        let Some(family) = all.families.get_mut(id).filter(|f| f.current == from && !f.revoked) else {
            return Ok(false);
        };
        (family.current, family.expires_at) = (to.to_owned(), expires_at);
        Ok(true)
    }

    async fn revoke_family(&self, id: &str) -> Result<(), StoreError> {
        if let Some(family) = self.lock().families.get_mut(id) {
            family.revoked = true;
        }
        Ok(())
    }

    async fn revoke_families(&self, user: UserId, except: Option<&str>) -> Result<(), StoreError> {
        let mut all = self.lock();
        let ended = all.families.values_mut().filter(|f| f.user == user && Some(f.id.as_str()) != except);
        ended.for_each(|f| f.revoked = true);
        Ok(())
    }

    async fn sweep_families(&self, now: Millis) -> Result<usize, StoreError> {
        let mut all = self.lock();
        let expired = all.families.values().filter(|f| f.expires_at < now);
        let mut expired: Vec<_> = expired.map(|f| (f.expires_at, f.id.clone())).collect();
        expired.sort();
        expired.truncate(FAMILIES_SWEEP_MAX);
        expired.iter().for_each(|(_, id)| drop(all.families.remove(id)));
        Ok(expired.len())
    }

    async fn audit(&self, at: Millis, by: UserId, room: Option<RoomId>, what: &str) -> Result<(), StoreError> {
        self.lock().audit.push((at, by, room, what.to_owned()));
        Ok(())
    }
}

impl All {
    fn update(&mut self, account: &Account) -> Result<(), AccountError> {
        self.judge_names(account)?;
        let Some(kept) = self.accounts.get_mut(&account.id).filter(|kept| kept.tenant == account.tenant) else {
            let what = format!("there is no account {} in tenant {}", account.id, account.tenant);
            return Err(StoreError::Corrupt(what).into());
        };
        *kept = Account { created_at: kept.created_at, last_seen: kept.last_seen, ..account.clone() };
        Ok(())
    }

    pub(super) fn judge_names(&self, account: &Account) -> Result<(), AccountError> {
        let username = name_key(&account.username);
        if self.others(account).any(|a| name_key(&a.username) == username) {
            return Err(AccountError::UsernameTaken);
        }
        self.judge_email(account)
    }

    pub(super) fn judge_email(&self, account: &Account) -> Result<(), AccountError> {
        if let Some(email) = account.email.as_deref().map(name_key)
            && self.others(account).any(|a| a.email.as_deref().map(name_key).is_some_and(|other| other == email))
        {
            return Err(AccountError::EmailTaken);
        }
        Ok(())
    }

    fn others(&self, account: &Account) -> impl Iterator<Item = &Account> {
        let (tenant, id) = (account.tenant, account.id);
        self.accounts.values().filter(move |a| a.tenant == tenant && a.id != id)
    }
}
