//! The settings of a cluster: who this node is in it, and how it reaches the others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parlance_schema::limits::NODE_ID_BYTES_MAX;
use parlance_schema::node::NodeId;
use serde::{Deserialize, Serialize};

use super::check::{between, bounds};
use super::{Config, Error};
use crate::bus::nats::{Credentials, Options};
use crate::secret::Secret;

/// Who this node is in a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// The name of the cluster, so that several can share servers of NATS.
    pub name: String,
    /// The name of this node, unique in the cluster; empty: the host's.
    pub node: String,
    /// Milliseconds after which a node counts as gone that was not heard of; whole seconds.
    pub lease_ms: u64,
}

/// How this node reaches the others; without a server named it is alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Servers, such as `nats://nats-1:4222`.
    pub servers: Vec<String>,
    /// A user, who has a password.
    pub user: String,
    /// The user's password.
    #[serde(serialize_with = "crate::secret::masked")]
    pub password: Secret,
    /// A token.
    #[serde(serialize_with = "crate::secret::masked")]
    pub token: Secret,
    /// A file with the seed of an nkey.
    pub nkey_file: PathBuf,
    /// A file with a JWT and the seed of its nkey.
    pub credentials_file: PathBuf,
    /// Whether TLS is insisted on.
    pub tls: bool,
    /// A file with the certificates, in PEM, of those who vouch for the servers; empty: the system's.
    pub ca: PathBuf,
    /// A file with this node's own certificate, in PEM, where servers ask for one.
    pub certificate: PathBuf,
    /// A file with its key, in PEM.
    pub key: PathBuf,
    /// Servers that keep the leases.
    pub replicas: usize,
    /// Whether a start fails where no server can be reached.
    pub required: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { name: "main".into(), node: String::new(), lease_ms: 5_000 }
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            user: String::new(),
            password: Secret::new(""),
            token: Secret::new(""),
            nkey_file: PathBuf::new(),
            credentials_file: PathBuf::new(),
            tls: false,
            ca: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            replicas: 1,
            required: false,
        }
    }
}

/// Variables that are read as they stand, since a secret may look like a number.
pub(super) const SECRETS: [&str; 2] = ["PARLANCE_NATS__PASSWORD", "PARLANCE_NATS__TOKEN"];

/// Takes the secrets from the environment.
pub(super) fn apply(config: &mut Config, environment: &[(String, String)]) {
    let find = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| Secret::new(value.as_str()));
    let nats = &mut config.nats;
    for (name, secret) in SECRETS.into_iter().zip([&mut nats.password, &mut nats.token]) {
        if let Some(value) = find(name) {
            *secret = value;
        }
    }
}

impl Cluster {
    /// The name of this node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node.parse().unwrap_or_else(|_| from_host(&rustix::system::uname().nodename().to_string_lossy()))
    }

    /// How long a lease holds.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

/// A node's name from a host's: what may not stand in one becomes `-`.
fn from_host(host: &str) -> NodeId {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = host.chars().map(valid).take(NODE_ID_BYTES_MAX).collect();
    name.parse().unwrap_or_else(|_| NodeId::single())
}

impl Nats {
    /// Whether there are other nodes to reach.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.servers.is_empty()
    }

    /// The same as the bus takes it.
    #[must_use]
    pub fn options(&self) -> Options {
        let credentials = if !self.user.is_empty() {
            Credentials::Password(self.user.clone(), self.password.reveal().to_owned())
        } else if !self.token.reveal().is_empty() {
            Credentials::Token(self.token.reveal().to_owned())
        } else if is_set(&self.nkey_file) {
            Credentials::NkeyFile(self.nkey_file.clone())
        } else if is_set(&self.credentials_file) {
            Credentials::File(self.credentials_file.clone())
        } else {
            Credentials::None
        };
        let file = |path: &PathBuf| is_set(path).then(|| path.clone());
        Options {
            servers: self.servers.clone(),
            credentials,
            tls: self.tls,
            ca: file(&self.ca),
            certificate: file(&self.certificate).zip(file(&self.key)),
        }
    }
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// Checks every bound.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let (cluster, nats) = (&config.cluster, &config.nats);
    let name = "1 to 64 letters, digits, '-' and '_'";
    if cluster.name.parse::<NodeId>().is_err() {
        return Err(bounds("cluster.name", &cluster.name, name));
    }
    if !cluster.node.is_empty() && cluster.node.parse::<NodeId>().is_err() {
        return Err(bounds("cluster.node", &cluster.node, &format!("empty, or {name}")));
    }
    between("cluster.lease_ms", cluster.lease_ms, 2_000, 60_000)?;
    if !cluster.lease_ms.is_multiple_of(1_000) {
        return Err(bounds("cluster.lease_ms", &cluster.lease_ms.to_string(), "whole seconds"));
    }
    between("nats.replicas", nats.replicas as u64, 1, 5)?;
    for server in &nats.servers {
        // The address of a server ends up in logs.
        let secret = server.contains('@');
        let known = ["nats://", "tls://"].iter().any(|scheme| server.starts_with(scheme));
        if secret || !known || server.parse::<async_nats::ServerAddr>().is_err() {
            let shown = if secret { "…@…" } else { server };
            return Err(bounds(
                "nats.servers",
                shown,
                "each must be such as nats://host:4222 or tls://host:4222, without a user",
            ));
        }
    }
    let ways = [
        !nats.user.is_empty(),
        !nats.token.reveal().is_empty(),
        is_set(&nats.nkey_file),
        is_set(&nats.credentials_file),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err(bounds("nats.user", &nats.user, "one of user, token, nkey_file and credentials_file at most"));
    }
    if nats.user.is_empty() != nats.password.reveal().is_empty() {
        return Err(bounds("nats.user", &nats.user, "nats.user and nats.password go together"));
    }
    if is_set(&nats.certificate) != is_set(&nats.key) {
        return Err(bounds("nats.key", &nats.key.to_string_lossy(), "nats.certificate and nats.key go together"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gives_a_name() {
        for (host, name) in [("node-1", "node-1"), ("chat.example.org", "chat-example-org"), ("ж", "-"), ("", "alone")]
        {
            assert_eq!(from_host(host).as_str(), name);
        }
        assert_eq!(from_host(&"x".repeat(200)).as_str().len(), NODE_ID_BYTES_MAX);
        let named = Cluster { node: "n7".into(), ..Cluster::default() };
        assert_eq!(named.node().as_str(), "n7");
        assert!(!Cluster::default().node().as_str().is_empty());
    }
}
