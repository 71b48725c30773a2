//! Tokens of another service: the times in them, and what revokes them.

use jsonwebtoken::{EncodingKey, Header};
use parlance::api::account::{Algorithm, Issuer};
use parlance::auth::{Authenticated, By};
use parlance_actors::ports::Clock;
use parlance_schema::user::Role;
use parlance_schema::{Code, Fault};
use serde_json::{Value, json};

use super::{World, code};

const SECRET: &str = "a secret of two services, which is long enough";
/// Seconds that the other service's tokens are good for.
const LIFE_S: u64 = 1_800;

fn issuers() -> [Issuer; 1] {
    [Issuer::new("other", &SECRET.into(), Algorithm::HS256, LIFE_S)]
}

/// Asks with a token of the other service that has these times.
async fn ask(world: &World, times: Value) -> Result<Authenticated, Fault> {
    let mut claims = times;
    claims["sub"] = json!("zoe");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    world.accounts.authenticate_with(&issuers(), &token).await
}

/// The world's time in seconds.
fn now_s(world: &World) -> u64 {
    world.clock.now() / 1_000
}

#[tokio::test]
async fn times_may_have_fractions_and_none_is_ahead() {
    let world = World::new();
    let now = now_s(&world);
    let half = now as f64 + 60.5;
    let who = ask(&world, json!({"exp": half})).await.unwrap();
    assert_eq!(who.expires_at, now * 1_000 + 60_500);
    let who = ask(&world, json!({"exp": now + 60, "iat": now as f64 - 0.25})).await.unwrap();
    assert_eq!(who.issued_at, now * 1_000 - 250);
    // A clock that is a little ahead is no matter; what it says is not believed.
    let who = ask(&world, json!({"exp": now + 600, "iat": now + 60})).await.unwrap();
    assert_eq!(who.issued_at, now * 1_000);
    for times in [
        json!({"exp": now + 600, "iat": now + 61}),
        json!({"exp": now + 600, "nbf": now + 1}),
        json!({"exp": now + 600, "iat": -1}),
        json!({"exp": "tomorrow"}),
        json!({"iat": now}),
    ] {
        assert_eq!(code(ask(&world, times.clone()).await), Code::Unauthenticated, "{times}");
    }
    assert_eq!(code(ask(&world, json!({"exp": now as f64 - 0.5})).await), Code::TokenExpired);
}

#[tokio::test]
async fn tokens_without_the_time_of_issue_are_good_again_after_a_revocation() {
    let world = World::new();
    let fresh = |world: &World| json!({"exp": now_s(world) + LIFE_S});
    let early = fresh(&world);
    let zoe = ask(&world, early.clone()).await.unwrap();
    assert_eq!(zoe.issued_at, world.clock.now());
    world.accounts.set_role(By::Operator, zoe.principal.user, Role::Manager).await.unwrap();
    assert_eq!(code(ask(&world, early.clone()).await), Code::Revoked);
    world.pass(2_000);
    assert_eq!(code(ask(&world, early).await), Code::Revoked);
    assert_eq!(ask(&world, fresh(&world)).await.unwrap().principal.role, Role::Manager);

    world.accounts.set_active(By::Operator, zoe.principal.user, false).await.unwrap();
    world.accounts.set_active(By::Operator, zoe.principal.user, true).await.unwrap();
    let now = now_s(&world);
    assert_eq!(code(ask(&world, json!({"exp": now + LIFE_S, "iat": now})).await), Code::Revoked);
    world.pass(2_000);
    ask(&world, fresh(&world)).await.unwrap();
    // One that may be older than it can tell lives on, as old as it can be.
    assert_eq!(ask(&world, json!({"exp": now_s(&world) + 2 * LIFE_S})).await.unwrap().issued_at, world.clock.now());
}
