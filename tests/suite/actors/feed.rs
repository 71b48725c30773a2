//! Consumers that follow logs: who is given what and when, how a destination that fails is treated, and what outlives a node.

mod probe;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use parlance_actors::node::Options;
use parlance_actors::ports::store::{Begins, FeedStore, Filter, SETTLED_OWNER, WorkMark};
use parlance_schema::Seq;
use parlance_schema::limits::{FEED_PAGE_ENTRIES_MAX, FEED_SHARDS};
use serde_json::json;
use tokio::time::Instant;

use super::bed::{Bed, START, eventually, pass, populated, send};
use super::faults::{Faulty, Twist};
use probe::{Act, NAME, Probe, alone, room};

/// Rooms sleep after so long without work.
const IDLE_MS: u64 = 2_000;

/// A node that runs a consumer.
async fn node(store: &Arc<Faulty>, incarnation: u64, probe: &Arc<Probe>) -> Bed {
    let options = Options { commands_per_s: 0, room_idle_ms: IDLE_MS, ..Options::default() };
    Bed::following(store.clone(), incarnation, alone(probe), options).await
}

async fn say(bed: &Bed, room: u64, count: usize) {
    for n in 0..count {
        bed.perform(1, send(room, &format!("{n}"))).await.unwrap();
    }
}

async fn last(bed: &Bed, room: u64) -> Seq {
    bed.log(room).await.len() as Seq
}

async fn marks(store: &Faulty) -> Vec<WorkMark> {
    let mut all = Vec::new();
    for owner in store.inner.owners().await.unwrap() {
        for shard in 0..FEED_SHARDS {
            all.extend(store.inner.marks(owner.owner, shard, None, 1_000).await.unwrap());
        }
    }
    all
}

/// How far the store says that the consumer has got in a room.
async fn cursor(store: &Faulty, id: u64) -> Seq {
    let cursors = store.inner.cursors(room(id)).await.unwrap();
    cursors.iter().filter(|cursor| cursor.consumer == NAME).map(|cursor| cursor.seq).max().unwrap_or(0)
}

async fn all_taken(bed: &Bed, probe: &Probe, rooms: &[u64]) {
    for id in rooms {
        let last = last(bed, *id).await;
        eventually("all is taken", async || probe.taken(*id).last() == Some(&last)).await;
    }
}

/// Waits until nothing is unfinished.
async fn finished(store: &Faulty) {
    eventually("no mark is left", async || marks(store).await.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn each_entry_is_given_once_in_order_and_then_the_mark_goes() {
    for marks_before in [false, true] {
        let (store, probe) = (populated().await, Arc::new(Probe::willing()));
        store.marks_before.store(marks_before, SeqCst);
        let bed = node(&store, 1, &probe).await;
        let rooms = [bed.group(1, &[2]).await, bed.group(1, &[]).await];
        say(&bed, rooms[0], 2 * FEED_PAGE_ENTRIES_MAX + 10).await;
        say(&bed, rooms[1], 3).await;
        assert_eq!(marks(&store).await.len(), 2, "a room that is awake keeps its mark");
        all_taken(&bed, &probe, &rooms).await;
        finished(&store).await;
        for id in rooms {
            let last = last(&bed, id).await;
            assert_eq!(probe.taken(id), (1..=last).collect::<Vec<_>>());
            assert_eq!(cursor(&store, id).await, last);
        }
        let largest = probe.calls().iter().map(|(_, _, seqs)| seqs.len()).max();
        assert!(largest <= Some(FEED_PAGE_ENTRIES_MAX), "{largest:?}");
        // What comes after the mark has gone is given just so.
        say(&bed, rooms[1], 1).await;
        all_taken(&bed, &probe, &rooms).await;
        finished(&store).await;
        assert_eq!(probe.taken(rooms[1]), (1..=last(&bed, rooms[1]).await).collect::<Vec<_>>());
        bed.node.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_has_one_call_at_a_time_and_keeps_no_other_waiting() {
    let (store, probe) = (populated().await, Arc::new(Probe::willing()));
    let bed = node(&store, 1, &probe).await;
    let rooms = [bed.group(1, &[]).await, bed.group(1, &[]).await];
    all_taken(&bed, &probe, &rooms).await;
    probe.hold(rooms[0]);
    for _ in 0..5 {
        say(&bed, rooms[0], 2).await;
        say(&bed, rooms[1], 2).await;
        pass(300).await;
    }
    all_taken(&bed, &probe, &rooms[1..]).await;
    assert_eq!(probe.taken(rooms[0]), [1], "its call is still held");
    probe.release();
    all_taken(&bed, &probe, &rooms).await;
    assert_eq!(probe.taken(rooms[0]), (1..=11).collect::<Vec<_>>());
    assert_eq!(probe.overlapping(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_nothing_is_tried_more_and_more_rarely() {
    // As many as the first look calls for together, and as many tries after that.
    const AWAY: usize = 8 + 8;
    let probe = Probe::scripted(|count, _| if count < AWAY { Act::Away } else { Act::Take });
    let (store, probe) = (populated().await, Arc::new(probe));
    let bed = node(&store, 1, &probe).await;
    let mut rooms = Vec::new();
    for _ in 0..12 {
        rooms.push(bed.group(1, &[]).await);
    }
    all_taken(&bed, &probe, &rooms).await;
    let times: Vec<Instant> = probe.calls().iter().map(|(at, ..)| *at).collect();
    // The first calls went out together; from then on there is one at a time, for all rooms.
    let pauses: Vec<Duration> = times[..=AWAY].windows(2).map(|pair| pair[1] - pair[0]).collect();
    let pauses: Vec<Duration> = pauses.into_iter().skip_while(|pause| *pause < Duration::from_millis(150)).collect();
    assert!(pauses.len() >= 8, "{pauses:?}");
    let longest = Duration::from_secs(30);
    for pair in pauses.windows(2) {
        let doubled = (pair[0] * 2).min(longest);
        assert!(pair[1] + Duration::from_millis(20) >= doubled && pair[1] <= longest * 2, "{pauses:?}");
    }
    for id in rooms {
        assert_eq!(probe.taken(id), (1..=last(&bed, id).await).collect::<Vec<_>>());
    }
    assert!(store.inner.dead(NAME, None, 10).await.unwrap().is_empty(), "an entry is not to blame for that");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_refused_again_and_again_is_passed_over() {
    let probe = Probe::scripted(|_, seqs| if seqs.contains(&3) { Act::Refuse(3) } else { Act::Take });
    let (store, probe) = (populated().await, Arc::new(probe));
    let bed = node(&store, 1, &probe).await;
    let (id, other) = (bed.group(1, &[]).await, bed.group(1, &[]).await);
    say(&bed, id, 4).await;
    all_taken(&bed, &probe, &[id, other]).await;
    assert_eq!(probe.taken(id), [1, 2, 4, 5]);
    let tries = probe.calls().into_iter().filter(|(_, of, seqs)| *of == id && seqs.contains(&3)).count();
    assert_eq!(tries, 5);
    let dead = store.inner.dead(NAME, None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].room, dead[0].seq, dead[0].reason.as_str()), (room(id), 3, "410"));
    finished(&store).await;
    assert_eq!(cursor(&store, id).await, 5, "it is done with the entry that it was passed over for");
}

/// Neither other entries' refusals nor a store that can't be read count as an entry's own tries.
#[tokio::test(start_paused = true)]
async fn each_entry_has_its_own_tries() {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let probe = Probe::scripted(move |_, seqs| {
        let next = if seqs.contains(&3) { 3 } else { 5 };
        let patient = if next == 3 { 4 } else { 8 };
        if seqs.contains(&next) && count.load(SeqCst) < patient {
            count.fetch_add(1, SeqCst);
            return Act::Refuse(next);
        }
        if seqs.contains(&next) { Act::Part(next) } else { Act::Take }
    });
    let (store, probe) = (populated().await, Arc::new(probe));
    let bed = node(&store, 1, &probe).await;
    let id = bed.group(1, &[]).await;
    say(&bed, id, 5).await;
    eventually("an entry was refused", async || refused.load(SeqCst) == 2).await;
    store.down.store(true, SeqCst);
    pass(20_000).await;
    store.down.store(false, SeqCst);
    all_taken(&bed, &probe, &[id]).await;
    assert_eq!(probe.taken(id), (1..=6).collect::<Vec<_>>());
    assert_eq!(refused.load(SeqCst), 8);
    assert!(store.inner.dead(NAME, None, 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_the_consumer_panics_over_twice_is_passed_over() {
    let probe = Probe::scripted(|_, seqs| if seqs.contains(&3) { Act::Panic } else { Act::Take });
    let (store, probe) = (populated().await, Arc::new(probe));
    let bed = node(&store, 1, &probe).await;
    let id = bed.group(1, &[]).await;
    probe.hold(id);
    say(&bed, id, 4).await;
    probe.release();
    all_taken(&bed, &probe, &[id]).await;
    assert_eq!(probe.taken(id), [1, 2, 4, 5]);
    let single = probe.calls().into_iter().filter(|(_, _, seqs)| *seqs == [3]).count();
    assert_eq!(single, 2, "{:?}", probe.calls());
    let dead = store.inner.dead(NAME, None, 10).await.unwrap();
    assert_eq!(
        dead.iter().map(|dead| (dead.seq, dead.reason.as_str())).collect::<Vec<_>>(),
        [(3, "the consumer panicked")]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_done_in_part_goes_on_from_there() {
    let probe = Arc::new(Probe::scripted(|_, seqs| Act::Part(seqs[seqs.len() / 2])));
    let store = populated().await;
    let bed = node(&store, 1, &probe).await;
    let id = bed.group(1, &[]).await;
    say(&bed, id, 40).await;
    all_taken(&bed, &probe, &[id]).await;
    assert_eq!(probe.taken(id), (1..=41).collect::<Vec<_>>());
    finished(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_behind_is_not_given_the_words_of_what_was_deleted_since() {
    for twist in [None, Some(Twist::UnknownApplied)] {
        let open = Arc::new(AtomicBool::new(false));
        let takes = open.clone();
        let probe = Arc::new(Probe::scripted(move |_, _| if takes.load(SeqCst) { Act::Take } else { Act::Away }));
        let store = populated().await;
        let bed = node(&store, 1, &probe).await;
        let id = bed.group(1, &[]).await;
        say(&bed, id, 3).await;
        eventually("the destination is tried", async || !probe.calls().is_empty()).await;
        bed.store.script(twist);
        bed.perform(1, json!({"op": "delete", "room": id, "seq": 3})).await.unwrap();
        open.store(true, SeqCst);
        eventually("all is taken", async || probe.taken(id).last() == Some(&5)).await;
        assert_eq!(
            probe.words(id),
            [(2, Some("0".to_owned())), (3, None), (4, Some("2".to_owned()))].into(),
            "{twist:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_later_comes_then_whoever_is_there() {
    const DUE: u64 = START + 90_000;
    let origin = Instant::now();
    let late = Arc::new(Probe::scripted(move |_, seqs| {
        let pause = Duration::from_millis(DUE - START) - origin.elapsed();
        if seqs.contains(&2) { Act::Later(1, pause) } else { Act::Take }
    }));
    let store = populated().await;
    let bed = node(&store, 1, &late).await;
    let id = bed.group(1, &[]).await;
    say(&bed, id, 2).await;
    // The room costs nothing until then.
    finished(&store).await;
    assert_eq!(late.taken(id), [1]);
    let due = store.inner.due(room(id).get() as u8 % FEED_SHARDS, DUE, 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.due).collect::<Vec<_>>(), [DUE]);
    let next = Arc::new(store.beside());
    store.down.store(true, SeqCst);
    // Another start, whose clock begins anew.
    let probe = Arc::new(Probe::willing());
    let bed = node(&next, 2, &probe).await;
    let began = Instant::now();
    all_taken(&bed, &probe, &[id]).await;
    assert!(began.elapsed() >= Duration::from_millis(DUE - START), "{:?}", began.elapsed());
    assert_eq!(probe.taken(id), [2, 3]);
    finished(&next).await;
    assert!(next.inner.due(room(id).get() as u8 % FEED_SHARDS, DUE, 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_later_has_a_mark_whatever_became_of_the_first() {
    const DUE: u64 = START + 3_600_000;
    let probe = Arc::new(Probe::scripted(move |_, seqs| {
        if seqs.contains(&2) { Act::Later(1, Duration::from_secs(3_500)) } else { Act::Take }
    }));
    let store = populated().await;
    let bed = node(&store, 1, &probe).await;
    let id = bed.group(1, &[]).await;
    say(&bed, id, 1).await;
    let due = async || store.inner.due(room(id).get() as u8 % FEED_SHARDS, DUE, 10).await.unwrap();
    eventually("the rest is wanted later", async || probe.taken(id) == [1]).await;
    pass(300).await;
    // A node whose clock is ahead takes the mark, gives what there is, and falls silent; then the room goes on.
    store.inner.drop_due(&due().await).await.unwrap();
    say(&bed, id, 1).await;
    finished(&store).await;
    assert_eq!((probe.taken(id), due().await.len()), (vec![1], 1), "nothing else leads to what came since");
}

#[tokio::test(start_paused = true)]
async fn what_a_node_left_undone_is_given_by_its_next_start() {
    for marks_before in [false, true] {
        let (store, away) = (populated().await, Arc::new(Probe::scripted(|_, _| Act::Away)));
        store.marks_before.store(marks_before, SeqCst);
        let bed = node(&store, 1, &away).await;
        let rooms = [bed.group(1, &[]).await, bed.group(1, &[]).await];
        for id in rooms {
            say(&bed, id, 3).await;
        }
        // An append of which nobody knows whether it was done.
        bed.store.script([Twist::UnknownApplied]);
        let _ = bed.perform(1, send(rooms[0], "perhaps")).await;
        let next = Arc::new(store.beside());
        next.marks_before.store(marks_before, SeqCst);
        store.down.store(true, SeqCst);
        let probe = Arc::new(Probe::willing());
        let bed = node(&next, 2, &probe).await;
        all_taken(&bed, &probe, &rooms).await;
        for id in rooms {
            assert_eq!(probe.taken(id), (1..=last(&bed, id).await).collect::<Vec<_>>());
        }
        finished(&next).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_log_was_fenced_and_whose_mark_was_taken_goes_on() {
    for marks_before in [false, true] {
        let (store, probe) = (populated().await, Arc::new(Probe::willing()));
        store.marks_before.store(marks_before, SeqCst);
        let bed = node(&store, 1, &probe).await;
        let id = bed.group(1, &[]).await;
        all_taken(&bed, &probe, &[id]).await;
        // Another node took this one for gone.
        let mark = marks(&store).await;
        assert_eq!(mark.len(), 1);
        store.inner.drop_marks(&mark).await.unwrap();
        assert!(store.inner.fence(room(id), last(&bed, id).await, 77).await.unwrap());
        say(&bed, id, 2).await;
        let again = marks(&store).await;
        assert!(again.len() == 1 && again[0].at > mark[0].at, "{again:?} after {mark:?}");
        assert_eq!(bed.said(id).await, ["0", "1"]);
        all_taken(&bed, &probe, &[id]).await;
        finished(&store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_registered_while_rooms_sleep_is_given_what_was_there_or_only_what_comes() {
    for begins in [Begins::Start, Begins::Now] {
        let store = populated().await;
        let bed = Bed::over(store.clone(), Options { room_idle_ms: IDLE_MS, ..Options::default() }).await;
        let id = bed.group(1, &[]).await;
        say(&bed, id, 5).await;
        finished(&store).await;
        let next = Arc::new(store.beside());
        store.down.store(true, SeqCst);
        let probe = Arc::new(Probe::willing().begins(begins));
        let bed = node(&next, 2, &probe).await;
        let walked = async || next.inner.consumers().await.unwrap().iter().all(|one| one.walk.is_none());
        eventually("it was walked through all rooms", async || {
            !next.inner.consumers().await.unwrap().is_empty() && walked().await
        })
        .await;
        say(&bed, id, 2).await;
        all_taken(&bed, &probe, &[id]).await;
        let first = if begins == Begins::Start { 1 } else { 7 };
        assert_eq!(probe.taken(id), (first..=8).collect::<Vec<_>>());
        finished(&next).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_lets_through_what_it_names() {
    let (store, probe) = (populated().await, Arc::new(Probe::willing().facts(&["posted"])));
    let bed = node(&store, 1, &probe).await;
    let id = bed.group(1, &[2]).await;
    say(&bed, id, 1).await;
    bed.perform(1, serde_json::json!({"op": "kick", "room": id, "user": 2})).await.unwrap();
    say(&bed, id, 1).await;
    all_taken(&bed, &probe, &[id]).await;
    assert_eq!(probe.taken(id), [2, 4]);
    finished(&store).await;
    assert_eq!(cursor(&store, id).await, 4);
}

#[tokio::test(start_paused = true)]
async fn marks_wait_for_a_consumer_that_no_node_runs() {
    let (store, probe) = (populated().await, Arc::new(Probe::willing()));
    store.inner.register("elsewhere", &Filter::default(), Begins::Start).await.unwrap();
    let bed = node(&store, 1, &probe).await;
    let id = bed.group(1, &[]).await;
    say(&bed, id, 2).await;
    all_taken(&bed, &probe, &[id]).await;
    let left = async || marks(&store).await.iter().all(|mark| mark.owner == 1 | SETTLED_OWNER);
    eventually("the mark is left to other nodes", left).await;
    pass(120_000).await;
    assert_eq!(marks(&store).await.len(), 1, "it stays for as long as the consumer is registered");
    assert_eq!(probe.taken(id), [1, 2, 3], "and costs nobody another call");
    assert!(store.inner.unregister("elsewhere").await.unwrap());
    finished(&store).await;
}
