//! The rows of a node that goes: killed, or told to end.

use super::{Bench, Outcome, median, told};
use crate::Failure;
use crate::cluster::{Cluster, LEASE, NODES, RECONNECTS_PER_S};
use crate::generate::{Measured, Scenario};
use crate::rows::Server;
use crate::world::{Shape, World};

/// Rooms of the node that is killed, each with a sender on another node.
const TAKEN: Shape = Shape { rooms: 30, members: 2 };
/// Seconds besides the lease that they may take.
const TAKEOVER_S: f64 = 3.0;
/// Rooms and sessions of the node that drains.
const DRAINED: Shape = Shape { rooms: 100, members: 10 };
/// Sessions are let go in steps of 50 ms, which may fall into a second at both its ends.
const STEPS: f64 = 1.1;

impl Bench {
    /// How long it takes until a message is acknowledged again in all rooms of a node that was killed.
    pub(super) fn takeover(&self) -> Result<Outcome, Failure> {
        let elsewhere = |at: usize| 1 + at % (NODES - 1);
        let all = self.without_the_first(TAKEN, Scenario::Takeover, elsewhere)?;
        let lease = LEASE.as_secs_f64();
        let mut outcome = Outcome {
            value: median(&all, |m| m.value),
            ceiling: lease,
            target: format!("≤ lease + {TAKEOVER_S} s"),
            ..Outcome::default()
        };
        outcome.demand("too long", |value| value <= lease + TAKEOVER_S);
        outcome.healed(&all);
        outcome.notes.push(format!("{} rooms", TAKEN.rooms));
        Ok(outcome)
    }

    /// What clients see of a node that drains.
    pub(super) fn drain(&self) -> Result<Outcome, Failure> {
        let all = self.without_the_first(DRAINED, Scenario::Drain, |_| 0)?;
        let rate = f64::from(RECONNECTS_PER_S);
        let mut outcome = Outcome {
            value: median(&all, |m| m.value),
            ceiling: rate,
            target: format!("≤ {STEPS} × limits.reconnects_per_s, 0 failed sends"),
            ..Outcome::default()
        };
        outcome.demand("a burst", |value| value <= STEPS * rate);
        outcome.healed(&all);
        outcome.notes.push(told("reconnects a second on average:", median(&all, |m| m.per_s), ""));
        Ok(outcome)
    }

    /// Has the generator end the first node of a cluster that has all of these rooms at home there; `node` says where their
    /// members are connected.
    fn without_the_first(
        &self,
        shape: Shape,
        scenario: Scenario,
        node: impl Fn(usize) -> usize,
    ) -> Result<Vec<Measured>, Failure> {
        let mut all = Vec::new();
        let rounds = if self.server.is_some() { self.rounds } else { 0 };
        for _ in 0..rounds {
            // One more user, to whom the rooms belong.
            let mut cluster = Cluster::start(self, self.servers()?, NODES, shape.users() + 1)?;
            let members: Vec<_> = (0..shape.rooms).map(|r| shape.members_of(r)).collect();
            let rooms = cluster.open_at(0, &members)?;
            let mut users = std::mem::take(&mut cluster.users);
            users.iter_mut().enumerate().for_each(|(at, user)| user.node = node(at));
            let loaded: Vec<&Server> = cluster.nodes.iter().collect();
            all.push(self.load(&loaded, &World { users, rooms }, scenario, &[])?);
            let ended = cluster.nodes.remove(0);
            if scenario == Scenario::Drain {
                ended.child.output(LEASE)?;
            }
            cluster.stop()?;
        }
        Ok(all)
    }
}

impl Outcome {
    /// Demands that every message was acknowledged in the end, and tells of those that took more than one try.
    fn healed(&mut self, all: &[Measured]) {
        let failed: u64 = all.iter().map(|m| m.failed).sum();
        self.demand(&format!("{failed} sends failed"), |_| failed == 0);
        self.notes.push(told("sent again:", median(all, |m| m.again as f64), "messages"));
        self.notes.push(told("longest wait", median(all, |m| m.longest_ms), "ms"));
    }
}
