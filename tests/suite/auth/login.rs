//! Register and login: the rules, and that nobody learns who has an account.

use std::time::{Duration, Instant};

use parlance::auth::{By, Register};
use parlance::config::{self, Registration};
use parlance_actors::ports::store::{AccountStore, Who};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::user::Role;
use parlance_schema::{Code, TenantId};

use super::{PASSWORD, World, code, login, register};

#[tokio::test]
async fn registering_logs_in_and_logging_in_finds_the_same_user() {
    let world = World::new();
    let new = Register {
        email: Some("Ada@Example.org".into()),
        full_name: Some("  Ada Lovelace ".into()),
        ..register("Ada")
    };
    let made = world.accounts.register(new).await.unwrap();
    assert_eq!((made.expires_in, made.user.role, made.user.tenant), (1_800, Role::User, TENANT_DEFAULT));
    assert_eq!(made.user.user.full_name, "Ada Lovelace");
    assert_eq!(world.who(&made).await.unwrap().principal.user, made.user.user.id);
    for name in ["Ada", "ada", "ADA", "ada@example.org", "ADA@EXAMPLE.ORG", " ada "] {
        let grant = world.accounts.login(login(name, PASSWORD)).await.unwrap();
        assert_eq!(grant.user, made.user, "{name}");
        assert_ne!(grant.refresh_token.reveal(), made.refresh_token.reveal());
    }
}

#[tokio::test]
async fn a_name_to_show_defaults_to_the_username() {
    let world = World::new();
    assert_eq!(world.register("bob").await.user.user.full_name, "bob");
    let spaces = Register { full_name: Some("  ".into()), email: Some(String::new()), ..register("eve") };
    let eve = world.accounts.register(spaces).await.unwrap();
    assert_eq!((eve.user.user.full_name.as_str(), eve.user.email), ("eve", None));
}

#[tokio::test]
async fn names_are_taken_whatever_their_case() {
    let world = World::new();
    let email = |email: &str, name: &str| Register { email: Some(email.into()), ..register(name) };
    world.accounts.register(email("a@b.org", "Žofie")).await.unwrap();
    assert_eq!(code(world.accounts.register(register("žOFIE")).await), Code::Exists);
    assert_eq!(code(world.accounts.register(email("A@B.ORG", "other")).await), Code::Exists);
    world.accounts.register(email("b@b.org", "other")).await.unwrap();
}

#[tokio::test]
async fn one_of_many_who_want_the_same_name_gets_it() {
    let world = World::new();
    let tries = (0..16).map(|_| world.accounts.register(register("wanted")));
    let outcomes = futures_util::future::join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    assert!(outcomes.into_iter().filter_map(Result::err).all(|f| f.code == Code::Exists));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_makes_nothing() {
    let world = World::new();
    for bad in [
        register("ab"),
        register("12345"),
        register("a b c"),
        Register { password: "1234567".into(), ..register("carol") },
        Register { password: "x".repeat(257).into(), ..register("carol") },
        Register { email: Some("nowhere".into()), ..register("carol") },
        Register { full_name: Some("a\nb".into()), ..register("carol") },
    ] {
        let shown = format!("{bad:?}");
        assert_eq!(code(world.accounts.register(bad).await), Code::Invalid, "{shown}");
    }
    assert!(world.store.search_accounts(TENANT_DEFAULT, "", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn closed_is_closed_for_strangers_only() {
    let world = World::with(config::Auth { registration: Registration::Closed, ..World::new().config });
    assert_eq!(code(world.accounts.register(register("bob")).await), Code::Forbidden);
    let password = Some(PASSWORD.into());
    world.accounts.add(TENANT_DEFAULT, "bob".into(), None, None, password, Role::User).await.unwrap();
    world.accounts.login(login("bob", PASSWORD)).await.unwrap();
}

/// Somebody with a wrong password, and everybody else who can't log in.
async fn strangers(world: &World) -> Vec<&'static str> {
    world.register("known").await;
    let disabled = world.register("disabled").await.user.user.id;
    world.accounts.set_active(By::Operator, disabled, false).await.unwrap();
    world.accounts.add(TENANT_DEFAULT, "robot".into(), None, None, None, Role::User).await.unwrap();
    let elsewhere = TenantId::new(2);
    let password = Some("wrong password".into());
    world.accounts.add(elsewhere, "foreign".into(), None, None, password, Role::User).await.unwrap();
    vec!["known", "disabled", "robot", "foreign", "unknown", "un@known.org"]
}

#[tokio::test]
async fn all_refused_logins_read_alike() {
    let world = World::new();
    let mut texts = Vec::new();
    for name in strangers(&world).await {
        texts.push(world.accounts.login(login(name, "wrong password")).await.unwrap_err());
    }
    texts.push(world.accounts.login(login("disabled", PASSWORD)).await.unwrap_err());
    texts.push(world.accounts.login(login("known", "short")).await.unwrap_err());
    texts.push(world.accounts.login(login("known", &"x".repeat(100_000))).await.unwrap_err());
    assert_eq!(texts[0].code, Code::BadCredentials);
    assert!(texts.iter().all(|f| *f == texts[0]), "{texts:?}");
}

#[tokio::test]
async fn all_refused_logins_take_alike() {
    // Dear enough that the hash is what takes time, and a tenth of what it costs in earnest.
    let argon2 = config::Argon2 { memory_kib: 2 * 1024, iterations: 2, lanes: 1 };
    let world = World::with(config::Auth { argon2, ..World::new().config });
    let names = strangers(&world).await;
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); names.len()];
    for _ in 0..25 {
        // In turn, so that what else the machine does hits all of them.
        for (name, times) in names.iter().zip(&mut times) {
            let began = Instant::now();
            assert_eq!(code(world.accounts.login(login(name, "wrong password")).await), Code::BadCredentials);
            times.push(began.elapsed());
        }
    }
    let medians: Vec<_> = times.iter_mut().map(|t| (t.sort(), t[t.len() / 2]).1).collect();
    for (name, median) in names.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "{name} took {median:?}, a known user {:?}", medians[0]);
    }
}

#[tokio::test]
async fn tenants_have_names_of_their_own() {
    let world = World::new();
    let here = world.register("ada").await.user.user.id;
    let elsewhere = TenantId::new(2);
    let there = world
        .accounts
        .add(elsewhere, "ada".into(), None, None, Some("another password".into()), Role::TenantAdmin)
        .await
        .unwrap()
        .id;
    assert_ne!(here, there);
    assert_eq!(code(world.accounts.login(login("ada", "another password")).await), Code::BadCredentials);
    let mut there_login = login("ada", "another password");
    there_login.tenant = Some(elsewhere);
    let grant = world.accounts.login(there_login).await.unwrap();
    let principal = world.who(&grant).await.unwrap().principal;
    assert_eq!((principal.user, principal.tenant, principal.role), (there, elsewhere, Role::TenantAdmin));
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_at_the_next_login() {
    let mut world = World::new();
    world.register("bob").await;
    world.config.argon2.iterations = 2;
    let dearer = world.other_node();
    let stored = || async {
        world.store.account(Who::Username(TENANT_DEFAULT, "bob")).await.unwrap().unwrap().password.unwrap()
    };
    assert!(stored().await.contains("t=1"));
    assert_eq!(code(dearer.login(login("bob", "wrong password")).await), Code::BadCredentials);
    assert!(stored().await.contains("t=1"));
    dearer.login(login("bob", PASSWORD)).await.unwrap();
    assert!(stored().await.contains("t=2"));
    dearer.login(login("bob", PASSWORD)).await.unwrap();
    world.accounts.login(login("bob", PASSWORD)).await.unwrap();
}
