//! Drives an old binary and a new one in turns, row by row, and prints what the new one is beside the old one. The old one is
//! measured twice in each round: what it differs from itself says what a difference means.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::rows::{Bench, Row};
use crate::run::{Measurement, binary};
use crate::{Failure, stats, table};

/// What the new binary must be of the old one, where the old one differs less than that from itself.
const AS_GOOD: f64 = 0.95;

/// What to compare.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The old binary of the server.
    #[arg(long, value_name = "FILE")]
    old: PathBuf,
    /// The new binary of the server.
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// Rounds; in each, every row is measured of the old binary, the new one, and the old one again.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=25))]
    rounds: u32,
    /// What is measured, and where.
    #[command(flatten)]
    measurement: Measurement,
}

/// A row of both binaries.
#[derive(Clone, Debug, Default, Serialize)]
struct Compared {
    row: &'static str,
    unit: &'static str,
    more_is_better: bool,
    /// The old binary's values, before the new one's.
    old: Vec<f64>,
    new: Vec<f64>,
    /// The old binary's values, after the new one's.
    old_again: Vec<f64>,
    /// Why the row could not be measured.
    failed: Option<String>,
}

impl Compared {
    fn measure(bench: &mut Bench, options: &Options, row: Row) -> Self {
        let (title, unit) = row.title();
        let mut compared = Self { row: title, unit, more_is_better: row.more_is_better(), ..Self::default() };
        for _ in 0..options.rounds {
            for turn in [Turn::Old, Turn::New, Turn::OldAgain] {
                let (file, name, values) = match turn {
                    Turn::Old => (&options.old, "old", &mut compared.old),
                    Turn::New => (&options.new, "new", &mut compared.new),
                    Turn::OldAgain => (&options.old, "old", &mut compared.old_again),
                };
                bench.server = Some(file.clone());
                // Each has tables of its own version on a CQL server.
                bench.keyspace = format!("parlance_bench_{name}");
                match bench.value(row) {
                    Ok(value) => values.push(value),
                    Err(failure) => {
                        compared.failed = Some(failure.context(format!("the {name} binary")).to_string());
                        return compared;
                    }
                }
            }
        }
        compared
    }

    /// The old binary's median, over all of its values.
    fn old_median(&self) -> f64 {
        stats::median(&[&self.old[..], &self.old_again[..]].concat())
    }

    fn new_median(&self) -> f64 {
        stats::median(&self.new)
    }

    /// The new binary's median over the old one's.
    fn new_over_old(&self) -> f64 {
        self.new_median() / self.old_median()
    }

    /// The old binary's median after the new one's turns, over that before them.
    fn old_over_old(&self) -> f64 {
        stats::median(&self.old_again) / stats::median(&self.old)
    }

    /// What the new binary must be of the old one at least, where 1 is as good.
    fn least(&self) -> f64 {
        let noise = self.old_over_old();
        AS_GOOD.min(noise).min(1.0 / noise)
    }

    fn holds(&self) -> bool {
        let ratio = self.new_over_old();
        self.failed.is_none() && (if self.more_is_better { ratio } else { 1.0 / ratio }) >= self.least()
    }

    fn cells(&self) -> [String; 9] {
        let ratio = |value: f64| table::figure(Some(value).filter(|value| value.is_finite()));
        let must_be = match (self.failed.is_some(), self.more_is_better) {
            (true, _) => String::new(),
            (false, true) => format!("≥ {:.3}", self.least()),
            (false, false) => format!("≤ {:.3}", 1.0 / self.least()),
        };
        [
            self.row.to_owned(),
            ratio(self.old_median()),
            ratio(self.new_median()),
            self.unit.to_owned(),
            if self.more_is_better { "more" } else { "less" }.to_owned(),
            ratio(self.new_over_old()),
            ratio(self.old_over_old()),
            must_be,
            match &self.failed {
                Some(why) => format!("could not be measured: {}", why.replace('|', "/").replace('\n', " ")),
                None => if self.holds() { "yes" } else { "NO" }.to_owned(),
            },
        ]
    }
}

/// Whose turn it is.
#[derive(Clone, Copy)]
enum Turn {
    Old,
    New,
    OldAgain,
}

const HEAD: [&str; 9] = ["row", "old", "new", "unit", "better", "new / old", "old / old", "new / old must be", "holds"];

/// Compares the binaries.
///
/// # Errors
/// When nothing can be measured at all, or a row could not be; a row that doesn't hold is no error.
pub fn main(options: &Options) -> Result<(), Failure> {
    binary(&options.old)?;
    binary(&options.new)?;
    let mut bench = Bench { ceilings: false, ..options.measurement.bench(None, 1)? };
    let mut json = options.measurement.json()?;
    let mut all = Vec::new();
    let rows = options.measurement.rows()?;
    for row in rows.into_iter().filter(|row| !row.is_new()) {
        let begun = Instant::now();
        let compared = Compared::measure(&mut bench, options, row);
        writeln!(std::io::stderr(), "{}: {:.0} s", compared.row, begun.elapsed().as_secs_f64())?;
        if let Some(json) = &mut json {
            writeln!(json, "{}", serde_json::to_string(&compared)?)?;
        }
        all.push(compared);
    }
    let rows: Vec<_> = std::iter::once(HEAD.map(String::from)).chain(all.iter().map(Compared::cells)).collect();
    write!(std::io::stdout(), "{}", table::lay_out(&rows))?;
    let missing = all.iter().filter(|row| row.failed.is_some()).count();
    if missing == 0 { Ok(()) } else { Err(Failure::new(format!("{missing} rows could not be measured"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(more_is_better: bool, old: [f64; 3], new: [f64; 3], again: [f64; 3]) -> Compared {
        Compared { more_is_better, old: old.into(), new: new.into(), old_again: again.into(), ..Compared::default() }
    }

    #[test]
    fn holds_as_the_old_one_differs_from_itself() {
        let same = [100.0, 101.0, 99.0];
        assert!(row(true, same, [96.0, 95.0, 97.0], same).holds());
        assert!(!row(true, same, [94.0, 93.0, 94.5], same).holds());
        assert!(row(false, same, [104.0, 105.0, 103.0], same).holds());
        assert!(!row(false, same, [110.0, 107.0, 106.0], same).holds());
        // An old binary that is a tenth off itself says that a tenth means nothing, whichever way it is off.
        let other = [90.0, 91.0, 89.0];
        assert!(row(false, same, [105.0, 104.0, 103.0], other).holds());
        assert!(row(true, other, [86.0, 87.0, 88.0], same).holds());
        assert!(!row(true, other, [80.0, 81.0, 82.0], same).holds());
    }

    #[test]
    fn a_row_that_could_not_be_measured_does_not_hold_and_says_why() {
        let failed = Compared { failed: Some("it | ended".to_owned()), ..Compared::default() };
        assert!(!failed.holds());
        assert_eq!(failed.cells()[8], "could not be measured: it / ended");
        assert_eq!(failed.cells()[5], "–");
    }
}
