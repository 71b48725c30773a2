//! How many requests a second one WebSocket may send: the limit `command_rate`.

use parlance_domain::rate::Rate;
use parlance_schema::Fault;
use parlance_schema::fault::Limit;

/// Lets a request in, in milliseconds of [`crate::link::ticks`], or says how long the client must wait. 0 a second: no limit.
pub(super) fn take(rate: &mut Rate, now: u64, per_s: u32) -> Result<(), Fault> {
    rate.take(now, per_s).map_err(|wait| {
        let detail = format!("too many requests on this connection: wait {wait} ms before the next one");
        Fault::rate_limited(Limit::CommandRate, detail, wait)
    })
}
