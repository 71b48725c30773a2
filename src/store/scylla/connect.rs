//! Opening a session: contact points, account, TLS, the datacenter; and what servers say of themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{ExecutionError, NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError};
use scylla::policies::load_balancing::{DefaultPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::response::query_result::QueryResult;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::cql::{int, uint};
use super::migrate::{self, Server};
use super::statements::Statements;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Settings of a store on a CQL server. A password has no place where they might be shown.
#[derive(Clone)]
pub struct Options {
    /// Servers to ask first, as `host:port`.
    pub nodes: Vec<String>,
    /// The keyspace: letters, digits and underscores.
    pub keyspace: String,
    /// The datacenter whose servers are asked, and a quorum of which decides; empty: that of the server that is reached.
    pub datacenter: String,
    /// The account, and its password; empty: none.
    pub user: String,
    /// The account's password.
    pub password: String,
    /// How servers are known; absent: no TLS.
    pub tls: Option<Tls>,
    /// Copies of each row in each datacenter, where the keyspace is made.
    pub replicas: u8,
    /// How long a request may take.
    pub request: Duration,
    /// Whether servers sync before they answer, where they don't tell.
    pub synced: bool,
}

/// How servers are known, and how this client is.
#[derive(Clone, Debug)]
pub struct Tls {
    /// A file with the certificates that vouch for servers, in PEM.
    pub authority: PathBuf,
    /// Files with this client's certificate and key, in PEM, where servers ask for one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server answers.
    #[error("the CQL server can't be reached: {0}")]
    Away(String),
    /// It refused a statement, or us.
    #[error("the CQL server refuses: {0}")]
    Refused(String),
    /// The database was written by a newer version.
    #[error("the database is at version {found}, and this binary knows up to {known}: use a newer one")]
    Newer {
        /// The database's version.
        found: i32,
        /// The newest that is known here.
        known: i32,
    },
    /// A certificate or key can't be read.
    #[error("{file}: {why}", file = file.display())]
    Certificate {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl OpenError {
    /// An answer that makes no sense.
    pub(super) fn answer(error: impl std::fmt::Display) -> Self {
        Self::Other(format!("the CQL server's answer: {error}"))
    }
}

impl From<NewSessionError> for OpenError {
    fn from(error: NewSessionError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<ExecutionError> for OpenError {
    fn from(error: ExecutionError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<PrepareError> for OpenError {
    fn from(error: PrepareError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<UseKeyspaceError> for OpenError {
    fn from(error: UseKeyspaceError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Opens a session on the keyspace, which is made and migrated where that is due.
pub(super) async fn open(options: &Options) -> Result<(Session, Server), OpenError> {
    let name = &options.keyspace;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(OpenError::Other(format!("the keyspace's name {name:?} has more than a-z, 0-9 and _ in it")));
    }
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if !options.datacenter.is_empty() {
        policy = policy.prefer_datacenter(options.datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(options.request))
        .load_balancing_policy(policy.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .connection_timeout(CONNECT)
        .default_execution_profile_handle(profile.into_handle());
    if !options.user.is_empty() {
        builder = builder.user(&options.user, &options.password);
    }
    if let Some(tls) = &options.tls {
        builder = builder.tls_context(Some(client_config(tls)?));
    }
    let session = builder.build().await?;
    let server = migrate::server(&session).await;
    migrate::keyspace(&session, name, options.replicas, server).await?;
    session.use_keyspace(name, false).await?;
    migrate::run(&session).await?;
    Ok((session, server))
}

fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, OpenError> {
    let bad = |file: &Path, why: &dyn std::fmt::Display| {
        let (file, why) = (file.to_owned(), why.to_string());
        OpenError::Certificate { file, why }
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.authority)? {
        roots.add(certificate).map_err(|error| bad(&tls.authority, &error))?;
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| bad(&tls.authority, &error))?.with_root_certificates(roots);
    let config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let own = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
            builder.with_client_auth_cert(certificates(chain)?, own).map_err(|error| bad(chain, &error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let bad = |error: &dyn std::fmt::Display| OpenError::Certificate { file: file.to_owned(), why: error.to_string() };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| bad(&error))?;
    if all.is_empty() { Err(bad(&"there is no certificate in it")) } else { Ok(all) }
}

/// The database's epoch; the first to ask makes it: a random number from 1 to 2^53 - 1.
pub(super) async fn epoch(session: &Session, statements: &Statements) -> Result<u64, OpenError> {
    let new = (getrandom::u64().map_err(OpenError::answer)? >> 11).max(1);
    // Refused, or of unknown outcome: what is there counts.
    let _ = super::cql::cas(session, &statements.meta_put, ("epoch", int(new))).await;
    let found = super::cql::row::<(i64,)>(session, &statements.meta, ("epoch",)).await;
    let (epoch,) = found.map_err(OpenError::answer)?.ok_or_else(|| OpenError::answer("there is no epoch"))?;
    uint(epoch).map_err(OpenError::answer)
}

/// Whether all servers that answer sync before they acknowledge. Where one doesn't tell, the setting says so.
pub(super) async fn synced(session: &Session, server: Server, options: &Options) -> bool {
    let question = match server {
        Server::Scylla => "SELECT value FROM system.config WHERE name = 'commitlog_sync'",
        Server::Cassandra => "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'",
    };
    let mut said = None;
    for node in session.get_cluster_state().get_nodes_info() {
        let target = NodeIdentifier::Node(Arc::clone(node));
        let mut statement = Statement::new(question);
        statement.set_consistency(Consistency::One);
        statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(target, None)));
        let synced = match session.query_unpaged(statement, ()).await.map(QueryResult::into_rows_result) {
            Ok(Ok(rows)) => match rows.maybe_first_row::<(String,)>() {
                Ok(Some((value,))) => !value.contains("periodic"),
                _ => options.synced,
            },
            Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(..))) | Ok(Err(_)) => options.synced,
            // One that is away acknowledges nothing.
            Err(_) => continue,
        };
        said = Some(said.unwrap_or(true) && synced);
    }
    said.unwrap_or(options.synced)
}
