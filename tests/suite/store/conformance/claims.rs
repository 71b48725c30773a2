//! Unique names and id blocks.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{ClaimKind, IdKind, StoreError};
use parlance_schema::limits::ID_MAX;

use crate::store::sample;

pub async fn one_claimant_wins(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for target in 1..=50 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.claim(tenant, ClaimKind::Direct, "17:4711", target).await.unwrap() });
    }
    let answers = tasks.join_all().await;
    assert!((1..=50).contains(&answers[0]));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all were told the same");
    assert_eq!(store.claim(tenant, ClaimKind::Direct, "17:4711", 99).await.unwrap(), answers[0]);
}

pub async fn claims_are_apart(store: Arc<dyn Store>) {
    let (one, other) = (sample::tenant(&store).await, sample::tenant(&store).await);
    let names = [
        (one, ClaimKind::Direct, "1:2"),
        (other, ClaimKind::Direct, "1:2"),
        (one, ClaimKind::Create, "1:2"),
        (one, ClaimKind::Subject, "1:2"),
        (one, ClaimKind::Create, "1:zwei"),
        (one, ClaimKind::Create, "1:ZWEI"),
    ];
    for again in [0, 100] {
        for (target, (tenant, kind, key)) in (1..).zip(names) {
            assert_eq!(store.claim(tenant, kind, key, target + again).await.unwrap(), target, "{key}");
        }
    }
}

pub async fn id_blocks_never_overlap(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for taker in 0..60_u64 {
        let store = Arc::clone(&store);
        let kind = [IdKind::User, IdKind::Room, IdKind::Message][taker as usize % 3];
        let count = 1 + taker * 7 % 100;
        tasks.spawn(async move { (taker % 3, store.take_ids(kind, count).await.unwrap(), count) });
    }
    let mut blocks = tasks.join_all().await;
    blocks.sort_unstable();
    assert!(blocks.iter().all(|(_, first, _)| *first >= 1));
    for pair in blocks.windows(2) {
        let ((kind, first, count), (next_kind, next, _)) = (pair[0], pair[1]);
        assert!(kind != next_kind || first + count <= next, "{pair:?}");
    }
}

pub async fn ids_run_out_with_an_error(store: Arc<dyn Store>) {
    let first = store.take_ids(IdKind::Message, 10).await.unwrap();
    for count in [ID_MAX, ID_MAX + 1, u64::MAX] {
        assert!(matches!(store.take_ids(IdKind::Message, count).await, Err(StoreError::Unavailable(_))));
    }
    assert_eq!(store.take_ids(IdKind::Message, 1).await.unwrap(), first + 10, "what was refused took none");
}

pub async fn healthy(store: Arc<dyn Store>) {
    let health = store.health().await;
    assert!(health.writable);
    assert!(["disk", "memory"].contains(&health.durability));
    assert_eq!(health, store.health().await);
    assert!((1..=ID_MAX).contains(&store.epoch()));
    assert_eq!(store.epoch(), store.epoch());
}
