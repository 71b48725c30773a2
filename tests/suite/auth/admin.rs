//! What administrators may do to whose account.

use parlance::auth::By;
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Code, TenantId, UserId};

use super::World;

async fn make(world: &World, tenant: u64, name: &str, role: Role) -> Principal {
    let tenant = TenantId::new(tenant);
    let made = world.accounts.add(tenant, name.into(), None, None, None, role).await.unwrap();
    Principal { user: made.id, tenant, role }
}

#[tokio::test]
async fn roles_bound_what_administrators_do() {
    let world = World::new();
    let root = make(&world, 1, "root", Role::SuperAdmin).await;
    let admin = make(&world, 1, "admin", Role::TenantAdmin).await;
    let far_admin = make(&world, 2, "far-admin", Role::TenantAdmin).await;
    let manager = make(&world, 1, "manager", Role::Manager).await;
    let user = make(&world, 1, "user", Role::User).await;
    // Who, whom, to which role, and what comes of it.
    let cases = [
        (root, admin, Role::SuperAdmin, Ok(())),
        (root, admin, Role::TenantAdmin, Ok(())),
        (root, far_admin, Role::User, Ok(())),
        (root, far_admin, Role::TenantAdmin, Ok(())),
        (root, root, Role::User, Err(Code::Forbidden)),
        (admin, user, Role::TenantAdmin, Ok(())),
        (admin, user, Role::User, Ok(())),
        (admin, user, Role::SuperAdmin, Err(Code::Forbidden)),
        (admin, root, Role::User, Err(Code::Forbidden)),
        (admin, admin, Role::User, Err(Code::Forbidden)),
        (far_admin, user, Role::Readonly, Err(Code::NotFound)),
        (manager, user, Role::Readonly, Err(Code::Forbidden)),
        (user, user, Role::SuperAdmin, Err(Code::Forbidden)),
    ];
    for (by, whom, role, expected) in cases {
        let outcome = world.accounts.set_role(By::User(by), whom.user, role).await.map_err(|f| f.code);
        assert_eq!(outcome.map(drop), expected, "{by:?} makes {whom:?} {role:?}");
    }
    for (by, whom, expected) in [
        (admin, user, Ok(())),
        (admin, root, Err(Code::Forbidden)),
        (far_admin, user, Err(Code::NotFound)),
        (manager, user, Err(Code::Forbidden)),
        (user, user, Err(Code::Forbidden)),
        (root, root, Err(Code::Forbidden)),
    ] {
        let outcome = world.accounts.set_active(By::User(by), whom.user, false).await.map_err(|f| f.code);
        assert_eq!(outcome.map(drop), expected, "{by:?} disables {whom:?}");
    }
    let nobody = UserId::new(999_999);
    let outcome = world.accounts.set_role(By::User(root), nobody, Role::User).await;
    assert_eq!(outcome.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn what_is_done_is_noted_and_what_is_not_is_not() {
    let world = World::new();
    let user = make(&world, 1, "user", Role::User).await;
    let admin = By::User(make(&world, 1, "admin", Role::TenantAdmin).await);
    let before = world.store.audited();
    world.accounts.set_role(admin, user.user, Role::Manager).await.unwrap();
    world.accounts.set_role(admin, user.user, Role::Manager).await.unwrap();
    world.accounts.set_active(admin, user.user, true).await.unwrap();
    assert_eq!(world.store.audited(), before + 1);
    assert_eq!(world.bus.revoked(user.user).len(), 1);
    world.accounts.set_active(admin, user.user, false).await.unwrap();
    world.accounts.set_active(admin, user.user, true).await.unwrap();
    world.accounts.set_role(By::User(user), user.user, Role::SuperAdmin).await.unwrap_err();
    assert_eq!(world.store.audited(), before + 3);
}
