//! The machine's clock and randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use parlance_actors::ports::{Clock, Random};
use parlance_schema::Millis;

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Random for System {
    fn bits(&self) -> u64 {
        let mut bytes = [0; 8];
        #[expect(clippy::expect_used, reason = "without the operating system's randomness no secret can be made")]
        getrandom::fill(&mut bytes).expect("the operating system's randomness");
        u64::from_ne_bytes(bytes)
    }
}
