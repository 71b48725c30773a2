//! A connection to NATS: how it authenticates, how it comes back, and whether it is there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_nats::{Client, ClientError, ConnectOptions, Event, ServerAddr, Statistics};
use parlance_actors::ports::Random;
use parlance_actors::ports::bus::BusState;
use tokio::sync::watch;

/// Commands that may wait for the connection.
const COMMANDS_MAX: usize = 2_048;
/// Messages of one subject that may wait for this node to take them; more are lost, and counted.
const SUBSCRIPTION_MAX: usize = 1_024;

/// How a node shows who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// A user and a password.
    Password(String, String),
    /// A token.
    Token(String),
    /// A file with the seed of an nkey.
    NkeyFile(PathBuf),
    /// A file with a JWT and the seed of its nkey, as `nsc` makes them.
    File(PathBuf),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Password(..) => "Password(…)",
            Credentials::Token(_) => "Token(…)",
            Credentials::NkeyFile(_) => "NkeyFile(…)",
            Credentials::File(_) => "File(…)",
        })
    }
}

/// Where NATS is, and how to get in.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Servers, such as `nats://nats-1:4222`.
    pub servers: Vec<String>,
    /// Who this node says it is.
    pub credentials: Credentials,
    /// Whether TLS is insisted on; `tls://` addresses do by themselves.
    pub tls: bool,
    /// Certificates, in PEM, of those who vouch for the servers; none: the system's.
    pub ca: Option<PathBuf>,
    /// A certificate and its key, in PEM, that the servers ask for.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// How soon a connection notices that it is lost, and how soon it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often a server is pinged; where two pings are unanswered at the time of the third, it is taken for dead.
    pub ping_every: Duration,
    /// How long one attempt to connect may take.
    pub attempt_max: Duration,
    /// The longest pause between two attempts, before the jitter.
    pub pause_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(2),
            attempt_max: Duration::from_secs(3),
            pause_max: Duration::from_secs(2),
        }
    }
}

/// Why there can be no connection, however long one waits.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server's address can't be read.
    #[error("nats: {0} is no address of a server")]
    Server(String),
    /// A file with a secret can't be read.
    #[error("nats: {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The first connection failed where it was asked for.
    #[error("nats: {0}")]
    Connect(String),
}

/// A connection that comes back by itself.
pub struct Connection {
    /// What sends and subscribes.
    pub client: Client,
    state: watch::Receiver<BusState>,
}

impl Connection {
    /// Begins to connect, and goes on in the background for as long as it takes; `named` is what the server's lists show.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub async fn open(
        options: &Options,
        named: &str,
        echo: bool,
        pace: Pace,
        random: Arc<dyn Random>,
    ) -> Result<Self, Error> {
        let parse = |server: &String| server.parse().map_err(|_| Error::Server(server.clone()));
        let servers: Vec<ServerAddr> = options.servers.iter().map(parse).collect::<Result<_, _>>()?;
        let (tell, state) = watch::channel(BusState::Away);
        let statistics = Arc::new(OnceLock::new());
        let events = Arc::new(Events {
            tell,
            statistics: statistics.clone(),
            connects: AtomicU64::new(0),
            said: Mutex::default(),
        });
        let mut connect = authenticated(&options.credentials).await?.name(named).retry_on_initial_connect();
        if !echo {
            connect = connect.no_echo();
        }
        if let Some(ca) = &options.ca {
            connect = connect.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &options.certificate {
            connect = connect.add_client_certificate(certificate.clone(), key.clone());
        }
        let client = connect
            .require_tls(options.tls)
            // The servers that are named are those to use: what they tell of each other may be reachable from there alone.
            .ignore_discovered_servers()
            .ping_interval(pace.ping_every)
            .connection_timeout(pace.attempt_max)
            .client_capacity(COMMANDS_MAX)
            .subscription_capacity(SUBSCRIPTION_MAX)
            .reconnect_delay_callback(move |attempt| pause(attempt, pace.pause_max, random.bits()))
            .event_callback(move |event| {
                events.on(&event);
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(|error| Error::Connect(error.to_string()))?;
        let _ = statistics.set(client.statistics());
        Ok(Self { client, state })
    }

    /// Whether it is there, now and whenever that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BusState> {
        self.state.clone()
    }

    /// Waits until it is there; false when that takes longer.
    pub async fn connected(&self, within: Duration) -> bool {
        let mut state = self.state();
        let there = state.wait_for(|state| matches!(state, BusState::Connected(_)));
        matches!(tokio::time::timeout(within, there).await, Ok(Ok(_)))
    }
}

async fn authenticated(credentials: &Credentials) -> Result<ConnectOptions, Error> {
    let options = ConnectOptions::new();
    match credentials {
        Credentials::None => Ok(options),
        Credentials::Password(user, password) => Ok(options.user_and_password(user.clone(), password.clone())),
        Credentials::Token(token) => Ok(options.token(token.clone())),
        Credentials::NkeyFile(path) => {
            let read = tokio::fs::read_to_string(path).await;
            let text = read.map_err(|error| Error::File { path: path.clone(), error })?;
            // Such files have comments, and marks around the seed.
            let seed = text.lines().map(str::trim).find(|line| line.starts_with('S') && line.len() > 50);
            let none = || std::io::Error::other("there is no seed in it");
            let seed = seed.ok_or_else(|| Error::File { path: path.clone(), error: none() })?;
            Ok(options.nkey(seed.to_owned()))
        }
        Credentials::File(path) => {
            let read = options.credentials_file(path).await;
            // What it says of the file's text may be the text.
            let unusable = |error: std::io::Error| std::io::Error::new(error.kind(), "it can't be used");
            read.map_err(|error| Error::File { path: path.clone(), error: unusable(error) })
        }
    }
}

/// The pause before an attempt, the first being 1: at once, then doubling from 100 ms, by half to one and a half of it, so
/// that nodes that lost a server together come back apart.
fn pause(attempt: usize, max: Duration, random: u64) -> Duration {
    let step = u32::try_from(attempt).unwrap_or(u32::MAX).saturating_sub(2).min(10);
    let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX).max(1);
    let whole = if attempt <= 1 { 20 } else { 100 << step }.min(max_ms);
    Duration::from_millis(whole / 2 + random % whole)
}

/// Hears what becomes of the connection.
struct Events {
    tell: watch::Sender<BusState>,
    statistics: Arc<OnceLock<Arc<Statistics>>>,
    /// The connections that were told of.
    connects: AtomicU64,
    /// What was logged last, so that a server that is away for long is told of once.
    said: Mutex<String>,
}

impl Events {
    fn on(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
                tracing::info!("nats connected");
            }
            Event::Disconnected => {
                self.away();
                tracing::warn!("nats disconnected: coming back as soon as it can be reached");
                return;
            }
            Event::SlowConsumer(_) => metrics::counter!("parlance_bus_slow_total").increment(1),
            Event::ClientError(ClientError::Other(error)) => {
                self.away();
                self.say(error);
                return;
            }
            Event::ServerError(error) => self.say(&error.to_string()),
            _ => {}
        }
        // Their queue is short: a connection whose event was lost shows in the number of connections made.
        let connects = self.statistics.get().map_or(0, |all| all.connects.load(Ordering::Relaxed));
        let told = matches!(event, Event::Connected);
        if told || connects > self.connects.load(Ordering::Relaxed) {
            let connects = connects.max(1);
            self.connects.store(connects, Ordering::Relaxed);
            let there = BusState::Connected(connects);
            self.tell.send_if_modified(|state| std::mem::replace(state, there) != there);
        }
    }

    fn away(&self) {
        self.tell.send_if_modified(|state| std::mem::replace(state, BusState::Away) != BusState::Away);
    }

    fn say(&self, error: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != error {
            tracing::warn!(error, "nats");
            error.clone_into(&mut said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let max = Duration::from_secs(2);
        assert!(pause(1, max, u64::MAX) <= Duration::from_millis(30));
        assert_eq!((pause(2, max, 0), pause(2, max, 99)), (Duration::from_millis(50), Duration::from_millis(149)));
        assert_eq!(pause(4, max, 0), Duration::from_millis(200));
        for attempt in 8..100 {
            assert_eq!(pause(attempt, max, 1_999), Duration::from_millis(2_999));
            assert_eq!(pause(attempt, max / 5, 399), Duration::from_millis(599));
        }
        assert_eq!(pause(usize::MAX, max, 0), Duration::from_millis(1_000));
    }

    #[test]
    fn credentials_are_not_shown() {
        for secret in [
            Credentials::Password("u".into(), "hunter42".into()),
            Credentials::Token("hunter42".into()),
            Credentials::NkeyFile("hunter42".into()),
        ] {
            assert!(!format!("{secret:?}").contains("hunter"), "{secret:?}");
        }
    }
}
