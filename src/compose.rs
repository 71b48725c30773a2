//! Puts a node together: with `compose/`, the only place that names concrete backends.

mod cluster;
mod reload;
mod signals;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ids::Ids;
use parlance_actors::node;
use parlance_actors::ports::{Authority, Clock, Random, Store};
use parlance_schema::user::Principal;
use parlance_schema::{Fault, Millis};
use warp::{Filter, Rejection};

use crate::api::call::Deps;
use crate::api::dialect::{Dialect, Dialects};
use crate::auth::keys::KeyRing;
use crate::auth::{self, Accounts};
use crate::bus;
use crate::cli::{Backend, Failure};
use crate::clock::System;
use crate::config::dialects::Spec;
use crate::config::{Config, Sources, StoreKind};
use crate::consumer;
use crate::dialect;
use crate::gateway::checks::{Checks, Current};
use crate::gateway::{connect, dev, echo, listener, openapi, routes, tls};
use crate::import;
use crate::store::{copy, memory, scylla, sqlite};
use crate::telemetry;
use reload::Reload;
use signals::Signals;

/// Milliseconds over which clients are asked to come back when the server stops.
const DRAIN_SPREAD_MS: u64 = 3_000;

/// The variable with which tests of durability show that they notice its absence; its value is `off`.
const SYNCHRONOUS_VARIABLE: &str = "PARLANCE_DEV_SYNCHRONOUS";

/// The real backends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real;

#[async_trait]
impl Backend for Real {
    async fn serve(&self, config: Config, sources: Sources) -> Result<(), Failure> {
        // From the first moment on, so that a signal during the start ends nothing.
        let mut signals = Signals::listen()?;
        let telemetry = telemetry::install(&config.log).map_err(|error| Failure::Other(error.to_string()))?;
        tokio::spawn(telemetry.clone().upkeep());
        let rendering = telemetry.clone();
        let running = start(&config, dialect::ALL, Arc::new(move || rendering.render())).await?;
        let address = running.listener.address();
        let scheme = if config.tls.certificate.as_os_str().is_empty() { "http" } else { "https" };
        writeln!(std::io::stdout(), "listening on {scheme}://{address}")?;
        std::io::stdout().flush()?;
        tracing::info!(%address, data = %config.data.dir.display(), "ready");
        let mut reload = Reload { sources, config, checks: running.checks.clone(), telemetry };
        signals.until_told(|| reload.run()).await;
        tracing::info!("draining");
        tokio::select! {
            () = running.stop() => {}
            () = signals.told_again() => tracing::warn!("told to end again: ending at once"),
        }
        Ok(())
    }

    async fn open_store(&self, config: &Config) -> Result<Arc<dyn Store>, Failure> {
        open_store(config).await
    }

    async fn backup(&self, config: &Config, to: &Path) -> Result<(), Failure> {
        if config.store.kind != StoreKind::Sqlite {
            let say = "a backup copies the store in the data folder; for a keyspace see docs/installing.md";
            return Err(Failure::Other(say.to_owned()));
        }
        let (dir, to) = (config.data.dir.clone(), to.to_owned());
        let copied = tokio::task::spawn_blocking(move || sqlite::backup(&dir, &to)).await;
        copied.map_err(|error| Failure::Other(error.to_string()))?.map_err(|error| Failure::Other(error.to_string()))
    }

    async fn sqlite_to_scylla(&self, config: &Config, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
        let dir = &config.data.dir;
        if !sqlite::is_there(dir) {
            return Err(Failure::Other(format!("there is no store in {}", dir.display())));
        }
        let source = open_sqlite(config)?;
        if let Some(name) = import::unfinished(&source).await.map_err(|error| Failure::Other(error.to_string()))? {
            return Err(Failure::Other(format!("the import {name} has not come to its end: that comes first")));
        }
        let target = Box::pin(scylla::Scylla::open_to_move(scylla_options(&config.store.scylla))).await;
        let target = target.map_err(|error| Failure::Other(error.to_string()))?;
        copy::run(&source, &target, out).await.map_err(|error| match error {
            copy::CopyError::Io(error) => Failure::Io(error),
            other => Failure::Other(other.to_string()),
        })
    }

    fn dialects(&self) -> Vec<Spec> {
        dialect::specs()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(System)
    }

    fn random(&self) -> Arc<dyn Random> {
        Arc::new(System)
    }
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    match config.store.kind {
        StoreKind::Memory => Ok(Arc::new(memory::Memory::new())),
        StoreKind::Sqlite => Ok(Arc::new(open_sqlite(config)?)),
        StoreKind::Scylla => match scylla::Scylla::open(scylla_options(&config.store.scylla)).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(Failure::Other(error.to_string())),
        },
    }
}

fn open_sqlite(config: &Config) -> Result<sqlite::Sqlite, Failure> {
    sqlite::Sqlite::open(&config.data.dir, &sqlite_options()).map_err(|error| match error {
        sqlite::OpenError::InUse { .. } => Failure::InUse(error.to_string()),
        other => Failure::Other(other.to_string()),
    })
}

fn scylla_options(settings: &crate::config::Scylla) -> scylla::Options {
    let tls = &settings.tls;
    let given = |file: &Path| !file.as_os_str().is_empty();
    let own = given(&tls.certificate).then(|| (tls.certificate.clone(), tls.key.clone()));
    scylla::Options {
        nodes: settings.nodes.clone(),
        keyspace: settings.keyspace.clone(),
        datacenter: settings.datacenter.clone(),
        user: settings.user.clone(),
        password: settings.password.reveal().to_owned(),
        tls: given(&tls.authority).then(|| scylla::Tls { authority: tls.authority.clone(), own }),
        replicas: settings.replicas,
        request: Duration::from_millis(settings.request_ms),
        synced: settings.synced,
    }
}

fn sqlite_options() -> sqlite::Options {
    let mut options = sqlite::Options::default();
    if std::env::var_os(SYNCHRONOUS_VARIABLE).is_some_and(|value| value == "off") {
        tracing::warn!("{SYNCHRONOUS_VARIABLE}=off: a power failure loses acknowledged messages");
        options.synchronous = sqlite::Synchronous::Off;
    }
    options
}

/// A node that serves.
pub struct Running {
    /// Where it listens.
    pub listener: listener::Handle,
    /// Its actors.
    pub node: Arc<node::Handle>,
    /// What requests pass before any route.
    pub checks: Arc<Current>,
    nats: Option<Arc<bus::Nats>>,
}

impl Running {
    /// Tells the clients, lets what is going on end, and stops.
    pub async fn stop(self) {
        self.listener.stop();
        self.node.drain(DRAIN_SPREAD_MS).await;
        self.listener.finish(Duration::from_secs(5)).await;
        self.node.stop().await;
        if let Some(nats) = &self.nats {
            nats.close().await;
        }
    }
}

fn listener_options(config: &Config, dialects: Arc<Dialects>) -> Result<listener::Options, Failure> {
    let tls = if config.tls.certificate.as_os_str().is_empty() {
        None
    } else {
        let opened = tls::Tls::open(&config.tls.certificate, &config.tls.key);
        Some(opened.map_err(|error| Failure::Other(format!("tls: {error}")))?)
    };
    if let Some(tls) = tls.clone() {
        tokio::spawn(tls.keep_fresh(Duration::from_secs(config.tls.reload_s)));
    }
    Ok(listener::Options {
        connections_max: config.limits.connections,
        header_ms: config.limits.header_ms,
        request_ms: config.limits.request_ms,
        reply_ms: config.limits.reply_ms,
        checks: Arc::new(Checks::new(config).map_err(Failure::Other)?.styled(dialects).into()),
        tls,
        ..listener::Options::default()
    })
}

/// Starts a node with the configured backends and those dialects of a list that are on.
///
/// # Errors
/// When the store, the keys, the settings of a dialect or the address can't be used.
pub async fn start(
    config: &Config,
    dialects: &[&'static Dialect],
    render: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<Running, Failure> {
    let dialects = Arc::new(Dialects::open(dialects, &config.dialects).map_err(Failure::Other)?);
    let store = open_store(config).await?;
    match import::unfinished(store.as_ref()).await {
        Ok(None) => {}
        Ok(Some(name)) => {
            let say = "has not come to its end: run it again, or give it up with --abandon";
            return Err(Failure::Other(format!("the import {name} {say}")));
        }
        Err(error) => return Err(Failure::Other(error.to_string())),
    }
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(System), Arc::new(System));
    let cluster::Joined { bus, membership, nats } = cluster::join(config, random.clone()).await?;
    let ids = Arc::new(Ids::new(store.clone()));
    if let Err(error) = ids.look().await {
        tracing::warn!(%error, "it is not known how many ids are left");
    }
    std::fs::create_dir_all(&config.data.dir)?;
    let keys = KeyRing::configured(&config.auth, &config.data.dir, random.as_ref(), clock.now())?;
    let ports = auth::Ports { store: store.clone(), clock: clock.clone(), random: random.clone(), bus: bus.clone() };
    let accounts = Arc::new(Accounts::new(ports, ids.clone(), keys, &config.auth).map_err(Failure::Other)?);
    let authority: Arc<dyn Authority> = Arc::new(Tokens { accounts: accounts.clone(), dialects: dialects.clone() });
    let options = node::Options {
        heartbeat_ms: config.limits.heartbeat_ms,
        silence_ms: config.limits.silence_ms,
        slow_close_ms: config.limits.slow_close_ms,
        commands_per_s: config.limits.commands_per_s,
        room_idle_ms: config.limits.room_idle_ms,
        connections_per_user: config.limits.connections_per_user,
        reconnects_per_s: config.limits.reconnects_per_s,
        ..node::Options::default()
    };
    let consumers = consumer::configured(config).map_err(Failure::Other)?;
    let node =
        node::start(node::Ports { store, bus, membership, clock, random, authority, ids, consumers }, options).await?;
    let node = Arc::new(node);
    let document = openapi::served(&dialects);
    let deps = Deps { service: node.clone(), accounts, dialects: dialects.clone(), metrics: render, document };
    let deps = Arc::new(deps);
    let socket = connect::route(deps.clone());
    let rest = routes::routes(deps)
        // The listener takes filters that may reject; this one answers everything.
        .and_then(async |reply| Ok::<_, Rejection>(reply));
    let tcp = listener::bind(config.server.listen)
        .map_err(|error| Failure::Other(format!("{} can't be listened on: {error}", config.server.listen)))?;
    let options = listener_options(config, dialects.clone())?;
    let checks = options.checks.clone();
    let listener = if config.server.dev_faults {
        let node = node.clone();
        let fault = dev::route(move |victim, panic| node.end(victim, panic));
        listener::serve(tcp, socket.or(echo::route()).unify().or(fault).unify().or(rest).unify(), options)?
    } else if config.server.dev_echo {
        listener::serve(tcp, socket.or(echo::route()).unify().or(rest).unify(), options)?
    } else {
        listener::serve(tcp, socket.or(rest).unify(), options)?
    };
    Ok(Running { listener, node, checks, nats })
}

/// Accounts, as sessions ask them.
struct Tokens {
    accounts: Arc<Accounts>,
    dialects: Arc<Dialects>,
}

#[async_trait]
impl Authority for Tokens {
    async fn check(&self, token: &str, wire: usize) -> Result<(Principal, Millis), Fault> {
        let issuers = self.dialects.issuers_of_wire(wire);
        self.accounts.authenticate_with(issuers, token).await.map(|who| (who.principal, who.expires_at))
    }
}
