//! Waits with something and without it, compared: what steady traffic waits for, and how often one may try.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::stage::Stage;
use crate::text::sentence;

/// Members of the room whose waits are measured; the last one takes no part.
pub const MEMBERS: usize = 9;
/// Attempts of a comparison.
const ATTEMPTS: usize = 3;

/// Compares until it holds. Others who use the machine can only make it worse, and for a while; a server that makes honest clients
/// wait does so in all attempts.
///
/// # Panics
/// With what was found each time, where it never holds.
pub async fn compared(mut compare: impl AsyncFnMut() -> Result<(), String>) {
    let mut found = Vec::new();
    while found.len() < ATTEMPTS {
        match compare().await {
            Ok(()) => return,
            Err(failed) => {
                println!("once more: {failed}");
                found.push(failed);
            }
        }
    }
    panic!("{}", found.join("\n"));
}

/// A while of steady traffic: what the readers waited for each message, in microseconds.
pub async fn waits(stage: &Stage) -> Vec<u64> {
    let readers = &stage.clients[..MEMBERS - 1];
    for client in readers {
        let last = stage.clients[0].see(|state| state.acked_seq);
        client.until("the burst", |state| state.seq(stage.rooms[0]) >= last).await;
        client.see(|state| state.latencies.clear());
    }
    let began = Instant::now();
    for tick in 0..100_u32 {
        sleep_until(began + Duration::from_millis(5) * tick).await;
        readers[tick as usize % readers.len()].send(stage.rooms[0], sentence(tick as usize));
    }
    let mut micros = Vec::new();
    for client in readers {
        client.until("the window's messages", |state| state.latencies.len() >= 100).await;
        client.see(|state| micros.extend(state.latencies.iter().map(|latency| latency.2)));
    }
    micros
}

/// The 99th percentile.
pub fn p99(mut micros: Vec<u64>) -> f64 {
    micros.sort_unstable();
    micros[(micros.len() - 1) * 99 / 100] as f64
}

/// The value in the middle, or between the two that are.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}
