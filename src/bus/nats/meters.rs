//! The metrics of the bus, looked up once.

use metrics::{Counter, Gauge, Histogram};
use parlance_actors::ports::bus::AskError;

use super::envelope::Unreadable;

/// Handles of the bus's metrics.
pub struct Meters {
    pub connected: Gauge,
    pub connects: Counter,
    pub published: Counter,
    pub received: Counter,
    pub lost_away: Counter,
    pub lost_full: Counter,
    pub too_large: Counter,
    pub ask_seconds: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            connected: metrics::gauge!("parlance_bus_connected"),
            connects: metrics::counter!("parlance_bus_connects_total"),
            published: metrics::counter!("parlance_bus_published_total"),
            received: metrics::counter!("parlance_bus_received_total"),
            lost_away: metrics::counter!("parlance_bus_lost_total", "why" => "away"),
            lost_full: metrics::counter!("parlance_bus_lost_total", "why" => "full"),
            too_large: metrics::counter!("parlance_bus_lost_total", "why" => "too_large"),
            ask_seconds: metrics::histogram!("parlance_bus_ask_seconds"),
        }
    }
}

impl Meters {
    /// Counts a message that can't be read.
    pub fn unreadable(&self, why: Unreadable) {
        let why = match why {
            Unreadable::Version => "version",
            Unreadable::Malformed => "malformed",
        };
        metrics::counter!("parlance_bus_unreadable_total", "why" => why).increment(1);
    }

    /// Counts a question without an answer.
    pub fn no_answer(&self, why: AskError) -> AskError {
        let word = match why {
            AskError::Unreachable => "unreachable",
            AskError::Unanswered => "unanswered",
        };
        metrics::counter!("parlance_bus_no_answer_total", "why" => word).increment(1);
        why
    }
}
