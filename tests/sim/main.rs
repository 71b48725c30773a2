//! The simulation: the real domain and actors of several nodes on one thread, with time that passes only when nobody has
//! anything to do, over a simulated store and bus, which fail as a seed says. The same seed is the same run.
//!
//! `cluster`, `bus`, `leases`, `store`, `disk`, `gate` and `consumer` are the world; `client` lives in it and writes a `journal`,
//! `stranger` gives commands and goes away; `faults` makes trouble, `deaths` enumerates one kind of it; `checker` judges what clients saw. `SIM_SEEDS` says how many seeds to run (200), `SIM_FIRST` from which on (1), and
//! `SIM_SEED` names one to run alone, whose whole trace is written to the file `SIM_TRACE`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed; what was run is told")]

mod bus;
mod checker;
mod client;
mod cluster;
mod consumer;
mod deaths;
mod disk;
mod faults;
mod gate;
mod journal;
mod leases;
mod rng;
mod run;
#[path = "../common/session.rs"]
mod session;
mod store;
mod stranger;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::Switches;
use run::{RunOutcome, run};

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Runs seeds on all processors until `enough` says so; gives what it was told.
fn seeds(first: u64, count: u64, switches: Switches, enough: impl Fn(&RunOutcome) -> bool + Sync) -> Vec<RunOutcome> {
    run::note_panics();
    let _ = parlance_actors::link::ticks();
    let (next, kept) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = run(seed, switches);
                    if enough(&outcome) {
                        next.store(u64::MAX >> 1, Ordering::SeqCst);
                    }
                    if !outcome.verdict.is_empty() {
                        kept.lock().unwrap().push(outcome);
                    }
                }
            });
        }
    });
    let mut kept = kept.into_inner().unwrap();
    kept.sort_by_key(|outcome| outcome.seed);
    kept
}

#[test]
fn all_promises_hold_on_all_seeds() {
    let (first, count) = match setting("SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (setting("SIM_FIRST").unwrap_or(1), setting("SIM_SEEDS").unwrap_or(200)),
    };
    let (entries, rest) = (AtomicU64::new(0), AtomicU64::new(0));
    let wrong = seeds(first, count, Switches::ON, |outcome| {
        entries.fetch_add(outcome.seen.len() as u64, Ordering::SeqCst);
        rest.fetch_max(outcome.rest_ms.unwrap_or_default(), Ordering::SeqCst);
        if setting("SIM_SEED").is_some() || setting("SIM_SHOW").is_some() {
            println!(
                "seed {}: {:x}, {} seen, at rest after {:?} ms",
                outcome.seed,
                outcome.hash,
                outcome.seen.len(),
                outcome.rest_ms
            );
        }
        if let Some(wrong) = outcome.verdict.first() {
            println!("seed {}: {}", outcome.seed, wrong.what);
        }
        if let Some(path) = std::env::var_os("SIM_TRACE") {
            std::fs::write(path, journal::show(&outcome.seen, usize::MAX, |_| true)).unwrap();
        }
        false
    });
    println!("{count} seeds: {entries:?} observations; at rest after at most {rest:?} ms");
    if let Some(first) = wrong.first() {
        println!("{}", first.report());
    }
    let seeds: Vec<u64> = wrong.iter().map(|outcome| outcome.seed).collect();
    assert!(wrong.is_empty(), "wrong: {seeds:?}");
}

#[test]
fn a_seed_replays_exactly() {
    run::note_panics();
    for seed in 1..=8 {
        let (first, second) = (run(seed, Switches::ON), run(seed, Switches::ON));
        let differs = first.seen.iter().zip(&second.seen).position(|(a, b)| a != b);
        let show = |outcome: &RunOutcome| differs.map(|at| format!("{:?}", outcome.seen[at]));
        assert_eq!(first.hash, second.hash, "seed {seed} at {differs:?}:\n{:?}\n{:?}", show(&first), show(&second));
    }
}

/// The ways to the store and back on which a node may die; says what was wrong, by the way on which it died.
fn deaths(switches: Switches) -> (u64, Vec<(u64, String)>) {
    run::note_panics();
    let mut wrong = Vec::new();
    for way in 1.. {
        let death = deaths::die_on(way, switches);
        wrong.extend(death.verdict.first().map(|first| (way, first.what.clone())));
        if !death.died {
            return (way - 1, wrong);
        }
    }
    unreachable!("a node lives for ever")
}

#[test]
fn consumers_have_everything_wherever_a_node_dies() {
    let (ways, wrong) = deaths(Switches::ON);
    println!("{ways} deaths");
    assert!(ways > 50, "only {ways}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn it_bites_without_marks_wherever_a_node_dies() {
    let (ways, wrong) = deaths(Switches { mark: false, ..Switches::ON });
    assert!(!wrong.is_empty(), "nobody missed marks in {ways} deaths");
    println!("{} of {ways} deaths: {:?}", wrong.len(), wrong[0]);
}

/// With something switched off, some seed must show it.
fn is_missed(switches: Switches) {
    let wrong = seeds(1, 200, switches, |outcome| !outcome.verdict.is_empty());
    assert!(!wrong.is_empty(), "nobody missed anything with {switches:?}");
    println!("seed {}: {}", wrong[0].seed, wrong[0].verdict[0].what);
}

#[test]
fn it_bites_without_the_appends_condition() {
    is_missed(Switches { condition: false, ..Switches::ON });
}

#[test]
fn it_bites_without_remembering_client_ids() {
    is_missed(Switches { dedup: false, ..Switches::ON });
}

#[test]
fn it_bites_without_gap_repair() {
    is_missed(Switches { repair: false, ..Switches::ON });
}

#[test]
fn it_bites_without_marks() {
    is_missed(Switches { mark: false, ..Switches::ON });
}

#[test]
fn it_bites_where_the_mark_comes_after_the_append() {
    is_missed(Switches { mark_first: false, ..Switches::ON });
}

#[test]
fn it_bites_without_the_fence() {
    is_missed(Switches { fence: false, ..Switches::ON });
}

#[test]
fn it_bites_with_the_fence_in_the_wrong_bucket() {
    is_missed(Switches { fence_bucket: false, ..Switches::ON });
}

#[test]
fn it_bites_where_marks_go_by_a_nodes_own_list() {
    is_missed(Switches { registered: false, ..Switches::ON });
}

#[test]
fn it_bites_where_a_cursor_comes_before_the_effect() {
    is_missed(Switches { effect_first: false, ..Switches::ON });
}

#[test]
fn it_bites_without_the_sweep() {
    is_missed(Switches { sweep: false, ..Switches::ON });
}

#[test]
fn it_bites_where_marks_for_later_are_not_kept() {
    is_missed(Switches { due: false, ..Switches::ON });
}
