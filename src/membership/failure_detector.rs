//! What a node believes of the others, as a pure function of what it heard and when: time is an argument.
//!
//! A node that is heard of is in the view. One that said goodbye is out of it at once. One whose lease ran out is taken out
//! only by a node whose own renewals succeeded throughout a lease: else it can't tell whether the other one is gone, or nobody
//! could renew (leases stand on servers that may fail over), or it was itself asleep.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlance_schema::node::{NodeId, NodeInfo, NodeState, View};

/// The nodes that one node believes in.
#[derive(Debug)]
pub struct FailureDetector {
    me: NodeInfo,
    lease: Duration,
    peers: BTreeMap<NodeId, Peer>,
    /// When the last renewal that succeeded was begun.
    renewed: Option<Instant>,
    /// Since when renewals have succeeded without a break.
    steady_since: Option<Instant>,
}

#[derive(Debug)]
struct Peer {
    info: NodeInfo,
    /// Whether its lease ran out, as far as was heard.
    expired: bool,
}

impl FailureDetector {
    /// A node that knows of none but itself.
    pub fn new(me: NodeInfo, lease: Duration) -> Self {
        Self { me, lease, peers: BTreeMap::new(), renewed: None, steady_since: None }
    }

    /// The node itself, as it was announced.
    pub fn me(&self) -> &NodeInfo {
        &self.me
    }

    /// The node itself says that it is in another state.
    pub fn announce(&mut self, state: NodeState) {
        self.me.state = state;
    }

    /// A renewal that was begun at `began` has succeeded.
    pub fn renewed(&mut self, began: Instant, now: Instant) {
        let unbroken = self.renewed.is_some_and(|last| now.saturating_duration_since(last) <= self.pause_max());
        if !unbroken || self.steady_since.is_none() {
            self.steady_since = Some(now);
        }
        self.renewed = Some(began);
    }

    /// A renewal has failed, or the node's own lease has run out.
    pub fn unsteady(&mut self) {
        self.steady_since = None;
    }

    /// A node has renewed its lease, or taken one.
    pub fn heard(&mut self, info: NodeInfo) {
        if info.id != self.me.id {
            self.peers.insert(info.id.clone(), Peer { info, expired: false });
        }
    }

    /// A node has given its lease back.
    pub fn left(&mut self, id: &NodeId) {
        self.peers.remove(id);
    }

    /// A node's lease has run out.
    pub fn expired(&mut self, id: &NodeId) {
        if *id == self.me.id {
            self.unsteady();
        } else if let Some(peer) = self.peers.get_mut(id) {
            peer.expired = true;
        }
    }

    /// These have leases, and nobody else.
    pub fn only(&mut self, there: &[NodeId]) {
        for (id, peer) in &mut self.peers {
            peer.expired |= !there.contains(id);
        }
    }

    /// Whether the last renewal that succeeded is less than a lease ago.
    pub fn is_renewed(&self, now: Instant) -> bool {
        self.renewed.is_some_and(|last| now.saturating_duration_since(last) < self.lease)
    }

    /// The view now.
    pub fn view(&mut self, now: Instant) -> View {
        if self.is_steady(now) {
            self.peers.retain(|_, peer| !peer.expired);
        }
        View::new(self.peers.values().map(|peer| peer.info.clone()).chain([self.me.clone()]))
    }

    /// Whether what ran out ran out for its own reasons: this node could renew all the time that another one could not.
    fn is_steady(&self, now: Instant) -> bool {
        let long = self.steady_since.is_some_and(|since| now.saturating_duration_since(since) >= self.lease);
        long && self.renewed.is_some_and(|last| now.saturating_duration_since(last) <= self.pause_max())
    }

    /// The longest pause between two renewals that is no break.
    fn pause_max(&self) -> Duration {
        self.lease / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    fn node(id: &str, incarnation: u64) -> NodeInfo {
        NodeInfo { id: id.parse().unwrap(), incarnation, state: NodeState::Ready }
    }

    /// A detector with the nodes b and c, and its clock in seconds.
    struct Case {
        detector: FailureDetector,
        start: Instant,
    }

    impl Case {
        fn new() -> Self {
            let mut detector = FailureDetector::new(NodeInfo { state: NodeState::Starting, ..node("a", 1) }, LEASE);
            detector.heard(node("b", 2));
            detector.heard(node("c", 3));
            Self { detector, start: Instant::now() }
        }

        fn at(&self, s: u64) -> Instant {
            self.start + Duration::from_secs(s)
        }

        /// Renews each second of a range.
        fn renew(&mut self, seconds: std::ops::Range<u64>) {
            for s in seconds {
                let now = self.at(s);
                self.detector.renewed(now, now);
            }
        }

        fn names(&mut self, s: u64) -> String {
            let view = self.detector.view(self.at(s));
            view.nodes().iter().map(|node| node.id.as_str()).collect()
        }

        fn expire(&mut self, id: &str) {
            self.detector.expired(&id.parse().unwrap());
        }
    }

    #[test]
    fn oneself_is_in_the_view_as_announced() {
        let mut case = Case::new();
        let me = |case: &mut Case| case.detector.view(case.start).get(&"a".parse().unwrap()).unwrap().clone();
        assert_eq!(me(&mut case).state, NodeState::Starting);
        case.detector.announce(NodeState::Ready);
        case.detector.heard(node("a", 9));
        case.detector.left(&"a".parse().unwrap());
        case.expire("a");
        case.detector.only(&[]);
        assert_eq!(me(&mut case), node("a", 1));
    }

    #[test]
    fn a_steady_node_acts_on_an_expiry_at_once() {
        let mut case = Case::new();
        case.renew(0..6);
        case.expire("b");
        assert_eq!(case.names(5), "ac");
        case.detector.heard(node("b", 4));
        assert_eq!(case.names(5), "abc");
    }

    #[test]
    fn a_node_that_has_not_renewed_for_a_lease_waits_until_it_has() {
        let mut case = Case::new();
        case.expire("b");
        case.renew(0..5);
        assert_eq!(case.names(4), "abc");
        case.renew(5..6);
        assert_eq!(case.names(5), "ac");
    }

    #[test]
    fn when_nobody_could_renew_nobody_is_taken_out() {
        let mut case = Case::new();
        case.renew(0..10);
        case.detector.unsteady();
        for id in ["a", "b", "c"] {
            case.expire(id);
        }
        case.renew(15..17);
        case.detector.heard(node("b", 2));
        case.renew(17..20);
        assert_eq!(case.names(19), "abc", "c has the time that this node needs to be sure");
        case.renew(20..21);
        assert_eq!(case.names(20), "ab");
    }

    #[test]
    fn a_node_that_was_asleep_takes_nobody_out() {
        let mut case = Case::new();
        case.renew(0..10);
        // It hears of what happened before it notices that it slept.
        case.expire("b");
        assert_eq!(case.names(30), "abc");
        case.renew(30..32);
        assert_eq!(case.names(31), "abc");
        case.detector.heard(node("b", 2));
        case.renew(32..40);
        assert_eq!(case.names(39), "abc");
    }

    #[test]
    fn its_own_expiry_makes_a_node_unsure() {
        let mut case = Case::new();
        case.renew(0..10);
        case.expire("a");
        case.expire("b");
        assert_eq!(case.names(9), "abc");
    }

    #[test]
    fn who_says_goodbye_is_out_at_once() {
        let mut case = Case::new();
        case.detector.left(&"b".parse().unwrap());
        assert_eq!(case.names(0), "ac");
    }

    #[test]
    fn who_is_missing_from_all_leases_has_expired() {
        let mut case = Case::new();
        case.detector.only(&["a".parse().unwrap(), "c".parse().unwrap()]);
        assert_eq!(case.names(0), "abc");
        case.renew(0..6);
        assert_eq!(case.names(5), "ac");
    }

    #[test]
    fn renewals_count_for_a_lease() {
        let mut case = Case::new();
        assert!(!case.detector.is_renewed(case.at(0)));
        case.renew(0..3);
        assert!(case.detector.is_renewed(case.at(6)) && !case.detector.is_renewed(case.at(7)));
    }
}
