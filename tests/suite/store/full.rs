//! A disk that fills up: nothing is half-done, nothing wrongly acknowledged, and when there is room again work goes on.

use std::sync::Arc;

use parlance::store::Sqlite;
use parlance::store::sqlite::Options;
use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Append, AppendError, ClaimKind, StoreError};
use parlance_schema::id::TENANT_DEFAULT;

use crate::store::sample::{self, append, numbers, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { pages_max: Some(120), ..Options::default() };
    let sqlite = Arc::new(Sqlite::open(folder.path(), &options).unwrap());
    let store: Arc<dyn Store> = Arc::clone(&sqlite) as _;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (room, by) = (sample::room(&store).await, sample::user(&store).await);
        let id = sample::message(&store).await;
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut last = 0;
            loop {
                let entry = if last == 0 { sample::post_as(1, by, id) } else { sample::renamed(last + 1, by) };
                let append = Append { snapshot: Some(vec![last as u8; 3_000]), ..append(room, vec![entry]) };
                match store.append(append).await {
                    Ok(()) => last += 1,
                    Err(AppendError::Store(StoreError::Unavailable(why))) => {
                        assert!(why.contains("full"), "{why}");
                        return (room, by, last);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    let rooms = tasks.join_all().await;
    assert!(rooms.iter().map(|(_, _, last)| last).sum::<u64>() > 100);
    for (room, _, last) in &rooms {
        assert!(numbers(&*store, *room).await.into_iter().eq(1..=*last), "what was acknowledged is there, no more");
    }
    let big = "x".repeat(100_000);
    let refused = store.claim(TENANT_DEFAULT, ClaimKind::Create, &big, 1).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");

    sqlite.set_pages_max(None).await.unwrap();
    for (room, by, last) in &rooms {
        store.append(append(*room, vec![post(&store, last + 1, *by).await])).await.unwrap();
        assert_eq!(store.wake(*room).await.unwrap().unwrap().snapshot.unwrap().0, *last);
    }
    assert_eq!(store.claim(TENANT_DEFAULT, ClaimKind::Create, &big, 2).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_writes_go_on_beside_one_that_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { pages_max: Some(150), ..Options::default() };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), &options).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..40 {
        let (room, by) = (sample::room(&store).await, sample::user(&store).await);
        let entry = post(&store, 1, by).await;
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let snapshot = (at % 4 == 0).then(|| vec![0; 2_000_000]);
            (at, store.append(Append { snapshot, ..append(room, vec![entry]) }).await)
        });
    }
    for (at, done) in tasks.join_all().await {
        let too_big = matches!(done, Err(AppendError::Store(StoreError::Unavailable(_))));
        assert_eq!(too_big, at % 4 == 0, "{at}: {done:?}");
    }
}
