//! When a room may lose its work mark: what a Room knows of its own appends, against all that really happened, and the verdict.

use parlance_domain::feed::{Rest, Tenure, Unfinished, Verdict, bucket_after, judge};
use parlance_schema::Seq;
use parlance_schema::limits::LOG_BUCKET;
use proptest::prelude::*;

/// What happens to a Room's log, as the Room hears of it.
#[derive(Clone, Debug)]
enum Step {
    Read { further: Seq, fence: Option<u64> },
    Sent,
    Acknowledged { count: Seq },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let read = (0..3_u64, proptest::option::of(1..9_u64)).prop_map(|(further, fence)| Step::Read { further, fence });
    let step =
        prop_oneof![1 => read, 3 => Just(Step::Sent), 3 => (1..70_u64).prop_map(|count| Step::Acknowledged { count })];
    proptest::collection::vec(step, 0..40)
}

/// The same told by an observer that remembers everything.
#[derive(Default)]
struct Observed {
    last: Seq,
    read: Option<(Seq, Option<u64>)>,
    sent_ever: bool,
    in_flight: bool,
    /// Whether the last thing that is known of the log is that an own append is in it.
    own_is_last: bool,
    marked: bool,
}

fn walk(
    steps: Vec<Step>,
    mut look: impl FnMut(&Tenure, &Observed) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut tenure, mut observed) = (Tenure::default(), Observed { last: LOG_BUCKET - 100, ..Observed::default() });
    look(&tenure, &observed)?;
    for step in steps {
        match step {
            Step::Read { further, fence } => {
                observed.last += further;
                observed.read = Some((observed.last, fence));
                (observed.in_flight, observed.own_is_last, observed.marked) = (false, false, false);
                tenure.read(observed.last, fence);
            }
            // A Room has read its log before it appends, and has one append in flight.
            Step::Sent if observed.read.is_some() && !observed.in_flight => {
                (observed.sent_ever, observed.in_flight, observed.own_is_last) = (true, true, false);
                tenure.sent();
            }
            Step::Acknowledged { count } if observed.in_flight => {
                observed.last += count;
                (observed.in_flight, observed.own_is_last, observed.marked) = (false, true, true);
                tenure.acknowledged(observed.last);
            }
            Step::Sent | Step::Acknowledged { .. } => continue,
        }
        look(&tenure, &observed)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_log_is_settled_only_by_an_own_append_that_nothing_followed(steps in steps()) {
        walk(steps, |tenure, observed| {
            let expected = match (observed.own_is_last, observed.sent_ever) {
                (true, _) => Rest::Settled(observed.last),
                (false, false) => Rest::Untouched(observed.read.map(|(last, _)| last)),
                (false, true) => Rest::Open,
            };
            prop_assert_eq!(tenure.rest(), expected);
            Ok(())
        })?;
    }

    #[test]
    fn the_mark_is_brought_again_after_each_reading_until_an_append_is_acknowledged(steps in steps()) {
        walk(steps, |tenure, observed| {
            prop_assert_eq!(tenure.needs_mark(), !observed.marked);
            Ok(())
        })?;
    }

    #[test]
    fn a_fence_holds_in_the_bucket_that_it_was_read_in_and_in_no_other(steps in steps(), ahead in 0..2 * LOG_BUCKET) {
        walk(steps, |tenure, observed| {
            let expected = observed.last + ahead;
            let there = observed.read.filter(|(last, _)| bucket_after(*last) == bucket_after(expected));
            prop_assert_eq!(tenure.fence(expected), there.and_then(|(_, fence)| fence));
            Ok(())
        })?;
    }

    #[test]
    fn a_mark_goes_only_when_nothing_can_be_missed(
        awake: bool, consumers_are_known: bool, open: bool, end in 0..4_u64, own in 0..4_u64, others in 0..4_u64,
    ) {
        let what = Unfinished { awake, consumers_are_known, end, open, own, others };
        let is_done = !awake && consumers_are_known && own >= end;
        let expected = match (is_done, open, others >= end) {
            (false, ..) => Verdict::Keep,
            (true, true, _) => Verdict::Fence,
            (true, false, false) => Verdict::Leave,
            (true, false, true) => Verdict::Remove,
        };
        prop_assert_eq!(judge(&what), expected);
    }
}
