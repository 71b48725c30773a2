//! Toxiproxy between one node and what it depends on: connections through it are slowed down or reset.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::net::HUB;
use crate::raw::PATIENCE;

const ADMIN: u16 = 8474;
/// Added to a port: where the proxy for it listens.
const OFFSET: u16 = 1_000;

/// A proxy server, with a proxy for each of the ports.
pub struct Toxi {
    child: Child,
    ports: Vec<u16>,
}

impl Toxi {
    pub async fn start(ports: &[u16]) -> Self {
        let binary = std::env::var_os("TOXIPROXY").expect("TOXIPROXY names a server's binary: ./test chaos gets one");
        let mut command = Command::new(binary);
        command.args(["-host", &HUB.to_string(), "-port", &ADMIN.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let toxi = Self { child, ports: ports.to_vec() };
        let deadline = Instant::now() + PATIENCE;
        while reqwest::get(format!("http://{HUB}:{ADMIN}/version")).await.is_err() {
            assert!(Instant::now() < deadline, "toxiproxy does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for port in ports {
            let listen = format!("{HUB}:{}", Self::port(*port));
            let proxy = json!({"name": port.to_string(), "listen": listen, "upstream": format!("{HUB}:{port}")});
            toxi.post("/proxies", &proxy).await;
        }
        toxi
    }

    /// Where the proxy for a port listens.
    pub fn port(port: u16) -> u16 {
        port.checked_add(OFFSET).unwrap_or(port - OFFSET)
    }

    /// Slows down what comes back on some ports, by so many milliseconds, more or less.
    pub async fn slow(&self, ports: &[u16], ms: u64) {
        for port in ports {
            let attributes = json!({"latency": ms, "jitter": ms / 2});
            let toxic = json!({"name": "slow", "type": "latency", "attributes": attributes});
            self.post(&format!("/proxies/{port}/toxics"), &toxic).await;
        }
    }

    /// Resets all connections on some ports, and new ones soon after they began.
    pub async fn reset(&self, ports: &[u16]) {
        for port in ports {
            let toxic = json!({"name": "reset", "type": "reset_peer", "attributes": {"timeout": 200}});
            self.post(&format!("/proxies/{port}/toxics"), &toxic).await;
        }
    }

    /// Takes all that away.
    pub async fn heal(&self) {
        self.post("/reset", &Value::Null).await;
    }

    /// The ports that are proxied.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    async fn post(&self, path: &str, body: &Value) {
        let reply = reqwest::Client::new().post(format!("http://{HUB}:{ADMIN}{path}")).json(body).send().await.unwrap();
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
    }
}

impl Drop for Toxi {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
