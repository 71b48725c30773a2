//! Appending: conditional, without duplicates, whole or not at all.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{AppendError, MessageState, StoreError};
use parlance_schema::command::{History, Kind, MemberRole};
use parlance_schema::content::{Content, Part};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{Seq, UserId};

use crate::store::sample::{self, ALL, append, client_id, entry, numbers, post, renamed};

pub async fn conditional(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let first = post(&store, 1, by).await;
    store.append(append(room, vec![first.clone()])).await.unwrap();
    let more = vec![post(&store, 2, by).await, renamed(3, by), post(&store, 4, by).await];
    store.append(append(room, more.clone())).await.unwrap();
    let kept: Vec<Entry> = store.entries(room, ALL).await.unwrap().iter().map(|e| (**e).clone()).collect();
    assert_eq!(kept, [vec![first], more].concat());
}

pub async fn conflict_tells_the_last_number(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let early = append(room, vec![post(&store, 5, by).await]);
    assert!(matches!(store.append(early).await, Err(AppendError::Conflict { last: 0 })));
    sample::fill(&store, room, by, 3).await;
    for seq in [1, 2, 3, 5, 900] {
        let wrong = append(room, vec![renamed(seq, by)]);
        assert!(matches!(store.append(wrong).await, Err(AppendError::Conflict { last: 3 })), "at {seq}");
    }
    assert_eq!(numbers(&*store, room).await, [1, 2, 3]);
}

pub async fn duplicates_are_found_wherever_they_are(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    sample::fill(&store, room, by, 300).await;
    let mut entries = Vec::new();
    for (seq, name) in (301..).zip(["new-1", "own-1", "new-2", "own-299", "own-300"]) {
        entries.push(Entry { client_id: client_id(name), ..post(&store, seq, by).await });
    }
    let refused = store.append(append(room, entries)).await;
    assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(1, 1), (3, 299), (4, 300)]));
    for name in ["new-1", "new-2"] {
        assert_eq!(store.find(room, by, &client_id(name), Seq::MAX).await.unwrap(), None, "{name} was not written");
    }
    // Where the number is wrong too, that is what is told: the caller has to read on before anything else.
    let behind = Entry { client_id: client_id("own-1"), ..post(&store, 300, by).await };
    assert!(matches!(store.append(append(room, vec![behind])).await, Err(AppendError::Conflict { last: 300 })));
}

pub async fn a_duplicate_is_per_sender_and_room(store: Arc<dyn Store>) {
    let (one, other) = (sample::room(&store).await, sample::room(&store).await);
    let (ann, bob) = (sample::user(&store).await, sample::user(&store).await);
    let same = client_id("the same, always!");
    for (room, by, seq) in [(one, ann, 1), (one, bob, 2), (other, ann, 1), (other, bob, 2)] {
        let entry = Entry { client_id: same.clone(), ..post(&store, seq, by).await };
        store.append(append(room, vec![entry])).await.unwrap();
    }
    let again = Entry { client_id: same.clone(), ..renamed(3, bob) };
    let refused = store.append(append(other, vec![again])).await;
    assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(0, 2)]));
}

/// All of what an append can carry, for a room with ten entries.
async fn loaded(
    store: &Arc<dyn Store>,
    room: parlance_schema::RoomId,
    by: UserId,
    from: Seq,
) -> parlance_actors::ports::store::Append {
    let entries = vec![post(store, from, by).await, entry(from + 1, by, Fact::Deleted { target: 2 })];
    parlance_actors::ports::store::Append {
        snapshot: Some(b"state".to_vec()),
        messages: vec![(2, MessageState { deleted_at: Some(9), ..MessageState::default() })],
        members: vec![(by, true)],
        erase: vec![2],
        ..append(room, entries)
    }
}

pub async fn refused_writes_nothing(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let before = sample::fill(&store, room, by, 10).await;
    let conflict = loaded(&store, room, by, 9).await;
    let mut duplicate = loaded(&store, room, by, 11).await;
    let twice = Entry { client_id: client_id("own-4"), ..entry(12, by, Fact::Archived) };
    duplicate.entries = [Arc::clone(&duplicate.entries[0]), Arc::new(twice)].into();
    let ids: Vec<_> = [&conflict, &duplicate].map(|a| a.entries[0].clone()).into();
    assert!(matches!(store.append(conflict).await, Err(AppendError::Conflict { last: 10 })));
    assert!(matches!(store.append(duplicate).await, Err(AppendError::Duplicate(which)) if which == [(1, 4)]));
    let waking = store.wake(room).await.unwrap().unwrap();
    assert!(waking.snapshot.is_none());
    assert!(waking.tail.iter().map(|e| &**e).eq(&before), "no entry was added, none erased");
    assert!(store.messages(room, ALL).await.unwrap().iter().all(|m| m.state.is_none()));
    assert!(store.rooms_of(by).await.unwrap().is_empty());
    for entry in ids {
        let Fact::Posted { id, .. } = entry.fact else { panic!("a message") };
        assert_eq!(store.locate(id).await.unwrap(), None);
    }
    // The same, rightly put, is done whole.
    store.append(loaded(&store, room, by, 11).await).await.unwrap();
    let waking = store.wake(room).await.unwrap().unwrap();
    assert_eq!(waking.snapshot, Some((12, b"state".to_vec())));
    assert!(waking.tail.is_empty());
    assert_eq!(store.rooms_of(by).await.unwrap(), [room]);
}

pub async fn contradictions_are_refused(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let right = append(room, vec![renamed(1, by), renamed(2, by)]);
    let mut wrong = vec![right.clone(), right.clone(), right.clone(), right.clone(), right.clone()];
    wrong[0].entries = [].into();
    wrong[1].entries = [Arc::new(renamed(1, by)), Arc::new(renamed(3, by))].into();
    wrong[2].entries = [Arc::new(renamed(1, by)), Arc::new(Entry { seq: 2, ..renamed(1, by) })].into();
    wrong[3].erase = vec![3];
    wrong[4].messages = vec![(0, MessageState::default())];
    for append in wrong {
        assert!(matches!(store.append(append).await, Err(AppendError::Store(StoreError::Corrupt(_)))));
    }
    assert!(store.wake(room).await.unwrap().is_none());
    store.append(right).await.unwrap();
}

/// Numbers are kept in buckets; an append that begins in one and ends in the next could not be done at once everywhere.
pub async fn an_append_never_crosses_a_bucket(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let all = sample::fill(&store, room, by, LOG_BUCKET - 1).await;
    let next: Vec<Entry> = (LOG_BUCKET..LOG_BUCKET + 3).map(|seq| renamed(seq, by)).collect();
    let crossing = store.append(append(room, next.clone())).await;
    assert!(matches!(crossing, Err(AppendError::Store(StoreError::Corrupt(_)))), "{crossing:?}");
    store.append(append(room, next[..1].to_vec())).await.unwrap();
    // A log is not longer than it is, whatever the next bucket says of itself.
    let ahead = append(room, vec![renamed(2 * LOG_BUCKET + 1, by)]);
    assert!(matches!(store.append(ahead).await, Err(AppendError::Conflict { last: LOG_BUCKET })));
    let again = Entry { client_id: client_id("own-5"), ..renamed(LOG_BUCKET + 1, by) };
    let again = store.append(append(room, vec![again])).await;
    assert!(matches!(again, Err(AppendError::Duplicate(ref which)) if *which == [(0, 5)]), "{again:?}");
    store.append(append(room, next[1..].to_vec())).await.unwrap();
    let kept: Vec<Entry> = store.entries(room, ALL).await.unwrap().iter().map(|e| (**e).clone()).collect();
    assert_eq!(kept, [all, next].concat());
    let waking = store.wake(room).await.unwrap().unwrap();
    assert_eq!(waking.tail.len() as u64, LOG_BUCKET + 2);
}

pub async fn a_message_id_is_used_once(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let id = sample::message(&store).await;
    store.append(append(room, vec![sample::post_as(1, by, id)])).await.unwrap();
    let again = append(room, vec![renamed(2, by), sample::post_as(3, by, id)]);
    assert!(matches!(store.append(again).await, Err(AppendError::Store(StoreError::Corrupt(_)))));
    assert_eq!(numbers(&*store, room).await, [1]);
    assert_eq!(store.find(room, by, &client_id("own-2"), Seq::MAX).await.unwrap(), None);
    store.append(append(room, vec![renamed(2, by)])).await.unwrap();
}

pub async fn one_winner_per_number(store: Arc<dyn Store>) {
    let room = sample::room(&store).await;
    let writers: u64 = 8;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let store = Arc::clone(&store);
        let by = sample::user(&store).await;
        tasks.spawn(async move {
            let mut won = Vec::new();
            let mut last = 0;
            while last < 60 {
                let name = client_id(format!("{writer}-{}", last + 1));
                let entry = Entry { client_id: name, append: writer, ..post(&store, last + 1, by).await };
                match store.append(append(room, vec![entry])).await {
                    Ok(()) => {
                        last += 1;
                        won.push((last, writer));
                    }
                    Err(AppendError::Conflict { last: other }) => last = other,
                    Err(error) => panic!("{error}"),
                }
            }
            won
        });
    }
    let mut won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    won.sort_unstable();
    let kept: Vec<_> = store.entries(room, ALL).await.unwrap().iter().map(|e| (e.seq, e.append)).collect();
    assert_eq!(kept, won, "who was told that a number is theirs has it, and nobody else was told");
    assert!(kept.iter().map(|(seq, _)| *seq).eq(1..=60));
}

pub async fn many_rooms_at_once(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let (room, by) = (sample::room(&store).await, sample::user(&store).await);
            for seq in 1..=15 {
                store.append(append(room, vec![post(&store, seq, by).await])).await.unwrap();
            }
            room
        });
    }
    for room in tasks.join_all().await {
        assert!(numbers(&*store, room).await.into_iter().eq(1..=15));
    }
}

pub async fn erasing_takes_the_words_and_nothing_else(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let mut before = sample::fill(&store, room, by, 6).await;
    let edited = entry(7, by, Fact::Edited { target: 3, revision: 1, content: Some(Content::text("Да")) });
    store.append(append(room, vec![edited.clone()])).await.unwrap();
    before.push(edited);
    // The last entry is one of the same append.
    let own = vec![entry(8, by, Fact::Deleted { target: 3 }), post(&store, 9, by).await];
    let mut erasing = append(room, own.clone());
    erasing.erase = vec![3, 7, 9];
    store.append(erasing).await.unwrap();
    before.extend(own);
    for seq in [3, 7, 9] {
        before[seq - 1].erase();
    }
    let kept = store.entries(room, ALL).await.unwrap();
    assert!(kept.iter().map(|e| &**e).eq(&before));
    assert_eq!(store.find(room, by, &client_id("own-3"), Seq::MAX).await.unwrap(), Some(3));
    assert_eq!(store.count_posts(room, 0, by).await.unwrap(), 7);
    assert_eq!(store.messages(room, ALL).await.unwrap().len(), 7);
    let again = Entry { client_id: client_id("own-3"), ..renamed(10, by) };
    assert!(matches!(store.append(append(room, vec![again])).await, Err(AppendError::Duplicate(_))));
}

pub async fn every_fact_comes_back_as_it_was(store: Arc<dyn Store>) {
    let (room, by) = (sample::room(&store).await, sample::user(&store).await);
    let (hash, emoji) = ("ab".repeat(32), "👩🏽‍🍳".to_owned());
    let parts = vec![
        Part::Code { language: "rust".to_owned(), text: "fn main() {}\n".to_owned() },
        Part::Image { url: "https://example.org/a.png".to_owned(), alt: "ein Käse".to_owned() },
        Part::File {
            url: "https://example.org/b".to_owned(),
            name: "b".to_owned(),
            mime: String::new(),
            size: u64::MAX,
        },
        Part::Data { mime: "application/json".to_owned(), text: "{\"a\":\"\u{0}\"}".to_owned() },
    ];
    let content = Some(Content { text: sample::SENTENCES[6].to_owned(), parts });
    let (id, user, name) = (sample::message(&store).await, by, sample::SENTENCES[2].to_owned());
    let facts = vec![
        Fact::Created {
            tenant: parlance_schema::id::TENANT_DEFAULT,
            kind: Kind::Group,
            name: name.clone(),
            members: vec![by],
            history: History::SinceJoined,
        },
        Fact::Posted { id, content: content.clone(), reply_to: Some(1), mentions: vec![], meta: [].into() },
        Fact::Edited { target: 2, revision: 1, content },
        Fact::Edited { target: 2, revision: 2, content: None },
        Fact::Deleted { target: 2 },
        Fact::Reacted { target: 2, emoji: emoji.clone() },
        Fact::Unreacted { target: 2, emoji },
        Fact::Added { users: vec![by] },
        Fact::Invited { hash: hash.clone(), expires_at: Some(u64::MAX), uses: Some(u32::MAX) },
        Fact::Uninvited { hash: hash.clone() },
        Fact::Joined { hash },
        Fact::Left { heir: Some(by) },
        Fact::Kicked { user, heir: None },
        Fact::Banned { user, until: Some(0), removed: true, heir: Some(by) },
        Fact::Unbanned { user },
        Fact::Muted { user, until: None },
        Fact::Unmuted { user },
        Fact::Promoted { user, role: MemberRole::Owner },
        Fact::Renamed { name },
        Fact::Configured { history: History::All },
        Fact::Archived,
        Fact::Unarchived,
    ];
    let entries: Vec<_> = (1..).zip(facts).map(|(seq, fact)| entry(seq, by, fact)).collect();
    store.append(append(room, entries.clone())).await.unwrap();
    assert!(store.entries(room, ALL).await.unwrap().iter().map(|e| &**e).eq(&entries));
}
