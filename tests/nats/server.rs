//! NATS servers in processes of their own, alone or as a cluster, each with its own folder and free ports.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that can be killed and started again.
pub struct Server {
    pub port: u16,
    pub host: String,
    folder: TempDir,
    child: Option<Child>,
}

/// A loopback address of its own for each server or cluster: nobody else takes a port there between its choice and its use.
fn own_host() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("127.0.{}.{}", 1 + count / 250, 1 + count % 250)
}

/// Free ports, each another one.
fn free_ports<const N: usize>(host: &str) -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((host, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn binary() -> PathBuf {
    std::env::var_os("NATS_SERVER").expect("NATS_SERVER names a server's binary: ./test nats gets one").into()
}

impl Server {
    /// A server alone, with JetStream.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server alone, with more settings; `{folder}` in them is its folder.
    pub fn with(settings: &str) -> Self {
        Self::with_on(&own_host(), settings)
    }

    /// The same on an address that the settings name.
    pub fn with_on(host: &str, settings: &str) -> Self {
        let [port] = free_ports(host);
        let mut server = Self::prepare("alone", host, port, settings);
        server.run();
        server
    }

    /// Three servers that know each other.
    pub fn cluster() -> Vec<Self> {
        Self::cluster_on(&own_host())
    }

    /// The same on another address.
    pub fn cluster_on(host: &str) -> Vec<Self> {
        let [a, b, c, routes @ ..] = free_ports::<6>(host);
        let ports: Vec<(u16, u16)> = [a, b, c].into_iter().zip(routes).collect();
        let routes: Vec<_> = routes.iter().map(|route| format!("\"nats://{host}:{route}\"")).collect();
        let prepare = |(at, (port, route)): (usize, &(u16, u16))| {
            let routes = routes.join(", ");
            let cluster = format!("cluster {{ name: test, listen: \"{host}:{route}\", routes: [{routes}] }}");
            Self::prepare(&format!("n{at}"), host, *port, &cluster)
        };
        let mut servers: Vec<_> = ports.iter().enumerate().map(prepare).collect();
        servers.iter_mut().for_each(Self::run);
        servers
    }

    fn prepare(name: &str, host: &str, port: u16, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let text = format!(
            "server_name: {name}\nlisten: \"{host}:{port}\"\n\
             jetstream {{ store_dir: \"{path}\", sync_interval: always, max_mem: 64M, max_file: 256M }}\n{}\n",
            settings.replace("{folder}", &path.to_string())
        );
        std::fs::write(folder.path().join("server.conf"), text).unwrap();
        Self { port, host: host.to_owned(), folder, child: None }
    }

    /// The folder in which its settings are.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.host, self.port)
    }

    /// Starts it, again if it ran before, and waits until it greets.
    pub fn run(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("server.log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("-c").arg(self.folder.path().join("server.conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while !self.greets() {
            let log = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the server does not start: {ended:?}\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn greets(&self) -> bool {
        let Ok(stream) = TcpStream::connect((self.host.as_str(), self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO ")
    }

    /// Kills it as a lost machine would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops or continues it, as a machine that hangs.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
