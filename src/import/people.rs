//! Who the service's users are here.

use std::collections::HashMap;

use parlance_schema::UserId;

use super::Error;
use super::job::{Job, Kept};

/// The users that were brought in, by the ids that they had.
#[derive(Debug, Default)]
pub(super) struct People {
    ids: HashMap<u64, UserId>,
}

impl People {
    /// Those that the store has so far.
    pub async fn load(job: &Job) -> Result<Self, Error> {
        let kept = job.kept(Kept::User).await?;
        Ok(Self { ids: kept.into_iter().filter_map(|(old, new)| Some((old, UserId::try_from(new).ok()?))).collect() })
    }

    /// Notes one; false when that old id was there before.
    pub fn add(&mut self, old: u64, new: UserId) -> bool {
        self.ids.insert(old, new).is_none()
    }

    /// The id that a user has here.
    pub fn get(&self, old: u64) -> Option<UserId> {
        self.ids.get(&old).copied()
    }
}
