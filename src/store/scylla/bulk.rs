//! Imports, which this store does not take: a piece is to be written whole or not at all, and no transaction here spans
//! accounts, names and logs. They go into an embedded store, which is then moved over.

use async_trait::async_trait;
use parlance_actors::ports::store::{Bulk, BulkError, BulkStore, IdKind, Record, StoreError};

use super::Scylla;

fn elsewhere() -> StoreError {
    let say = "imports go into an embedded store; move it over with `parlance migrate sqlite-to-scylla`";
    StoreError::Unavailable(say.to_owned())
}

#[async_trait]
impl BulkStore for Scylla {
    async fn bulk(&self, _: Bulk) -> Result<(), BulkError> {
        Err(elsewhere().into())
    }

    async fn import(&self, _: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Ok(None)
    }

    async fn records(&self, _: &str, _: u8, _: u64, _: usize) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    async fn taken(&self, _: IdKind, _: &[u64]) -> Result<Vec<u64>, StoreError> {
        Err(elsewhere())
    }
}
