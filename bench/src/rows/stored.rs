//! The rows whose ceiling is the bare fan-out and the bare group commit of the same rows together, or the latter alone.

use super::{Bench, Outcome, REFERENCE_DELIVERY_US, median, told};
use crate::Failure;
use crate::ceiling::store;
use crate::generate::{Measured, Scenario, fanout, latency};
use crate::world::Shape;

/// The rooms of the fan-out rows.
const ROOMS: Shape = Shape { rooms: 10, members: 100 };
/// What the fan-out row must hold.
const FANOUT_MAX: f64 = 1.5;
/// What the latency row must hold, besides the wait for a bare commit.
const LATENCY_MAX: f64 = 2.0;
/// What the row of acknowledged sends must hold.
const ACKS_MIN: f64 = 0.7;
/// Senders of that row, each in a room of its own.
const SENDERS: usize = 64;
/// The part of the window in which a saturated server's core is idle at most.
pub(super) const IDLE_MAX: f64 = 0.1;
/// The part of the asked rate that must have been delivered.
const RATE_MIN: f64 = 0.98;

/// All rounds of a row that has both ceilings.
#[derive(Default)]
struct Rounds {
    bare: Vec<Measured>,
    stored: Vec<store::Measured>,
    real: Vec<Measured>,
}

impl Bench {
    /// As [`Bench::in_turn`], with the bare group commit in between.
    fn stored_in_turn(
        &self,
        scenario: Scenario,
        shape: Shape,
        commit: impl Fn() -> Result<store::Measured, Failure>,
    ) -> Result<Rounds, Failure> {
        let Rounds { mut bare, mut stored, mut real } = Rounds::default();
        for _ in 0..self.rounds {
            if self.ceilings && scenario != Scenario::Acks {
                bare.push(self.measure_bare(scenario, shape).map_err(|e| e.context("the bare server"))?);
            }
            if self.ceilings {
                stored.push(commit().map_err(|e| e.context("the bare store"))?);
            }
            if let Some(binary) = &self.server {
                real.push(self.measure_real(binary, scenario, shape)?);
            }
        }
        Ok(Rounds { bare, stored, real })
    }

    /// CPU per delivery at saturation, stored before delivery.
    pub(super) fn fanout(&self) -> Result<Outcome, Failure> {
        let writers = ROOMS.rooms * fanout::IN_FLIGHT;
        let commit = || self.commit(writers, ROOMS.rooms, None);
        let Rounds { bare, stored, real } = self.stored_in_turn(Scenario::Fanout, ROOMS, commit)?;
        let delivery = median(&bare, |m| m.value).unwrap_or(f64::NAN);
        let row = median(&stored, |m| m.cpu_us).unwrap_or(f64::NAN);
        let ceiling = delivery + row / ROOMS.members as f64;
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≤ {FANOUT_MAX} ×"),
            ..Outcome::default()
        };
        outcome.demand("too much CPU", |value| value <= FANOUT_MAX * ceiling);
        for (who, all) in [("the bare server", &bare), ("the server", &real)] {
            let idle = median(all, |m| m.idle);
            if idle.is_some_and(|idle| idle > IDLE_MAX) {
                outcome.broken.push(format!("{who} was not saturated"));
            }
            outcome.notes.push(told(&format!("{who} used"), median(all, |m| m.busy), "of its core"));
            outcome.notes.push(told("which was idle", idle, "of the time"));
        }
        outcome.reference(delivery, REFERENCE_DELIVERY_US, "µs");
        outcome.notes.push(told("bare commit", Some(row), "µs a message"));
        Ok(outcome)
    }

    /// The wait from a send to its last member.
    pub(super) fn latency(&self) -> Result<Outcome, Failure> {
        let rate = latency::RATE / ROOMS.members as f64;
        let commit = || self.commit(ROOMS.rooms, ROOMS.rooms, Some(rate));
        let Rounds { bare, stored, real } = self.stored_in_turn(Scenario::Latency, ROOMS, commit)?;
        let ceiling = median(&bare, |m| m.value).unwrap_or(f64::NAN);
        let wait = median(&stored, |m| m.p99_ms).unwrap_or(f64::NAN);
        let most = LATENCY_MAX * ceiling + wait;
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≤ {LATENCY_MAX} × + commit = {most:.3} ms"),
            ..Outcome::default()
        };
        outcome.demand("too slow", |value| value <= most);
        outcome.reached(latency::RATE, bare.iter().chain(&real));
        outcome.notes.push(told("p99 of a bare commit", Some(wait), "ms"));
        Ok(outcome)
    }

    /// Acknowledged sends a second.
    pub(super) fn acks(&self) -> Result<Outcome, Failure> {
        let shape = Shape { rooms: SENDERS, members: 1 };
        let Rounds { stored, real, .. } =
            self.stored_in_turn(Scenario::Acks, shape, || self.commit(SENDERS, SENDERS, None))?;
        let ceiling = median(&stored, |m| m.acks_per_s).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≥ {ACKS_MIN} ×"),
            ..Outcome::default()
        };
        outcome.demand("too few", |value| value >= ACKS_MIN * ceiling);
        outcome.notes.push(told("bare commit", median(&stored, |m| m.cpu_us), "µs of CPU a message"));
        Ok(outcome)
    }
}

impl Outcome {
    /// Demands that so many deliveries a second, or nearly, were reached.
    pub(super) fn reached<'a>(&mut self, rate: f64, mut all: impl Iterator<Item = &'a Measured>) {
        if all.any(|m| m.per_s < RATE_MIN * rate) {
            self.broken.push("the rate was not reached".to_owned());
        }
    }
}
