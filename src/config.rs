//! The settings: one struct, all of it with defaults, from `cluster.toml`, then the environment, then the command line.
//!
//! `cluster.toml` at the root of the repository names every setting with its default; a test keeps it true.

mod check;
mod cluster;
mod consumers;
pub mod dialects;
mod read;
mod scylla;
mod source;
mod values;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;

use parlance_schema::limits;
use serde::{Deserialize, Serialize};

pub use cluster::{Cluster, Nats};
pub use consumers::{ConsumerKind, ConsumerSettings};
pub use read::{Overrides, environment};
pub use scylla::Scylla;
pub use source::Sources;

/// The file that is read when none is named and it is there.
pub const FILE: &str = "cluster.toml";
/// What names of environment variables begin with; `__` stands between the parts of a name.
pub const PREFIX: &str = "PARLANCE";
/// The variable that names the file, which is no setting itself.
pub const FILE_VARIABLE: &str = "PARLANCE_CONFIG";
/// What names of variables begin with that are for tests of the server alone, and no settings.
pub const DEV_PREFIX: &str = "PARLANCE_DEV_";

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server listens.
    pub server: Server,
    /// Who may reach it: host names, origins, proxies.
    pub gateway: Gateway,
    /// Its certificate.
    pub tls: Tls,
    /// How much one address or one user may ask for.
    pub rates: Rates,
    /// Where it keeps its data.
    pub data: Data,
    /// Accounts and tokens.
    pub auth: Auth,
    /// Bounds that an operator may move.
    pub limits: Limits,
    /// The log of the process.
    pub log: Log,
    /// What keeps rooms and accounts.
    pub store: Store,
    /// Who this node is among others.
    pub cluster: Cluster,
    /// How it reaches them.
    pub nats: Nats,
    /// Services whose clients are served as well.
    pub dialects: dialects::Dialects,
    /// Who follows the logs of all rooms, by name.
    pub consumers: std::collections::BTreeMap<String, ConsumerSettings>,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address that clients use, where a proxy stands before the server; empty: the one it listens on.
    pub public_url: String,
    /// Whether `/dev/echo` is there, for conformance tests of the socket.
    pub dev_echo: bool,
    /// Whether `/dev/fault` is there, which ends actors, for tests of supervision; `/dev/echo` comes with it.
    pub dev_faults: bool,
}

/// Who may reach the server: host names, origins, proxies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Origins whose pages may call, such as `https://chat.example.org`; `*` is all.
    pub origins: Vec<String>,
    /// Host names that are answered to, besides loopback's; none is all.
    pub hosts: Vec<String>,
    /// Addresses and networks of proxies whose `X-Forwarded-*` is believed.
    pub proxies: Vec<String>,
    /// Whether connections from those proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Seconds for which browsers are to come over TLS only; 0 says nothing about it.
    pub hsts_s: u64,
}

/// The certificate; without one, the server speaks HTTP without TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A file with the certificate and those that vouch for it, in PEM; empty: no TLS.
    pub certificate: PathBuf,
    /// A file with its key, in PEM.
    pub key: PathBuf,
    /// Seconds after which the files are looked at again.
    pub reload_s: u64,
}

/// How much one address or one user may ask for. A rate of 0 is without limit; a rate may be a fraction, such as 0.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests of one address in a second.
    pub address_per_s: f64,
    /// Requests of one address at once, after a rest.
    pub address_burst: u32,
    /// Requests of one user in a second.
    pub user_per_s: f64,
    /// Requests of one user at once, after a rest.
    pub user_burst: u32,
    /// Logins and registrations of one address in a second.
    pub attempts_per_s: f64,
    /// Logins and registrations of one address at once, after a rest.
    pub attempts_burst: u32,
}

/// Where data are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The folder; it is made at the first start.
    pub dir: PathBuf,
}

/// Whether strangers may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Everybody who reaches the server.
    Open,
    /// Nobody; `parlance user add` makes them.
    Closed,
}

/// Accounts and tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Seconds that an access token is good for.
    pub access_token_s: u64,
    /// Seconds that a refresh token is good for; each use begins them anew.
    pub refresh_token_s: u64,
    /// Whether strangers may make an account.
    pub registration: Registration,
    /// The file with the signing keys, the same on all nodes of a cluster; empty: one in the data folder, made on first start.
    pub keys_file: PathBuf,
    /// The cost of a password hash.
    pub argon2: Argon2,
}

/// The cost of a password hash (argon2id).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Argon2 {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Bounds that an operator may move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections of one user at once.
    pub connections_per_user: usize,
    /// Clients a second that are asked to come back when the server stops.
    pub reconnects_per_s: u32,
    /// Connections of one address at once; 0 is without limit.
    pub connections_per_address: usize,
    /// Milliseconds within which a request's header must have come.
    pub header_ms: u64,
    /// Milliseconds within which a request must be answered.
    pub request_ms: u64,
    /// Milliseconds for which a client may read nothing of an answer.
    pub reply_ms: u64,
    /// Commands that one connection may give in a second, with a burst of as many; 0 is without limit.
    pub commands_per_s: u32,
    /// Milliseconds that a connection may stay behind without reading.
    pub slow_close_ms: u64,
    /// Milliseconds of silence before a ping.
    pub heartbeat_ms: u64,
    /// Milliseconds of silence before the connection is closed.
    pub silence_ms: u64,
    /// Milliseconds after which a room without work sleeps.
    pub room_idle_ms: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// A JSON object per line.
    Json,
}

/// The log of the process, on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged, in the words of tracing's `EnvFilter`.
    pub filter: String,
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A file in the data folder.
    Sqlite,
    /// A keyspace on a CQL server, which many nodes share.
    Scylla,
    /// Nothing outlives the process.
    Memory,
}

/// What keeps rooms and accounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Which store.
    pub kind: StoreKind,
    /// Where the keyspace is.
    pub scylla: Scylla,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            dev_echo: false,
            dev_faults: false,
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: PathBuf::new(), key: PathBuf::new(), reload_s: 10 }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            address_per_s: 200.0,
            address_burst: 2_000,
            user_per_s: 100.0,
            user_burst: 1_000,
            attempts_per_s: 10.0,
            attempts_burst: 600,
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("./data") }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            access_token_s: limits::ACCESS_TOKEN_S,
            refresh_token_s: limits::REFRESH_TOKEN_S,
            registration: Registration::Open,
            keys_file: PathBuf::new(),
            argon2: Argon2::default(),
        }
    }
}

impl Default for Argon2 {
    /// What OWASP's password storage cheat sheet advises for argon2id.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, lanes: 1 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_user: limits::CONNECTIONS_PER_USER,
            reconnects_per_s: limits::RECONNECTS_PER_S,
            connections_per_address: 1_000,
            header_ms: 10_000,
            request_ms: 30_000,
            reply_ms: 30_000,
            commands_per_s: limits::COMMANDS_PER_S,
            slow_close_ms: limits::SLOW_CLOSE_MS,
            heartbeat_ms: limits::HEARTBEAT_MS,
            silence_ms: limits::SILENCE_MS,
            room_idle_ms: limits::ROOM_IDLE_MS,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".into() }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { kind: StoreKind::Sqlite, scylla: Scylla::default() }
    }
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named file is not there, or can't be read.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// A setting is unknown, or of the wrong type.
    #[error("{0}")]
    Setting(String),
    /// A setting is outside its bounds.
    #[error("{place}{setting} is {value}: {why}")]
    Bounds {
        /// Where it was set, such as `cluster.toml: `; empty where that is not known.
        place: String,
        /// Its name, such as `auth.access_token_s`.
        setting: String,
        /// Its value.
        value: String,
        /// What it may be.
        why: String,
    },
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
