//! Leases when what fails is a node's way to its server: it comes back later than another one's, or is lost without a word.

use std::sync::Arc;
use std::time::Duration;

use parlance::clock::System;
use parlance::membership::JetStream;
use parlance_actors::ports::membership::NodeState;
use parlance_actors::ports::{Membership, Random};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::conformance::{PATIENCE, SLACK, sees, shown};
use super::faults::{believed, renews};
use super::{Servers, one_server};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    /// Connections are closed, those that are made and those that are there.
    Cut,
    /// Nothing comes through, and nobody is told.
    Lost,
}

/// A node's own way to a server.
struct Way {
    url: String,
    state: watch::Sender<State>,
    /// Connections that came through so far, and attempts that were refused.
    counts: watch::Receiver<(usize, usize)>,
}

impl Way {
    async fn to(servers: &Servers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let (state, (count, counts)) = (watch::Sender::new(State::Open), watch::channel((0, 0)));
        let (server, told) = ((servers.all[0].host.clone(), servers.all[0].port), state.subscribe());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match *told.borrow() {
                    State::Open => count.send_modify(|(through, _)| *through += 1),
                    State::Cut => {
                        count.send_modify(|(_, refused)| *refused += 1);
                        continue;
                    }
                    State::Lost => {}
                }
                tokio::spawn(carry(stream, server.clone(), told.clone()));
            }
        });
        Self { url, state, counts }
    }

    fn is(&self, state: State) {
        self.state.send_replace(state);
    }

    fn through(&self) -> usize {
        self.counts.borrow().0
    }

    /// Waits until so many more attempts were refused.
    async fn refuses(&self, more: usize) {
        let mut counts = self.counts.clone();
        let goal = counts.borrow().1 + more;
        timeout(PATIENCE, counts.wait_for(|(_, refused)| *refused >= goal)).await.expect("it tries again").unwrap();
    }
}

/// Carries bytes both ways while the way is open.
async fn carry(mut stream: TcpStream, server: (String, u16), mut told: watch::Receiver<State>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    loop {
        let state = *told.borrow_and_update();
        tokio::select! {
            _ = copy_bidirectional(&mut stream, &mut server), if state == State::Open => return,
            changed = told.changed() => if changed.is_err() || *told.borrow() == State::Cut { return },
        }
    }
}

/// No randomness at all: the same bits each time.
struct Always(u64);

impl Random for Always {
    fn bits(&self) -> u64 {
        self.0
    }
}

/// What makes all pauses as short as can be.
const SHORTEST: u64 = 0;
/// What makes them as long: one less than a multiple of whatever it is taken modulo.
const LONGEST: u64 = 7_999;

/// A node that is ready, and its own way.
async fn join(servers: &Servers, name: &str, incarnation: u64, bits: u64) -> (JetStream, Way) {
    let way = Way::to(servers).await;
    let node = servers.join_by(vec![way.url.clone()], name, incarnation, Arc::new(Always(bits))).await;
    node.announce(NodeState::Ready).await.unwrap();
    (node, way)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tried_in_vain_just_before_the_server_came_back_is_waited_for() {
    let servers = one_server().await;
    let mut early = Vec::new();
    for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        early.push(join(&servers, name, at as u64 + 1, SHORTEST).await);
    }
    let (late, last) = join(&servers, "e", 5, LONGEST).await;
    let mut views = Vec::new();
    for (node, _) in &early {
        sees(node, "all", |view| view.ready().count() == 5).await;
        views.push(shown(node));
    }
    last.is(State::Cut);
    for (_, way) in &early {
        // So that their attempts are apart, and one of them comes at once when all is open again.
        sleep(servers.lease / 8).await;
        way.is(State::Cut);
    }
    for node in early.iter().map(|(node, _)| node).chain([&late]) {
        renews(node, false).await;
    }
    // Its pauses are as long as they become, and it has just begun one.
    last.refuses(8).await;
    for way in early.iter().map(|(_, way)| way).chain([&last]) {
        way.is(State::Open);
    }
    for node in early.iter().map(|(node, _)| node).chain([&late]) {
        renews(node, true).await;
    }
    sleep(servers.lease + SLACK).await;
    for views in views {
        let believed = believed(&views.lock().unwrap());
        assert!(believed.iter().all(|count| *count == 5), "{believed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_lost_without_a_word_costs_nobody_a_lease() {
    let servers = Servers { lease: Duration::from_secs(5), ..one_server().await };
    let ways = [Way::to(&servers).await, Way::to(&servers).await];
    let other = servers.join("a", 1).await;
    other.announce(NodeState::Ready).await.unwrap();
    let node = servers.join_by(ways.iter().map(|way| way.url.clone()).collect(), "b", 2, Arc::new(System)).await;
    node.announce(NodeState::Ready).await.unwrap();
    sees(&other, "both", |view| view.ready().count() == 2).await;
    // Sure enough to act.
    sleep(servers.lease + SLACK).await;
    let views = shown(&other);
    let used = ways.iter().position(|way| way.through() > 0).expect("it came by one of them");
    ways[used].is(State::Lost);
    let mut through = ways[1 - used].counts.clone();
    let came = timeout(PATIENCE, through.wait_for(|(through, _)| *through > 0)).await;
    assert!(came.is_ok(), "it never takes the other way");
    sleep(servers.lease + SLACK).await;
    let believed = believed(&views.lock().unwrap());
    assert!(believed.iter().all(|count| *count == 2), "{believed:?}");
}
