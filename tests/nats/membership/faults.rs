//! Leases when servers die or fail over, when nodes sleep, and when the bucket is gone.

use std::sync::Arc;
use std::time::Duration;

use parlance::membership::JetStream;
use parlance_actors::ports::Membership;
use parlance_actors::ports::membership::{MembershipError, NodeState, View};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::conformance::{PATIENCE, SLACK, info, sees, sees_all, shown};
use super::{Servers, one_server};
use crate::server::Server;

const LEASE: Duration = Duration::from_secs(5);

async fn three_servers() -> Servers {
    Servers { all: Server::cluster(), lease: LEASE }
}

/// Three nodes that are ready and see each other; those of a cluster of servers must wait until that has a leader.
async fn three_nodes(servers: &Servers) -> Vec<JetStream> {
    let mut nodes = Vec::new();
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        let node = servers.join(name, at as u64 + 1).await;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = node.announce(NodeState::Ready).await {
            assert!(Instant::now() < deadline, "{name}: {error}");
            sleep(Duration::from_millis(200)).await;
        }
        nodes.push(node);
    }
    for node in &nodes {
        sees(node, "all", |view| view.ready().count() == 3).await;
    }
    nodes
}

pub async fn renews(node: &JetStream, is: bool) {
    let deadline = Instant::now() + PATIENCE;
    while node.is_renewed() != is {
        assert!(Instant::now() < deadline, "never {}renewed", if is { "" } else { "un" });
        sleep(Duration::from_millis(20)).await;
    }
}

/// The name of the server that leads the bucket.
async fn leader(servers: &Servers) -> String {
    let deadline = Instant::now() + PATIENCE;
    for server in servers.all.iter().cycle() {
        assert!(Instant::now() < deadline, "the bucket has no leader");
        let Ok(client) = async_nats::connect(server.url()).await else { continue };
        let jetstream = async_nats::jetstream::new(client);
        let Ok(mut stream) = jetstream.get_stream("KV_parlance_test_nodes").await else { continue };
        let found = stream.info().await.ok().and_then(|info| info.cluster.clone()?.leader);
        if let Some(leader) = found {
            return leader;
        }
    }
    unreachable!("servers come around for ever")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_empties_nobodys_view() {
    let mut servers = three_servers().await;
    let nodes = three_nodes(&servers).await;
    let views: Vec<_> = nodes.iter().map(|node| shown(node)).collect();
    let leader = leader(&servers).await;
    let at: usize = leader.trim_start_matches('n').parse().unwrap();
    servers.all[at].kill();
    // Long enough for every lease to run out that could not be renewed, and for nodes to be sure again.
    let until = Instant::now() + 2 * LEASE + SLACK;
    while Instant::now() < until {
        for node in &nodes {
            assert_eq!(node.view().borrow().nodes().len(), 3);
        }
        sleep(Duration::from_millis(50)).await;
    }
    for node in &nodes {
        renews(node, true).await;
    }
    for views in views {
        let fewer = views.lock().unwrap().iter().filter(|view| view.nodes().len() < 3).count();
        assert_eq!(fewer, 0, "a node was taken off a view");
    }
    // And leases mean something again.
    let mut nodes = nodes;
    drop(nodes.pop());
    let took = sees_all(&nodes[0], &[info("a", 1, NodeState::Ready), info("b", 2, NodeState::Ready)]).await;
    assert!(took < LEASE + SLACK, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_for_longer_than_a_lease_changes_no_view() {
    let mut servers = one_server().await;
    let nodes = three_nodes(&servers).await;
    let views: Vec<_> = nodes.iter().map(|node| shown(node)).collect();
    servers.all[0].kill();
    for node in &nodes {
        renews(node, false).await;
    }
    let refused = nodes[0].announce(NodeState::Ready).await;
    assert!(matches!(refused, Err(MembershipError::Unavailable(_))), "{refused:?}");
    sleep(2 * servers.lease).await;
    servers.all[0].run();
    for node in &nodes {
        renews(node, true).await;
    }
    // Until all are sure again, and could act.
    sleep(servers.lease + SLACK).await;
    for (node, views) in nodes.iter().zip(views) {
        assert_eq!(node.view().borrow().nodes().len(), 3);
        let believed = believed(&views.lock().unwrap());
        assert!(believed.iter().all(|count| *count == 3), "{believed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_noticed_and_changes_no_view() {
    let servers = one_server().await;
    let nodes = three_nodes(&servers).await;
    let views = shown(&nodes[0]);
    servers.all[0].signal(Signal::STOP);
    for node in &nodes {
        renews(node, false).await;
    }
    servers.all[0].signal(Signal::CONT);
    for node in &nodes {
        renews(node, true).await;
    }
    sleep(servers.lease + SLACK).await;
    assert!(views.lock().unwrap().iter().all(|view| view.nodes().len() == 3));
    assert_eq!(nodes[0].view().borrow().nodes().len(), 3);
}

/// How many nodes were in each view that was shown.
pub fn believed(views: &[Arc<View>]) -> Vec<usize> {
    views.iter().map(|view| view.nodes().len()).collect()
}

#[test]
fn a_node_that_slept_takes_nobody_out() {
    let machine =
        |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    // The one that sleeps has threads of its own, all of which stop.
    let (awake, asleep) = (machine(2), machine(1));
    let servers = awake.block_on(one_server());
    let nodes = awake.block_on(async {
        let nodes = [servers.join("a", 1).await, servers.join("b", 2).await];
        for node in &nodes {
            node.announce(NodeState::Ready).await.unwrap();
        }
        nodes
    });
    let sleeper = asleep.block_on(async {
        let sleeper = servers.join("c", 3).await;
        sleeper.announce(NodeState::Ready).await.unwrap();
        sees(&sleeper, "all", |view| view.ready().count() == 3).await;
        sleep(servers.lease + SLACK).await;
        sleeper
    });
    let views = asleep.block_on(async { shown(&sleeper) });
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    asleep.spawn(async move { woken.recv() });
    awake.block_on(async {
        let both = [info("a", 1, NodeState::Ready), info("b", 2, NodeState::Ready)];
        let took = sees_all(&nodes[0], &both).await;
        assert!(took < servers.lease + SLACK, "{took:?}");
        sees_all(&nodes[1], &both).await;
        wake.send(()).unwrap();
        // It takes its lease again by itself.
        sees(&nodes[0], "it again", |view| view.nodes().contains(&info("c", 3, NodeState::Ready))).await;
        sees(&nodes[1], "it again", |view| view.nodes().len() == 3).await;
        renews(&sleeper, true).await;
    });
    let views = views.lock().unwrap();
    assert!(believed(&views).iter().all(|count| *count == 3), "{:?}", believed(&views));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_was_deleted_is_made_again() {
    let servers = one_server().await;
    let nodes = three_nodes(&servers).await;
    let views = shown(&nodes[1]);
    let client = async_nats::connect(servers.all[0].url()).await.unwrap();
    async_nats::jetstream::new(client).delete_key_value("parlance_test_nodes").await.unwrap();
    for node in &nodes {
        let announced = timeout(PATIENCE, async {
            while node.announce(NodeState::Draining).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
        assert!(announced.await.is_ok());
    }
    for node in &nodes {
        sees(node, "all draining", |view| {
            view.nodes().len() == 3 && view.nodes().iter().all(|node| node.state == NodeState::Draining)
        })
        .await;
    }
    assert!(views.lock().unwrap().iter().all(|view| view.nodes().len() == 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_that_can_not_be_read_do_no_harm() {
    let servers = one_server().await;
    let node = servers.join("a", 1).await;
    node.announce(NodeState::Ready).await.unwrap();
    let client = async_nats::connect(servers.all[0].url()).await.unwrap();
    let bucket = async_nats::jetstream::new(client).get_key_value("parlance_test_nodes").await.unwrap();
    for (key, value) in [("b", "nothing"), ("c.d", "{}"), ("e", r#"{"id":"f","incarnation":1,"state":"ready"}"#)] {
        bucket.put(key, value.into()).await.unwrap();
    }
    bucket.put("g", r#"{"id":"g","incarnation":1,"state":"ready","later":1}"#.into()).await.unwrap();
    sees_all(&node, &[info("a", 1, NodeState::Ready), info("g", 1, NodeState::Ready)]).await;
    // A key that nobody can read is nobody's.
    let taken = servers.join("b", 2).await;
    taken.announce(NodeState::Ready).await.unwrap();
    sees(&node, "the new one", |view| view.nodes().contains(&info("b", 2, NodeState::Ready))).await;
}
