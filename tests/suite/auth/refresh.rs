//! Refresh tokens: good once, in families, and a second use ends the family.

use std::sync::Arc;

use parlance::auth::{By, Grant, Refresh};
use parlance::secret::Secret;
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::{Code, Fault};
use tokio::sync::Barrier;

use super::{PASSWORD, World, code, login};

fn body(token: &Secret) -> Refresh {
    Refresh { refresh_token: token.clone() }
}

async fn refresh(world: &World, grant: &Grant) -> Result<Grant, Fault> {
    world.accounts.refresh(body(&grant.refresh_token)).await
}

#[tokio::test]
async fn each_refresh_gives_new_tokens() {
    let world = World::new();
    let mut grant = world.register("bob").await;
    for _ in 0..3 {
        world.pass(1_000);
        let next = refresh(&world, &grant).await.unwrap();
        assert_eq!(next.user, grant.user);
        assert_ne!(next.refresh_token.reveal(), grant.refresh_token.reveal());
        assert_ne!(next.access_token.reveal(), grant.access_token.reveal());
        world.who(&next).await.unwrap();
        grant = next;
    }
}

#[tokio::test]
async fn a_token_used_again_ends_the_login_and_says_so_to_sessions() {
    let world = World::new();
    let first = world.register("bob").await;
    let user = first.user.user.id;
    let other = world.accounts.login(login("bob", PASSWORD)).await.unwrap();
    let account = world.accounts.find(TENANT_DEFAULT, "bob").await.unwrap();
    let made = world.accounts.token_for(&account, 3_600).unwrap();
    let second = refresh(&world, &first).await.unwrap();
    world.who(&second).await.unwrap();
    assert!(world.bus.revoked(user).is_empty());

    assert_eq!(code(refresh(&world, &first).await), Code::Revoked);
    let revoked = world.bus.revoked(user);
    assert_eq!(revoked.len(), 1);
    assert_eq!(code(refresh(&world, &second).await), Code::Revoked);
    assert_eq!(code(world.who(&second).await), Code::Revoked);
    // Nothing else of the user's has ended: neither the other login nor what was made on the command line.
    world.who(&other).await.unwrap();
    world.accounts.authenticate(made.reveal()).await.unwrap();
    let elsewhere = world.other_node();
    elsewhere.authenticate(other.access_token.reveal()).await.unwrap();
    assert_eq!(code(elsewhere.authenticate(second.access_token.reveal()).await), Code::Revoked);
    world.who(&refresh(&world, &other).await.unwrap()).await.unwrap();
    // A thief who keeps trying disturbs nobody.
    assert_eq!(code(refresh(&world, &first).await), Code::Revoked);
    assert_eq!(world.bus.revoked(user).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_wins_and_the_login_is_over() {
    for _ in 0..20 {
        let world = Arc::new(World::new());
        let grant = world.register("bob").await;
        let start = Arc::new(Barrier::new(8));
        let tries: Vec<_> = (0..8)
            .map(|_| {
                let (world, start, token) = (world.clone(), start.clone(), grant.refresh_token.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    world.accounts.refresh(body(&token)).await
                })
            })
            .collect();
        let mut won = Vec::new();
        for task in tries {
            match task.await.unwrap() {
                Ok(grant) => won.push(grant),
                Err(fault) => assert_eq!(fault.code, Code::Revoked),
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(code(refresh(&world, &won[0]).await), Code::Revoked);
        assert_eq!(code(world.who(&won[0]).await), Code::Revoked);
    }
}

#[tokio::test]
async fn each_use_begins_its_time_anew() {
    let world = World::new();
    let day = 24 * 3_600 * 1_000;
    let mut grant = world.register("bob").await;
    for _ in 0..3 {
        world.pass(29 * day);
        grant = refresh(&world, &grant).await.unwrap();
    }
    world.pass(30 * day);
    assert_eq!(code(refresh(&world, &grant).await), Code::TokenExpired);
}

#[tokio::test]
async fn logging_out_ends_this_login_only() {
    let world = World::new();
    let here = world.register("bob").await;
    let there = world.accounts.login(login("bob", PASSWORD)).await.unwrap();
    world.who(&here).await.unwrap();
    world.accounts.logout(body(&here.refresh_token)).await.unwrap();
    assert_eq!(code(world.who(&here).await), Code::Revoked);
    assert_eq!(code(refresh(&world, &here).await), Code::Revoked);
    world.accounts.logout(body(&here.refresh_token)).await.unwrap();
    world.who(&there).await.unwrap();
    refresh(&world, &there).await.unwrap();
}

#[tokio::test]
async fn tokens_that_never_were_are_refused() {
    let world = World::new();
    let grant = world.register("bob").await;
    let family = grant.refresh_token.reveal().split_once('.').unwrap().0.to_owned();
    let unknown = format!("{}.{}", "0".repeat(32), "0".repeat(64));
    for text in ["", "x", ".", grant.access_token.reveal(), &family, &format!("{family}."), &unknown] {
        let token = Secret::from(text);
        assert_eq!(code(world.accounts.refresh(body(&token)).await), Code::Unauthenticated, "{text}");
    }
    world.accounts.logout(body(&Secret::from(unknown))).await.unwrap();
    assert_eq!(code(world.accounts.logout(body(&Secret::from("x"))).await), Code::Unauthenticated);
    refresh(&world, &grant).await.unwrap();
}

#[tokio::test]
async fn the_disabled_get_no_new_token() {
    let world = World::new();
    let grant = world.register("bob").await;
    let user = grant.user.user.id;
    world.accounts.set_active(By::Operator, user, false).await.unwrap();
    assert_eq!(code(refresh(&world, &grant).await), Code::Revoked);
    world.accounts.set_active(By::Operator, user, true).await.unwrap();
    assert_eq!(code(refresh(&world, &grant).await), Code::Revoked);
    world.accounts.login(login("bob", PASSWORD)).await.unwrap();
}
