//! Work that several threads share, whose results come in order all the same.

use std::sync::mpsc;
use std::thread;

/// Threads that share the work.
const THREADS_MAX: usize = 4;
/// Pieces that a thread is given ahead of what was taken of it.
const AHEAD: usize = 2;

/// Has threads do `work` on all that `next` gives, and gives what comes of it to `done`, in the same order. What is under way
/// is bounded. `next` and `done` are called by this thread.
pub(super) fn in_order<T: Send, R: Send, E>(
    mut next: impl FnMut() -> Result<Option<T>, E>,
    work: impl Fn(T) -> R + Sync,
    mut done: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let work = &work;
    thread::scope(|scope| {
        let lane = |_| {
            let (give, given) = mpsc::sync_channel(AHEAD);
            let (tell, told) = mpsc::sync_channel(AHEAD);
            scope.spawn(move || given.into_iter().try_for_each(|item| tell.send(work(item))));
            (give, told)
        };
        let lanes: Vec<_> = (0..threads).map(lane).collect();
        let (mut given, mut taken, mut more) = (0, 0, true);
        loop {
            while more && given - taken < threads * AHEAD {
                match next()? {
                    Some(item) => {
                        // A thread that has panicked takes nothing; see below.
                        let _ = lanes[given % threads].0.send(item);
                        given += 1;
                    }
                    None => more = false,
                }
            }
            if taken == given {
                return Ok(());
            }
            // A thread that tells nothing has panicked, and the scope's end passes that on.
            let Ok(result) = lanes[taken % threads].1.recv() else { return Ok(()) };
            done(result)?;
            taken += 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn results_come_in_order_and_errors_end_it() {
        let run = |unread: u32, unwanted: u32| {
            let (mut item, mut seen) = (0, Vec::new());
            let next = || {
                item += 1;
                if item == unread { Err("read") } else { Ok(Some(item).filter(|item| *item <= 1_000)) }
            };
            // Some take longer than others.
            let work = |item: u32| (item, (0..item * 7 % 400).fold(0_u64, |sum, n| sum ^ u64::from(n)));
            let done = |(item, _)| {
                seen.push(item);
                if item == unwanted { Err("done") } else { Ok(()) }
            };
            let end = in_order(next, work, done);
            assert!(seen.iter().copied().eq(1..=seen.len() as u32));
            (end, seen.len())
        };
        assert_eq!(run(0, 0), (Ok(()), 1_000));
        assert_eq!(run(500, 0).0, Err("read"));
        assert_eq!(run(0, 500), (Err("done"), 500));
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_passed_on() {
        let mut left = 100;
        let next = || {
            left -= 1;
            Ok::<_, ()>(Some(left).filter(|left| *left > 0))
        };
        let _ = in_order(next, |item| assert!(item != 50, "a bad one"), |()| Ok(()));
    }
}
