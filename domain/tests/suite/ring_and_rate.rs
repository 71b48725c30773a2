//! The ring and the rate limit against the plainest thing that does the same.

use parlance_domain::rate::Rate;
use parlance_domain::ring::Ring;
use proptest::prelude::*;

/// All items ever pushed; what the ring holds is worked out anew each time.
fn kept(pushed: &[(u64, usize)], bytes_max: usize) -> Vec<u64> {
    let mut total = 0;
    let newest = pushed.iter().rev().take_while(|(_, bytes)| {
        total += bytes;
        total <= bytes_max
    });
    let mut kept: Vec<u64> = newest.map(|(seq, _)| *seq).collect();
    kept.reverse();
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_holds_the_newest_that_fit(
        first in 1..1_000u64,
        bytes_max in 0..400usize,
        sizes in prop::collection::vec(1..200usize, 0..60),
    ) {
        let mut ring = Ring::new(first, bytes_max);
        let mut pushed = Vec::new();
        for (seq, bytes) in (first..).zip(sizes) {
            ring.push(seq, bytes);
            pushed.push((seq, bytes));
            let kept = kept(&pushed, bytes_max);
            prop_assert_eq!(ring.next(), seq + 1);
            prop_assert_eq!(ring.len(), kept.len());
            prop_assert_eq!(ring.is_empty(), kept.is_empty());
            for probe in first.saturating_sub(1)..seq + 3 {
                prop_assert_eq!(ring.get(probe), kept.contains(&probe).then_some(&probe));
            }
            let bytes = pushed.iter().filter(|(seq, _)| kept.contains(seq)).map(|(_, bytes)| bytes).sum::<usize>();
            prop_assert_eq!(ring.bytes(), bytes);
            prop_assert!(ring.bytes() <= bytes_max);
        }
    }

    #[test]
    fn a_rate_is_a_bucket_that_fills_evenly(
        per_s in 1..3_000u32,
        pauses in prop::collection::vec(prop_oneof![3 => 0..3u64, 1 => 0..2_000u64], 1..400),
    ) {
        // A bucket of `per_s` tokens, counted in thousandths, filled by `per_s` thousandths a millisecond.
        let full = u64::from(per_s) * 1_000;
        let (mut bucket, mut now) = (full, 1_000u64);
        let mut rate = Rate::default();
        for pause in pauses {
            now += pause;
            bucket = full.min(bucket + pause * u64::from(per_s));
            match rate.take(now, per_s) {
                Ok(()) => {
                    // Rounding to nanoseconds may be early by less than one thousandth of a token per token.
                    prop_assert!(bucket + 1 >= 1_000, "{} thousandths were enough", bucket);
                    bucket = bucket.saturating_sub(1_000);
                }
                Err(wait) => {
                    prop_assert!(bucket < 1_000 + 1, "refused with {} thousandths", bucket);
                    prop_assert!(wait >= 1);
                    let mut early = rate;
                    prop_assert!(early.take(now + wait, per_s).is_ok(), "still refused after {} ms", wait);
                    prop_assert!(wait == 1 || rate.take(now + wait - 1, per_s).is_err(), "{} ms is too long", wait);
                }
            }
        }
    }
}

#[test]
fn a_burst_is_one_second_s_worth_exactly() {
    for per_s in (1..=3_000).chain([10_000]) {
        let mut rate = Rate::default();
        let burst = (0..20_000).take_while(|_| rate.take(77, per_s).is_ok()).count();
        assert_eq!(burst, per_s as usize);
    }
}
