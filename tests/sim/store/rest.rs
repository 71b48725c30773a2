//! What else a store has: claims and ids, and accounts as far as rooms need them. Nobody logs in or imports here.

use async_trait::async_trait;
use parlance_actors::ports::Store as Port;
use parlance_actors::ports::store::{
    Account, AccountError, AccountStore, Bulk, BulkError, BulkStore, ClaimKind, ClaimStore, Family, IdKind, Record,
    StoreError, StoreHealth, Who,
};
use parlance_schema::{Millis, RoomId, TenantId, UserId};

use super::Store;

fn no_part() -> StoreError {
    StoreError::Unavailable("this has no part in the simulation".into())
}

#[async_trait]
impl ClaimStore for Store {
    async fn claim(&self, tenant: TenantId, kind: ClaimKind, key: &str, target: u64) -> Result<u64, StoreError> {
        self.reach().await?;
        let claimed = self.disk.claim(tenant, kind, key, target);
        self.write_back(claimed).await
    }

    async fn take_ids(&self, kind: IdKind, count: u64) -> Result<u64, StoreError> {
        self.reach().await?;
        let first = self.disk.take_ids(kind, count);
        self.write_back(first).await
    }
}

impl Store {
    /// Brings the answer to a write back, or leaves its fate open.
    async fn write_back<T>(&self, answer: T) -> Result<T, StoreError> {
        let answer = self.back(answer).await?;
        if self.rng.chance(self.store_faults().unknown_done) {
            return Err(StoreError::Unknown("it timed out".into()));
        }
        Ok(answer)
    }
}

#[async_trait]
impl AccountStore for Store {
    async fn create_account(&self, account: &Account) -> Result<(), AccountError> {
        self.disk.put_account(account);
        Ok(())
    }

    async fn update_account(&self, account: &Account) -> Result<(), AccountError> {
        self.disk.put_account(account);
        Ok(())
    }

    async fn replace_account(&self, _: &Account, _: &Account) -> Result<(), AccountError> {
        Err(no_part().into())
    }

    async fn account(&self, who: Who<'_>) -> Result<Option<Account>, StoreError> {
        self.reach().await?;
        let found = self.disk.accounts().into_iter().find(|account| match who {
            Who::Id(id) => account.id == id,
            Who::Username(tenant, name) => account.tenant == tenant && account.username == name,
            Who::Email(tenant, address) => account.tenant == tenant && account.email.as_deref() == Some(address),
        });
        self.back(found).await
    }

    async fn accounts(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        self.reach().await?;
        let mut accounts = self.disk.accounts();
        accounts.retain(|account| ids.contains(&account.id));
        self.back(accounts).await
    }

    async fn search_accounts(&self, _: TenantId, _: &str, _: usize) -> Result<Vec<Account>, StoreError> {
        Err(no_part())
    }

    async fn seen(&self, _: &[(UserId, Millis)]) -> Result<(), StoreError> {
        self.reach().await?;
        self.back(()).await
    }

    async fn create_family(&self, _: &Family) -> Result<(), StoreError> {
        Err(no_part())
    }

    async fn family(&self, _: &str) -> Result<Option<Family>, StoreError> {
        Err(no_part())
    }

    async fn rotate_family(&self, _: &str, _: &str, _: &str, _: Millis) -> Result<bool, StoreError> {
        Err(no_part())
    }

    async fn revoke_family(&self, _: &str) -> Result<(), StoreError> {
        Err(no_part())
    }

    async fn revoke_families(&self, _: UserId, _: Option<&str>) -> Result<(), StoreError> {
        Err(no_part())
    }

    async fn sweep_families(&self, _: Millis) -> Result<usize, StoreError> {
        self.reach().await?;
        self.back(0).await
    }

    async fn audit(&self, _: Millis, _: UserId, _: Option<RoomId>, _: &str) -> Result<(), StoreError> {
        self.reach().await?;
        self.back(()).await
    }
}

#[async_trait]
impl BulkStore for Store {
    async fn bulk(&self, _: Bulk) -> Result<(), BulkError> {
        Err(no_part().into())
    }

    async fn import(&self, _: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Err(no_part())
    }

    async fn records(&self, _: &str, _: u8, _: u64, _: usize) -> Result<Vec<Record>, StoreError> {
        Err(no_part())
    }

    async fn taken(&self, _: IdKind, _: &[u64]) -> Result<Vec<u64>, StoreError> {
        Err(no_part())
    }
}

#[async_trait]
impl Port for Store {
    async fn health(&self) -> StoreHealth {
        let writable = self.reach().await.is_ok();
        StoreHealth { backend: "simulated", writable, durability: "disk" }
    }
}
