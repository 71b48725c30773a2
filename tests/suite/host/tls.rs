//! TLS: requests and WebSockets over it, and certificates that are read again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parlance::gateway::listener::Options;
use parlance::gateway::tls::{Error, Tls};
use rustix::process::{Signal, getpid, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{PATIENCE, Place, ask, closed, place_with};
use crate::socket::client::{close, text, upgrade_request};

/// A folder with a certificate that vouches for itself.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.renew();
        files
    }

    /// Writes another certificate and key; what clients are to trust.
    fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(self.path("certificate.pem"), made.cert.pem()).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Result<Arc<Tls>, Error> {
        Tls::open(&self.path("certificate.pem"), &self.path("key.pem"))
    }

    /// A client that trusts the present certificate alone.
    fn client(&self) -> TlsConnector {
        connector(&self.path("certificate.pem"))
    }
}

fn connector(certificate: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn serve(tls: &Arc<Tls>) -> Place {
    let options = Options { tls: Some(tls.clone()), header_ms: 2_000, ..Options::default() };
    place_with(|config| config.gateway.hsts_s = 300, options).await
}

async fn connect(place: &Place, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = place.connect(1).await;
    timeout(PATIENCE, client.connect(ServerName::try_from("localhost").unwrap(), stream)).await.unwrap()
}

const GET: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn requests_and_websockets_go_over_tls() {
    let files = Files::new();
    let place = serve(&files.open().unwrap()).await;
    let client = files.client();
    let reply = ask(&mut connect(&place, &client).await.unwrap(), GET).await;
    assert_eq!((reply.status, reply.header("strict-transport-security")), (200, Some("max-age=300")));
    let mut socket = connect(&place, &client).await.unwrap();
    let request = upgrade_request("/dev/echo", "Origin: https://localhost\r\n");
    // A frame right behind the handshake is read, too.
    socket.write_all(&[request.as_bytes(), &text("early")].concat()).await.unwrap();
    assert_eq!(super::answer(&mut socket).await.status, 101);
    let mut frame = [0; 7];
    socket.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x05early");
    let long = "Grüß Gott ".repeat(100_000);
    let (mut reading, mut writing) = tokio::io::split(socket);
    let sent = text(&long);
    let (written, read) = tokio::join!(writing.write_all(&sent), async {
        let mut head = [0; 10];
        reading.read_exact(&mut head).await.unwrap();
        let mut back = vec![0; usize::try_from(u64::from_be_bytes(head[2..].try_into().unwrap())).unwrap()];
        reading.read_exact(&mut back).await.unwrap();
        back
    });
    written.unwrap();
    assert!(read == long.as_bytes(), "a message of many records comes back whole");
    writing.write_all(&close(1000, b"")).await.unwrap();
    assert_eq!(closed(&mut reading).await.0, 1000);
    drop((reading, writing));
    place.until_open(0).await;
}

#[tokio::test]
async fn a_refused_websocket_is_told_why_over_tls() {
    let files = Files::new();
    let place = serve(&files.open().unwrap()).await;
    let mut socket = connect(&place, &files.client()).await.unwrap();
    assert_eq!(ask(&mut socket, &upgrade_request("/v1/connect", "")).await.status, 101);
    assert_eq!(closed(&mut socket).await.0, 4401);
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_is_let_go() {
    let files = Files::new();
    let options = Options { tls: Some(files.open().unwrap()), header_ms: 200, ..Options::default() };
    let place = place_with(|_| {}, options).await;
    let (mut plain, mut silent, mut half) = (place.connect(1).await, place.connect(1).await, place.connect(1).await);
    plain.write_all(GET.as_bytes()).await.unwrap();
    half.write_all(&[22, 3, 1]).await.unwrap();
    for stream in [&mut plain, &mut silent, &mut half] {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the end in time");
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    }
    place.until_open(0).await;
}

#[tokio::test]
async fn another_certificate_is_used_once_it_is_good() {
    let files = Files::new();
    let tls = files.open().unwrap();
    let place = serve(&tls).await;
    let old = files.client();
    let mut kept = connect(&place, &old).await.unwrap();
    assert!(!tls.reload().unwrap(), "nothing is new");
    // A pair that is half written is not taken.
    let key = std::fs::read(files.path("key.pem")).unwrap();
    files.renew();
    let new = files.client();
    let new_key = std::fs::read(files.path("key.pem")).unwrap();
    for (bad, kind) in [(&key[..], "Rustls"), (b"", "Pem"), (&new_key[..40], "Pem")] {
        std::fs::write(files.path("key.pem"), bad).unwrap();
        let error = tls.reload().unwrap_err();
        assert!(format!("{error:?}").starts_with(kind), "{error:?}");
        connect(&place, &old).await.unwrap();
        assert!(connect(&place, &new).await.is_err(), "the old one is in use");
    }
    std::fs::remove_file(files.path("key.pem")).unwrap();
    assert!(matches!(tls.reload(), Err(Error::File { .. })));
    std::fs::write(files.path("key.pem"), new_key).unwrap();
    assert!(tls.reload().unwrap());
    assert!(connect(&place, &old).await.is_err());
    assert_eq!(ask(&mut connect(&place, &new).await.unwrap(), GET).await.status, 200);
    assert_eq!(ask(&mut kept, GET).await.status, 200, "open connections go on");
    std::fs::write(files.path("certificate.pem"), "").unwrap();
    assert!(matches!(tls.reload(), Err(Error::Empty(_))));
    assert!(matches!(files.open(), Err(Error::Empty(_))));
}

/// Waits until a client that trusts the present certificate gets through.
async fn in_use(place: &Place, files: &Files) {
    let client = files.client();
    let met = async {
        while connect(place, &client).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, met).await.expect("the new certificate is in use");
}

#[tokio::test]
async fn files_are_looked_at_now_and_then_and_on_a_signal() {
    let files = Files::new();
    let tls = files.open().unwrap();
    let place = serve(&tls).await;
    let often = tokio::spawn(tls.clone().keep_fresh(Duration::from_millis(20)));
    files.renew();
    in_use(&place, &files).await;
    files.renew();
    in_use(&place, &files).await;
    often.abort();
    assert!(often.await.is_err_and(|end| end.is_cancelled()));
    let on_signal = tokio::spawn(tls.clone().keep_fresh(Duration::from_secs(3_600)));
    // Its first look tells that it listens.
    files.renew();
    in_use(&place, &files).await;
    files.renew();
    kill_process(getpid(), Signal::HUP).unwrap();
    in_use(&place, &files).await;
    on_signal.abort();
}
