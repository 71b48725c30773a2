//! Who is not in a room learns nothing of it, not even that it is there; who joined later, nothing of before.

use parlance_schema::command::{Command, History, Kind, MemberRole};
use parlance_schema::id::TenantId;
use parlance_schema::user::{Principal, Role};
use parlance_schema::{Code, Fault};
use proptest::prelude::*;

use crate::history::command;
use crate::world::{START, World, create, edit, post, principal, react, user};

/// Where there is no room at all.
fn nowhere(who: &Principal, command: Command) -> Fault {
    World::new().run_as(who, command).expect_err("there is no room")
}

fn stranger(id: u64, tenant: u64, role: Role) -> Principal {
    Principal { user: user(id), tenant: TenantId::new(tenant), role }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strangers_can_t_tell_a_foreign_room_from_none(
        asks in prop::collection::vec(command(), 1..20),
        archived in any::<bool>(),
        kind in 0..3u8,
    ) {
        let kind = [Kind::Group, Kind::Direct, Kind::Conversation][usize::from(kind)];
        let mut world = World::new();
        world.run(1, create(kind, if kind == Kind::Conversation { vec![] } else { vec![2] })).unwrap();
        world.run(1, post("secret")).unwrap();
        // Known to nobody who asks here: their hashes are others.
        let _ = world.run(1, Command::Invite { hash: "unguessed".into(), expires_at: None, uses: None });
        if archived {
            world.run(1, Command::Archive).unwrap();
        }
        let before = world.state().clone();
        for command in asks {
            if matches!(command, Command::Create { .. }) {
                continue;
            }
            for who in [
                stranger(50, 1, Role::User),
                stranger(51, 1, Role::Readonly),
                stranger(52, 1, Role::Manager),
                stranger(53, 2, Role::User),
                stranger(54, 2, Role::Readonly),
                stranger(55, 2, Role::TenantAdmin),
            ] {
                let here = world.run_as(&who, command.clone()).expect_err("a stranger acted");
                prop_assert_eq!(here, nowhere(&who, command.clone()), "{:?} asked {:?}", who, command);
            }
        }
        prop_assert_eq!(world.state(), &before);
    }
}

#[test]
fn an_invite_lets_in_only_who_may_come() {
    let mut world = World::group([2]);
    let invite = |hash: &str, expires_at, uses| Command::Invite { hash: hash.into(), expires_at, uses };
    world.run(1, invite("once", None, Some(1))).unwrap();
    world.run(1, invite("soon", Some(START + 500), None)).unwrap();
    let join = |hash: &str| Command::Join { hash: hash.into() };
    // Another tenant's user learns nothing, even with a good invite.
    let foreign = world.run(20, join("once")).unwrap_err();
    assert_eq!(foreign, nowhere(&principal(20), join("once")));
    // Nor does a moderator from elsewhere become a member: tenants share none.
    assert_eq!(world.run(9, join("once")).unwrap_err().code, Code::InviteGone);
    world.run(3, join("once")).unwrap();
    assert_eq!(world.run(4, join("once")).unwrap_err().code, Code::InviteGone);
    world.run(7, join("soon")).unwrap();
    assert_eq!(world.run(7, post("I only read")).unwrap_err().code, Code::Forbidden);
    world.now += 500;
    assert_eq!(world.run(4, join("soon")).unwrap_err().code, Code::InviteGone);
    world.run(1, invite("back", None, None)).unwrap();
    world.run(1, Command::Ban { user: user(3), until: Some(world.now + 10) }).unwrap();
    assert_eq!(world.run(3, join("back")).unwrap_err().code, Code::Banned);
    world.now += 10;
    world.run(3, join("back")).unwrap();
    assert_eq!(world.run(3, join("back")).unwrap_err().code, Code::Already);
}

#[test]
fn what_was_sent_before_one_joined_is_not_there() {
    let mut world = World::group([2]);
    world.run(1, Command::Configure { history: History::SinceJoined }).unwrap();
    for who in [2, 1, 1] {
        world.run(who, post("before")).unwrap();
    }
    world.run(1, Command::Delete { seq: 5 }).unwrap();
    world.run(2, Command::Leave).unwrap();
    world.run(1, Command::Add { users: vec![user(2), user(3)] }).unwrap();
    world.run(1, Command::Promote { user: user(3), role: MemberRole::Admin }).unwrap();
    let none = world.run(3, react(999, "👍")).unwrap_err();
    for (who, seq) in [(2, 3), (2, 4), (2, 5), (3, 3), (3, 4), (3, 5)] {
        let reply = Command::Post {
            content: parlance_schema::content::Content::text("re"),
            reply_to: Some(seq),
            mentions: Vec::new(),
            meta: Default::default(),
        };
        for command in [
            edit(seq, None, "x"),
            Command::Delete { seq },
            react(seq, "👍"),
            Command::Unreact { seq, emoji: "👍".into() },
            reply,
        ] {
            assert_eq!(world.run(who, command.clone()), Err(none.clone()), "{who} asked {command:?}");
        }
    }
    // A moderator sees everything, and deletes.
    world.run(8, Command::Delete { seq: 4 }).unwrap();
}
