//! Accounts and families of refresh tokens.

use std::sync::Arc;

use parlance_actors::ports::Store;
use parlance_actors::ports::store::{Account, AccountError, Family, Who};
use parlance_schema::TenantId;
use parlance_schema::user::Role;

use crate::store::sample::{self, account};

async fn make(store: &Arc<dyn Store>, tenant: TenantId, name: &str, email: Option<&str>) -> Account {
    let account = account(sample::user(store).await, tenant, name, email);
    store.create_account(&account).await.unwrap();
    account
}

pub async fn names_are_unique_whatever_their_case(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    make(&store, tenant, "Жанна", Some("Jeanne@Example.org")).await;
    make(&store, tenant, "Straße", None).await;
    for (name, email) in [("жанна", None), ("ЖАННА", Some("jeanne@example.org")), ("STRASSE", None)] {
        let second = account(sample::user(&store).await, tenant, name, email);
        assert!(matches!(store.create_account(&second).await, Err(AccountError::UsernameTaken)), "{name}");
        assert_eq!(store.account(Who::Id(second.id)).await.unwrap(), None);
    }
    for email in ["jeanne@example.org", "JEANNE@EXAMPLE.ORG"] {
        let second = account(sample::user(&store).await, tenant, "jeanne", Some(email));
        assert!(matches!(store.create_account(&second).await, Err(AccountError::EmailTaken)), "{email}");
    }
    // Any number of accounts may have no address.
    make(&store, tenant, "jeanne", None).await;
    make(&store, tenant, "jeannette", None).await;
}

pub async fn tenants_share_names(store: Arc<dyn Store>) {
    let (one, other) = (sample::tenant(&store).await, sample::tenant(&store).await);
    let here = make(&store, one, "ada", Some("ada@example.org")).await;
    let there = make(&store, other, "ADA", Some("ada@example.org")).await;
    assert_eq!(store.account(Who::Username(one, "Ada")).await.unwrap(), Some(here.clone()));
    assert_eq!(store.account(Who::Username(other, "Ada")).await.unwrap(), Some(there.clone()));
    assert_eq!(store.account(Who::Email(other, "ada@example.org")).await.unwrap(), Some(there.clone()));
    assert_eq!(store.search_accounts(one, "ada", 10).await.unwrap(), std::slice::from_ref(&here));
    assert_eq!(store.accounts(&[there.id, here.id]).await.unwrap(), [there, here]);
}

pub async fn an_account_is_replaced(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    let old = make(&store, tenant, "ada", Some("ada@example.org")).await;
    make(&store, tenant, "bob", Some("bob@example.org")).await;
    store.seen(&[(old.id, 77)]).await.unwrap();
    let new = Account {
        username: "ADA".to_owned(),
        email: None,
        full_name: "Ada Lovelace".to_owned(),
        password: None,
        role: Role::TenantAdmin,
        active: false,
        created_at: 1,
        last_seen: None,
        valid_after: 99,
        ..old.clone()
    };
    store.update_account(&new).await.unwrap();
    let kept = store.account(Who::Id(old.id)).await.unwrap();
    assert_eq!(kept, Some(Account { created_at: old.created_at, last_seen: Some(77), ..new.clone() }));
    let clash = Account { username: "Bob".to_owned(), ..new.clone() };
    assert!(matches!(store.update_account(&clash).await, Err(AccountError::UsernameTaken)));
    let clash = Account { email: Some("BOB@example.org".to_owned()), ..new.clone() };
    assert!(matches!(store.update_account(&clash).await, Err(AccountError::EmailTaken)));
    assert_eq!(store.account(Who::Email(tenant, "ada@example.org")).await.unwrap(), None, "the old address is free");
    make(&store, tenant, "ada2", Some("ada@example.org")).await;
    let nobody = account(sample::user(&store).await, tenant, "nobody", None);
    assert!(matches!(store.update_account(&nobody).await, Err(AccountError::Store(_))));
    let elsewhere = Account { tenant: sample::tenant(&store).await, ..new };
    assert!(matches!(store.update_account(&elsewhere).await, Err(AccountError::Store(_))));
}

pub async fn an_account_is_replaced_as_it_was_read(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    let old = make(&store, tenant, "ada", None).await;
    make(&store, tenant, "bob", None).await;
    // When somebody was seen is no change.
    store.seen(&[(old.id, 77)]).await.unwrap();
    for round in 0..5 {
        let before = store.account(Who::Id(old.id)).await.unwrap().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..8 {
            let (store, before) = (Arc::clone(&store), before.clone());
            let after = Account { full_name: format!("{round}-{at}"), ..before.clone() };
            tasks.spawn(async move {
                match store.replace_account(&before, &after).await {
                    Ok(()) => Some(after.full_name),
                    Err(AccountError::Changed) => None,
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let winners: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
        let now = store.account(Who::Id(old.id)).await.unwrap().unwrap();
        assert_eq!(winners, std::slice::from_ref(&now.full_name));
        assert_eq!(now.last_seen, Some(77));
        let clash = Account { username: "BOB".to_owned(), ..now.clone() };
        assert!(matches!(store.replace_account(&now, &clash).await, Err(AccountError::UsernameTaken)));
    }
}

pub async fn lookups_by_name_and_address(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    let ada = make(&store, tenant, "Ada", Some("Ada@Example.org")).await;
    for who in [Who::Id(ada.id), Who::Username(tenant, "ADA"), Who::Email(tenant, "ada@EXAMPLE.org")] {
        assert_eq!(store.account(who).await.unwrap(), Some(ada.clone()));
    }
    for who in [Who::Id(sample::user(&store).await), Who::Username(tenant, "Ad"), Who::Email(tenant, "Ada")] {
        assert_eq!(store.account(who).await.unwrap(), None);
    }
    assert_eq!(store.accounts(&[sample::user(&store).await, ada.id]).await.unwrap(), [ada]);
}

pub async fn search_finds_names_and_no_addresses(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    for (name, full_name) in [
        ("zoe", "Zoë Ann"),
        ("annika", "Annika Å"),
        ("Anna", "Anna B"),
        ("johanna", "Johanna C"),
        ("carl_%", "Карл Иванов"),
        ("gone", "Ann Gone"),
    ] {
        let user = sample::user(&store).await;
        let email = format!("{name}.secret@annex.example");
        let account = account(user, tenant, name, Some(&email));
        store
            .create_account(&Account { full_name: full_name.to_owned(), active: name != "gone", ..account })
            .await
            .unwrap();
    }
    let found = async |text: &str, limit: usize| -> Vec<String> {
        let found = store.search_accounts(tenant, text, limit).await.unwrap();
        found.into_iter().map(|a| a.username).collect()
    };
    assert_eq!(found("ANN", 10).await, ["Anna", "annika", "johanna", "zoe"]);
    assert_eq!(found("ann", 3).await, ["Anna", "annika", "johanna"]);
    assert_eq!(found("ann", 1).await, ["Anna"]);
    assert_eq!(found("карл", 10).await, ["carl_%"]);
    assert_eq!(found("_%", 10).await, ["carl_%"], "no character is a wildcard");
    assert_eq!(found("%", 10).await, ["carl_%"]);
    for text in ["secret", "annex", "@", "*", "\"", "nobody"] {
        assert!(found(text, 10).await.is_empty(), "{text}");
    }
    assert_eq!(found("", 2).await, ["Anna", "annika"]);
    assert!(found("ann", 0).await.is_empty());
}

pub async fn last_seen_only_rises(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    let (ada, bob) = (make(&store, tenant, "ada", None).await.id, make(&store, tenant, "bob", None).await.id);
    store.seen(&[(ada, 50), (sample::user(&store).await, 60), (bob, 70)]).await.unwrap();
    store.seen(&[(ada, 40), (bob, 80)]).await.unwrap();
    let seen: Vec<_> = store.accounts(&[ada, bob]).await.unwrap().into_iter().map(|a| a.last_seen).collect();
    assert_eq!(seen, [Some(50), Some(80)]);
}

pub async fn a_race_for_a_name_has_one_winner(store: Arc<dyn Store>) {
    let tenant = sample::tenant(&store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..30 {
        let store = Arc::clone(&store);
        let name = if at % 2 == 0 { "wanted" } else { "WANTED" };
        let account = account(sample::user(&store).await, tenant, name, None);
        tasks.spawn(async move {
            match store.create_account(&account).await {
                Ok(()) => 1,
                Err(AccountError::UsernameTaken) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u32>(), 1);
}

async fn family(store: &Arc<dyn Store>, user: parlance_schema::UserId, expires_at: u64) -> Family {
    let id = format!("family-{}", sample::message(store).await);
    let family = Family { id, user, current: "hash-0".to_owned(), expires_at, revoked: false };
    store.create_family(&family).await.unwrap();
    family
}

pub async fn families_rotate_once(store: Arc<dyn Store>) {
    let family = family(&store, sample::user(&store).await, 100).await;
    assert_eq!(store.family(&family.id).await.unwrap(), Some(family.clone()));
    assert!(store.create_family(&family).await.is_err(), "an id is used once");
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..20 {
        let (store, id) = (Arc::clone(&store), family.id.clone());
        tasks.spawn(async move {
            let to = format!("next-{at}");
            store.rotate_family(&id, "hash-0", &to, 200).await.unwrap().then_some(to)
        });
    }
    let won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "one use of a token is good");
    let kept = store.family(&family.id).await.unwrap();
    assert_eq!(kept, Some(Family { current: won[0].clone(), expires_at: 200, ..family.clone() }));
    assert!(!store.rotate_family(&family.id, "hash-0", "stale", 300).await.unwrap());
    assert!(!store.rotate_family("no such family", "hash-0", "stale", 300).await.unwrap());
}

pub async fn families_are_revoked_and_swept(store: Arc<dyn Store>) {
    let (ada, bob) = (sample::user(&store).await, sample::user(&store).await);
    let (first, second) = (family(&store, ada, 10).await, family(&store, ada, 20).await);
    let (third, other) = (family(&store, ada, 30).await, family(&store, bob, 30).await);
    store.revoke_family(&first.id).await.unwrap();
    store.revoke_family("no such family").await.unwrap();
    assert!(!store.rotate_family(&first.id, "hash-0", "hash-1", 99).await.unwrap());
    let revoked = async |id: &str| store.family(id).await.unwrap().map(|f| f.revoked);
    assert_eq!(revoked(&first.id).await, Some(true));
    assert_eq!(revoked(&second.id).await, Some(false));
    store.revoke_families(ada, Some(&third.id)).await.unwrap();
    assert_eq!(revoked(&second.id).await, Some(true));
    assert_eq!(revoked(&third.id).await, Some(false), "the one that was named goes on");
    store.revoke_families(ada, None).await.unwrap();
    assert_eq!(revoked(&other.id).await, Some(false));
    assert_eq!(store.sweep_families(10).await.unwrap(), 0, "what expires at a time is good until then");
    assert_eq!(store.sweep_families(30).await.unwrap(), 2);
    assert_eq!(revoked(&first.id).await, None);
    assert_eq!(revoked(&third.id).await, Some(true));
    for _ in 0..1_010 {
        family(&store, bob, 5).await;
    }
    assert_eq!(store.sweep_families(30).await.unwrap(), 1_000);
    assert_eq!(store.sweep_families(30).await.unwrap(), 10);
    assert_eq!(revoked(&other.id).await, Some(false));
}

pub async fn audited(store: Arc<dyn Store>) {
    let by = sample::user(&store).await;
    let room = sample::room(&store).await;
    store.audit(5, by, Some(room), "read the room").await.unwrap();
    store.audit(5, by, None, "disabled an account").await.unwrap();
}
