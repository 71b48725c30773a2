//! A client that reads nothing for too long is disconnected; until then its entries wait in the log.

use parlance_schema::{Code, Fault};

use super::Link;
use crate::shared::Options;

impl Link {
    /// Why the connection is closed, where nothing could be written to it for too long; `now` is of [`super::ticks`].
    pub(super) fn reads_too_slowly(&self, options: &Options, now: u64) -> Option<Fault> {
        let stuck = self.outbox.stuck_since(now)?;
        (now.saturating_sub(stuck) > options.slow_close_ms).then(|| {
            metrics::counter!("parlance_slow_closed_total").increment(1);
            Fault::new(
                Code::SlowConsumer,
                "you have not read from the connection for too long: reconnect and resume from your last positions",
            )
        })
    }
}
