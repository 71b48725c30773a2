//! Usernames of those who write here, for wires that show them: a bounded cache, as a username never changes.

use std::sync::Arc;

use dashmap::DashMap;
use parlance_schema::UserId;

use crate::ports::Store;
use crate::ports::store::StoreError;

/// Usernames that are kept at once; beyond that, all are forgotten.
const NAMES_MAX: usize = 100_000;

/// The names that are known.
#[derive(Debug, Default)]
pub struct Usernames {
    names: DashMap<UserId, Arc<str>>,
}

impl Usernames {
    /// A user's name, if it is known.
    #[must_use]
    pub fn get(&self, user: UserId) -> Option<Arc<str>> {
        self.names.get(&user).map(|name| name.clone())
    }

    /// Takes in a name.
    pub fn learn(&self, user: UserId, name: &str) {
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        self.names.insert(user, name.into());
    }

    /// Reads the names that are not known yet, for users who exist.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn fill(&self, store: &dyn Store, users: impl Iterator<Item = UserId>) -> Result<(), StoreError> {
        let mut unknown: Vec<UserId> = users.filter(|user| !self.names.contains_key(user)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        for account in store.accounts(&unknown).await? {
            self.learn(account.id, &account.username);
        }
        Ok(())
    }
}
