//! Accounts that were half made, and those who come after.

use parlance_actors::ports::store::{Account, AccountError, AccountStore, BulkError, BulkStore, StoreError, Who};

use crate::bed::{self, Raw};
use crate::store::sample::{self, account};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_made_account_is_nobody_s_and_is_taken_over() {
    let _turn = bed::turn().await;
    let (store, raw) = (bed::open().await, Raw::open().await);
    let port = store.clone() as std::sync::Arc<dyn parlance_actors::ports::Store>;
    let tenant = sample::tenant(&port).await;
    let dead = account(sample::user(&port).await, tenant, "ada", None);
    store.create_account(&dead).await.unwrap();
    // As if its node had died before the last step, now and long ago.
    for (since, free) in [(1_u64 << 50, false), (1, true)] {
        let user = dead.id.get();
        let open = format!("UPDATE account SET state = 'opening', version = 0 WHERE user_id = {user} IF EXISTS");
        raw.0.query_unpaged(open, ()).await.unwrap();
        let name = format!(
            "UPDATE account_name SET since = {since} WHERE tenant = {tenant} AND kind = 'username' AND key = 'ada' IF EXISTS"
        );
        raw.0.query_unpaged(name, ()).await.unwrap();
        assert_eq!(store.account(Who::Id(dead.id)).await.unwrap(), None);
        assert_eq!(store.account(Who::Username(tenant, "ada")).await.unwrap(), None);
        assert!(store.search_accounts(tenant, "ada", 9).await.unwrap().is_empty());
        let next = account(sample::user(&port).await, tenant, "Ada", None);
        let created = store.create_account(&next).await;
        if free {
            created.unwrap();
            assert_eq!(store.account(Who::Username(tenant, "ADA")).await.unwrap(), Some(next));
        } else {
            assert!(matches!(created, Err(AccountError::UsernameTaken)), "whoever has just begun is left to it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renaming_that_was_left_half_way_keeps_nobody_from_the_name() {
    let _turn = bed::turn().await;
    let (store, raw) = (bed::open().await, Raw::open().await);
    let port = store.clone() as std::sync::Arc<dyn parlance_actors::ports::Store>;
    let tenant = sample::tenant(&port).await;
    let ada = account(sample::user(&port).await, tenant, "ada", None);
    store.create_account(&ada).await.unwrap();
    let claim = format!(
        "INSERT INTO account_name (tenant, kind, key, user_id, since) VALUES ({tenant}, 'username', 'lovelace', {}, 1) \
         IF NOT EXISTS",
        ada.id
    );
    raw.0.query_unpaged(claim, ()).await.unwrap();
    assert_eq!(store.account(Who::Username(tenant, "lovelace")).await.unwrap(), None, "it is not hers yet");
    let bob = account(sample::user(&port).await, tenant, "lovelace", None);
    store.create_account(&bob).await.unwrap();
    let late = Account { username: "lovelace".to_owned(), ..ada.clone() };
    assert!(matches!(store.update_account(&late).await, Err(AccountError::UsernameTaken)));
    assert_eq!(store.account(Who::Username(tenant, "ada")).await.unwrap(), Some(ada.clone()));
    // There and back, and somebody else in between.
    let away = Account { username: "countess".to_owned(), ..ada.clone() };
    store.update_account(&away).await.unwrap();
    store.update_account(&ada).await.unwrap();
    assert_eq!(store.search_accounts(tenant, "ada", 9).await.unwrap(), std::slice::from_ref(&ada));
    assert!(store.search_accounts(tenant, "countess", 9).await.unwrap().is_empty());
    store.create_account(&account(sample::user(&port).await, tenant, "countess", None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_are_sent_elsewhere() {
    let _turn = bed::turn().await;
    let store = bed::open().await;
    assert_eq!(store.import("any").await.unwrap(), None);
    let refused = store.bulk(parlance_actors::ports::store::Bulk::default()).await;
    let Err(BulkError::Store(StoreError::Unavailable(why))) = refused else { panic!("{refused:?}") };
    assert!(why.contains("parlance migrate sqlite-to-scylla"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_from_before_get_their_keys_at_the_next_start() {
    let _turn = bed::turn().await;
    let (store, raw) = (bed::open().await, Raw::open().await);
    let port = store.clone() as std::sync::Arc<dyn parlance_actors::ports::Store>;
    let tenant = sample::tenant(&port).await;
    let (apart, composed) = ("cafe\u{301}", "caf\u{e9}");
    let (older, newer) = (sample::user(&port).await, sample::user(&port).await);
    // Both were let in when only case was folded.
    for (user, name) in [(older, apart), (newer, composed)] {
        let plain = account(user, tenant, &format!("plain{user}"), None);
        store.create_account(&plain).await.unwrap();
        for cql in [
            format!("UPDATE account SET username = '{name}' WHERE user_id = {user} IF EXISTS"),
            format!(
                "INSERT INTO account_name (tenant, kind, key, user_id, since) \
                 VALUES ({tenant}, 'username', '{name}', {user}, 1) IF NOT EXISTS"
            ),
            format!(
                "INSERT INTO directory (tenant, shard, username_key, user_id, full_name_key) \
                 VALUES ({tenant}, {}, '{name}', {user}, '') USING TIMESTAMP 1",
                user.get() % 16
            ),
        ] {
            raw.0.query_unpaged(cql, ()).await.unwrap();
        }
    }
    raw.0.query_unpaged("DELETE FROM migration WHERE name = 'name_keys' IF EXISTS", ()).await.unwrap();
    for _ in 0..2 {
        let store = bed::open().await;
        for text in [apart, composed, "CAFÉ"] {
            let found = store.account(Who::Username(tenant, text)).await.unwrap();
            assert_eq!(found.map(|account| account.id), Some(newer), "whoever holds the key keeps the name");
        }
        let other = store.account(Who::Id(older)).await.unwrap().unwrap();
        assert_eq!(other.username, format!("{apart}-{older}"));
        let found = store.account(Who::Username(tenant, &format!("{composed}-{older}"))).await.unwrap();
        assert_eq!(found.map(|account| account.id), Some(older));
        let listed = store.search_accounts(tenant, composed, 9).await.unwrap();
        let mut listed: Vec<_> = listed.iter().map(|account| account.id).collect();
        listed.sort_unstable();
        assert_eq!(listed, [older, newer]);
    }
}
