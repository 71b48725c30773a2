//! The rows whose ceiling is the bare fan-out server alone.

use super::{Bench, Outcome, REFERENCE_CONNECTION_KIB, REFERENCE_WITHIN, median, told};
use crate::Failure;
use crate::generate::Scenario;
use crate::world::Shape;

/// What the row of idle connections must hold, in KiB.
const CONNECTION_KIB_MAX: f64 = 12.0;
/// What the row of sessions that come back must hold.
const RESUME_MAX: f64 = 2.0;

impl Bench {
    /// Resident memory per idle connection, after a burst.
    pub(super) fn memory(&self) -> Result<Outcome, Failure> {
        let (bare, real) = self.in_turn(Scenario::Memory, Shape { rooms: 100, members: 100 })?;
        let ceiling = median(&bare, |m| m.value).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≤ {CONNECTION_KIB_MAX} KiB"),
            ..Outcome::default()
        };
        outcome.demand("too much memory", |value| value <= CONNECTION_KIB_MAX);
        outcome.reference(ceiling, REFERENCE_CONNECTION_KIB, "KiB");
        Ok(outcome)
    }

    /// CPU of sessions that come back and get what they missed, and reads of the log.
    pub(super) fn resume(&self) -> Result<Outcome, Failure> {
        let (bare, real) = self.in_turn(Scenario::Resume, Shape { rooms: 10, members: 100 })?;
        let ceiling = median(&bare, |m| m.value).unwrap_or(f64::NAN);
        let reads: u64 = real.iter().map(|m| m.log_reads).sum();
        let mut outcome = Outcome {
            value: median(&real, |m| m.value),
            ceiling,
            target: format!("≤ {RESUME_MAX} ×, 0 reads of the log"),
            ..Outcome::default()
        };
        outcome.demand("too much CPU", |value| value <= RESUME_MAX * ceiling);
        outcome.demand("the log was read", |_| reads == 0);
        if !real.is_empty() {
            outcome.notes.push(format!("{reads} reads of the log"));
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// Demands that a ceiling is as good as its reference, within [`REFERENCE_WITHIN`].
    pub(super) fn reference(&mut self, ceiling: f64, reference: f64, unit: &str) {
        if ceiling <= reference * REFERENCE_WITHIN {
            self.notes.push(told(&format!("ceiling's reference {reference} {unit}, here"), Some(ceiling), unit));
        } else {
            self.broken.push(format!("the ceiling is no ceiling: {ceiling:.3} {unit}, reference {reference} {unit}"));
        }
    }
}
