//! Following logs: marks, fences, consumers, cursors, dead letters.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{
    Append, AppendError, Begins, Cursor, DeadLetter, DueMark, Filter, LogEnd, Progress, Thing, Walk, WorkMark,
};
use parlance_schema::RoomId;
use parlance_schema::limits::{FEED_SHARDS, LOG_BUCKET};

use crate::store::sample::{self, append, post, renamed};

const HOUR: u64 = 3_600_000;

/// A number that nobody has used.
async fn number(store: &Arc<dyn Store>) -> u64 {
    sample::user(store).await.get() + 5_000_000
}

async fn name(store: &Arc<dyn Store>) -> String {
    format!("consumer-{}", number(store).await)
}

async fn all_marks(store: &Arc<dyn Store>, owner: u64) -> Vec<WorkMark> {
    let mut all = Vec::new();
    for shard in 0..FEED_SHARDS {
        loop {
            let after = all.last().map(|mark: &WorkMark| mark.thing).filter(|thing| thing.shard() == shard);
            let page = store.marks(owner, shard, after, 2).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 2 && page.iter().all(|mark| mark.thing.shard() == shard && mark.owner == owner));
            all.extend(page);
        }
    }
    all.sort_unstable();
    all
}

pub async fn marks_are_found_by_their_owner(store: Arc<dyn Store>) {
    let (mine, other) = (number(&store).await, number(&store).await);
    for owner in [mine, other] {
        store.open_owner(owner, 5).await.unwrap();
    }
    let room = sample::room(&store).await;
    let things = (0..40).map(|n| Thing::Room(RoomId::new(room.get() + n * 1_000_000)));
    let things = things.chain([Thing::User(sample::user(&store).await), Thing::Job(room.get())]);
    let mut marks: Vec<WorkMark> = (1..).zip(things).map(|(at, thing)| WorkMark { owner: mine, thing, at }).collect();
    store.put_marks(&marks).await.unwrap();
    store.put_marks(&[WorkMark { owner: other, ..marks[0] }]).await.unwrap();
    marks.sort_unstable();
    assert_eq!(all_marks(&store, mine).await, marks);
    let owners: Vec<u64> = store.owners().await.unwrap().iter().map(|owner| owner.owner).collect();
    assert!(owners.contains(&mine) && owners.contains(&other));
    store.drop_marks(&marks[1..]).await.unwrap();
    assert_eq!(all_marks(&store, mine).await, marks[..1]);
    store.drop_marks(&marks).await.unwrap();
    store.forget_owner(mine).await.unwrap();
    assert!(store.owners().await.unwrap().iter().all(|owner| owner.owner != mine));
    assert_eq!(all_marks(&store, other).await.len(), 1, "another owner's mark of the same thing stays");
}

pub async fn a_mark_is_removed_as_of_when_it_was_written(store: Arc<dyn Store>) {
    let (owner, thing) = (number(&store).await, Thing::Room(sample::room(&store).await));
    let mark = |at| WorkMark { owner, thing, at };
    store.put_marks(&[mark(7)]).await.unwrap();
    store.put_marks(&[mark(3)]).await.unwrap();
    assert_eq!(all_marks(&store, owner).await, [mark(7)], "an earlier one that comes late replaces nothing");
    store.drop_marks(&[mark(6)]).await.unwrap();
    assert_eq!(all_marks(&store, owner).await, [mark(7)], "a removal that comes late takes no later mark with it");
    store.put_marks(&[mark(9)]).await.unwrap();
    let progress = Progress { cursors: Vec::new(), finished: Some((mark(7), 0)) };
    assert!(store.progress(progress).await.unwrap());
    assert_eq!(all_marks(&store, owner).await, [mark(9)]);
    store.drop_marks(&[mark(9)]).await.unwrap();
    assert!(all_marks(&store, owner).await.is_empty());
    store.put_marks(&[mark(10)]).await.unwrap();
    assert_eq!(all_marks(&store, owner).await, [mark(10)]);
    store.drop_marks(&[mark(10)]).await.unwrap();
}

pub async fn an_append_brings_its_mark_with_it(store: Arc<dyn Store>) {
    if !store.marks_with_append() {
        return;
    }
    let (owner, room, by) = (number(&store).await, sample::room(&store).await, sample::user(&store).await);
    let mark = |at| WorkMark { owner, thing: Thing::Room(room), at };
    let with = |append: Append, at| Append { mark: Some(mark(at)), ..append };
    let refused = store.append(with(append(room, vec![renamed(2, by)]), 1)).await;
    assert!(matches!(refused, Err(AppendError::Conflict { last: 0 })));
    assert!(all_marks(&store, owner).await.is_empty(), "what is refused writes nothing");
    store.append(with(append(room, vec![renamed(1, by)]), 2)).await.unwrap();
    assert_eq!(all_marks(&store, owner).await, [mark(2)]);
    // The log has gone on since it was read.
    store.append(append(room, vec![renamed(2, by)])).await.unwrap();
    let early = Progress { cursors: Vec::new(), finished: Some((mark(2), 1)) };
    assert!(!store.progress(early).await.unwrap());
    assert_eq!(all_marks(&store, owner).await, [mark(2)]);
    assert!(store.progress(Progress { cursors: Vec::new(), finished: Some((mark(2), 2)) }).await.unwrap());
    assert!(all_marks(&store, owner).await.is_empty());
}

async fn due_of(store: &Arc<dyn Store>, thing: Thing, now: u64) -> Vec<DueMark> {
    let mut due = store.due(thing.shard(), now, 1_000).await.unwrap();
    assert!(due.iter().all(|due| due.due <= now && due.mark.thing.shard() == thing.shard()));
    due.retain(|due| due.mark.thing == thing);
    due
}

pub async fn due_marks_are_read_when_their_time_has_come(store: Arc<dyn Store>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let (owner, thing) = (number(&store).await, Thing::User(sample::user(&store).await));
    let due = |due, at| DueMark { due, mark: WorkMark { owner, thing, at } };
    let all = [due(now + 5, 1), due(now + HOUR, 2), due(now + 30 * HOUR, 3)];
    for one in all {
        store.put_due(one).await.unwrap();
    }
    assert!(due_of(&store, thing, now + 4).await.is_empty());
    assert_eq!(due_of(&store, thing, now + 5).await, all[..1]);
    assert_eq!(due_of(&store, thing, now + 2 * HOUR).await, all[..2]);
    assert_eq!(due_of(&store, thing, now + 40 * HOUR).await, all, "the earliest first, whatever the hour");
    // One of another owner at the same time is another mark.
    let other = DueMark { mark: WorkMark { owner: owner + 1, ..all[0].mark }, ..all[0] };
    store.put_due(other).await.unwrap();
    store.drop_due(&[DueMark { mark: WorkMark { at: 0, ..all[0].mark }, ..all[0] }, all[1]]).await.unwrap();
    assert_eq!(due_of(&store, thing, now + 40 * HOUR).await, [all[0], other, all[2]]);
    store.drop_due(&[all[0], other, all[2]]).await.unwrap();
    assert!(due_of(&store, thing, now + 40 * HOUR).await.is_empty());
}

pub async fn a_fence_stops_what_was_begun_before(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    assert_eq!(store.log_end(room).await.unwrap(), LogEnd { last: 0, fence: None });
    let begun = append(room, vec![post(&store, 1, by).await]);
    assert!(store.fence(room, 0, 11).await.unwrap(), "the end of an empty log can be fenced");
    assert!(store.wake(room).await.unwrap().is_none(), "and it is still empty");
    assert_eq!(store.log_end(room).await.unwrap(), LogEnd { last: 0, fence: Some(11) });
    assert!(matches!(store.append(begun.clone()).await, Err(AppendError::Fenced)));
    store.append(Append { fence: Some(11), ..begun }).await.unwrap();
    assert!(!store.fence(room, 0, 12).await.unwrap(), "the log has gone on");
    let begun = Append { fence: Some(11), ..append(room, vec![post(&store, 2, by).await]) };
    for fence in [13, 14] {
        assert!(store.fence(room, 1, fence).await.unwrap());
    }
    assert!(matches!(store.append(begun.clone()).await, Err(AppendError::Fenced)));
    let behind = Append { fence: Some(14), ..append(room, vec![renamed(1, by)]) };
    assert!(matches!(store.append(behind).await, Err(AppendError::Conflict { last: 1 })));
    assert_eq!(store.wake(room).await.unwrap().unwrap().fence, Some(14));
    store.append(Append { fence: Some(14), ..begun }).await.unwrap();
    store.append(Append { fence: Some(14), ..append(room, vec![renamed(3, by)]) }).await.unwrap();
    assert_eq!(sample::numbers(&*store, room).await, [1, 2, 3]);
}

pub async fn a_fence_holds_for_a_bucket(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    sample::fill(&store, room, by, LOG_BUCKET - 1).await;
    assert!(store.fence(room, LOG_BUCKET - 1, 21).await.unwrap());
    let last = Append { fence: Some(21), ..append(room, vec![renamed(LOG_BUCKET, by)]) };
    store.append(last).await.unwrap();
    assert_eq!(
        store.log_end(room).await.unwrap(),
        LogEnd { last: LOG_BUCKET, fence: None },
        "the next bucket has none"
    );
    let begun = append(room, vec![renamed(LOG_BUCKET + 1, by)]);
    assert!(store.fence(room, LOG_BUCKET, 22).await.unwrap(), "one that isn't begun can be fenced");
    assert!(matches!(store.append(begun.clone()).await, Err(AppendError::Fenced)));
    assert_eq!(store.wake(room).await.unwrap().unwrap().fence, Some(22));
    assert_eq!(store.log_end(room).await.unwrap(), LogEnd { last: LOG_BUCKET, fence: Some(22) });
    store.append(Append { fence: Some(22), ..begun }).await.unwrap();
    store.append(Append { fence: Some(22), ..append(room, vec![renamed(LOG_BUCKET + 2, by)]) }).await.unwrap();
}

pub async fn of_a_fence_and_an_append_one_wins(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let mut fence = None;
    for seq in 1..=12 {
        let begun = Append { fence, ..append(room, vec![renamed(seq, by)]) };
        let (appended, fenced) = tokio::join!(store.append(begun.clone()), store.fence(room, seq - 1, 100 + seq));
        let fenced = fenced.unwrap();
        assert_ne!(appended.is_ok(), fenced, "at {seq}: {appended:?}, {fenced}");
        if fenced {
            assert!(matches!(appended, Err(AppendError::Fenced)));
            fence = Some(100 + seq);
            store.append(Append { fence, ..begun }).await.unwrap();
        }
        assert_eq!(store.log_end(room).await.unwrap(), LogEnd { last: seq, fence });
    }
}

pub async fn cursors_never_go_back(store: Arc<dyn Store>) {
    let (room, other) = (sample::room(&store).await, sample::room(&store).await);
    let cursor = |generation, seq| Cursor { room, consumer: "file:log".to_owned(), generation, seq };
    let raise = async |cursors: Vec<Cursor>| {
        assert!(store.progress(Progress { cursors, finished: None }).await.unwrap());
        let mut all = store.cursors(room).await.unwrap();
        all.sort_unstable();
        all
    };
    assert_eq!(raise(vec![cursor(1, 5)]).await, [cursor(1, 5)]);
    assert_eq!(raise(vec![cursor(1, 4)]).await, [cursor(1, 5)]);
    let elsewhere = Cursor { room: other, ..cursor(1, 90) };
    assert_eq!(raise(vec![cursor(2, 1), elsewhere.clone()]).await, [cursor(1, 5), cursor(2, 1)]);
    let second = Cursor { consumer: "webhook:7".to_owned(), ..cursor(1, 3) };
    assert_eq!(raise(vec![cursor(1, 9), second.clone()]).await, [cursor(1, 9), cursor(2, 1), second]);
    assert_eq!(store.cursors(other).await.unwrap(), [elsewhere]);
}

pub async fn consumers_are_registered_once(store: Arc<dyn Store>) {
    let name = name(&store).await;
    let find = async || store.consumers().await.unwrap().into_iter().find(|consumer| consumer.name == name);
    assert_eq!(find().await, None);
    let filter = Filter { facts: vec!["posted".to_owned()] };
    let first = store.register(&name, &filter, Begins::Now).await.unwrap();
    assert_eq!((first.generation, first.begins, &first.filter), (1, Begins::Now, &filter));
    assert_eq!(first.walk, Some(Walk::default()));
    assert_eq!(store.register(&name, &filter, Begins::Now).await.unwrap(), first);
    let all = Filter::default();
    let changed = store.register(&name, &all, Begins::Start).await.unwrap();
    assert_eq!((changed.generation, changed.begins, &changed.filter), (1, Begins::Now, &all));
    assert_eq!(find().await, Some(changed));
    let reset = store.reset(&name).await.unwrap().unwrap();
    assert_eq!((reset.generation, reset.begins), (2, Begins::Start));
    assert!(store.unregister(&name).await.unwrap());
    assert!(!store.unregister(&name).await.unwrap());
    assert_eq!(store.reset(&name).await.unwrap(), None);
    assert_eq!(find().await, None);
    let again = store.register(&name, &filter, Begins::Now).await.unwrap();
    assert_eq!((again.generation, again.begins), (3, Begins::Now), "its old cursors are not its own any more");
    assert_eq!(again.walk, Some(Walk::default()));
    store.unregister(&name).await.unwrap();
}

pub async fn a_walk_finds_every_room_and_is_noted(store: Arc<dyn Store>) {
    let by = sample::user(&store).await;
    let mut rooms = Vec::new();
    for _ in 0..7 {
        let room = sample::room(&store).await;
        sample::fill(&store, room, by, 2).await;
        rooms.push(room);
    }
    sample::fill(&store, rooms[3], by, 0).await;
    let consumer = store.register(&name(&store).await, &Filter::default(), Begins::Start).await.unwrap();
    let (name, generation) = (consumer.name.as_str(), consumer.generation);
    let (mut at, mut found) = (Walk::default(), Vec::new());
    loop {
        let (page, next) = store.walk(&at, 5).await.unwrap();
        found.extend(page);
        assert!(store.note_walk(name, generation, &at, next.as_ref()).await.unwrap());
        assert!(!store.note_walk(name, generation, &at, None).await.unwrap() || next.as_ref() == Some(&at));
        assert!(!store.note_walk(name, generation + 1, &at, None).await.unwrap());
        let kept = store.consumers().await.unwrap().into_iter().find(|kept| kept.name == name).unwrap();
        assert_eq!(kept.walk, next);
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    let mut unique = found.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), found.len(), "each room once");
    assert!(rooms.iter().all(|room| found.contains(room)), "{rooms:?} in {found:?}");
    assert_eq!(store.reset(name).await.unwrap().unwrap().walk, Some(Walk::default()), "a new generation walks again");
    store.unregister(name).await.unwrap();
}

pub async fn dead_letters_are_kept_until_they_are_dropped(store: Arc<dyn Store>) {
    let (name, other) = (name(&store).await, name(&store).await);
    let rooms = [sample::room(&store).await, sample::room(&store).await];
    let dead = |room, seq| DeadLetter { consumer: name.clone(), room, seq, at: 7, reason: "refused: 400".to_owned() };
    let all = [dead(rooms[0], 3), dead(rooms[0], 9), dead(rooms[1], 1)];
    for one in all.iter().rev() {
        store.put_dead(one).await.unwrap();
    }
    store.put_dead(&DeadLetter { consumer: other.clone(), ..all[0].clone() }).await.unwrap();
    assert_eq!(store.dead(&name, None, 10).await.unwrap(), all);
    assert_eq!(store.dead(&name, None, 2).await.unwrap(), all[..2]);
    assert_eq!(store.dead(&name, Some((rooms[0], 3)), 10).await.unwrap(), all[1..]);
    let again = DeadLetter { at: 8, reason: "refused: 410".to_owned(), ..all[1].clone() };
    store.put_dead(&again).await.unwrap();
    store.drop_dead(&name, rooms[0], 3).await.unwrap();
    assert_eq!(store.dead(&name, None, 10).await.unwrap(), [again, all[2].clone()]);
    assert_eq!(store.dead(&other, None, 10).await.unwrap().len(), 1);
}

pub async fn who_runs_a_consumer_is_noted(store: Arc<dyn Store>) {
    let name = name(&store).await;
    store.register(&name, &Filter::default(), Begins::Start).await.unwrap();
    let ran = async || store.runs().await.unwrap().into_iter().find(|(of, _)| *of == name).map(|(_, at)| at);
    assert_eq!(ran().await, None);
    for at in [1_000, 61_000] {
        store.note_run(&name, at).await.unwrap();
        assert_eq!(ran().await, Some(at));
    }
    store.unregister(&name).await.unwrap();
}
