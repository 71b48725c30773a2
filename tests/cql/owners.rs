//! Two owners of a room, owners that died half-way, and old ones that wake up: several stores on one keyspace, each of which
//! knows nothing of the others.

use std::sync::Arc;

use parlance::store::Scylla;
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Append, AppendError, LogStore, MessageState, ReadMark};
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{RoomId, Seq, UserId};

use crate::bed::{self, Raw};
use crate::store::sample::{self, ALL, append, client_id, entry, numbers, post, renamed};

async fn two() -> (bed::Turn, Arc<Scylla>, Arc<Scylla>) {
    let turn = bed::turn().await;
    (turn, bed::open().await, bed::open().await)
}

fn port(store: &Arc<Scylla>) -> Arc<dyn Store> {
    Arc::clone(store) as Arc<dyn Store>
}

/// A room, and a user in it.
async fn room(store: &Arc<Scylla>) -> (RoomId, UserId) {
    (sample::room(&port(store)).await, sample::user(&port(store)).await)
}

/// What an owner that dies right after its append leaves: the log and nothing that follows from it.
async fn log_alone(raw: &Raw, append: &Append) {
    raw.append(append).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_owner_wrote_is_known_to_the_other() {
    let (_turn, one, other) = two().await;
    let (room, by) = room(&one).await;
    sample::fill(&port(&one), room, by, 50).await;
    let again = Entry { client_id: client_id("own-7"), ..renamed(51, by) };
    let refused = other.append(append(room, vec![again.clone()])).await;
    assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(0, 7)]));
    other.append(append(room, vec![renamed(51, by), renamed(52, by)])).await.unwrap();
    for (seq, upto) in [(50, 50), (52, 52), (52, Seq::MAX)] {
        let found = one.find(room, by, &client_id(format!("own-{seq}")), upto).await.unwrap();
        assert_eq!(found, Some(seq), "what was appended elsewhere is found where that is asked for");
    }
    // The first one still thinks that it owns the room.
    let late = one.append(append(room, vec![renamed(51, by)])).await;
    assert!(matches!(late, Err(AppendError::Conflict { last: 52 })));
    let again = Entry { client_id: client_id("own-52"), ..renamed(53, by) };
    let refused = one.append(append(room, vec![again])).await;
    assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(0, 52)]), "it has read what it missed");
    one.append(append(room, vec![renamed(53, by)])).await.unwrap();
    assert!(numbers(&*port(&other), room).await.into_iter().eq(1..=53));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_contending_owners_each_number_has_one() {
    let (_turn, one, other) = two().await;
    let (room, _) = room(&one).await;
    let last = LOG_BUCKET + 40;
    let mut tasks = tokio::task::JoinSet::new();
    for (owner, store) in (1_u64..).zip([one.clone(), other]) {
        let by = sample::user(&port(&store)).await;
        tasks.spawn(async move {
            let (mut at, mut won, mut round) = (0, Vec::new(), 0);
            while at < last {
                let in_bucket = LOG_BUCKET - at % LOG_BUCKET;
                let count = in_bucket.min(16);
                // A try that was refused is made again under the same names: it is done once.
                let name = |seq: Seq| client_id(format!("{owner}-{round}-{}", seq - at));
                let made =
                    (at + 1..=at + count).map(|seq| Entry { client_id: name(seq), append: owner, ..renamed(seq, by) });
                match store.append(append(room, made.collect())).await {
                    Ok(()) => {
                        won.extend((at + 1..=at + count).map(|seq| (seq, owner)));
                        at += count;
                        round += 1;
                    }
                    Err(AppendError::Conflict { last }) => at = last,
                    Err(error) => panic!("{error}"),
                }
            }
            won
        });
    }
    let mut won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    won.sort_unstable();
    let kept: Vec<_> = one.entries(room, ALL).await.unwrap().iter().map(|e| (e.seq, e.append)).collect();
    assert_eq!(kept, won);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_owner_did_not_come_to_is_done_by_the_next() {
    let (_turn, one, next) = two().await;
    let raw = Raw::open().await;
    let (room, by) = room(&one).await;
    let (ann, bob, message) =
        (sample::user(&port(&one)).await, sample::user(&port(&one)).await, sample::message(&port(&one)).await);
    let edit = |seq, revision, text: &str| {
        entry(seq, by, Fact::Edited { target: 2, revision, content: Some(Content::text(text)) })
    };
    one.append(Append { members: vec![(ann, true)], ..append(room, vec![renamed(1, by)]) }).await.unwrap();
    let died = vec![
        sample::post_as(2, by, message),
        edit(3, 1, "first"),
        entry(4, by, Fact::Reacted { target: 2, emoji: "🌸".to_owned() }),
        entry(5, by, Fact::Added { users: vec![bob] }),
        entry(6, ann, Fact::Left { heir: None }),
    ];
    log_alone(&raw, &append(room, died)).await;
    assert_eq!(next.locate(message).await.unwrap(), None, "nobody has written where it is");
    assert_eq!(
        next.find(room, by, &client_id("own-3"), Seq::MAX).await.unwrap(),
        Some(3),
        "the log itself knows its client ids"
    );
    // Anybody's first append repairs; a refused one, too.
    let refused = next.append(append(room, vec![renamed(1, by)])).await;
    assert!(matches!(refused, Err(AppendError::Conflict { last: 6 })));
    assert_eq!(next.locate(message).await.unwrap(), Some((room, 2)));
    assert_eq!(next.rooms_of(bob).await.unwrap(), [room]);
    assert!(next.rooms_of(ann).await.unwrap().is_empty());
    let state = async |store: &Arc<Scylla>| store.messages(room, ALL).await.unwrap()[0].state.clone().unwrap();
    let folded = MessageState {
        revision: 1,
        content: Some(Content::text("first")),
        edited_at: Some(1_760_000_000_003),
        edits: vec![3],
        reactions: [("🌸".to_owned(), vec![by])].into(),
        deleted_at: None,
    };
    assert_eq!(state(&next).await, folded);
    // The next owner dies after it has deleted the message.
    let died = vec![edit(7, 2, "second"), entry(8, by, Fact::Deleted { target: 2 })];
    log_alone(&raw, &append(room, died)).await;
    let third = bed::open().await;
    third.append(append(room, vec![renamed(9, by)])).await.unwrap();
    let state = state(&third).await;
    assert_eq!((state.content, state.edits, state.deleted_at), (None, vec![3, 7], Some(1_760_000_000_008)));
    for seq in [2, 3, 7] {
        let entry = &third.entries(room, ALL).await.unwrap()[seq - 1];
        let words =
            matches!(&entry.fact, Fact::Posted { content: Some(_), .. } | Fact::Edited { content: Some(_), .. });
        assert!(!words, "{entry:?}");
    }
    for (name, seq) in [("own-2", 2), ("own-6", 6), ("own-8", 8)] {
        let by = if seq == 6 { ann } else { by };
        let again = Entry { client_id: client_id(name), by, ..renamed(10, by) };
        let refused = third.append(append(room, vec![again])).await;
        assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(0, seq)]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_ids_are_found_in_buckets_long_past() {
    let (_turn, one, other) = two().await;
    let (room, by) = room(&one).await;
    let entries: Vec<Entry> = (1..=2 * LOG_BUCKET + 100).map(|seq| renamed(seq, by)).collect();
    for entries in sample::portions(&entries, 64) {
        one.append(append(room, entries.to_vec())).await.unwrap();
    }
    let last = entries.len() as Seq;
    // One who has it all in memory, one who has the index and the tail, and one after a clean sleep.
    one.save_snapshot(room, last, vec![1]).await.unwrap();
    let asleep = bed::open().await;
    for store in [&one, &other, &asleep] {
        for seq in [1, 500, LOG_BUCKET, LOG_BUCKET + 1, 2 * LOG_BUCKET, 2 * LOG_BUCKET + 1, last] {
            let name = client_id(format!("own-{seq}"));
            for upto in [seq, last, Seq::MAX] {
                assert_eq!(store.find(room, by, &name, upto).await.unwrap(), Some(seq), "{seq} of {upto}");
            }
            let again = append(room, vec![renamed(last + 1, by), Entry { client_id: name, ..renamed(last + 2, by) }]);
            let refused = store.append(again).await;
            assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(1, seq)]), "{seq}");
        }
    }
    other.append(append(room, vec![renamed(last + 1, by)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterday_is_not_put_over_today() {
    let (_turn, one, other) = two().await;
    let (room, by) = room(&one).await;
    sample::fill(&port(&one), room, by, 3).await;
    let mark = |seq| vec![(by, ReadMark { seq, posts: seq, own: seq })];
    other.mark_read(room, mark(3)).await.unwrap();
    one.mark_read(room, mark(2)).await.unwrap();
    assert_eq!(one.read_marks(room).await.unwrap(), mark(3));
    other.save_snapshot(room, 3, b"three".to_vec()).await.unwrap();
    one.save_snapshot(room, 2, b"two".to_vec()).await.unwrap();
    assert_eq!(one.wake(room).await.unwrap().unwrap().snapshot, Some((3, b"three".to_vec())));
    // What an owner writes late, that had joined somebody whom the next one has removed.
    let raw = Raw::open().await;
    other.append(Append { members: vec![(by, true)], ..append(room, vec![renamed(4, by)]) }).await.unwrap();
    other.append(Append { members: vec![(by, false)], ..append(room, vec![renamed(5, by)]) }).await.unwrap();
    raw.member(by, room, 4).await;
    assert!(one.rooms_of(by).await.unwrap().is_empty());
    let state = |revision| MessageState { revision, ..MessageState::default() };
    other.append(Append { messages: vec![(2, state(6))], ..append(room, vec![renamed(6, by)]) }).await.unwrap();
    raw.state(room, 2, 5, &state(5)).await;
    assert_eq!(one.messages(room, ALL).await.unwrap()[1].state, Some(state(6)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_where_the_log_says() {
    let (_turn, one, other) = two().await;
    let (room, by) = room(&one).await;
    let (lost, won) = (sample::message(&port(&one)).await, sample::message(&port(&one)).await);
    one.append(append(room, vec![post(&port(&one), 1, by).await])).await.unwrap();
    other.append(append(room, vec![sample::post_as(2, by, won)])).await.unwrap();
    // Refused, but where its message was to be is written.
    let refused =
        one.append(append(room, vec![Entry { client_id: client_id("else"), ..sample::post_as(2, by, lost) }])).await;
    assert!(matches!(refused, Err(AppendError::Conflict { last: 2 })));
    assert_eq!(other.locate(lost).await.unwrap(), None);
    assert_eq!(one.locate(won).await.unwrap(), Some((room, 2)));
}
