//! Draining: rooms and clients go, in order and in no herd, before the node does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlance_schema::Code;
use parlance_schema::node::NodeState;
use parlance_schema::push::Push;
use tokio::time::{Instant, sleep, timeout};

use super::tree::Tree;
use crate::link::Link;

/// How long it may take to tell the other nodes.
const TELLING: Duration = Duration::from_secs(2);
/// How long rooms may take to end their appends and to be handed over.
const ROOMS: Duration = Duration::from_secs(5);
/// How long clients are let go one by one, at most; who is left is given a time to come back at.
const PACED: Duration = Duration::from_secs(15);
/// How often some are let go.
const STEP: Duration = Duration::from_millis(50);
/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(5);

/// Hands the rooms over, lets the clients go, and takes the node off the others' views.
pub(super) async fn drain(tree: &Tree, spread_ms: u64) {
    tree.registries.shared.draining.store(true, Ordering::Release);
    let cluster = &tree.registries.shared.cluster;
    let told = timeout(TELLING, cluster.announce(NodeState::Draining)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::warn!(?told, "the other nodes don't know that this one drains");
    }
    let others = cluster.now().homes().any(|node| node.id != *cluster.me());
    if others {
        let handed = async {
            until(|| none_elsewhere(tree)).await;
            // Lanes of those who go on sending never end.
            let _ = timeout(STEP, until(|| tree.registries.lanes.is_empty())).await;
        };
        if timeout(ROOMS, handed).await.is_err() {
            tracing::warn!("some rooms were not handed over in time; they wake elsewhere all the same");
        }
        let_go(tree).await;
    }
    let links: Vec<Arc<Link>> = tree.sessions.links();
    let count = links.len() as u64;
    let spread_ms = spread_ms.max(count * 1_000 / u64::from(tree.registries.shared.options.reconnects_per_s.max(1)));
    for (at, link) in links.iter().enumerate() {
        close(link, 200 + spread_ms * at as u64 / count.max(1));
    }
    let _ = timeout(CLOSING, until(|| tree.sessions.len() == 0 && tree.registries.lanes.is_empty())).await;
    cluster.membership.leave().await;
}

/// Whether no room is awake here that has another home.
fn none_elsewhere(tree: &Tree) -> bool {
    tree.registries.lanes.rooms.awake().iter().all(|room| tree.registries.shared.cluster.elsewhere(*room).is_none())
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Sends the clients to the other nodes, so many a second: each is served here until it is its turn.
async fn let_go(tree: &Tree) {
    let began = Instant::now();
    for (gone, link) in (0_u64..).zip(tree.sessions.links()) {
        let due = u64::from(tree.registries.shared.options.reconnects_per_s.max(1))
            * began.elapsed().as_millis() as u64
            / 1_000;
        if gone > due {
            sleep(STEP).await;
        }
        if began.elapsed() > PACED {
            return;
        }
        close(&link, 0);
    }
}

fn close(link: &Link, after_ms: u64) {
    link.push(&Push::Reconnect { after_ms, reason: "the server is restarting: reconnect and resume".into() });
    link.outbox.close(Code::Restarting.close(), "the server is restarting: reconnect and resume");
}
