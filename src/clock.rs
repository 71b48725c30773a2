//! The machine's clock and randomness.

use std::cell::RefCell;
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

/// Bytes that are had from the operating system at once.
const RANDOM_BYTES: usize = 256;

thread_local! {
    /// Random bytes, and how many of them are used up: asking for each number apart costs a system call for each.
    static RANDOM: RefCell<([u8; RANDOM_BYTES], usize)> = const { RefCell::new(([0; RANDOM_BYTES], RANDOM_BYTES)) };
}

impl Random for System {
    fn bits(&self) -> u64 {
        RANDOM.with_borrow_mut(|(bytes, used)| {
            if *used == RANDOM_BYTES {
                #[expect(
                    clippy::expect_used,
                    reason = "without the operating system's randomness no secret can be made"
                )]
                getrandom::fill(bytes).expect("the operating system's randomness");
                *used = 0;
            }
            let mut taken = [0; 8];
            // What was given out once may be a secret: it does not stay here.
            taken.swap_with_slice(&mut bytes[*used..*used + 8]);
            *used += 8;
            u64::from_ne_bytes(taken)
        })
    }
}
