//! The rows of a member whose commands are refused, 200 a second, of every kind: what the other members of the room notice.

use super::{Bench, Outcome, median, told};
use crate::Failure;
use crate::cluster::Cluster;
use crate::generate::{Measured, Scenario};
use crate::wire::Wire;
use crate::world::{Shape, World};

/// The room, full.
const ROOM: Shape = Shape { rooms: 1, members: 100 };
/// What the row on SQLite must hold.
const SQLITE_MAX: f64 = 1.2;
/// What the row on a CQL server must hold, where each lookup is a round trip.
const CQL_MAX: f64 = 1.5;

impl Bench {
    /// On the embedded store.
    pub(super) fn refusals(&self) -> Result<Outcome, Failure> {
        let mut all = Vec::new();
        if let Some(binary) = &self.server {
            for _ in 0..self.rounds {
                all.push(self.measure_wire(binary, Scenario::Refusals, ROOM, Wire::Native, &[])?);
            }
        }
        Ok(unnoticed(&all, SQLITE_MAX))
    }

    /// On a CQL server, one node.
    pub(super) fn refusals_cql(&self) -> Result<Outcome, Failure> {
        let mut all = Vec::new();
        let rounds = if self.server.is_some() { self.rounds } else { 0 };
        for _ in 0..rounds {
            let mut cluster = Cluster::start(self, self.servers()?, 1, ROOM.users())?;
            let room = cluster.open(ROOM.members_of(0))?;
            let world = World { users: std::mem::take(&mut cluster.users), rooms: vec![room] };
            all.push(self.load(&[&cluster.nodes[0]], &world, Scenario::Refusals, &[])?);
            cluster.stop()?;
        }
        Ok(unnoticed(&all, CQL_MAX))
    }
}

/// The ceiling is the same server at the same rate, without refusals.
fn unnoticed(all: &[Measured], most: f64) -> Outcome {
    let ceiling = median(all, |m| m.without).unwrap_or(f64::NAN);
    let mut outcome =
        Outcome { value: median(all, |m| m.value), ceiling, target: format!("≤ {most} ×"), ..Outcome::default() };
    outcome.demand("the others notice", |value| value <= most * ceiling);
    outcome.notes.push(told("the member got", median(all, |m| m.refused_per_s), "refused commands a second"));
    outcome
}
