//! What users see and change of themselves, and what they see of others.

use std::sync::Arc;

use parlance::auth::{Authenticated, ChangePassword, Refresh, Register, UpdateProfile};
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Code, TenantId, UserId};
use tokio::sync::Barrier;

use super::{PASSWORD, World, code, login, register};

async fn bob(world: &World) -> Authenticated {
    let email = Some("bob@example.org".into());
    let grant = world.accounts.register(Register { email, ..register("bob") }).await.unwrap();
    world.who(&grant).await.unwrap()
}

#[tokio::test]
async fn a_profile_changes_where_it_is_told() {
    let world = World::new();
    let who = bob(&world).await.principal;
    let name = UpdateProfile { full_name: Some("Bob B.".into()), email: None };
    let me = world.accounts.update_profile(who, name).await.unwrap();
    assert_eq!((me.user.full_name.as_str(), me.email.as_deref()), ("Bob B.", Some("bob@example.org")));
    let email = UpdateProfile { full_name: None, email: Some(Some("b@b.org".into())) };
    let me = world.accounts.update_profile(who, email).await.unwrap();
    assert_eq!((me.user.full_name.as_str(), me.email.as_deref()), ("Bob B.", Some("b@b.org")));
    let none = UpdateProfile { full_name: Some(String::new()), email: Some(None) };
    let me = world.accounts.update_profile(who, none).await.unwrap();
    assert_eq!((me.user.full_name.as_str(), me.email.as_deref()), ("bob", None));
    assert_eq!(world.accounts.me(who).await.unwrap(), me);
}

#[tokio::test]
async fn a_profile_keeps_the_rules() {
    let world = World::new();
    let who = bob(&world).await.principal;
    world.accounts.register(Register { email: Some("eve@b.org".into()), ..register("eve") }).await.unwrap();
    let email = |text: &str| UpdateProfile { full_name: None, email: Some(Some(text.into())) };
    assert_eq!(code(world.accounts.update_profile(who, email("nowhere")).await), Code::Invalid);
    assert_eq!(code(world.accounts.update_profile(who, email("EVE@b.org")).await), Code::Exists);
    let name = UpdateProfile { full_name: Some("x".repeat(101)), email: None };
    assert_eq!(code(world.accounts.update_profile(who, name).await), Code::Invalid);
    assert_eq!(world.accounts.me(who).await.unwrap().email.as_deref(), Some("bob@example.org"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_once_undo_nothing() {
    let world = World::new();
    let accounts = Arc::new(world.embedded());
    let made = accounts.register(register("bob")).await.unwrap();
    let who = accounts.authenticate(made.access_token.reveal()).await.unwrap().principal;
    for round in 0..30 {
        let start = Arc::new(Barrier::new(2));
        let name = UpdateProfile { full_name: Some(format!("Name {round}")), email: None };
        let email = UpdateProfile { full_name: None, email: Some(Some(format!("{round}@b.org"))) };
        let both = [name, email].map(|update| {
            let (accounts, start) = (accounts.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                accounts.update_profile(who, update).await.unwrap();
            })
        });
        for task in both {
            task.await.unwrap();
        }
        let me = accounts.me(who).await.unwrap();
        assert_eq!(me.user.full_name, format!("Name {round}"));
        assert_eq!(me.email, Some(format!("{round}@b.org")));
    }
}

fn passwords(old: &str, new: &str) -> ChangePassword {
    ChangePassword { old_password: old.into(), new_password: new.into() }
}

#[tokio::test]
async fn a_new_password_ends_all_logins_but_ones_own() {
    let world = World::new();
    let here = world.register("bob").await;
    let there = world.accounts.login(login("bob", PASSWORD)).await.unwrap();
    let who = world.who(&here).await.unwrap();
    world.accounts.change_password(&who, passwords(PASSWORD, "another password")).await.unwrap();
    let fault = world.who(&here).await.unwrap_err();
    assert!(fault.code == Code::Revoked && fault.detail.contains("with your refresh token"), "{fault:?}");
    assert_eq!(code(world.who(&there).await), Code::Revoked);
    let revoked = world.bus.revoked(who.principal.user);
    assert!(revoked.len() == 1 && revoked[0] > who.issued_at, "{revoked:?}");
    let refresh = |token| world.accounts.refresh(Refresh { refresh_token: token });
    assert_eq!(code(refresh(there.refresh_token).await), Code::Revoked);
    world.who(&refresh(here.refresh_token).await.unwrap()).await.unwrap();
    assert_eq!(code(world.accounts.login(login("bob", PASSWORD)).await), Code::BadCredentials);
    world.accounts.login(login("bob", "another password")).await.unwrap();
}

#[tokio::test]
async fn a_new_password_needs_the_old_one() {
    let world = World::new();
    let who = bob(&world).await;
    let change = |old: &str, new: &str| {
        let body = passwords(old, new);
        let (world, who) = (&world, &who);
        async move { world.accounts.change_password(who, body).await }
    };
    assert_eq!(code(change("wrong password", "another password").await), Code::BadCredentials);
    assert_eq!(code(change("", "another password").await), Code::BadCredentials);
    assert_eq!(code(change(PASSWORD, "short").await), Code::Invalid);
    world.accounts.login(login("bob", PASSWORD)).await.unwrap();
    // Two changes from the same old password: the second finds it gone.
    let both = futures_util::future::join(change(PASSWORD, "password one"), change(PASSWORD, "password two")).await;
    let won = if both.0.is_ok() { "password one" } else { "password two" };
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    world.accounts.login(login("bob", won)).await.unwrap();
}

#[tokio::test]
async fn others_are_seen_in_the_same_tenant_only_and_never_their_address() {
    let world = World::new();
    let who = bob(&world).await.principal;
    let far = TenantId::new(2);
    let email = || Some("secret@hidden.example".to_owned());
    let there = world.accounts.add(far, "bobby".into(), email(), None, None, Role::User).await.unwrap();
    let named = Some("Uncle Bob".to_owned());
    let near = world.accounts.add(who.tenant, "robert".into(), email(), named, None, Role::User).await.unwrap();
    let ids = [who.user, there.id, near.id, UserId::new(999_999)];
    let seen: Vec<_> = world.accounts.users(who, &ids).await.unwrap().into_iter().map(|u| u.id).collect();
    assert_eq!(seen, [who.user, near.id]);
    let found = world.accounts.search(who, "BOB", None).await.unwrap();
    assert_eq!(found.iter().map(|u| u.id).collect::<Vec<_>>(), [who.user, near.id]);
    assert!(!serde_json::to_string(&found).unwrap().contains("hidden"));
    for text in ["hidden", "secret@hidden.example", "bob@example.org", "example", "@"] {
        assert!(world.accounts.search(who, text, None).await.unwrap().is_empty(), "{text}");
    }
    // Not even an administrator of all tenants finds users of another one here.
    let root = Principal { role: Role::SuperAdmin, ..who };
    assert_eq!(world.accounts.search(root, "bob", None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn questions_have_bounds() {
    let world = World::new();
    let who = bob(&world).await.principal;
    for (text, limit) in [("", None), ("  ", None), ("b", Some(0)), ("b", Some(201))] {
        assert_eq!(code(world.accounts.search(who, text, limit).await), Code::Invalid, "{text:?} {limit:?}");
    }
    assert_eq!(code(world.accounts.search(who, &"x".repeat(101), None).await), Code::Invalid);
    let ids: Vec<_> = (1..=201).map(UserId::new).collect();
    assert_eq!(code(world.accounts.users(who, &ids).await), Code::Invalid);
}
