//! Imports: pieces that are written whole or not at all, once each.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{
    Bulk, BulkError, ClaimKind, IdKind, MessageState, ReadMark, Record, StoreError, Taken, Who,
};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::{MessageId, RoomId, Seq, UserId};

use crate::store::sample;

/// An import that nobody has begun.
async fn name(store: &Arc<dyn Store>) -> String {
    format!("import-{}", store.take_ids(IdKind::User, 1).await.unwrap())
}

fn piece(import: &str, step: u64) -> Bulk {
    Bulk { import: import.to_owned(), step, progress: vec![step as u8; 3], ..Bulk::default() }
}

pub async fn a_piece_is_written_once(store: Arc<dyn Store>) {
    let import = name(&store).await;
    assert_eq!(store.import(&import).await.unwrap(), None);
    for step in 0..3 {
        store.bulk(piece(&import, step)).await.unwrap();
        assert_eq!(store.import(&import).await.unwrap(), Some((step + 1, vec![step as u8; 3])));
        for wrong in [step, step + 2, u64::MAX] {
            let refused = store.bulk(piece(&import, wrong)).await;
            assert!(matches!(refused, Err(BulkError::Step(at)) if at == step + 1), "{wrong}: {refused:?}");
        }
    }
    let other = name(&store).await;
    assert_eq!(store.import(&other).await.unwrap(), None, "imports know nothing of each other");
}

pub async fn all_of_a_piece_is_there(store: Arc<dyn Store>) {
    let (import, room, user) = (name(&store).await, sample::room(&store).await, sample::user(&store).await);
    let text = format!("who-{user}");
    let account = sample::account(user, TENANT_DEFAULT, &text, Some(&format!("{text}@example.org")));
    let (message, state) = (sample::message(&store).await, MessageState { revision: 3, ..MessageState::default() });
    let mut first = sample::append(room, vec![sample::renamed(1, user), sample::post_as(2, user, message)]);
    first.members = vec![(user, true)];
    first.messages = vec![(2, state.clone())];
    first.snapshot = Some(vec![7]);
    let second = sample::append(room, vec![sample::renamed(3, user)]);
    let mark = ReadMark { seq: 2, posts: 1, own: 1 };
    let record = |key: u64| Record { kind: 4, key, value: vec![key as u8] };
    let bulk = Bulk {
        accounts: vec![account.clone()],
        claims: vec![(TENANT_DEFAULT, ClaimKind::Direct, text.clone(), room.get())],
        appends: vec![first.clone(), second.clone()],
        marks: vec![(room, user, mark)],
        records: vec![record(9), record(3), record(5)],
        ..piece(&import, 0)
    };
    store.bulk(bulk).await.unwrap();
    assert_eq!(store.account(Who::Username(TENANT_DEFAULT, &text)).await.unwrap(), Some(account));
    assert_eq!(store.claim(TENANT_DEFAULT, ClaimKind::Direct, &text, 1).await.unwrap(), room.get());
    let entries = store.entries(room, sample::ALL).await.unwrap();
    let written: Vec<_> = first.entries.iter().chain(second.entries.iter()).cloned().collect();
    assert_eq!(entries, written);
    assert_eq!(store.locate(message).await.unwrap(), Some((room, 2)));
    assert_eq!(store.messages(room, sample::ALL).await.unwrap()[0].state, Some(state));
    assert_eq!(store.find(room, user, &written[2].client_id, Seq::MAX).await.unwrap(), Some(3));
    assert_eq!(store.rooms_of(user).await.unwrap(), [room]);
    assert_eq!(store.read_marks(room).await.unwrap(), [(user, mark)]);
    let waking = store.wake(room).await.unwrap().unwrap();
    assert_eq!((waking.snapshot, waking.tail.len()), (Some((2, vec![7])), 1));
    assert_eq!(store.records(&import, 4, 0, 9).await.unwrap(), [record(3), record(5), record(9)]);
    assert_eq!(store.records(&import, 4, 4, 1).await.unwrap(), [record(5)]);
    assert!(store.records(&import, 5, 0, 9).await.unwrap().is_empty());
    let again = Bulk { records: vec![Record { value: vec![1, 2], ..record(5) }], ..piece(&import, 1) };
    store.bulk(again).await.unwrap();
    assert_eq!(store.records(&import, 4, 5, 1).await.unwrap()[0].value, [1, 2], "a record is replaced");
}

pub async fn what_is_taken_is_told_and_nothing_is_written(store: Arc<dyn Store>) {
    let import = name(&store).await;
    let (user, other, room) = (sample::user(&store).await, sample::user(&store).await, sample::room(&store).await);
    let [one, two] = [format!("one-{user}"), format!("two-{user}")];
    let mail = format!("{one}@example.org");
    store.create_account(&sample::account(user, TENANT_DEFAULT, &one, Some(&mail))).await.unwrap();
    let there = sample::fill(&store, room, user, 3).await;
    let message = store.entries(room, sample::ALL).await.unwrap()[1].clone();
    let parlance_schema::entry::Fact::Posted { id: taken_id, .. } = message.fact else { panic!("{message:?}") };
    store.claim(TENANT_DEFAULT, ClaimKind::Direct, &one, 77).await.unwrap();
    let new_room = sample::room(&store).await;
    let fresh = sample::message(&store).await;
    let bulk = Bulk {
        accounts: vec![
            sample::account(user, TENANT_DEFAULT, &two, None),
            sample::account(other, TENANT_DEFAULT, &one.to_uppercase(), Some(&mail.to_uppercase())),
            sample::account(other, TENANT_DEFAULT, &two, None),
            sample::account(UserId::new(other.get() + 1), TENANT_DEFAULT, &two, None),
        ],
        claims: vec![(TENANT_DEFAULT, ClaimKind::Direct, one.clone(), 78)],
        appends: vec![
            sample::append(room, vec![sample::renamed(1, user)]),
            sample::append(room, vec![sample::renamed(2, user)]),
            sample::append(
                new_room,
                vec![
                    sample::post_as(1, user, taken_id),
                    sample::post_as(2, user, fresh),
                    sample::post_as(3, user, fresh),
                    parlance_schema::entry::Entry { client_id: sample::client_id("own-2"), ..sample::renamed(4, user) },
                ],
            ),
        ],
        past: vec![(IdKind::Room, 1 << 40)],
        records: vec![Record { kind: 1, key: 1, value: vec![1] }],
        ..piece(&import, 0)
    };
    let refused = store.bulk(bulk).await;
    let Err(BulkError::Taken(taken)) = refused else { panic!("{refused:?}") };
    let expected = [
        Taken::User(0),
        Taken::Username(1),
        Taken::Email(1),
        Taken::Username(3),
        Taken::Claim(0, 77),
        Taken::Room(0),
        Taken::Entry(2, 1),
        Taken::Entry(2, 3),
        Taken::Entry(2, 4),
    ];
    assert_eq!(taken, expected);
    assert_eq!(store.import(&import).await.unwrap(), None);
    assert!(store.records(&import, 1, 0, 9).await.unwrap().is_empty());
    assert_eq!(store.account(Who::Id(other)).await.unwrap(), None);
    assert_eq!(sample::numbers(&*store, new_room).await, [0_u64; 0]);
    assert_eq!(store.locate(fresh).await.unwrap(), None);
    assert_eq!(sample::numbers(&*store, room).await.len(), there.len());
    assert!(sample::room(&store).await.get() < 1 << 40, "the ids were not moved");
    store.bulk(piece(&import, 0)).await.unwrap();
}

pub async fn a_log_goes_on_where_it_ends(store: Arc<dyn Store>) {
    let (import, room, user) = (name(&store).await, sample::room(&store).await, sample::user(&store).await);
    let entries = |from: u64| (from..from + 3).map(|seq| sample::renamed(seq, user)).collect();
    store.bulk(Bulk { appends: vec![sample::append(room, entries(1))], ..piece(&import, 0) }).await.unwrap();
    for wrong in [3, 5] {
        let bulk = Bulk { appends: vec![sample::append(room, entries(wrong))], ..piece(&import, 1) };
        let refused = store.bulk(bulk).await;
        assert!(matches!(refused, Err(BulkError::Store(StoreError::Corrupt(_)))), "{wrong}: {refused:?}");
    }
    store.bulk(Bulk { appends: vec![sample::append(room, entries(4))], ..piece(&import, 1) }).await.unwrap();
    // A Room goes on with it as with any other log.
    store.append(sample::append(room, entries(7))).await.unwrap();
    assert_eq!(sample::numbers(&*store, room).await, (1..=9).collect::<Vec<_>>());
}

pub async fn ids_are_moved_past_and_never_back(store: Arc<dyn Store>) {
    let import = name(&store).await;
    for (step, kind) in (0..).zip([IdKind::User, IdKind::Room, IdKind::Message]) {
        let next = store.take_ids(kind, 0).await.unwrap();
        assert_eq!(store.take_ids(kind, 0).await.unwrap(), next, "taking none takes none");
        let past = vec![(kind, next + 99), (kind, next + 9), (kind, 1)];
        store.bulk(Bulk { past, ..piece(&import, step) }).await.unwrap();
        assert!(store.take_ids(kind, 1).await.unwrap() >= next + 100);
    }
}

pub async fn ids_in_use_are_told(store: Arc<dyn Store>) {
    let (room, user) = (sample::room(&store).await, sample::user(&store).await);
    let (half_open, free) = (sample::room(&store).await, sample::room(&store).await);
    store.create_account(&sample::account(user, TENANT_DEFAULT, &format!("in-use-{user}"), None)).await.unwrap();
    let entries = sample::fill(&store, room, user, 2).await;
    store.claim(TENANT_DEFAULT, ClaimKind::Create, &format!("{user}:x"), half_open.get()).await.unwrap();
    let parlance_schema::entry::Fact::Posted { id, .. } = entries[1].fact else { panic!("{entries:?}") };
    let unknown = 1 << 50;
    let asked = |id: u64| vec![unknown, id, unknown + 1];
    assert_eq!(store.taken(IdKind::User, &asked(user.get())).await.unwrap(), [user.get()]);
    assert_eq!(store.taken(IdKind::Message, &asked(MessageId::get(id))).await.unwrap(), [id.get()]);
    let rooms = [free, half_open, room].map(RoomId::get);
    assert_eq!(store.taken(IdKind::Room, &rooms).await.unwrap(), [half_open.get(), room.get()]);
    assert!(store.taken(IdKind::Room, &[]).await.unwrap().is_empty());
}
