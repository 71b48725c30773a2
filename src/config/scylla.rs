//! The settings of the store on a CQL server.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::{between, bounds};
use super::{Config, Error, StoreKind};
use crate::secret::Secret;

/// The password's variable: read as it stands, as it may look like a number.
pub(super) const PASSWORD: &str = "PARLANCE_STORE__SCYLLA__PASSWORD";

/// A keyspace on a CQL server: ScyllaDB, or Apache Cassandra.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scylla {
    /// Servers to ask first, as `host:port`.
    pub nodes: Vec<String>,
    /// The keyspace; it is made at the first start.
    pub keyspace: String,
    /// Copies of each row in each datacenter, where the keyspace is made.
    pub replicas: u8,
    /// The datacenter that decides; empty: that of the servers named.
    pub datacenter: String,
    /// The account; empty: none.
    pub user: String,
    /// Its password.
    #[serde(serialize_with = "crate::secret::masked")]
    pub password: Secret,
    /// Milliseconds that a request may take.
    pub request_ms: u64,
    /// Whether servers sync before they answer, where they don't tell.
    pub synced: bool,
    /// How servers are known.
    pub tls: Tls,
}

/// How servers are known; without an authority there is no TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A file with the certificates that vouch for servers, in PEM; empty: no TLS.
    pub authority: PathBuf,
    /// A file with this client's certificate, in PEM, where servers ask for one.
    pub certificate: PathBuf,
    /// A file with its key, in PEM.
    pub key: PathBuf,
}

impl Default for Scylla {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "parlance".to_owned(),
            replicas: 3,
            datacenter: String::new(),
            user: String::new(),
            password: Secret::new(""),
            request_ms: 8_000,
            synced: false,
            tls: Tls::default(),
        }
    }
}

/// Takes over the password's variable.
pub(super) fn apply(config: &mut Config, environment: &[(String, String)]) {
    if let Some((_, password)) = environment.iter().find(|(name, _)| name == PASSWORD) {
        config.store.scylla.password = Secret::new(password);
    }
}

/// Checks every bound.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let s = &config.store.scylla;
    between("store.scylla.replicas", u64::from(s.replicas), 1, 16)?;
    between("store.scylla.request_ms", s.request_ms, 100, 600_000)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !s.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
        || !s.keyspace.chars().all(plain)
        || s.keyspace.len() > 48
    {
        return Err(bounds("store.scylla.keyspace", &s.keyspace, "up to 48 of a-z, 0-9 and _, a letter first"));
    }
    if config.store.kind == StoreKind::Scylla && s.nodes.is_empty() {
        return Err(bounds("store.scylla.nodes", "", "at least one server, as host:port"));
    }
    let (authority, certificate, key) = (&s.tls.authority, &s.tls.certificate, &s.tls.key);
    let [authority, certificate, key] = [authority, certificate, key].map(|file| !file.as_os_str().is_empty());
    if certificate != key || (certificate && !authority) {
        let why = "certificate and key go together, and with authority";
        return Err(bounds("store.scylla.tls.key", &s.tls.key.to_string_lossy(), why));
    }
    Ok(())
}
