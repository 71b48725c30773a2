//! The faults, one after the other, while clients send. A table of what each did is the test's output.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::flock::{CQL, Flock, NODES, PROXIED};
use crate::net::Way;
use crate::toxi::Toxi;

/// Longer than a lease: who is frozen so long wakes up believing what is not true any more.
const FROZEN: Duration = Duration::from_secs(8);
/// How long something is cut off.
const CUT: Duration = Duration::from_secs(8);
/// What a slow connection adds, in milliseconds.
const SLOW_MS: u64 = 300;

/// How far a clock jumps, in seconds.
const HOUR: i64 = 3_600;

/// What is done, and undone.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillNode(usize),
    FreezeNode(usize),
    KillNats(usize),
    FreezeNats(usize),
    KillAllNats,
    KillCql,
    CutNats(usize, Option<Way>),
    CutCql(usize, Option<Way>),
    CutBoth(usize),
    KillNodeAndNats(usize, usize),
    KillCqlAndFreezeNode(usize),
    Slow,
    Resets,
    Clock(usize, i64),
    Roll,
}

/// Each kind in turn, then two at once.
const FAULTS: [Fault; 22] = [
    Fault::KillNode(0),
    Fault::FreezeNode(1),
    Fault::KillNats(0),
    Fault::KillNats(1),
    Fault::KillNats(2),
    Fault::FreezeNats(0),
    Fault::KillCql,
    Fault::CutNats(2, None),
    Fault::CutNats(0, Some(Way::In)),
    Fault::CutNats(1, Some(Way::Out)),
    Fault::CutCql(1, None),
    Fault::CutCql(2, Some(Way::In)),
    Fault::CutBoth(0),
    Fault::KillAllNats,
    Fault::Slow,
    Fault::Resets,
    Fault::Clock(0, HOUR),
    Fault::Clock(1, -HOUR),
    Fault::Roll,
    Fault::KillNodeAndNats(2, 1),
    Fault::KillCqlAndFreezeNode(0),
    Fault::KillNode(1),
];

/// The faults that the environment names (`PARLANCE_CHAOS_FAULTS`, such as `KillNode(0);Roll`), or all.
fn wanted() -> Vec<Fault> {
    let names = std::env::var("PARLANCE_CHAOS_FAULTS").ok();
    let is_named =
        |fault: &Fault| names.as_ref().is_none_or(|names| names.split(';').any(|name| name == format!("{fault:?}")));
    let wanted: Vec<Fault> = FAULTS.into_iter().filter(is_named).collect();
    assert!(!wanted.is_empty(), "there is no fault {names:?}");
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_nothing_that_it_acknowledged() {
    let mut flock = Flock::start().await;
    let traffic = flock.traffic();
    let calm = flock.first_acks().await;
    println!("{}", json!({"fault": "none", "first_ack_ms": calm.as_millis() as u64}));
    for fault in wanted() {
        let began = Instant::now();
        let first = strike(&mut flock, fault).await;
        flock.settle().await;
        let healed = flock.first_acks().await;
        println!(
            "{}",
            json!({"fault": format!("{fault:?}"), "first_ack_ms": first.as_millis() as u64,
                "healed_first_ack_ms": healed.as_millis() as u64, "took_ms": began.elapsed().as_millis() as u64})
        );
    }
    traffic.stop().await;
    let counts = flock.judge().await;
    println!("{counts}");
}

/// Does a fault, waits for the first acknowledgement in every room after it, and mends what was broken.
async fn strike(flock: &mut Flock, fault: Fault) -> Duration {
    match fault {
        Fault::KillNode(at) => {
            flock.nodes[at].kill();
            let first = flock.first_acks().await;
            flock.nodes[at].restart().await;
            first
        }
        Fault::FreezeNode(at) => {
            flock.nodes[at].freeze(true);
            during(flock, FROZEN, async { flock.nodes[at].freeze(false) }).await
        }
        Fault::KillNats(at) => {
            flock.nats[at].kill();
            let first = flock.first_acks().await;
            flock.nats[at].run();
            first
        }
        Fault::FreezeNats(at) => {
            flock.nats[at].signal(Signal::STOP);
            during(flock, FROZEN, async { flock.nats[at].signal(Signal::CONT) }).await
        }
        Fault::KillCql => {
            flock.cql.kill();
            flock.cql.run();
            flock.first_acks().await
        }
        Fault::KillAllNats => {
            flock.nats.iter_mut().for_each(crate::nats::Server::kill);
            tokio::time::sleep(CUT).await;
            flock.nats.iter_mut().for_each(crate::nats::Server::run);
            flock.first_acks().await
        }
        Fault::CutNats(at, way) => {
            let ports: Vec<u16> = flock.nats.iter().map(|server| server.port).collect();
            cut(flock, at, &ports, way).await
        }
        Fault::CutCql(at, way) => cut(flock, at, &[CQL], way).await,
        Fault::CutBoth(at) => {
            let ports: Vec<u16> = flock.nats.iter().map(|server| server.port).chain([CQL]).collect();
            cut(flock, at, &ports, None).await
        }
        Fault::KillNodeAndNats(node, nats) => {
            flock.nodes[node].kill();
            flock.nats[nats].kill();
            let first = flock.first_acks().await;
            flock.nats[nats].run();
            flock.nodes[node].restart().await;
            first
        }
        Fault::KillCqlAndFreezeNode(at) => {
            flock.nodes[at].freeze(true);
            flock.cql.kill();
            flock.cql.run();
            during(flock, FROZEN, async { flock.nodes[at].freeze(false) }).await
        }
        Fault::Slow => {
            flock.toxi.slow(flock.toxi.ports(), SLOW_MS).await;
            during(flock, CUT, flock.toxi.heal()).await
        }
        Fault::Resets => {
            flock.toxi.reset(flock.toxi.ports()).await;
            during(flock, CUT, flock.toxi.heal()).await
        }
        Fault::Clock(at, seconds) => {
            flock.clocks[at].jump(seconds);
            during(flock, CUT, async { flock.clocks[at].jump(0) }).await
        }
        Fault::Roll => roll(flock).await,
    }
}

/// The first acknowledgements in all rooms, while a fault lasts so long and is mended then.
async fn during(flock: &Flock, lasts: Duration, mend: impl Future<Output = ()>) -> Duration {
    let mended = async {
        tokio::time::sleep(lasts).await;
        mend.await;
    };
    let (first, ()) = tokio::join!(flock.first_acks(), mended);
    first
}

async fn cut(flock: &Flock, at: usize, ports: &[u16], way: Option<Way>) -> Duration {
    // Packets of a redirected connection are met with either port.
    let proxied = ports.iter().filter(|_| at == PROXIED).map(|port| Toxi::port(*port));
    for port in ports.iter().copied().chain(proxied) {
        match way {
            Some(way) => flock.places[at].cut(port, way),
            None => [Way::In, Way::Out].into_iter().for_each(|way| flock.places[at].cut(port, way)),
        }
    }
    during(flock, CUT, async { flock.places[at].mend() }).await
}

/// Restarts one node after the other, as an upgrade does.
async fn roll(flock: &mut Flock) -> Duration {
    let mut longest = Duration::ZERO;
    for at in 0..NODES {
        flock.nodes[at].terminate();
        longest = longest.max(flock.first_acks().await);
        assert!(flock.nodes[at].ended().await.success());
        flock.nodes[at].restart().await;
        flock.settle().await;
    }
    longest
}
