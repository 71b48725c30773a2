//! The rows of rooms with few messages under way, beside one process that commits in groups and then fans out.

use super::{Bench, Outcome, median, told};
use crate::Failure;
use crate::generate::{Measured, Scenario};
use crate::wire::Wire;
use crate::world::Shape;

/// The rooms.
const ROOMS: Shape = Shape { rooms: 5, members: 100 };
/// What must hold: the less there is under way, the more each message's own way costs beside its deliveries.
const CPU_MAX: f64 = 2.5;

impl Bench {
    /// CPU and writes per delivery with so many messages under way in each room, each by a sender of its own.
    pub(super) fn under_way(&self, senders: usize) -> Result<Outcome, Failure> {
        let more = [("--senders", senders.to_string()), ("--window", "1".to_owned())];
        let (mut bare, mut real) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            if self.ceilings {
                bare.push(self.commit_and_fan_out(&more).map_err(|e| e.context("the bare server"))?);
            }
            if let Some(binary) = &self.server {
                real.push(self.measure_wire(binary, Scenario::Fanout, ROOMS, Wire::Native, &more)?);
            }
        }
        let ceiling = median(&bare, |m| m.value).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≤ {CPU_MAX} ×"),
            ..Outcome::default()
        };
        outcome.demand("too much CPU", |value| value <= CPU_MAX * ceiling);
        for (who, all) in [("the server", &real), ("the bare server", &bare)] {
            outcome.notes.push(told(&format!("{who}:"), median(all, |m| m.writes), "writes to sockets a delivery"));
            outcome.notes.push(told("at", median(all, |m| m.per_s), "deliveries/s"));
        }
        Ok(outcome)
    }

    fn commit_and_fan_out(&self, more: &[(&str, String)]) -> Result<Measured, Failure> {
        let data = self.scratch.fresh("bare")?.display().to_string();
        let args = ["ceiling-fanout", "--data", &data, "--rooms", &ROOMS.rooms.to_string()].map(String::from);
        let server = self.start(&std::env::current_exe()?, &args, true)?;
        self.load(&[&server], &ROOMS.bare(), Scenario::Fanout, more)
    }
}
