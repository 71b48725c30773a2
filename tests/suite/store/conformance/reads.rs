//! Reading logs and what is derived from them.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Append, MessageState, Range, ReadMark, StoreError};
use parlance_schema::content::Content;
use parlance_schema::entry::Fact;
use parlance_schema::{RoomId, Seq, UserId};

use crate::store::sample::{self, ALL, append, client_id, entry, post, renamed};

pub async fn wake_without_snapshot(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    assert!(store.wake(room).await.unwrap().is_none());
    let all = sample::fill(&store, room, by, 5).await;
    let waking = store.wake(room).await.unwrap().unwrap();
    assert!(waking.snapshot.is_none());
    assert!(waking.tail.iter().map(|e| &**e).eq(&all));
}

pub async fn wake_with_snapshot(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let mut all = sample::fill(&store, room, by, 5).await;
    store.save_snapshot(room, 3, vec![1, 0, 255]).await.unwrap();
    let waking = store.wake(room).await.unwrap().unwrap();
    assert_eq!(waking.snapshot, Some((3, vec![1, 0, 255])));
    assert!(waking.tail.iter().map(|e| &**e).eq(&all[3..]));
    all.push(post(&store, 6, by).await);
    let with = Append { snapshot: Some(vec![7; 100_000]), ..append(room, vec![all[5].clone()]) };
    store.append(with).await.unwrap();
    let waking = store.wake(room).await.unwrap().unwrap();
    assert_eq!(waking.snapshot, Some((6, vec![7; 100_000])));
    assert!(waking.tail.is_empty());
}

pub async fn a_snapshot_never_goes_back(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    sample::fill(&store, room, by, 9).await;
    for (seq, kept) in [(4, 4), (2, 4), (4, 4), (8, 8), (7, 8), (9, 9)] {
        store.save_snapshot(room, seq, vec![seq as u8]).await.unwrap();
        assert_eq!(store.wake(room).await.unwrap().unwrap().snapshot, Some((kept, vec![kept as u8])));
    }
    // One of a log that is longer than this one is no state of this room.
    assert!(matches!(store.save_snapshot(room, 10, vec![10]).await, Err(StoreError::Corrupt(_))));
    let empty = sample::room(&store).await;
    assert!(store.save_snapshot(empty, 1, vec![1]).await.is_err());
    assert!(store.wake(empty).await.unwrap().is_none());
}

async fn read(store: &Arc<dyn Store>, room: RoomId, from: Seq, to: Seq, limit: usize, backwards: bool) -> Vec<Seq> {
    let range = Range { from, to, limit, backwards };
    store.entries(room, range).await.unwrap().iter().map(|e| e.seq).collect()
}

pub async fn ranges(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    sample::fill(&store, room, by, 20).await;
    assert_eq!(read(&store, room, 5, 8, 100, false).await, [5, 6, 7, 8]);
    assert_eq!(read(&store, room, 5, 8, 100, true).await, [8, 7, 6, 5]);
    assert_eq!(read(&store, room, 5, 18, 3, false).await, [5, 6, 7]);
    assert_eq!(read(&store, room, 5, 18, 3, true).await, [18, 17, 16]);
    assert_eq!(read(&store, room, 18, Seq::MAX, 100, false).await, [18, 19, 20]);
    assert_eq!(read(&store, room, 0, Seq::MAX, 2, true).await, [20, 19]);
    assert_eq!(read(&store, room, 20, 20, 1, false).await, [20]);
    for (from, to, limit) in [(8, 5, 9), (21, 30, 9), (0, 0, 9), (1, 20, 0), (Seq::MAX, Seq::MAX, 9)] {
        for backwards in [false, true] {
            assert_eq!(read(&store, room, from, to, limit, backwards).await, [] as [Seq; 0], "{from} to {to}");
        }
    }
    assert_eq!(read(&store, sample::room(&store).await, 1, 9, 9, false).await, [] as [Seq; 0]);
}

pub async fn messages_with_their_state(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let entries = vec![post(&store, 1, by).await, renamed(2, by), post(&store, 3, by).await, post(&store, 4, by).await];
    store.append(append(room, entries)).await.unwrap();
    let content = Some(Content::text(sample::SENTENCES[7]));
    let edit = entry(5, by, Fact::Edited { target: 3, revision: 1, content: content.clone() });
    let reactions = [("🌸".to_owned(), vec![by])].into();
    let edited = MessageState { revision: 1, content, edited_at: Some(8), edits: vec![5], reactions, deleted_at: None };
    store.append(Append { messages: vec![(3, edited.clone())], ..append(room, vec![edit]) }).await.unwrap();
    let states = |kept: Vec<parlance_actors::ports::store::StoredMessage>| {
        kept.into_iter().map(|m| (m.entry.seq, m.state)).collect::<Vec<_>>()
    };
    let kept = states(store.messages(room, ALL).await.unwrap());
    assert_eq!(kept, [(1, None), (3, Some(edited)), (4, None)]);

    let deleted = MessageState { revision: 1, deleted_at: Some(9), edits: vec![5], ..MessageState::default() };
    let delete = entry(6, by, Fact::Deleted { target: 3 });
    let erasing = Append { messages: vec![(3, deleted.clone())], erase: vec![3, 5], ..append(room, vec![delete]) };
    store.append(erasing).await.unwrap();
    let range = Range { from: 1, to: 3, limit: 1, backwards: true };
    let kept = store.messages(room, range).await.unwrap();
    assert!(matches!(&kept[0].entry.fact, Fact::Posted { content: None, .. }));
    assert_eq!(states(kept), [(3, Some(deleted))]);
    let kept = states(store.messages(room, Range { limit: 2, ..ALL }).await.unwrap());
    assert_eq!(kept.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 3], "a limit counts messages, not entries");
}

pub async fn messages_of_several_rooms(store: Arc<dyn Store>) {
    let (one, other, by) = (sample::room(&store).await, sample::room(&store).await, sample::user(&store).await);
    store.append(append(one, vec![post(&store, 1, by).await, renamed(2, by)])).await.unwrap();
    store.append(append(other, vec![renamed(1, by), post(&store, 2, by).await])).await.unwrap();
    let state = MessageState { revision: 1, deleted_at: Some(9), edits: vec![], ..MessageState::default() };
    let delete = entry(3, by, Fact::Deleted { target: 2 });
    store.append(Append { messages: vec![(2, state.clone())], ..append(other, vec![delete]) }).await.unwrap();
    assert!(store.messages_at(&[]).await.unwrap().is_empty());
    let places = [(other, 2), (one, 2), (one, 1), (sample::room(&store).await, 1), (other, 9), (other, 2)];
    let read = store.messages_at(&places).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|found| found.map(|m| (m.entry.seq, m.state))).collect();
    let deleted = Some((2, Some(state)));
    assert_eq!(read, [deleted.clone(), None, Some((1, None)), None, None, deleted]);
}

pub async fn messages_are_counted(store: Arc<dyn Store>) {
    let (room, ann, bob) = (sample::room(&store).await, sample::user(&store).await, sample::user(&store).await);
    let mut all = Vec::new();
    for seq in 1..=1_300 {
        all.push(match seq % 5 {
            0 => renamed(seq, ann),
            1 | 2 => post(&store, seq, bob).await,
            _ => post(&store, seq, ann).await,
        });
    }
    for entries in sample::portions(&all, 50) {
        store.append(append(room, entries.to_vec())).await.unwrap();
    }
    for after in [0, 1, 2, 5, 299, 300, 301, 1_000, 1_299, 1_300, 9_999, Seq::MAX] {
        for by in [ann, bob] {
            let posted = all.iter().filter(|e| e.by == by && e.seq > after && matches!(e.fact, Fact::Posted { .. }));
            let count = posted.count() as u64;
            assert_eq!(store.count_posts(room, after, by).await.unwrap(), count, "after {after}");
        }
    }
    assert_eq!(store.count_posts(sample::room(&store).await, 0, ann).await.unwrap(), 0);
}

pub async fn lookups(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let id = sample::message(&store).await;
    assert_eq!(store.locate(id).await.unwrap(), None);
    store.append(append(room, vec![renamed(1, by), sample::post_as(2, by, id)])).await.unwrap();
    assert_eq!(store.locate(id).await.unwrap(), Some((room, 2)));
    for (name, seq) in [("own-1", Some(1)), ("own-2", Some(2)), ("own-3", None), ("OWN-1", None)] {
        assert_eq!(store.find(room, by, &client_id(name), Seq::MAX).await.unwrap(), seq, "{name}");
        assert_eq!(store.find(room, by, &client_id(name), 2).await.unwrap(), seq, "{name}");
    }
    let (other_room, other) = (sample::room(&store).await, sample::user(&store).await);
    assert_eq!(store.find(room, other, &client_id("own-1"), Seq::MAX).await.unwrap(), None);
    assert_eq!(store.find(other_room, by, &client_id("own-1"), Seq::MAX).await.unwrap(), None);
}

pub async fn rooms_follow_joins_and_leaves(store: Arc<dyn Store>) {
    let (one, other) = (sample::room(&store).await, sample::room(&store).await);
    let (ann, bob) = (sample::user(&store).await, sample::user(&store).await);
    let step = async |room: RoomId, seq: Seq, members: &[(UserId, bool)]| {
        let append = Append { members: members.to_vec(), ..append(room, vec![renamed(seq, ann)]) };
        store.append(append).await.unwrap();
    };
    step(one, 1, &[(ann, true), (bob, true)]).await;
    step(other, 1, &[(ann, true)]).await;
    assert_eq!(store.rooms_of(ann).await.unwrap(), [one, other]);
    assert_eq!(store.rooms_of(bob).await.unwrap(), [one]);
    step(one, 2, &[(bob, false)]).await;
    assert!(store.rooms_of(bob).await.unwrap().is_empty());
    step(one, 3, &[(bob, true), (bob, false), (bob, true), (ann, false), (ann, false)]).await;
    assert_eq!(store.rooms_of(bob).await.unwrap(), [one]);
    assert_eq!(store.rooms_of(ann).await.unwrap(), [other]);
    let nobody = sample::user(&store).await;
    let each = store.rooms_of_each(&[bob, nobody, ann, bob]).await.unwrap();
    assert_eq!(each, [vec![one], vec![], vec![other], vec![one]]);
    step(one, 4, &[(ann, true)]).await;
    assert_eq!(store.rooms_of_each(&[ann]).await.unwrap(), [vec![one, other]]);
    assert!(store.rooms_of_each(&[]).await.unwrap().is_empty());
}

pub async fn read_marks_only_rise(store: Arc<dyn Store>) {
    let (room, ann, bob) = (sample::room(&store).await, sample::user(&store).await, sample::user(&store).await);
    let mark = |seq| ReadMark { seq, posts: seq * 2, own: seq + 1 };
    assert!(store.read_marks(room).await.unwrap().is_empty());
    store.mark_read(room, vec![(ann, mark(5)), (bob, mark(3)), (ann, mark(4))]).await.unwrap();
    store.mark_read(room, vec![(ann, mark(2)), (bob, mark(7))]).await.unwrap();
    store.mark_read(room, vec![(bob, ReadMark { posts: 0, ..mark(7) })]).await.unwrap();
    store.mark_read(sample::room(&store).await, vec![(ann, mark(90))]).await.unwrap();
    let mut marks = store.read_marks(room).await.unwrap();
    marks.sort_by_key(|(user, _)| *user);
    assert_eq!(marks, [(ann, mark(5)), (bob, mark(7))]);
}
