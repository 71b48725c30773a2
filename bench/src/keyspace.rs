//! A cluster's keyspace on a CQL server. Each cluster has its own: one that meets what earlier ones left unfinished does their work while
//! it is measured.

use scylla::client::session_builder::SessionBuilder;

/// A keyspace that is dropped with this.
pub struct Keyspace {
    server: String,
    name: String,
}

impl Keyspace {
    /// A keyspace that a cluster makes itself, on a server at `host:port`.
    pub fn of(server: &str, name: String) -> Self {
        Self { server: server.to_owned(), name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn remove(&self) -> Option<()> {
        let session = SessionBuilder::new().known_node(&self.server).build().await.ok()?;
        session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {}", self.name), ()).await.ok().map(drop)
    }
}

impl Drop for Keyspace {
    /// What can't be removed stays: it is in nobody's way but the disk's.
    fn drop(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(self.remove());
        }
    }
}
