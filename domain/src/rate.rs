//! A rate limit: so many a second, with a burst of as many, by the generic cell rate algorithm (ITU-T I.371).

const SECOND_NS: u64 = 1_000_000_000;

/// One limited thing; time is an argument, in milliseconds of any clock that doesn't go back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// The time at which the next one would be due if they came evenly, in nanoseconds.
    due_ns: u64,
}

impl Rate {
    /// Takes one, if `per_s` a second allow it.
    ///
    /// # Errors
    /// The milliseconds after which one will be allowed.
    pub fn take(&mut self, now_ms: u64, per_s: u32) -> Result<(), u64> {
        if per_s == 0 {
            return Ok(());
        }
        let now = now_ms.saturating_mul(1_000_000);
        // Rounded up, so that no burst is longer than it says; the rest is left to the last one of it.
        let step = SECOND_NS.div_ceil(u64::from(per_s));
        let room = SECOND_NS - SECOND_NS / u64::from(per_s) + u64::from(per_s);
        let due = self.due_ns.max(now);
        if due - now > room {
            return Err((due - now - room).div_ceil(1_000_000).max(1));
        }
        self.due_ns = due.saturating_add(step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn a_burst_of_a_second_then_evenly() {
        let mut rate = Rate::default();
        let burst = (0..1_000).take_while(|_| rate.take(5_000, 10).is_ok()).count();
        assert_eq!(burst, 10);
        let wait = rate.take(5_000, 10).unwrap_err();
        assert!((90..=100).contains(&wait), "{wait}");
        assert!(rate.take(5_000 + wait, 10).is_ok());
        assert!(rate.take(5_000 + wait, 10).is_err());
        let later = (0..1_000).take_while(|_| rate.take(60_000, 10).is_ok()).count();
        assert_eq!(later, 10);
    }

    #[test]
    fn nought_is_without_limit() {
        let mut rate = Rate::default();
        assert!((0..10_000).all(|_| rate.take(1, 0).is_ok()));
    }
}
