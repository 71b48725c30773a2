//! What every membership must do, one function a behaviour. One joins by naming a function that makes a `Bed`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlance_actors::ports::membership::{Membership, MembershipError, NodeInfo, NodeState, View};
use tokio::time::{Instant, timeout};

/// Time within which what must happen has happened.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How much later than a lease's end something may be seen: leases are looked at once a second, and machines are slow.
pub const SLACK: Duration = Duration::from_secs(2);

/// A cluster that nodes can join.
#[async_trait]
pub trait Bed: Send + Sync {
    /// A node that has announced nothing yet. Dropping it without leaving is its death.
    async fn node(&self, name: &str, incarnation: u64) -> Box<dyn Membership>;

    /// How long a lease holds.
    fn lease(&self) -> Duration {
        Duration::from_secs(2)
    }
}

pub fn info(name: &str, incarnation: u64, state: NodeState) -> NodeInfo {
    NodeInfo { id: name.parse().unwrap(), incarnation, state }
}

/// Waits until a node's view is as it should be; how long that took.
pub async fn sees(node: &dyn Membership, what: &str, mut holds: impl FnMut(&View) -> bool + Send) -> Duration {
    let (began, mut view) = (Instant::now(), node.view());
    let seen = timeout(PATIENCE, view.wait_for(|view| holds(view))).await.is_ok();
    assert!(seen, "{} never sees {what}: {:?}", node.me().id, node.view().borrow());
    began.elapsed()
}

/// Waits until a node sees exactly these.
pub async fn sees_all(node: &dyn Membership, all: &[NodeInfo]) -> Duration {
    sees(node, &format!("{all:?}"), |view| view.nodes() == all).await
}

pub async fn oneself_is_there_as_announced(bed: &dyn Bed) {
    let node = bed.node("alone", 7).await;
    let me = node.me();
    assert_eq!((me.id.as_str(), me.incarnation), ("alone", 7));
    assert_eq!(node.view().borrow().get(&me.id), Some(&me));
    for state in [NodeState::Starting, NodeState::Ready, NodeState::Draining, NodeState::Ready] {
        node.announce(state).await.unwrap();
        assert_eq!(node.me(), info("alone", 7, state));
        assert_eq!(node.view().borrow().nodes(), [info("alone", 7, state)]);
        assert!(node.is_renewed());
    }
    node.leave().await;
}

pub async fn all_see_all(bed: &dyn Bed) {
    let mut nodes = Vec::new();
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        let node = bed.node(name, 10 + at as u64).await;
        node.announce(NodeState::Starting).await.unwrap();
        nodes.push(node);
    }
    let all = |state| [info("a", 10, state), info("b", 11, state), info("c", 12, state)];
    for node in &nodes {
        sees_all(node.as_ref(), &all(NodeState::Starting)).await;
    }
    for node in &nodes {
        node.announce(NodeState::Ready).await.unwrap();
    }
    for node in &nodes {
        sees_all(node.as_ref(), &all(NodeState::Ready)).await;
    }
    // One that comes later sees those who are there already.
    let late = bed.node("d", 13).await;
    late.announce(NodeState::Ready).await.unwrap();
    for node in nodes.iter().chain([&late]) {
        sees(node.as_ref(), "four", |view| view.ready().count() == 4).await;
    }
}

pub async fn who_drains_is_seen_to(bed: &dyn Bed) {
    let (one, two) = (bed.node("a", 1).await, bed.node("b", 2).await);
    one.announce(NodeState::Ready).await.unwrap();
    two.announce(NodeState::Ready).await.unwrap();
    sees(one.as_ref(), "both", |view| view.ready().count() == 2).await;
    two.announce(NodeState::Draining).await.unwrap();
    let all = [info("a", 1, NodeState::Ready), info("b", 2, NodeState::Draining)];
    assert!(sees_all(one.as_ref(), &all).await < bed.lease(), "a state is told at once");
}

pub async fn who_leaves_is_gone_at_once(bed: &dyn Bed) {
    let (one, two) = (bed.node("a", 1).await, bed.node("b", 2).await);
    one.announce(NodeState::Ready).await.unwrap();
    two.announce(NodeState::Ready).await.unwrap();
    sees(one.as_ref(), "both", |view| view.ready().count() == 2).await;
    let began = Instant::now();
    two.leave().await;
    sees_all(one.as_ref(), &[info("a", 1, NodeState::Ready)]).await;
    assert!(began.elapsed() < bed.lease());
    // Its name is free.
    let again = bed.node("b", 3).await;
    again.announce(NodeState::Ready).await.unwrap();
    assert!(began.elapsed() < bed.lease() + SLACK);
    sees(one.as_ref(), "it again", |view| view.nodes().contains(&info("b", 3, NodeState::Ready))).await;
}

pub async fn who_dies_is_gone_after_a_lease(bed: &dyn Bed) {
    let (one, two) = (bed.node("a", 1).await, bed.node("b", 2).await);
    one.announce(NodeState::Ready).await.unwrap();
    two.announce(NodeState::Ready).await.unwrap();
    sees(one.as_ref(), "both", |view| view.ready().count() == 2).await;
    // A node that has not renewed for a lease yet is not sure enough to act.
    tokio::time::sleep(bed.lease() + SLACK).await;
    assert_eq!(one.view().borrow().nodes().len(), 2, "who lives stays");
    drop(two);
    let took = sees_all(one.as_ref(), &[info("a", 1, NodeState::Ready)]).await;
    assert!(took < bed.lease() + SLACK, "{took:?}");
    assert!(one.is_renewed());
}

pub async fn who_died_comes_back_under_its_name(bed: &dyn Bed) {
    let (one, two) = (bed.node("a", 1).await, bed.node("b", 2).await);
    one.announce(NodeState::Ready).await.unwrap();
    two.announce(NodeState::Ready).await.unwrap();
    drop(two);
    let (began, again) = (Instant::now(), bed.node("b", 3).await);
    again.announce(NodeState::Ready).await.unwrap();
    assert!(began.elapsed() < bed.lease() + SLACK, "{:?}", began.elapsed());
    sees_all(one.as_ref(), &[info("a", 1, NodeState::Ready), info("b", 3, NodeState::Ready)]).await;
}

pub async fn two_cannot_have_one_name(bed: &dyn Bed) {
    let (one, other) = (bed.node("a", 1).await, bed.node("b", 2).await);
    one.announce(NodeState::Ready).await.unwrap();
    other.announce(NodeState::Ready).await.unwrap();
    let second = bed.node("a", 3).await;
    let refused = second.announce(NodeState::Ready).await;
    assert!(matches!(&refused, Err(MembershipError::NameTaken(name)) if name.as_str() == "a"), "{refused:?}");
    assert!(!second.is_renewed());
    let both = [info("a", 1, NodeState::Ready), info("b", 2, NodeState::Ready)];
    sees_all(other.as_ref(), &both).await;
    assert!(one.is_renewed());
    one.announce(NodeState::Ready).await.unwrap();
}

pub async fn who_drains_gives_way_to_its_next_start(bed: &dyn Bed) {
    let (one, other) = (bed.node("a", 1).await, bed.node("b", 2).await);
    one.announce(NodeState::Ready).await.unwrap();
    other.announce(NodeState::Ready).await.unwrap();
    one.announce(NodeState::Draining).await.unwrap();
    let (began, next) = (Instant::now(), bed.node("a", 3).await);
    next.announce(NodeState::Ready).await.unwrap();
    assert!(began.elapsed() < bed.lease(), "{:?}", began.elapsed());
    // What the old one still does, leaving included, doesn't touch the new one's lease.
    one.leave().await;
    next.announce(NodeState::Ready).await.unwrap();
    sees_all(other.as_ref(), &[info("a", 3, NodeState::Ready), info("b", 2, NodeState::Ready)]).await;
}

/// Makes a test of each behaviour: of a node that is alone, and of a cluster.
macro_rules! every_behaviour_alone {
    ($bed:path) => {
        crate::membership::conformance::behaviours! { $bed; oneself_is_there_as_announced }
    };
}

macro_rules! every_behaviour_in_a_cluster {
    ($bed:path) => {
        crate::membership::conformance::behaviours! { $bed;
            all_see_all, who_drains_is_seen_to, who_leaves_is_gone_at_once, who_dies_is_gone_after_a_lease,
            who_died_comes_back_under_its_name, two_cannot_have_one_name, who_drains_gives_way_to_its_next_start
        }
    };
}

macro_rules! behaviours {
    ($bed:path; $($name:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::membership::conformance::$name(&$bed().await).await;
            }
        )+
    };
}

#[allow(unused_imports, reason = "a binary may have memberships of one kind alone")]
pub(crate) use {behaviours, every_behaviour_alone, every_behaviour_in_a_cluster};

/// All views that a node shows from here on.
pub fn shown(node: &dyn Membership) -> Arc<std::sync::Mutex<Vec<Arc<View>>>> {
    let (all, mut view) = (Arc::new(std::sync::Mutex::new(Vec::new())), node.view());
    let kept = all.clone();
    tokio::spawn(async move {
        while view.changed().await.is_ok() {
            let now = view.borrow_and_update().clone();
            kept.lock().unwrap().push(now);
        }
    });
    all
}
