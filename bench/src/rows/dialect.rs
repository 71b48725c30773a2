//! The row of another service's sockets beside native ones.

use super::stored::IDLE_MAX;
use super::{Bench, Outcome, median};
use crate::Failure;
use crate::generate::{Measured, Scenario};
use crate::wire::Wire;
use crate::world::Shape;

/// Rooms whose members have one socket each.
const ROOMS: Shape = Shape { rooms: 100, members: 100 };
/// What the row must hold.
const DIALECT_MAX: f64 = 1.3;

impl Bench {
    /// Memory per idle connection and CPU per delivery of `chat-service` sockets, over those of native ones; the worse.
    pub(super) fn dialect(&self) -> Result<Outcome, Failure> {
        let (mut native, mut chat) = (Vec::new(), Vec::new());
        if let Some(binary) = &self.server {
            for _ in 0..self.rounds {
                for (wire, all) in [(Wire::Native, &mut native), (Wire::ChatService, &mut chat)] {
                    let measured = self.measure_wire(binary, Scenario::Sockets, ROOMS, wire, &[]);
                    all.push(measured.map_err(|e| e.context(format!("{wire:?}")))?);
                }
            }
        }
        // The value is a ratio already, of the server to itself.
        let mut outcome = Outcome { ceiling: 1.0, target: format!("≤ {DIALECT_MAX} ×"), ..Outcome::default() };
        let ratios: Vec<f64> = [
            compare("memory", "KiB", (&native, &chat), |m| m.conn_kib, &mut outcome.notes),
            compare("CPU", "µs a delivery", (&native, &chat), |m| m.value, &mut outcome.notes),
        ]
        .into_iter()
        .flatten()
        .collect();
        outcome.value = ratios.iter().copied().reduce(f64::max);
        outcome.demand("costs more", |_| ratios.iter().all(|ratio| *ratio <= DIALECT_MAX));
        for (who, all) in [("native", &native), ("chat-service", &chat)] {
            if median(all, |m| m.idle).is_some_and(|idle| idle > IDLE_MAX) {
                outcome.broken.push(format!("the server was not saturated by {who} sockets"));
            }
        }
        Ok(outcome)
    }
}

/// Notes a figure of both sides; the ratio of their medians, `None` where nothing was measured.
fn compare(
    what: &str,
    unit: &str,
    (native, chat): (&[Measured], &[Measured]),
    figure: impl Fn(&Measured) -> f64,
    notes: &mut Vec<String>,
) -> Option<f64> {
    let (native, chat) = median(native, &figure).zip(median(chat, &figure))?;
    notes.push(format!("{what} {chat:.3} beside {native:.3} {unit}, {:.2} ×", chat / native));
    Some(chat / native)
}
