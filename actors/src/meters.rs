//! The metrics of the paths that every message takes, looked up once.

use metrics::{Counter, Gauge, Histogram};

/// Handles of a node's most used metrics.
pub(crate) struct Meters {
    /// Messages that wait in mailboxes of Sessions, Rooms and Relays.
    pub(crate) session_mailbox: Gauge,
    pub(crate) room_mailbox: Gauge,
    pub(crate) relay_mailbox: Gauge,
    /// Requests that came over WebSockets.
    pub(crate) requests: Counter,
    /// Entries queued for a session.
    pub(crate) deliveries: Counter,
    /// From a room's append to its acknowledgement.
    pub(crate) append_seconds: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            session_mailbox: metrics::gauge!("parlance_mailbox_depth", "actor" => "session"),
            room_mailbox: metrics::gauge!("parlance_mailbox_depth", "actor" => "room"),
            relay_mailbox: metrics::gauge!("parlance_mailbox_depth", "actor" => "relay"),
            requests: metrics::counter!("parlance_requests_total"),
            deliveries: metrics::counter!("parlance_deliveries_total"),
            append_seconds: metrics::histogram!("parlance_append_seconds"),
        }
    }
}
