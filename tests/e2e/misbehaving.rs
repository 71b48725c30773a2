//! Hosts that misbehave: connections that say nothing, headers that drip, floods of upgrades, messages in crumbs. Honest
//! clients hardly notice, memory has its bound, and all of it is counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use crate::raw::PATIENCE;
use crate::server::{Server, Setup, skip};
use crate::stage::Stage;
use crate::waits::{MEMBERS, compared, median, p99, waits};

/// Of each: connections that say nothing, and headers that drip.
const CROWD: usize = 2_000;
/// Upgrades that the flood asks for in a second.
const FLOOD_PER_S: u32 = 300;
/// Connections that send a message in crumbs, in each of two manners.
const CRUMBLERS: usize = 20;
/// Interleaved windows of each kind in an attempt: without, without again, with.
const ROUNDS: usize = 5;
/// How much more the ratio with the crowd may be than that of nothing against nothing: the promise is 2; a build without
/// optimisation on a machine that others use is given more.
const RATIO_MAX: f64 = if cfg!(debug_assertions) { 3.0 } else { 2.0 };
/// What docs/reference.md states of a connection that is no WebSocket and has no body on its way.
const CONNECTION_BYTES_MAX: u64 = 32 * 1024;
/// Open files that both ends need.
const FILES: u64 = 8_000;

fn setup(setup: Setup) -> Setup {
    setup
        .set("rates.address_per_s", "150")
        .set("rates.address_burst", "400")
        .set("limits.connections_per_address", "600")
}

/// A crowd of hosts, on a thread of its own that gives way to everybody else: they have machines of their own.
struct Crowd {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// How many connections of each kind were made so far.
#[derive(Default)]
struct Made {
    silent: AtomicUsize,
    dripping: AtomicUsize,
    asked: AtomicUsize,
}

impl Crowd {
    /// Has them come, and waits until all are there.
    async fn gather(server: &Server, token: &str) -> Self {
        let (address, token) = (server.address(), token.to_owned());
        let made = Arc::new(Made::default());
        let (stop, stopped) = oneshot::channel();
        let there = made.clone();
        let thread = std::thread::spawn(move || {
            nice(19).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                for at in 0..CROWD {
                    tokio::spawn(silent(address, host(10, at), made.clone()));
                    tokio::spawn(dripping(address, host(20, at), made.clone()));
                }
                tokio::spawn(flood(address, made));
                for at in 0..2 * CRUMBLERS {
                    tokio::spawn(crumbs(address, token.clone(), at % 2 == 0));
                }
                let _ = stopped.await;
            });
        });
        let all = async {
            while there.silent.load(Ordering::Relaxed) < CROWD
                || there.dripping.load(Ordering::Relaxed) < CROWD
                || there.asked.load(Ordering::Relaxed) < 10
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("the crowd is there in time");
        Self { stop, thread }
    }

    /// Has them go, and waits until the server has noticed.
    async fn leave(self, server: &Server) {
        let _ = self.stop.send(());
        self.thread.join().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while server.metric("parlance_connections").await > 100.0 {
            assert!(Instant::now() < deadline, "the server holds what is gone");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Each 500 come from a host.
fn host(first: u8, at: usize) -> u8 {
    first + u8::try_from(at / 500).unwrap()
}

async fn connect(address: SocketAddr, from: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Says nothing; comes back when it is closed.
async fn silent(address: SocketAddr, from: u8, made: Arc<Made>) {
    loop {
        if let Ok(mut stream) = connect(address, from).await {
            made.silent.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read_u8().await;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Sends a header, a byte a second.
async fn dripping(address: SocketAddr, from: u8, made: Arc<Made>) {
    loop {
        if let Ok(mut stream) = connect(address, from).await
            && stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.is_ok()
        {
            made.dripping.fetch_add(1, Ordering::Relaxed);
            while timeout(Duration::from_secs(1), stream.read_u8()).await.is_err() {
                if stream.write_all(b"x").await.is_err() {
                    break;
                }
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn upgrade(token: &str) -> String {
    format!(
        "GET /v1/connect?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Asks for one WebSocket after another, without a token that is good.
async fn flood(address: SocketAddr, made: Arc<Made>) {
    let mut ticks = interval(Duration::from_secs(1) / FLOOD_PER_S);
    loop {
        ticks.tick().await;
        let made = made.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = connect(address, 30).await else { return };
            made.asked.fetch_add(1, Ordering::Relaxed);
            let mut answer = [0; 512];
            let _ = stream.write_all(upgrade("guessed").as_bytes()).await;
            // Whatever it is, what comes next is the end.
            let _ = timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        });
    }
}

/// Sends a message of a megabyte, one byte at a time: announced as a whole, or in fragments.
async fn crumbs(address: SocketAddr, token: String, whole: bool) {
    let first: &[u8] =
        if whole { &[0x82, 0xff, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0] } else { &[0x01, 0x80, 0, 0, 0, 0] };
    let crumb: &[u8] = if whole { b"x" } else { &[0x00, 0x81, 0, 0, 0, 0, b'x'] };
    loop {
        if let Ok(mut stream) = connect(address, 31).await
            && stream.write_all(upgrade(&token).as_bytes()).await.is_ok()
            && stream.write_all(first).await.is_ok()
        {
            let mut answer = [0; 512];
            loop {
                // Everything is thrown away, but a peer that doesn't read would be another test.
                if timeout(Duration::from_millis(10), stream.read(&mut answer))
                    .await
                    .is_ok_and(|read| !matches!(read, Ok(1..)))
                    || stream.write_all(crumb).await.is_err()
                {
                    break;
                }
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What honest clients waited: the 99th percentile of each window, in microseconds.
#[derive(Default)]
struct Waits {
    sockets: Vec<f64>,
    requests: Vec<f64>,
}

impl Waits {
    /// Adds a while of honest work, over WebSockets and over REST.
    async fn add(&mut self, stage: &Stage, http: &reqwest::Client) {
        let (began, cpu) = (Instant::now(), stage.server.cpu());
        let (sockets, requests) = tokio::join!(waits(stage), rest(stage, http));
        println!("the server used {:?} of {:?}", stage.server.cpu() - cpu, began.elapsed());
        self.sockets.push(p99(sockets));
        self.requests.push(p99(requests));
    }

    /// The median window, over sockets and over requests: one in which the machine stood still is chance.
    fn median(self) -> [f64; 2] {
        println!("us: {:?} and {:?}", self.sockets, self.requests);
        [median(self.sockets), median(self.requests)]
    }
}

async fn rest(stage: &Stage, http: &reqwest::Client) -> Vec<u64> {
    let mut micros = Vec::new();
    let began = Instant::now();
    for tick in 0..80_u32 {
        sleep_until(began + Duration::from_millis(10) * tick).await;
        let asked = Instant::now();
        let url = format!("http://{}/v1/rooms", stage.server.address());
        let reply = http.get(url).bearer_auth(&stage.users[0].token).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), 200, "honest clients are not refused");
        reply.bytes().await.unwrap();
        micros.push(asked.elapsed().as_micros() as u64);
    }
    micros
}

async fn refused(server: &Server, why: &str) -> f64 {
    server.metric(&format!("parlance_refused_total{{why=\"{why}\"}}")).await
}

/// Raises the number of files that this process and its servers may open; whether it is enough.
fn has_files() -> bool {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(FILES * 2);
    if now.current.is_some_and(|current| current < FILES) && most >= FILES {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum }).unwrap();
    }
    most >= FILES
}

/// Compares windows with a crowd to those without.
async fn with_a_crowd(stage: &Stage, http: &reqwest::Client, peak: &mut u64) -> Result<(), String> {
    let (server, token) = (&stage.server, &stage.users[MEMBERS - 1].token);
    let [mut without, mut again, mut with] = [Waits::default(), Waits::default(), Waits::default()];
    for round in 0..ROUNDS {
        // Which of the two came first should not matter.
        let (first, second) = if round % 2 == 0 { (&mut without, &mut again) } else { (&mut again, &mut without) };
        first.add(stage, http).await;
        second.add(stage, http).await;
        let crowd = Crowd::gather(server, token).await;
        with.add(stage, http).await;
        is_there(server).await;
        *peak = (*peak).max(server.resident_bytes());
        crowd.leave(server).await;
    }
    let (without, again, with) = (without.median(), again.median(), with.median());
    println!("us, sockets and requests: {without:?} without, {again:?} again, {with:?} with");
    for (kind, name) in ["sockets", "requests"].into_iter().enumerate() {
        let (nothing, crowd) = (again[kind] / without[kind], with[kind] / without[kind].min(again[kind]));
        println!("{name}: p99 with the crowd to without {crowd:.2}; nothing to nothing {nothing:.2}");
        let noise = nothing.max(1.0 / nothing);
        if crowd > noise * RATIO_MAX {
            return Err(format!("{name}: {crowd:.2} beside {nothing:.2}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_misbehave_harm_themselves_alone() {
    if !has_files() {
        return skip("too few files may be open for a crowd of connections");
    }
    let stage = Stage::set_alone(1, MEMBERS, setup).await;
    let (server, http) = (&stage.server, reqwest::Client::new());
    Waits::default().add(&stage, &http).await;
    let (resident, mut peak) = (server.resident_bytes(), 0);
    compared(async || with_a_crowd(&stage, &http, &mut peak).await).await;
    let crowd = Crowd::gather(server, &stage.users[MEMBERS - 1].token).await;
    all_are_counted(server).await;
    peak = peak.max(server.resident_bytes());
    crowd.leave(server).await;
    let grown = peak.saturating_sub(resident);
    println!("{} KiB resident, {} KiB more with the crowd", resident / 1024, grown / 1024);
    let bound = 2 * CROWD as u64 * CONNECTION_BYTES_MAX;
    assert!(grown <= bound, "{grown} bytes more, of {bound}");
    println!("{}", stage.judge().await);
}

/// Waits until nearly all of the crowd is there; those whose time is over are closed in waves, and come back.
async fn is_there(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open = server.metric("parlance_connections").await;
        if open >= 0.8 * (2 * CROWD) as f64 {
            return;
        }
        assert!(Instant::now() < deadline, "only {open} connections are there");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until each kind of misbehaviour shows in the metrics.
async fn all_are_counted(server: &Server) {
    for (why, least) in [
        ("header_time", (2 * CROWD) as f64),
        ("address_rate", 100.0),
        ("connect", 100.0),
        ("frame_size", CRUMBLERS as f64),
    ] {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let count = refused(server, why).await;
            if count >= least {
                println!("{why}: {count}");
                break;
            }
            assert!(Instant::now() < deadline, "{count} counted for {why}, not {least}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
