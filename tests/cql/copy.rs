//! Moving an embedded store over: interrupted and gone on with, compared, and the same to whoever reads it then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use parlance::store::copy::{self, CopyError, Progress, Row, Stage, Tally, Target};
use parlance::store::{Scylla, Sqlite};
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{
    Append, AppendError, ClaimKind, ClaimStore, Family, IdKind, LogStore, MessageState, ReadMark, StoreError, Who,
};
use parlance_schema::content::Content;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::LOG_BUCKET;
use parlance_schema::{RoomId, Seq, UserId};

use crate::bed::{self, Raw};
use crate::store::sample::{self, ALL, account, append, client_id, entry, renamed};

/// A target that ends after some writes, as a process does that is killed.
struct Interrupted<'a> {
    target: &'a Scylla,
    writes: AtomicU32,
}

#[async_trait]
impl Target for Interrupted<'_> {
    async fn begin(&self, epoch: u64) -> Result<Progress, StoreError> {
        self.target.begin(epoch).await
    }

    async fn write(&self, stage: Stage, rows: Vec<Row>) -> Result<(), StoreError> {
        self.target.write(stage, rows).await?;
        // It was written, and nobody noted it.
        let left = self.writes.fetch_sub(1, Ordering::SeqCst);
        if left == 0 { Err(StoreError::Unavailable("killed".to_owned())) } else { Ok(()) }
    }

    async fn note(&self, progress: &Progress) -> Result<(), StoreError> {
        self.target.note(progress).await
    }

    async fn tally(&self, stage: Stage) -> Result<Tally, StoreError> {
        self.target.tally(stage).await
    }

    async fn finish(&self, epoch: u64) -> Result<(), StoreError> {
        self.target.finish(epoch).await
    }
}

struct Filled {
    users: Vec<UserId>,
    rooms: [RoomId; 2],
    posts: Vec<parlance_schema::MessageId>,
    last: Seq,
}

/// Some of everything that a store can have.
async fn fill(store: &Arc<dyn Store>) -> Filled {
    let mut users = Vec::new();
    for at in 0..40_u64 {
        let user = sample::user(store).await;
        let email = (at % 3 == 0).then(|| format!("User{at}@Example.org"));
        let mut account = account(user, TENANT_DEFAULT, &format!("User{at}"), email.as_deref());
        (account.active, account.last_seen) = (at % 5 != 0, (at % 2 == 0).then_some(1_000 + at));
        store.create_account(&account).await.unwrap();
        let id = format!("family-{at}");
        let family = Family { id, user, current: "hash".to_owned(), expires_at: 90_000_000 * at, revoked: at % 4 == 0 };
        store.create_family(&family).await.unwrap();
        store.claim(TENANT_DEFAULT, ClaimKind::Create, &format!("{user}:x"), at).await.unwrap();
        users.push(user);
    }
    store.claim(TENANT_DEFAULT, ClaimKind::Direct, "1:2", 77).await.unwrap();
    store.audit(5, users[0], None, "disabled an account").await.unwrap();
    let rooms = [sample::room(store).await, sample::room(store).await];
    store.audit(200_000_000, users[0], Some(rooms[0]), "read the room").await.unwrap();
    let last = LOG_BUCKET + 60;
    let entries = sample::fill(store, rooms[0], users[1], last - 2).await;
    let posts =
        entries.iter().filter_map(|e| if let Fact::Posted { id, .. } = e.fact { Some(id) } else { None }).collect();
    let edit = entry(last - 1, users[2], Fact::Edited { target: 9, revision: 1, content: Some(Content::text("Да")) });
    let state = MessageState { revision: 1, edits: vec![last - 1], ..MessageState::default() };
    let edited = Append {
        messages: vec![(9, state.clone())],
        members: vec![(users[1], true), (users[2], true)],
        ..append(rooms[0], vec![edit])
    };
    store.append(edited).await.unwrap();
    let deleted = MessageState { deleted_at: Some(4), ..state };
    let delete = entry(last, users[2], Fact::Deleted { target: 9 });
    let deleted = Append {
        messages: vec![(9, deleted)],
        erase: vec![9, last - 1],
        snapshot: Some(vec![1, 2, 3]),
        ..append(rooms[0], vec![delete])
    };
    store.append(deleted).await.unwrap();
    store
        .append(Append { members: vec![(users[1], true)], ..append(rooms[1], vec![renamed(1, users[1])]) })
        .await
        .unwrap();
    store.mark_read(rooms[0], vec![(users[1], ReadMark { seq: 7, posts: 6, own: 5 })]).await.unwrap();
    Filled { users, rooms, posts, last }
}

/// What is read of a store, as far as both keep it alike.
async fn seen(store: &dyn Store, filled: &Filled) -> Vec<String> {
    let mut all = vec![format!("{}", store.epoch())];
    for user in &filled.users {
        all.push(format!("{:?} {:?}", store.account(Who::Id(*user)).await, store.rooms_of(*user).await));
    }
    for at in 0..filled.users.len() {
        let email = format!("uSER{at}@example.org");
        all.push(format!("{:?}", store.account(Who::Username(TENANT_DEFAULT, &format!("USER{at}"))).await));
        all.push(format!("{:?}", store.account(Who::Email(TENANT_DEFAULT, &email)).await));
        all.push(format!("{:?}", store.family(&format!("family-{at}")).await));
    }
    all.push(format!("{:?}", store.search_accounts(TENANT_DEFAULT, "ser1", 20).await));
    for room in filled.rooms {
        all.push(format!("{:?} {:?}", store.messages(room, ALL).await, store.wake(room).await));
        all.extend(store.entries(room, ALL).await.unwrap().iter().map(|e| format!("{e:?}")));
        all.push(format!("{:?}", store.read_marks(room).await));
        all.push(format!("{:?}", store.count_posts(room, 3, filled.users[1]).await));
    }
    for id in [filled.posts[0], filled.posts[300], filled.posts[1_000]] {
        all.push(format!("{:?}", store.locate(id).await));
    }
    all.push(format!("{:?}", store.claim(TENANT_DEFAULT, ClaimKind::Direct, "1:2", 1).await));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_store_is_moved_over() {
    const KEYSPACE: &str = "parlance_moved";
    let _turn = bed::turn().await;
    let raw = Raw::open().await;
    raw.0.query_unpaged(format!("DROP KEYSPACE IF EXISTS {KEYSPACE}"), ()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = Arc::new(Sqlite::open(folder.path(), &parlance::store::sqlite::Options::default()).unwrap());
    let port: Arc<dyn Store> = source.clone();
    let filled = fill(&port).await;
    let target = Scylla::open_to_move(bed::options(KEYSPACE)).await.unwrap();
    let mut said = Vec::new();
    // Killed again and again, each time a little later.
    for writes in [0, 2, 3, 4, 5] {
        let killed = Interrupted { target: &target, writes: AtomicU32::new(writes) };
        let ended = copy::run(&*source, &killed, &mut said).await;
        assert!(matches!(ended, Err(CopyError::Store(StoreError::Unavailable(why))) if why == "killed"));
        let node = Scylla::open(bed::options(KEYSPACE)).await.err().unwrap().to_string();
        assert!(node.contains("has not come to its end"), "{node}");
    }
    // What is not as it was is found, and nothing is ended.
    let room = filled.rooms[1];
    moving_differs(&raw, &source, &target, KEYSPACE, room).await;
    copy::run(&*source, &target, &mut said).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.lines().count() % copy::STAGES.len(), 0, "{said}");
    assert!(said.contains(&format!("log {:>16} rows", filled.last + 1)), "{said}");
    let again = copy::run(&*source, &target, &mut Vec::new()).await.unwrap_err().to_string();
    assert!(again.contains("already"), "{again}");

    let node = Scylla::open(bed::options(KEYSPACE)).await.unwrap();
    for (one, other) in seen(&*source, &filled).await.into_iter().zip(seen(&node, &filled).await) {
        assert_eq!(one, other);
    }
    for kind in [IdKind::User, IdKind::Room, IdKind::Message] {
        assert_eq!(node.take_ids(kind, 10).await.unwrap(), source.take_ids(kind, 10).await.unwrap());
    }
    let (room, by, next) = (filled.rooms[0], filled.users[1], filled.last + 1);
    let again = Entry { client_id: client_id("own-3"), ..renamed(next, by) };
    let refused = node.append(append(room, vec![again])).await;
    assert!(matches!(refused, Err(AppendError::Duplicate(which)) if which == [(0, 3)]));
    node.append(Append { members: vec![(by, false)], ..append(room, vec![renamed(next, by)]) }).await.unwrap();
    assert_eq!(node.rooms_of(by).await.unwrap(), [filled.rooms[1]]);
    raw.0.query_unpaged(format!("DROP KEYSPACE {KEYSPACE}"), ()).await.unwrap();
}

/// Takes a row away that is there, sees that this is told, and puts it back.
async fn moving_differs(raw: &Raw, source: &Sqlite, target: &Scylla, keyspace: &str, room: RoomId) {
    // All but the end of a move.
    while target.begin(LogStore::epoch(source)).await.unwrap().stage.is_some() {
        let Progress { stage, after } = target.begin(LogStore::epoch(source)).await.unwrap();
        let page = copy::Source::page(source, stage.unwrap(), &after, 1_000).await.unwrap();
        let after = page.last().map(|(place, _)| place.clone());
        let next = copy::STAGES.into_iter().find(|other| Some(*other) > stage);
        target.write(stage.unwrap(), page.into_iter().map(|(_, row)| row).collect()).await.unwrap();
        let progress = match after {
            Some(after) => Progress { stage, after },
            None => Progress { stage: next, after: copy::Place::default() },
        };
        target.note(&progress).await.unwrap();
    }
    let entry = "SELECT entry FROM {keyspace}.room_log".replace("{keyspace}", keyspace);
    let key = format!(" WHERE room_id = {room} AND bucket = 0 AND seq = 1");
    let found = raw.0.query_unpaged(format!("{entry}{key}"), ()).await.unwrap().into_rows_result().unwrap();
    let (kept,) = found.first_row::<(Vec<u8>,)>().unwrap();
    let mut changed: Entry = rmp_serde::from_slice(&kept).unwrap();
    changed.at += 1;
    let set = format!("UPDATE {keyspace}.room_log SET entry = ?{key} IF EXISTS");
    raw.0.query_unpaged(set.as_str(), (rmp_serde::to_vec_named(&changed).unwrap(),)).await.unwrap();
    let differs = copy::run(source, target, &mut Vec::new()).await;
    assert!(matches!(differs, Err(CopyError::Differs { stage: Stage::Log, .. })), "{differs:?}");
    raw.0.query_unpaged(set.as_str(), (kept,)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_in_use_takes_no_other_store() {
    let _turn = bed::turn().await;
    let used: Arc<dyn Store> = bed::open().await;
    sample::user(&used).await;
    let folder = tempfile::tempdir().unwrap();
    let source = Sqlite::open(folder.path(), &parlance::store::sqlite::Options::default()).unwrap();
    let target = Scylla::open_to_move(bed::options(bed::KEYSPACE)).await.unwrap();
    let refused = copy::run(&source, &target, &mut Vec::new()).await.unwrap_err().to_string();
    assert!(refused.contains("something in it"), "{refused}");
    bed::open().await;
}
