//! The REST side of the gateway, with a node and accounts that record what they are asked and answer as told.

mod document;
mod fake;
mod faults;
mod ops;
mod pages;
mod probes;
mod refusals;

use std::sync::{Arc, LazyLock};

use fake::{FakeAccounts, FakeNode};
use parlance::gateway::openapi;
use parlance::gateway::routes::{Deps, routes};
use serde_json::Value;
use warp::http::{Response, StatusCode};
use warp::hyper::body::Bytes;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(openapi::document()).unwrap());

/// A gateway before fakes.
struct Gate {
    node: Arc<FakeNode>,
    accounts: Arc<FakeAccounts>,
}

/// What a request came to.
struct Got {
    status: u16,
    headers: warp::http::HeaderMap,
    body: Bytes,
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
    fn new() -> Self {
        Self { node: Arc::default(), accounts: Arc::default() }
    }

    /// Sends a request as a user and checks the response against the document.
    async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Got {
        self.send_with(method, path, body, &[("authorization", "Bearer user")]).await
    }

    async fn send_with(&self, method: &str, path: &str, body: Option<&str>, headers: &[(&str, &str)]) -> Got {
        self.send_bytes(method, path, body.map(str::as_bytes), headers).await
    }

    async fn send_bytes(&self, method: &str, path: &str, body: Option<&[u8]>, headers: &[(&str, &str)]) -> Got {
        let deps = Deps {
            service: self.node.clone(),
            accounts: self.accounts.clone(),
            metrics: Arc::new(|| "parlance_up 1\n".to_owned()),
        };
        let mut request = warp::test::request().method(method).path(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let got = got(request.reply(&routes(deps)).await);
        document::check(method, path, &got);
        got
    }

    /// Sends a request that must be refused, and gives back the fault's code and detail.
    async fn refused(&self, method: &str, path: &str, body: Option<&str>, status: u16) -> (String, String) {
        let got = self.send(method, path, body).await;
        fault(&got, status, &format!("{method} {path} {body:?}"))
    }
}

fn got(response: Response<Bytes>) -> Got {
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
