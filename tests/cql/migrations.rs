//! The schema's versions: nodes that start together, and databases that are newer.

use parlance::store::Scylla;
use parlance::store::scylla::{OpenError, Server};
use parlance_actors::ports::Store;
use parlance_actors::ports::store::LogStore;

use crate::bed::{self, Raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_once() {
    let _turn = bed::turn().await;
    let raw = Raw::open().await;
    raw.0.query_unpaged("DROP KEYSPACE IF EXISTS parlance_young", ()).await.unwrap();
    let start = || tokio::spawn(Scylla::open(bed::options("parlance_young")));
    let mut epochs = Vec::new();
    for store in [start(), start(), start()] {
        let store = store.await.unwrap().unwrap();
        assert_eq!(store.server(), Server::Cassandra);
        let health = store.health().await;
        assert_eq!(
            (health.backend, health.writable, health.durability),
            ("scylla", true, "disk"),
            "it syncs, and says so"
        );
        epochs.push(store.epoch());
    }
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    let newer = "UPDATE parlance_young.migration SET version = 99 WHERE name = 'schema' IF EXISTS";
    raw.0.query_unpaged(newer, ()).await.unwrap();
    let refused = Scylla::open(bed::options("parlance_young")).await;
    assert!(matches!(refused.err(), Some(OpenError::Newer { found: 99, known: 2 })));
    raw.0.query_unpaged("DROP KEYSPACE parlance_young", ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_of_one_who_died_is_waited_out() {
    let _turn = bed::turn().await;
    let raw = Raw::open().await;
    let lock = "INSERT INTO migration (name, holder) VALUES ('lock', 'dead') IF NOT EXISTS USING TTL 2";
    raw.0.query_unpaged(lock, ()).await.unwrap();
    // All statements of a migration can be repeated.
    raw.0.query_unpaged("DELETE FROM migration WHERE name = 'schema' IF EXISTS", ()).await.unwrap();
    let begun = std::time::Instant::now();
    bed::open().await;
    assert!(begun.elapsed().as_millis() > 1_000, "it waited for {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_said() {
    let nowhere =
        parlance::store::scylla::Options { nodes: vec!["127.0.0.1:1".to_owned()], ..bed::options("parlance") };
    let refused = Scylla::open(nowhere).await.err().unwrap();
    assert!(matches!(&refused, OpenError::Away(_)), "{refused}");
}
