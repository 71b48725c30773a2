//! The rows of what goes on between nodes: what three cost beside one, and what passes over NATS.

use super::{Bench, Outcome, median, told};
use crate::Failure;
use crate::cluster::{Cluster, NODES};
use crate::generate::{Measured, Scenario};
use crate::rows::Server;
use crate::servers::Servers;
use crate::world::{Shape, World};

/// The rooms, whose members are spread over the nodes evenly.
const ROOMS: Shape = Shape { rooms: 10, members: 99 };
/// Rooms with a ninth of the members.
const SMALL: Shape = Shape { rooms: 10, members: 11 };
/// Messages a second of all rooms together: a CQL server on the same two cores bears them easily.
const MESSAGES_PER_S: f64 = 100.0;
/// What the row of three nodes must hold.
const SPREAD_MAX: f64 = 1.5;
/// Messages on NATS per message besides one for each node: from the sender's node to the room's home and back, each of which
/// NATS takes and hands on. A message's entry is published once and handed on to each other node.
const FORWARDED: usize = 4;
/// How many times what small rooms cost may large ones, if it is not to be about members.
const MEMBERS_MAX: f64 = 1.1;

impl Bench {
    /// CPU of the nodes' processes per delivery, at a given rate: three beside one.
    pub(super) fn spread(&self) -> Result<Outcome, Failure> {
        let (mut one, mut three) = (Vec::new(), Vec::new());
        if self.server.is_some() {
            let servers = self.servers()?;
            for _ in 0..self.rounds {
                for (nodes, all) in [(1, &mut one), (NODES, &mut three)] {
                    if nodes == 1 && !self.ceilings {
                        continue;
                    }
                    all.push(self.at_rate(servers, nodes, ROOMS, Scenario::Latency)?);
                }
            }
        }
        let ceiling = median(&one, |m| m.cpu_us).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&three, |m| m.cpu_us),
            ceiling,
            target: format!("≤ {SPREAD_MAX} ×"),
            ..Outcome::default()
        };
        outcome.demand("too much CPU", |value| value <= SPREAD_MAX * ceiling);
        let rate = MESSAGES_PER_S * ROOMS.members as f64;
        outcome.reached(rate, one.iter().chain(&three));
        outcome.notes.push(format!("{rate} deliveries/s"));
        outcome.notes.push(told("p99 to the last member", median(&three, |m| m.value), "ms"));
        outcome.notes.push(told("of one node", median(&one, |m| m.value), "ms"));
        Ok(outcome)
    }

    /// Messages on NATS per message sent, whatever the number of members.
    pub(super) fn nats(&self) -> Result<Outcome, Failure> {
        let (mut large, mut small) = (Vec::new(), Vec::new());
        if self.server.is_some() {
            let servers = self.servers()?;
            for _ in 0..self.rounds {
                for (shape, all) in [(SMALL, &mut small), (ROOMS, &mut large)] {
                    all.push(self.at_rate(servers, NODES, shape, Scenario::Bus)?);
                }
            }
        }
        let most = NODES + FORWARDED;
        let mut outcome = Outcome {
            value: median(&large, |m| m.value),
            ceiling: most as f64,
            target: format!("≤ {NODES} nodes + {FORWARDED}, never members"),
            ..Outcome::default()
        };
        let small = median(&small, |m| m.value);
        outcome.demand("too many", |value| value <= most as f64);
        outcome.demand("more with more members", |value| small.is_some_and(|small| value <= MEMBERS_MAX * small));
        outcome.notes.push(told(&format!("with {} members instead of {}:", SMALL.members, ROOMS.members), small, ""));
        outcome.notes.push(told("idle:", median(&large, |m| m.idle_per_s), "a second, taken off"));
        Ok(outcome)
    }

    /// Loads so many nodes at the rate, each with as many members of each room as the others.
    fn at_rate(&self, servers: &Servers, nodes: usize, shape: Shape, scenario: Scenario) -> Result<Measured, Failure> {
        let mut cluster = Cluster::start(self, servers, nodes, shape.users())?;
        let rooms = (0..shape.rooms).map(|r| cluster.open(shape.members_of(r))).collect::<Result<_, _>>()?;
        let mut users = std::mem::take(&mut cluster.users);
        users.iter_mut().enumerate().for_each(|(at, user)| user.node = at % nodes);
        let rate = (MESSAGES_PER_S * shape.members as f64).to_string();
        let more = [("--rate", rate), ("--monitor", servers.monitor.to_string())];
        let loaded: Vec<&Server> = cluster.nodes.iter().collect();
        let measured = self.load(&loaded, &World { users, rooms }, scenario, &more)?;
        cluster.stop()?;
        Ok(measured)
    }
}
