//! The REST side of the gateway, with a node and accounts that record what they are asked and answer as told.

mod auth;
mod document;
pub mod fake;
mod faults;
mod ops;
mod pages;
mod probes;
mod refusals;
mod seen;
mod sockets;
mod words;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use fake::{FakeClock, FakeNode};
use parlance::api::call::Deps;
use parlance::api::dialect::Dialects;
use parlance::auth::Accounts;
use parlance::dialect;
use parlance::gateway::openapi;
use parlance::gateway::routes::routes;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::Role;
use serde_json::Value;
use warp::Filter;
use warp::http::{Response, StatusCode};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| openapi::document(&all_dialects()));

/// All dialects, as they are without any settings.
pub fn all_dialects() -> Dialects {
    Dialects::open(dialect::ALL, &Default::default()).unwrap()
}

/// A gateway before fakes.
pub struct Gate {
    pub node: Arc<FakeNode>,
    pub accounts: Arc<Accounts>,
    clock: Arc<FakeClock>,
    /// Access tokens of the accounts `user`, `admin` and `root`.
    tokens: BTreeMap<&'static str, String>,
    _keys: tempfile::TempDir,
}

/// What a request came to.
struct Got {
    status: u16,
    headers: warp::http::HeaderMap,
    body: bytes::Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

impl Gate {
    pub async fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock(AtomicU64::new(1_790_000_000_000)));
        let accounts = fake::accounts(clock.clone(), keys.path());
        let mut tokens = BTreeMap::new();
        for (name, role) in [("user", Role::User), ("admin", Role::TenantAdmin), ("root", Role::SuperAdmin)] {
            let account = accounts.add(TENANT_DEFAULT, name.into(), None, None, None, role).await.unwrap();
            assert!(name != "user" || account.id == fake::USER);
            tokens.insert(name, accounts.token_for(&account, 1_800).unwrap().reveal().to_owned());
        }
        Self { node: Arc::default(), accounts: Arc::new(accounts), clock, tokens, _keys: keys }
    }

    pub fn token(&self, name: &str) -> String {
        self.tokens[name].clone()
    }

    pub fn bearer(&self, name: &str) -> String {
        format!("Bearer {}", self.tokens[name])
    }

    fn pass_ms(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// What handlers may call.
    pub fn deps(&self) -> Arc<Deps> {
        let (service, accounts) = (self.node.clone(), self.accounts.clone());
        let dialects = Arc::new(all_dialects());
        let document = openapi::served(&dialects);
        Arc::new(Deps { service, accounts, dialects, metrics: Arc::new(|| "parlance_up 1\n".to_owned()), document })
    }

    pub fn routes(&self) -> impl Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + use<> {
        routes(self.deps())
    }

    /// Sends a request as a user and checks the response against the document.
    async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Got {
        self.send_with(method, path, body, &[("authorization", &self.bearer("user"))]).await
    }

    async fn send_with(&self, method: &str, path: &str, body: Option<&str>, headers: &[(&str, &str)]) -> Got {
        self.send_bytes(method, path, body.map(str::as_bytes), headers).await
    }

    async fn send_bytes(&self, method: &str, path: &str, body: Option<&[u8]>, headers: &[(&str, &str)]) -> Got {
        let mut request = warp::test::request().method(method).path(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let got = got(request.reply(&self.routes()).await);
        document::check(method, path, &got);
        got
    }

    /// Sends a request that must be refused, and gives back the fault's code and detail.
    async fn refused(&self, method: &str, path: &str, body: Option<&str>, status: u16) -> (String, String) {
        let got = self.send(method, path, body).await;
        fault(&got, status, &format!("{method} {path} {body:?}"))
    }
}

fn got(response: Response<bytes::Bytes>) -> Got {
    let (parts, body) = response.into_parts();
    Got { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Checks that a response is a fault of this status, and gives back its code and detail.
fn fault(got: &Got, status: u16, what: &str) -> (String, String) {
    assert_eq!(got.status, status, "{what}: {:?}", got.body);
    assert_eq!(got.header("content-type"), "application/json", "{what}");
    let body = got.json();
    assert!(body["retry"].is_string(), "{what}: {body}");
    if StatusCode::UNAUTHORIZED == got.status {
        assert_eq!(got.header("www-authenticate"), "Bearer", "{what}");
    }
    (body["code"].as_str().unwrap().to_owned(), body["detail"].as_str().unwrap().to_owned())
}
