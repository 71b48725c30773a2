//! The rows whose ceiling is a bare loop on the same CQL server.

use super::{Bench, Outcome, median, told};
use crate::ceiling::store;
use crate::cluster::{Cluster, NODES};
use crate::generate::{Measured, Scenario};
use crate::servers::Servers;
use crate::world::World;
use crate::{Failure, native};

/// What the row of an acknowledgement from another node must hold.
const REMOTE_MAX: f64 = 2.0;
/// Senders in the one room.
pub(super) const SENDERS: usize = 64;
/// What their row must hold.
const ACKS_MIN: f64 = 0.5;
/// Conditional batches per message that it must hold, of which single appends would be one.
const ROUNDS_MAX: f64 = 0.1;

impl Bench {
    /// The time to an acknowledgement, of a sender on another node than the room's home.
    pub(super) fn remote_ack(&self) -> Result<Outcome, Failure> {
        let servers = self.servers()?;
        let (mut bare, mut real) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            if self.ceilings {
                bare.push(self.commit_cql(servers, 1, true)?);
            }
            if self.server.is_some() {
                real.push(self.remote(servers)?);
            }
        }
        let ceiling = median(&bare, |m| m.p50_ms).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≤ {REMOTE_MAX} ×"),
            ..Outcome::default()
        };
        outcome.demand("too slow", |value| value <= REMOTE_MAX * ceiling);
        outcome.notes.push(told("from the room's home:", median(&real, |m| m.longest_ms), "ms"));
        Ok(outcome)
    }

    /// Measures a sender elsewhere, and, as the longest time, one at home.
    fn remote(&self, servers: &Servers) -> Result<Measured, Failure> {
        let mut cluster = Cluster::start(self, servers, NODES, 2)?;
        let rooms = [vec![0], vec![1]].map(|members| cluster.open(members));
        let [elsewhere, home] = rooms;
        let (elsewhere, home) = (elsewhere?, home?);
        let mut users = std::mem::take(&mut cluster.users);
        users[0].node = (cluster.home(&elsewhere) + 1) % NODES;
        users[1].node = cluster.home(&home);
        let nodes: Vec<_> = cluster.nodes.iter().collect();
        let measure = |room| {
            let world = World { users: users.clone(), rooms: vec![room] };
            self.load(&nodes, &world, Scenario::Alone, &[])
        };
        let (elsewhere, home) = (measure(elsewhere)?, measure(home)?);
        cluster.stop()?;
        Ok(Measured { longest_ms: home.value, ..elsewhere })
    }

    /// Acknowledged sends a second, of many senders in one room.
    pub(super) fn cql_acks(&self) -> Result<Outcome, Failure> {
        let servers = self.servers()?;
        let (mut bare, mut real, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            if self.ceilings {
                bare.push(self.commit_cql(servers, SENDERS, false)?);
            }
            if self.server.is_some() {
                let (measured, per_message) = self.crowd(servers)?;
                real.push(measured);
                rounds.push(per_message);
            }
        }
        let (ceiling, rounds) = (median(&bare, |m| m.acks_per_s).unwrap_or(f64::NAN), median(&rounds, |r| *r));
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≥ {ACKS_MIN} ×, ≤ {ROUNDS_MAX} rounds of Paxos a message"),
            ..Outcome::default()
        };
        outcome.demand("too few", |value| value >= ACKS_MIN * ceiling);
        outcome.demand("too many rounds", |_| rounds.is_some_and(|rounds| rounds <= ROUNDS_MAX));
        outcome.notes.push(told("rounds a message:", rounds, ""));
        outcome.notes.push(told("the server used", median(&real, |m| m.busy), "of its core"));
        outcome.notes.push(told("which was idle", median(&real, |m| m.idle), "of the time"));
        Ok(outcome)
    }

    /// Measures the senders; also how many conditional batches there were for each message, refused ones among them.
    fn crowd(&self, servers: &Servers) -> Result<(Measured, f64), Failure> {
        let mut cluster = Cluster::start(self, servers, 1, SENDERS)?;
        let room = cluster.open((0..SENDERS).collect())?;
        let (addr, before) = (cluster.nodes[0].addr, room.last);
        let world = World { users: std::mem::take(&mut cluster.users), rooms: vec![room] };
        let appends = || native::metric(addr, "parlance_append_seconds_count");
        let first = appends()?;
        let measured = self.load(&[&cluster.nodes[0]], &world, Scenario::Acks, &[])?;
        let appends = appends()? - first;
        let messages = native::last(addr, &world.users[0], world.rooms[0].id)? - before;
        cluster.stop()?;
        Ok((measured, appends as f64 / messages as f64))
    }

    /// Runs the bare group commit on the CQL server.
    pub(super) fn commit_cql(
        &self,
        servers: &Servers,
        writers: usize,
        log_alone: bool,
    ) -> Result<store::Measured, Failure> {
        let mut args = vec!["ceiling-cql".to_owned()];
        for (name, value) in [
            ("--server", servers.cql.clone()),
            ("--writers", writers.to_string()),
            ("--rooms", "1".to_owned()),
            ("--seconds", self.seconds.to_string()),
        ] {
            args.extend([name.to_owned(), value]);
        }
        if log_alone {
            args.push("--log-alone".to_owned());
        }
        self.ask(self.server_core, &args).map_err(|e| e.context("the bare loop"))
    }
}
