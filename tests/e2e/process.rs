//! One node in a process of its own, with its own data folder and port.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::raw::PATIENCE;

const BINARY: &str = env!("CARGO_BIN_EXE_parlance");

/// An account with a token.
#[derive(Clone, Debug)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub token: String,
}

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Setup {
    pub data: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// The network namespace that it runs in, and its address there.
    place: Option<(String, Ipv4Addr)>,
}

impl Setup {
    /// A server on a data folder, that logs warnings.
    pub fn new(data: &Path) -> Self {
        let setup = Self { data: data.to_owned(), arguments: Vec::new(), environment: Vec::new(), place: None };
        let setup = setup.set("log.filter", "warn,parlance::telemetry=off").set("limits.commands_per_s", "0");
        // All clients are on one address, and some ask for metrics as fast as they can.
        setup.set("rates.address_per_s", "0").set("rates.user_per_s", "0").set("limits.connections_per_address", "0")
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds a variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a setting, such as `limits.slow_close_ms`.
    pub fn set(self, setting: &str, value: &str) -> Self {
        let name = format!("PARLANCE_{}", setting.to_uppercase().replace('.', "__"));
        self.variable(&name, value)
    }

    /// Has it keep everything in a keyspace of the one CQL server that there is.
    pub fn over(self, cql: &str, keyspace: &str) -> Self {
        self.set("store.kind", "scylla")
            .set("store.scylla.nodes", cql)
            .set("store.scylla.keyspace", keyspace)
            .set("store.scylla.replicas", "1")
    }

    /// Has it run in a network namespace, where it has this address.
    pub fn place(mut self, namespace: &str, address: Ipv4Addr) -> Self {
        self.place = Some((namespace.to_owned(), address));
        self
    }

    fn command(&self) -> Command {
        let mut command = match &self.place {
            Some((namespace, _)) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, BINARY]);
                command
            }
            None => Command::new(BINARY),
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PARLANCE_")) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned()).current_dir("/").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs one of the binary's other commands on the folder, with a password where it asks for one; what it printed.
    pub fn run(&self, words: &[&str], password: &str) -> String {
        let mut command = self.command();
        let mut child = command.args(words).arg("--data").arg(&self.data).stdin(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Makes accounts; no server may run on the folder.
    pub fn users(&self, count: usize) -> Vec<User> {
        self.users_of(1, count)
    }

    /// The same in a tenant.
    pub fn users_of(&self, tenant: u64, count: usize) -> Vec<User> {
        let (count_text, tenant) = (count.to_string(), tenant.to_string());
        let out = self.run(&["user", "seed", "--prefix", "user", "--count", &count_text, "--tenant", &tenant], "");
        let user = |line: &str| {
            let user: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| user[name].as_str().unwrap().to_owned();
            User { id: user["id"].as_u64().unwrap(), name: text("username"), token: text("token") }
        };
        let users: Vec<_> = out.lines().map(user).collect();
        assert_eq!(users.len(), count);
        users
    }

    /// Starts a server on a free port.
    pub async fn start(&self) -> Server {
        self.start_on(0).await.unwrap_or_else(|(status, said)| panic!("no start: {status}: {said}"))
    }

    /// Starts a server that must refuse, and returns what it said.
    pub async fn refused(&self) -> String {
        match self.start_on(0).await {
            Ok(_) => panic!("a server that should have refused has started"),
            Err((status, said)) => {
                assert_eq!(status.code(), Some(1), "{said}");
                said
            }
        }
    }

    /// Starts a server on a port; with which status it ended and what it said, where it didn't start.
    pub async fn start_on(&self, port: u16) -> Result<Server, (ExitStatus, String)> {
        let mut command = self.command();
        let host = self.place.as_ref().map_or(Ipv4Addr::LOCALHOST, |(_, address)| *address);
        command.args(["--listen", &format!("{host}:{port}"), "--data"]).arg(&self.data).args(&self.arguments);
        let mut child = command.spawn().unwrap();
        let (said, first) = (Arc::new(Mutex::new(String::new())), oneshot::channel());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let heard = Arc::clone(&said);
        let listener = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            let _ = first.0.send(lines.next());
            lines.for_each(drop);
        });
        let line = timeout(PATIENCE, first.1).await.expect("a server's first line in time").unwrap();
        let Some(line) = line else {
            let status = child.wait().unwrap();
            listener.join().unwrap();
            let said = said.lock().unwrap().clone();
            return Err((status, said));
        };
        let address = line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Ok(Server { setup: self.clone(), address, child, said, listener: Some(listener) })
    }
}

/// A running server; killed when dropped.
pub struct Server {
    pub setup: Setup,
    pub address: SocketAddr,
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// Says loudly that something can't be tested here; a failure where nothing may be skipped.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped: {why}");
    eprintln!("SKIPPED: {why}");
}

impl Server {
    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it as a machine that hangs, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server should have ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it again on the same folder and port; it must have ended.
    pub async fn restart(&mut self) {
        let setup = self.setup.clone();
        self.restart_as(setup).await;
    }

    /// Starts it again, set up in another way.
    pub async fn restart_as(&mut self, setup: Setup) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match setup.start_on(self.address.port()).await {
                Ok(server) => {
                    *self = server;
                    return;
                }
                // Somebody's outgoing connection may have the port for a moment.
                Err((_, said)) if said.contains("listened on") && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err((status, said)) => panic!("no restart: {status}: {said}"),
            }
        }
    }

    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The same, all of it, once it has ended.
    pub fn said_in_the_end(&mut self) -> String {
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        self.said()
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The CPU time that it has used so far.
    pub fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The fields after the name, which may hold anything: the 12th and 13th are ticks of user and system time.
        let fields: Vec<_> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }

    /// Gets a path; status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let reply = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    /// Posts JSON, with a token where there is one; status and body.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("http://{}{path}", self.address)).bearer_auth(token);
        let reply = request.json(body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or_default())
    }

    /// A metric's value; 0 where it was never set.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let from = said.len().saturating_sub(4_000);
            let from = (from..said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("the server on {} said:\n{}", self.address, &said[from..]);
        }
    }
}
