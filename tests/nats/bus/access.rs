//! Who gets in: passwords, tokens, nkeys, credentials with a JWT, and TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use parlance::bus::Nats;
use parlance::bus::nats::{Credentials, Options};
use parlance::clock::System;
use parlance_schema::RoomId;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as TlsKey};
use serde_json::{Value, json};

use super::conformance::{Heard, open};
use super::{PATIENCE, identity, join, options};
use crate::server::Server;
use parlance::membership::JetStream;
use parlance::membership::jetstream::Leases;
use parlance_actors::ports::bus::{Question, Reply};
use parlance_actors::ports::membership::NodeState;
use parlance_actors::ports::{Bus, Membership};

/// The address in the certificates.
const HOST: &str = "127.0.0.9";
/// Time in which a server that lets one in would have done so.
const REFUSED_WITHIN: Duration = Duration::from_millis(700);

/// Two nodes with these options hear each other; with those, one does not even connect.
async fn admits(good: &Options, bad: &[Options]) {
    let (one, two) = (join(good, 1).await, join(good, 2).await);
    let heard = Heard::new();
    let _heard = two.subscribe_room(RoomId::new(1), heard.sink());
    open(&one, RoomId::new(1), 1, &heard).await;
    for bad in bad {
        let refused = Nats::open(bad, identity(3), Arc::new(System)).await.unwrap();
        assert!(!refused.connected(REFUSED_WITHIN).await, "{bad:?}");
    }
}

fn with(server: &Server, credentials: Credentials) -> Options {
    Options { credentials, ..options(&[server]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_user_and_password() {
    let server = Server::with("authorization { user: parlance, password: \"a long one\" }");
    let password = |text: &str| with(&server, Credentials::Password("parlance".into(), text.into()));
    admits(&password("a long one"), &[password("another"), options(&[&server])]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_token() {
    let server = Server::with("authorization { token: \"s3cret\" }");
    let token = |text: &str| with(&server, Credentials::Token(text.into()));
    admits(&token("s3cret"), &[token("secret")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_nkey() {
    let (mine, other) = (KeyPair::new_user(), KeyPair::new_user());
    let server = Server::with(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", mine.public_key()));
    let file = |name: &str, key: &KeyPair| {
        let path = server.folder().join(name);
        std::fs::write(&path, format!("# the node's\n{}\n", key.seed().unwrap())).unwrap();
        with(&server, Credentials::NkeyFile(path))
    };
    admits(&file("mine", &mine), &[file("other", &other)]).await;
    std::fs::write(server.folder().join("none"), "nothing").unwrap();
    for name in ["none", "missing"] {
        let options = with(&server, Credentials::NkeyFile(server.folder().join(name)));
        let error = Nats::open(&options, identity(1), Arc::new(System)).await.err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
    }
}

/// A JWT as NATS has them, signed by an issuer.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"jti": "1", "iat": 1, "iss": issuer.public_key(), "sub": subject.public_key(), "name": "test", "nats": nats});
    let signed = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn credentials(path: &Path, jwt: &str, key: &KeyPair) {
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        key.seed().unwrap()
    );
    std::fs::write(path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_credentials_file() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let limits = json!({"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1, "wildcards": true});
    let operators = jwt(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let accounts = jwt(&operator, &account, &json!({"type": "account", "version": 2, "limits": limits}));
    // JetStream works in an account of the server's own.
    let system = KeyPair::new_account();
    let systems = jwt(&operator, &system, &json!({"type": "account", "version": 2, "limits": limits}));
    let free = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let server = Server::with(&format!(
        "operator: {operators}\nresolver: MEMORY\nsystem_account: {system}\n\
         resolver_preload {{ {}: {accounts}, {system}: {systems} }}",
        account.public_key(),
        system = system.public_key()
    ));
    let file = |name: &str, issuer: &KeyPair| {
        let path = server.folder().join(name);
        credentials(&path, &jwt(issuer, &user, &free), &user);
        with(&server, Credentials::File(path))
    };
    admits(&file("good.creds", &account), &[file("bad.creds", &KeyPair::new_account())]).await;
    let broken = server.folder().join("broken.creds");
    std::fs::write(&broken, "-----BEGIN USER NKEY SEED-----\nSUhunter42\n").unwrap();
    let options = with(&server, Credentials::File(broken));
    let error = Nats::open(&options, identity(1), Arc::new(System)).await.err().unwrap().to_string();
    assert!(error.contains("broken.creds") && !error.contains("hunter"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, TlsKey::generate().unwrap()).unwrap();
    std::fs::write(file("ca.pem"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let key = TlsKey::generate().unwrap();
        let names = vec!["localhost".to_owned(), HOST.to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        std::fs::write(file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let path = folder.path().display();
    let server = Server::with_on(
        HOST,
        &format!(
            "tls {{ cert_file: \"{path}/server.pem\", key_file: \"{path}/server.key\", ca_file: \"{path}/ca.pem\", verify: true }}"
        ),
    );
    let certificate = Some((file("client.pem"), file("client.key")));
    let servers = vec![server.url().replace("nats://", "tls://")];
    let good = Options { servers, tls: true, ca: Some(file("ca.pem")), certificate, ..Options::default() };
    let nameless = Options { certificate: None, ..good.clone() };
    let unknown = Options { ca: None, ..good.clone() };
    admits(&good, &[nameless, unknown]).await;
    let plain = Server::start();
    let insists = Options { servers: vec![plain.url()], ..good };
    let refused = Nats::open(&insists, identity(3), Arc::new(System)).await.unwrap();
    assert!(!refused.connected(REFUSED_WITHIN).await, "a server without TLS is not spoken to");
}

fn log(server: &Server) -> String {
    std::fs::read_to_string(server.folder().join("server.log")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_permissions_are_enough() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/installing.md")).unwrap();
    let (_, block) = page.split_once("```\npermissions {").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let block = block.replace("main", "test");
    let server =
        Server::with(&format!("authorization {{ users: [ {{ user: p, password: w, permissions {{{block} }} ] }}"));
    let options = with(&server, Credentials::Password("p".into(), "w".into()));
    admits(&options, &[]).await;
    let (one, two) = (join(&options, 1).await, join(&options, 2).await);
    let _answering = two.respond(Arc::new(|_, _| Box::pin(async { Reply::NotMine(None) })));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while one.ask(&identity(2).node, Question::Presence, PATIENCE).await != Ok(Reply::NotMine(None)) {
        assert!(tokio::time::Instant::now() < deadline, "no answer");
    }
    let leases = Leases { lease: Duration::from_secs(2), replicas: 1 };
    let mut nodes = Vec::new();
    for at in 1..=2 {
        let node = JetStream::open(&options, identity(at), leases, Arc::new(System)).await.unwrap();
        node.announce(NodeState::Ready).await.unwrap();
        nodes.push(node);
    }
    for node in &nodes {
        let mut view = node.view();
        let seen = tokio::time::timeout(PATIENCE, view.wait_for(|view| view.ready().count() == 2)).await;
        assert!(seen.is_ok(), "a node doesn't see the other one:\n{}", log(&server));
    }
    let gone = nodes.remove(0);
    gone.leave().await;
    let mut view = nodes[0].view();
    assert!(tokio::time::timeout(PATIENCE, view.wait_for(|view| view.nodes().len() == 1)).await.is_ok());
    let said = log(&server);
    assert!(!said.to_lowercase().contains("violation"), "{said}");
}
