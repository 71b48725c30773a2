//! The row of a room that wakes from the store.

use std::path::Path;

use super::{Bench, Outcome, PREPARING, median, told};
use crate::child::Child;
use crate::generate::{Scenario, wake};
use crate::wire::Wire;
use crate::world::World;
use crate::{Failure, native};

/// Entries of the long log.
const LONG: u64 = 1_000_000;
/// Entries of the short log.
const SHORT: u64 = 1_000;
/// What the row must hold, in milliseconds.
const WAKE_MS_MAX: f64 = 5.0;
/// A wake doesn't depend on the log's length when the long log's is at most so many times the short log's, plus
/// [`SLACK_MS`].
const TIMES_MAX: f64 = 1.5;
/// What two wakes of the same room differ by.
const SLACK_MS: f64 = 1.0;
/// Server starts per round and length.
const STARTS: usize = 3;

impl Bench {
    /// How long a room takes to wake.
    pub(super) fn wake(&self) -> Result<Outcome, Failure> {
        let bare_data = self.scratch.fresh("bare")?;
        let mut real = match &self.server {
            Some(binary) => Some((binary, self.prepare(binary)?)),
            None => None,
        };
        let (mut bare, mut long, mut short) = (Vec::new(), Vec::new(), Vec::new());
        // The first one fills the log.
        if self.ceilings {
            self.bare_wake(&bare_data)?;
        }
        for _ in 0..self.rounds * STARTS {
            if self.ceilings {
                bare.push(self.bare_wake(&bare_data)?);
            }
            if let Some((binary, worlds)) = &mut real {
                let [short_world, long_world] = worlds;
                short.push(self.wake_once(binary, short_world)?);
                long.push(self.wake_once(binary, long_world)?);
            }
        }
        let short = median(&short, |ms| *ms);
        let mut outcome = Outcome {
            value: median(&long, |ms| *ms),
            ceiling: median(&bare, |ms| *ms).unwrap_or(f64::NAN),
            target: format!("≤ {WAKE_MS_MAX} ms, whatever the length"),
            ..Outcome::default()
        };
        outcome.demand("too slow", |value| value <= WAKE_MS_MAX);
        outcome.demand("longer for a longer log", |value| {
            short.is_some_and(|short| value <= TIMES_MAX * short + SLACK_MS)
        });
        outcome.notes.push(told(&format!("log of {SHORT} entries:"), short, "ms"));
        Ok(outcome)
    }

    fn bare_wake(&self, data: &Path) -> Result<f64, Failure> {
        let args = ["ceiling-wake", "--data", &data.display().to_string(), "--entries", &LONG.to_string()];
        self.ask(self.server_core, &args.map(String::from)).map_err(|e| e.context("the bare store"))
    }

    /// Makes three rooms of one member each, and fills two of their logs. Both worlds warm the same room.
    fn prepare(&self, binary: &Path) -> Result<[World; 2], Failure> {
        let data = self.scratch.fresh("data")?;
        let users = self.seed(binary, &data, 3)?;
        let server = self.start(binary, &native::serve(&data), false)?;
        let open = |member| native::create(server.addr, &users, vec![member], &format!("Bench {member}"));
        let (warm, mut short, mut long) = (open(0)?, open(1)?, open(2)?);
        server.child.stop()?;
        for (room, entries) in [(&mut short, SHORT), (&mut long, LONG)] {
            let args = native::fill(&data, room.id, entries);
            Child::start(self.server_core, self.scratch.path(), binary, &args)?.output(PREPARING)?;
            room.last = entries;
        }
        Ok([short, long].map(|room| World { users: users.clone(), rooms: vec![warm.clone(), room] }))
    }

    /// Starts the server on the prepared store and wakes a world's second room.
    fn wake_once(&self, binary: &Path, world: &mut World) -> Result<f64, Failure> {
        let data = self.scratch.path().join("data");
        let server = self.start(binary, &native::serve(&data), false)?;
        // The room that warms the server up is shared, so its position is asked for.
        world.rooms[0].last = native::last(server.addr, &world.users[world.rooms[0].members[0]], world.rooms[0].id)?;
        let measured = self.generate(&server, world, Scenario::Wake, Wire::Native)?;
        world.rooms[1].last += wake::SENT;
        server.child.stop()?;
        Ok(measured.value)
    }
}
