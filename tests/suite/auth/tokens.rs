//! Access tokens against the store: revoked at once, remembered for a while, signed by keys that change.

use parlance::auth::{By, Refresh, keys};
use parlance_actors::ports::store::{AccountStore, Who};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::Role;
use parlance_schema::{Code, UserId, limits};

use super::{PASSWORD, Urandom, World, code, login};

#[tokio::test]
async fn a_disabled_user_is_out_at_once_on_every_node() {
    let world = World::new();
    let other = world.other_node();
    let grant = world.register("bob").await;
    let user = grant.user.user.id;
    let token = grant.access_token.reveal();
    other.authenticate(token).await.unwrap();
    world.accounts.authenticate(token).await.unwrap();
    world.accounts.set_active(By::Operator, user, false).await.unwrap();
    assert_eq!(code(world.accounts.authenticate(token).await), Code::Revoked);
    assert_eq!(code(other.authenticate(token).await), Code::Revoked);
    assert_eq!(world.bus.revoked(user).len(), 1);
    // Enabling brings back the account, not the tokens.
    world.accounts.set_active(By::Operator, user, true).await.unwrap();
    assert_eq!(code(world.accounts.authenticate(token).await), Code::Revoked);
    let grant = world.accounts.login(login("bob", PASSWORD)).await.unwrap();
    world.who(&grant).await.unwrap();
}

#[tokio::test]
async fn a_new_role_needs_a_new_token_and_then_holds() {
    let world = World::new();
    let grant = world.register("bob").await;
    world.who(&grant).await.unwrap();
    world.accounts.set_role(By::Operator, grant.user.user.id, Role::SuperAdmin).await.unwrap();
    assert_eq!(code(world.who(&grant).await), Code::Revoked);
    let body = Refresh { refresh_token: grant.refresh_token };
    let grant = world.accounts.refresh(body).await.unwrap();
    assert_eq!(world.who(&grant).await.unwrap().principal.role, Role::SuperAdmin);
}

#[tokio::test]
async fn a_standing_is_remembered_for_five_seconds() {
    let world = World::new();
    let grant = world.register("bob").await;
    world.who(&grant).await.unwrap();
    // Behind the back of all nodes, as nothing of ours writes.
    let mut account = world.store.account(Who::Id(grant.user.user.id)).await.unwrap().unwrap();
    account.active = false;
    world.store.update_account(&account).await.unwrap();
    world.pass(4_999);
    world.who(&grant).await.unwrap();
    world.pass(1);
    assert_eq!(code(world.who(&grant).await), Code::Revoked);
}

#[tokio::test]
async fn a_clock_set_back_makes_nothing_younger() {
    let world = World::new();
    let grant = world.register("bob").await;
    world.who(&grant).await.unwrap();
    let mut account = world.store.account(Who::Id(grant.user.user.id)).await.unwrap().unwrap();
    account.active = false;
    world.store.update_account(&account).await.unwrap();
    world.clock.0.fetch_sub(3_600_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(code(world.who(&grant).await), Code::Revoked);
}

#[tokio::test]
async fn it_expires() {
    let world = World::new();
    let grant = world.register("bob").await;
    let until = world.who(&grant).await.unwrap().expires_at;
    world.pass(until - 1_790_000_000_000 - 1);
    world.who(&grant).await.unwrap();
    world.pass(1);
    assert_eq!(code(world.who(&grant).await), Code::TokenExpired);
}

#[tokio::test]
async fn a_token_of_another_installation_is_refused() {
    let (world, other) = (World::new(), World::new());
    other.register("bob").await;
    let grant = world.register("bob").await;
    assert_eq!(code(other.accounts.authenticate(grant.access_token.reveal()).await), Code::Unauthenticated);
}

#[tokio::test]
async fn the_token_of_a_user_who_is_not_there_is_refused() {
    let world = World::new();
    world.register("bob").await;
    let mut account = world.store.account(Who::Username(TENANT_DEFAULT, "bob")).await.unwrap().unwrap();
    account.id = UserId::new(4_711);
    let token = world.accounts.token_for(&account, 60).unwrap();
    assert_eq!(code(world.accounts.authenticate(token.reveal()).await), Code::Unauthenticated);
}

#[tokio::test]
async fn tokens_of_the_command_line_have_a_longest_life() {
    let world = World::new();
    let user = world.register("bob").await.user.user.id;
    let account = world.store.account(Who::Id(user)).await.unwrap().unwrap();
    let token = world.accounts.token_for(&account, 12 * 3_600).unwrap();
    let who = world.accounts.authenticate(token.reveal()).await.unwrap();
    assert_eq!((who.principal.user, who.family), (user, None));
    for life in [0, limits::TOKEN_LIFE_S_MAX + 1, u64::MAX] {
        assert_eq!(code(world.accounts.token_for(&account, life)), Code::Invalid);
    }
}

#[tokio::test]
async fn keys_change_under_a_running_node() {
    let world = World::new();
    let old = world.register("bob").await;
    keys::rotate(world.dir.path(), &Urandom, 1_790_000_000_001, false).unwrap();
    // Another node has the new key first, and this one takes its tokens at once.
    let new = world.other_node().login(login("bob", PASSWORD)).await.unwrap();
    world.who(&new).await.unwrap();
    world.who(&old).await.unwrap();
    keys::rotate(world.dir.path(), &Urandom, 1_790_000_000_002, true).unwrap();
    let newest = world.other_node().login(login("bob", PASSWORD)).await.unwrap();
    world.who(&newest).await.unwrap();
    assert_eq!(code(world.who(&old).await), Code::Unauthenticated);
    assert_eq!(code(world.who(&new).await), Code::Unauthenticated);
}

#[tokio::test]
async fn many_users_at_once_are_each_themselves() {
    let world = World::new();
    let mut grants = Vec::new();
    for n in 0..50 {
        grants.push(world.register(&format!("user{n}")).await);
    }
    let asked = (0..500).map(|n| world.who(&grants[n % 50]));
    for (n, who) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        assert_eq!(who.unwrap().principal.user, grants[n % 50].user.user.id);
    }
}
