//! Rules by example, one scene each: mutes, bans, archives, roles, direct rooms, edits.

use parlance_schema::Code;
use parlance_schema::command::{Command, Kind, MemberRole};
use parlance_schema::entry::Fact;

use crate::world::{World, code, create, edit, post, react, user};

fn promote(id: u64, role: MemberRole) -> Command {
    Command::Promote { user: user(id), role }
}

#[test]
fn the_muted_are_silent_until_their_time() {
    let mut world = World::group([2, 3]);
    world.run(2, post("mine")).unwrap();
    let until = Some(world.now + 100);
    world.run(1, Command::Mute { user: user(2), until }).unwrap();
    for command in [post("x"), edit(2, None, "x"), react(2, "👍")] {
        assert_eq!(code(world.run(2, command)), Code::Muted);
    }
    world.run(2, Command::Delete { seq: 2 }).unwrap();
    world.now += 99;
    assert_eq!(code(world.run(2, post("x"))), Code::Muted);
    world.now += 1;
    world.run(2, post("free")).unwrap();
    world.run(1, Command::Mute { user: user(2), until: None }).unwrap();
    world.now += 1 << 40;
    assert_eq!(code(world.run(2, post("x"))), Code::Muted);
    world.run(1, Command::Unmute { user: user(2) }).unwrap();
    world.run(2, post("free")).unwrap();
}

#[test]
fn leaving_and_coming_back_is_no_way_out_of_a_mute() {
    let mut world = World::group([2, 3]);
    let until = Some(world.now + 100);
    world.run(1, Command::Invite { hash: "h".into(), expires_at: None, uses: None }).unwrap();
    world.run(1, Command::Mute { user: user(2), until: None }).unwrap();
    world.run(1, Command::Mute { user: user(3), until }).unwrap();
    for who in [2, 3] {
        world.run(who, Command::Leave).unwrap();
        world.run(who, Command::Join { hash: "h".into() }).unwrap();
        assert_eq!(code(world.run(who, post("x"))), Code::Muted);
    }
    world.run(1, Command::Kick { user: user(2) }).unwrap();
    world.run(1, Command::Add { users: vec![user(2)] }).unwrap();
    assert_eq!(code(world.run(2, post("x"))), Code::Muted);
    world.run(1, Command::Unmute { user: user(2) }).unwrap();
    world.run(2, Command::Leave).unwrap();
    world.run(2, Command::Join { hash: "h".into() }).unwrap();
    world.run(2, post("free")).unwrap();
    world.now += 100;
    world.run(3, post("free")).unwrap();
}

#[test]
fn the_banned_stay_out_until_they_are_let_back_in() {
    let mut world = World::group([2]);
    world.run(1, Command::Ban { user: user(2), until: None }).unwrap();
    assert_eq!(code(world.run(1, Command::Add { users: vec![user(2)] })), Code::Banned);
    world.run(1, Command::Unban { user: user(2) }).unwrap();
    world.run(1, Command::Add { users: vec![user(2)] }).unwrap();
    world.run(2, post("back")).unwrap();
}

#[test]
fn an_archived_room_is_read_only() {
    let mut world = World::group([2, 3]);
    world.run(2, post("old")).unwrap();
    assert_eq!(code(world.run(2, Command::Archive)), Code::Forbidden);
    world.run(1, Command::Archive).unwrap();
    assert_eq!(code(world.run(1, Command::Archive)), Code::Already);
    let refused = [
        post("x"),
        edit(2, None, "x"),
        react(2, "👍"),
        Command::Rename { name: "X".into() },
        Command::Add { users: vec![user(4)] },
        promote(2, MemberRole::Admin),
    ];
    for command in refused {
        assert_eq!(code(world.run(1, command)), Code::Archived);
    }
    world.run(2, Command::Delete { seq: 2 }).unwrap();
    world.run(3, Command::Leave).unwrap();
    world.run(1, Command::Unarchive).unwrap();
    assert_eq!(code(world.run(1, Command::Unarchive)), Code::Already);
    world.run(2, post("new")).unwrap();
}

#[test]
fn the_room_is_handed_on_and_inherited() {
    let mut world = World::group([2, 3, 4]);
    world.run(1, promote(4, MemberRole::Admin)).unwrap();
    assert_eq!(code(world.run(4, promote(3, MemberRole::Admin))), Code::Forbidden);
    assert_eq!(code(world.run(4, Command::Kick { user: user(1) })), Code::Forbidden);
    assert_eq!(code(world.run(1, promote(1, MemberRole::Member))), Code::Forbidden);
    assert_eq!(
        world.run(1, Command::Leave),
        Ok(Fact::Left { heir: Some(user(4)) }),
        "the admin before who came earlier"
    );
    world.run(4, promote(3, MemberRole::Owner)).unwrap();
    assert_eq!((world.role(3), world.role(4)), (Some(MemberRole::Owner), Some(MemberRole::Admin)));
    assert_eq!(world.run(8, Command::Kick { user: user(3) }), Ok(Fact::Kicked { user: user(3), heir: Some(user(4)) }));
    world.run(2, Command::Leave).unwrap();
    assert_eq!(world.run(4, Command::Leave), Ok(Fact::Left { heir: None }));
    assert!(world.state().members.is_empty());
    world.run(8, Command::Add { users: vec![user(5), user(6)] }).unwrap();
    assert_eq!((world.role(5), world.role(6)), (Some(MemberRole::Owner), Some(MemberRole::Member)));
}

#[test]
fn a_direct_room_stays_two() {
    let mut world = World::new();
    assert_eq!(code(world.run(1, create(Kind::Direct, [1]))), Code::Invalid);
    assert_eq!(code(world.run(1, create(Kind::Direct, [2, 3]))), Code::Invalid);
    world.run(1, create(Kind::Direct, [2])).unwrap();
    for command in [
        Command::Leave,
        Command::Add { users: vec![user(3)] },
        Command::Kick { user: user(2) },
        Command::Ban { user: user(2), until: None },
        Command::Invite { hash: "h".into(), expires_at: None, uses: None },
        promote(2, MemberRole::Owner),
        Command::Rename { name: "X".into() },
    ] {
        for who in [1, 8, 9] {
            assert_eq!(code(world.run(who, command.clone())), Code::Forbidden, "{who} asked {command:?}");
        }
    }
    world.run(2, Command::Archive).unwrap();
    world.run(1, Command::Unarchive).unwrap();
    world.run(1, post("hi")).unwrap();
    assert_eq!(code(world.run(2, Command::Delete { seq: 4 })), Code::Forbidden);
}

#[test]
fn an_edit_names_what_it_replaces() {
    let mut world = World::group([2]);
    world.run(2, post("v0")).unwrap();
    assert_eq!(code(world.run(1, edit(2, None, "x"))), Code::Forbidden);
    assert_eq!(code(world.run(8, edit(2, None, "x"))), Code::Forbidden);
    world.run(2, edit(2, Some(0), "v1")).unwrap();
    assert_eq!(code(world.run(2, edit(2, Some(0), "v1 again"))), Code::Stale);
    world.run(2, edit(2, None, "v2")).unwrap();
    world.run(2, edit(2, Some(2), "v3")).unwrap();
    world.run(1, Command::Delete { seq: 2 }).unwrap();
    assert_eq!(code(world.run(2, edit(2, Some(3), "v4"))), Code::Deleted);
    assert_eq!(world.erased, [2, 3, 4, 5]);
}

#[test]
fn moderators_act_but_don_t_write_where_they_are_not() {
    let mut world = World::group([2]);
    world.run(2, post("rude")).unwrap();
    for who in [8, 9] {
        for command in [post("x"), react(2, "👍")] {
            assert_eq!(code(world.run(who, command)), Code::Forbidden);
        }
        world.run(who, Command::Mute { user: user(2), until: None }).unwrap();
        world.run(who, Command::Unmute { user: user(2) }).unwrap();
    }
    assert_eq!(code(world.run(22, Command::Delete { seq: 2 })), Code::NotFound);
    world.run(9, Command::Delete { seq: 2 }).unwrap();
}
