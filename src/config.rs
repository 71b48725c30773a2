//! The settings: one struct, all of it with defaults, from `cluster.toml`, then the environment, then the command line.
//!
//! `cluster.toml` at the root of the repository names every setting with its default; a test keeps it true.

mod cluster;
mod dialects;
mod scylla;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};
use parlance_schema::limits;
use serde::{Deserialize, Serialize};

use crate::gateway::origin::{Hosts, Origins};
use crate::gateway::proxy::Proxies;
pub use cluster::{Cluster, Nats};
pub use dialects::{ChatService, Dialects};
pub use scylla::Scylla;

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
    pub dialects: Dialects,
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

/// How much one address or one user may ask for; a 0 is without limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests of one address in a second.
    pub address_per_s: u32,
    /// Requests of one address at once, after a rest.
    pub address_burst: u32,
    /// Requests of one user in a second.
    pub user_per_s: u32,
    /// Requests of one user at once, after a rest.
    pub user_burst: u32,
    /// Logins and registrations of one address in a second.
    pub attempts_per_s: u32,
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
            address_per_s: 200,
            address_burst: 2_000,
            user_per_s: 100,
            user_burst: 1_000,
            attempts_per_s: 10,
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
    #[error("{setting} is {value}: {why}")]
    Bounds {
        /// Its name, such as `auth.access_token_s`.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        why: String,
    },
}

/// The variables of the process's environment that are settings of ours.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).filter(is_ours).collect()
}

/// What the command line says; it wins over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `server.listen`.
    pub listen: Option<SocketAddr>,
    /// `data.dir`.
    pub data: Option<PathBuf>,
    /// `server.dev_echo`.
    pub dev_echo: bool,
    /// `server.dev_faults`.
    pub dev_faults: bool,
}

impl Config {
    /// Reads the settings: `file` (else `cluster.toml` where there is one), then `environment`, then `overrides`.
    ///
    /// # Errors
    /// When the file can't be read, or a setting is unknown, of the wrong type or out of bounds; the message names it.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Self, Error> {
        let mut builder = config::Config::builder();
        let path = file.unwrap_or(Path::new(FILE));
        if file.is_some() || path.exists() {
            let text = std::fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let settings = environment.iter().filter(|pair| is_setting(pair)).cloned().collect();
        let source = Environment::with_prefix(PREFIX)
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .with_list_parse_key("gateway.origins")
            .with_list_parse_key("gateway.hosts")
            .with_list_parse_key("gateway.proxies")
            .with_list_parse_key("nats.servers")
            .with_list_parse_key("store.scylla.nodes")
            .source(Some(settings));
        let read = builder.add_source(source).build().and_then(config::Config::try_deserialize::<Self>);
        let mut config = read.map_err(|e| Error::Setting(format!("settings: {e}")))?;
        dialects::apply(&mut config, &environment)?;
        cluster::apply(&mut config, &environment);
        scylla::apply(&mut config, &environment);
        overrides.apply(&mut config);
        let (gateway, store, nats) = (&mut config.gateway, &mut config.store.scylla, &mut config.nats);
        let lists =
            [&mut gateway.origins, &mut gateway.hosts, &mut gateway.proxies, &mut store.nodes, &mut nats.servers];
        for list in lists {
            // A list in a variable may have spaces, and an empty one is a list of nothing.
            list.iter_mut().for_each(|text| *text = text.trim().to_owned());
            list.retain(|text| !text.is_empty());
        }
        config.check()?;
        Ok(config)
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let l = &self.limits;
        let a = &self.auth;
        between("auth.access_token_s", a.access_token_s, 10, crate::auth::keys::TOKEN_LIFE_S_MAX)?;
        between("auth.refresh_token_s", a.refresh_token_s, a.access_token_s, 366 * 24 * 3600)?;
        between("auth.argon2.lanes", u64::from(a.argon2.lanes), 1, 16)?;
        between("auth.argon2.iterations", u64::from(a.argon2.iterations), 1, 64)?;
        let memory_min = 8 * u64::from(a.argon2.lanes);
        between("auth.argon2.memory_kib", u64::from(a.argon2.memory_kib), memory_min, 1024 * 1024)?;
        between("limits.connections", l.connections as u64, 1, 1_000_000)?;
        between("limits.connections_per_user", l.connections_per_user as u64, 1, 10_000)?;
        between("limits.reconnects_per_s", u64::from(l.reconnects_per_s), 1, 1_000_000)?;
        between("limits.commands_per_s", u64::from(l.commands_per_s), 0, 1_000_000)?;
        between("limits.slow_close_ms", l.slow_close_ms, 1_000, 3_600_000)?;
        between("limits.heartbeat_ms", l.heartbeat_ms, 1_000, 600_000)?;
        between("limits.silence_ms", l.silence_ms, 2 * l.heartbeat_ms + 1, 3_600_000)?;
        between("limits.room_idle_ms", l.room_idle_ms, 1_000, 86_400_000)?;
        between("limits.connections_per_address", l.connections_per_address as u64, 0, 1_000_000)?;
        between("limits.header_ms", l.header_ms, 100, 600_000)?;
        between("limits.request_ms", l.request_ms, 1_000, 3_600_000)?;
        between("limits.reply_ms", l.reply_ms, 100, 3_600_000)?;
        self.check_gateway()?;
        dialects::check(self)?;
        cluster::check(self)?;
        scylla::check(self)?;
        let url = &self.server.public_url;
        if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
            return Err(bounds("server.public_url", url, "empty, or an address that begins with http:// or https://"));
        }
        if self.data.dir.as_os_str().is_empty() {
            return Err(bounds("data.dir", "", "a folder"));
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return Err(bounds("log.filter", &self.log.filter, &error.to_string()));
        }
        Ok(())
    }

    fn check_gateway(&self) -> Result<(), Error> {
        let (g, r, url) = (&self.gateway, &self.rates, &self.server.public_url);
        let origin = "each must be * or an origin such as https://chat.example.org";
        Origins::parse(&g.origins, url).map_err(|bad| bounds("gateway.origins", &bad, origin))?;
        let host = "each must be a name such as chat.example.org or *.example.org";
        Hosts::parse(&g.hosts, url).map_err(|bad| bounds("gateway.hosts", &bad, host))?;
        let proxy = "each must be an address or a network such as 10.0.0.0/8";
        Proxies::parse(&g.proxies).map_err(|bad| bounds("gateway.proxies", &bad, proxy))?;
        if g.proxy_protocol && g.proxies.is_empty() {
            return Err(bounds("gateway.proxy_protocol", "true", "gateway.proxies must name who sends it"));
        }
        between("gateway.hsts_s", g.hsts_s, 0, 10 * 366 * 24 * 3600)?;
        between("rates.address_per_s", u64::from(r.address_per_s), 0, 1_000_000)?;
        between("rates.user_per_s", u64::from(r.user_per_s), 0, 1_000_000)?;
        between("rates.attempts_per_s", u64::from(r.attempts_per_s), 0, 1_000_000)?;
        between("rates.address_burst", u64::from(r.address_burst), u64::from(r.address_per_s), 10_000_000)?;
        between("rates.user_burst", u64::from(r.user_burst), u64::from(r.user_per_s), 10_000_000)?;
        between("rates.attempts_burst", u64::from(r.attempts_burst), u64::from(r.attempts_per_s), 10_000_000)?;
        between("tls.reload_s", self.tls.reload_s, 1, 24 * 3600)?;
        let (certificate, key) = (&self.tls.certificate, &self.tls.key);
        if certificate.as_os_str().is_empty() != key.as_os_str().is_empty() {
            return Err(bounds("tls.key", &key.to_string_lossy(), "tls.certificate and tls.key go together"));
        }
        Ok(())
    }

    /// The settings as names and values, for logs and operators; there is no secret among them.
    #[must_use]
    pub fn listed(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        if let Ok(value) = serde_json::to_value(self) {
            flatten("", &value, &mut all);
        }
        all
    }
}

fn is_ours((name, _): &(String, String)) -> bool {
    name.starts_with(PREFIX) || dialects::VARIABLES.contains(&name.as_str())
}

fn is_setting((name, _): &(String, String)) -> bool {
    ![FILE_VARIABLE, dialects::SECRET, scylla::PASSWORD].contains(&name.as_str())
        && !cluster::SECRETS.contains(&name.as_str())
        && !name.starts_with(DEV_PREFIX)
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &self.data {
            config.data.dir.clone_from(data);
        }
        config.server.dev_echo |= self.dev_echo;
        config.server.dev_faults |= self.dev_faults;
    }
}

fn between(setting: &'static str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(bounds(setting, &value.to_string(), &format!("it goes from {min} to {max}")))
}

fn bounds(setting: &'static str, value: &str, why: &str) -> Error {
    Error::Bounds { setting, value: format!("{value:?}").replace('"', "'"), why: why.to_owned() }
}

fn flatten(prefix: &str, value: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, field, into);
            }
        }
        other => {
            into.insert(prefix.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
