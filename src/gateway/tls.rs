//! TLS by certificate files, which are read again when they change: certificates expire while servers run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use metrics::counter;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ServerConfig};

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// A file holds no PEM of its kind.
    #[error("{path}: {error}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: tokio_rustls::rustls::pki_types::pem::Error,
    },
    /// The file has no certificate.
    #[error("{0}: there is no certificate in it")]
    Empty(PathBuf),
    /// Certificate and key can't be used together.
    #[error("the certificate can't be used: {0}")]
    Rustls(#[from] tokio_rustls::rustls::Error),
}

/// A certificate with its key, in files.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    /// Hash of the files as they were last read, good or bad.
    seen: Mutex<[u8; 32]>,
}

impl Tls {
    /// Reads a certificate chain and its key, both in PEM.
    ///
    /// # Errors
    /// When a file can't be read or used, or the key is not the certificate's.
    pub fn open(certificate: &Path, key: &Path) -> Result<Arc<Self>, Error> {
        let (chain, secret) = read(certificate, key)?;
        let current = server_config(certificate, key, &chain, &secret)?;
        let seen = Mutex::new(hash(&chain, &secret));
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Arc::new(Self { certificate, key, current: RwLock::new(Arc::new(current)), seen }))
    }

    /// What new connections are to be given.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again; says whether others are in use now. Those that were seen before are not looked at.
    ///
    /// # Errors
    /// When they can't be used: what was in use still is.
    pub fn reload(&self) -> Result<bool, Error> {
        let (chain, secret) = read(&self.certificate, &self.key)?;
        let now = hash(&chain, &secret);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *seen, now) == now {
            return Ok(false);
        }
        let config = server_config(&self.certificate, &self.key, &chain, &secret)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(true)
    }

    /// Reads the files again every `every`, and at once on SIGHUP; never ends.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = hangups.recv() => tracing::info!("told to read the certificate again"),
                _ = ticks.tick() => {}
            }
            let tls = Arc::clone(&self);
            // The files may be on a slow disk.
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => {
                    counter!("parlance_tls_reloads_total").increment(1);
                    tracing::info!(certificate = %self.certificate.display(), "another certificate is in use");
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    counter!("parlance_tls_reload_failures_total").increment(1);
                    tracing::error!(%error, "the new certificate can't be used; the old one stays");
                }
                Err(error) => tracing::error!(%error, "the certificate could not be read again"),
            }
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| Error::File { path: path.to_owned(), error });
    Ok((read(certificate)?, read(key)?))
}

fn hash(chain: &[u8], secret: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(Sha256::digest(chain)).chain_update(Sha256::digest(secret)).finalize().into()
}

fn server_config(certificate: &Path, key: &Path, chain: &[u8], secret: &[u8]) -> Result<ServerConfig, Error> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::Pem { path, error }
    };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(pem(certificate))?;
    if certificates.is_empty() {
        return Err(Error::Empty(certificate.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(secret).map_err(pem(key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Clients keep what a resumption needs, so that the server has no memory of those who are gone.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}
