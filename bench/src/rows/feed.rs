//! The rows of a consumer that follows all logs: what senders notice of one that keeps up, and of one whose destination fails.

use std::fs;
use std::path::Path;

use super::{Bench, Outcome, median, told};
use crate::generate::{Measured, Scenario, latency};
use crate::world::Shape;
use crate::{Failure, native};

/// Senders, each in a room of its own.
const SENDERS: Shape = Shape { rooms: 64, members: 1 };
/// What acknowledged sends beside a consumer must be of those without.
const ACKS_MIN: f64 = 0.95;
/// The rooms in which the wait is measured.
const ROOMS: Shape = Shape { rooms: 10, members: 100 };
/// What the wait must hold.
const WAIT_MAX: f64 = 1.2;

/// What becomes of what a consumer is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// A file takes it.
    Takes,
    /// Nothing can be written where the file was, from before the first message on.
    Fails,
}

impl Bench {
    /// Acknowledged sends a second, beside a consumer and without.
    pub(super) fn feed(&self) -> Result<Outcome, Failure> {
        let (mut without, mut beside, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(binary) = &self.server {
            for _ in 0..self.rounds {
                without.push(self.measure_real(binary, Scenario::Acks, SENDERS)?);
                beside.push(self.followed(binary, Scenario::Acks, SENDERS, Destination::Takes)?);
                lines.push(self.lines_followed()? as f64);
            }
        }
        let ceiling = median(&without, |m| m.value).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&beside, |m| m.value),
            ceiling,
            target: format!("≥ {ACKS_MIN} ×"),
            ..Outcome::default()
        };
        outcome.demand("too few", |value| value >= ACKS_MIN * ceiling);
        outcome.demand("the consumer got nothing", |_| lines.iter().all(|lines| *lines > 0.0));
        outcome.notes.push(told("the consumer wrote", median(&lines, |lines| *lines), "lines"));
        Ok(outcome)
    }

    /// The wait from a send to its last member, beside a consumer whose destination fails and without one.
    pub(super) fn feed_failing(&self) -> Result<Outcome, Failure> {
        let (mut without, mut beside) = (Vec::new(), Vec::new());
        if let Some(binary) = &self.server {
            for _ in 0..self.rounds {
                without.push(self.measure_real(binary, Scenario::Latency, ROOMS)?);
                beside.push(self.followed(binary, Scenario::Latency, ROOMS, Destination::Fails)?);
                if self.lines_followed().is_ok() {
                    return Err(Failure::new("the destination didn't fail"));
                }
            }
        }
        let ceiling = median(&without, |m| m.value).unwrap_or(f64::NAN);
        let mut outcome = Outcome {
            value: median(&beside, |m| m.value),
            ceiling,
            target: format!("≤ {WAIT_MAX} ×"),
            ..Outcome::default()
        };
        outcome.demand("the others notice", |value| value <= WAIT_MAX * ceiling);
        outcome.reached(latency::RATE, without.iter().chain(&beside));
        Ok(outcome)
    }

    /// Measures the server with a consumer that follows everything from the start.
    fn followed(
        &self,
        binary: &Path,
        scenario: Scenario,
        shape: Shape,
        destination: Destination,
    ) -> Result<Measured, Failure> {
        let folder = self.scratch.fresh("followed")?;
        let (settings, file) = (folder.join("settings.toml"), folder.join("entries.jsonl"));
        fs::write(&settings, native::follow(&file))?;
        let args = ["--config".to_owned(), settings.display().to_string()];
        let fail = || -> Result<(), Failure> {
            if destination == Destination::Fails {
                // A folder in the file's place: nothing can be written to it any more.
                fs::remove_file(&file)?;
                fs::create_dir(&file)?;
            }
            Ok(())
        };
        self.measure_served((binary, &args), fail, scenario, shape, &[])
    }

    /// The lines that the last consumer has written.
    fn lines_followed(&self) -> Result<usize, Failure> {
        let text = fs::read(self.scratch.path().join("followed/entries.jsonl"))?;
        Ok(text.iter().filter(|byte| **byte == b'\n').count())
    }
}
