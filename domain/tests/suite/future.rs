//! Entries and snapshots of other versions: what a node makes of them while a cluster is upgraded.

use parlance_domain::room::{Snapshot, State};
use parlance_schema::command::Command;
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::{Code, Millis, Seq};

use crate::world::{World, code, post, principal, react, user};

/// An entry with a fact that only later versions know, as one of them writes it.
fn from_the_future(world: &World, posts: u64) -> Entry {
    #[derive(serde::Serialize)]
    struct Future {
        seq: Seq,
        at: Millis,
        by: u64,
        client_id: &'static str,
        posts: u64,
        append: u64,
        fact: &'static str,
        target: Seq,
        note: Vec<(u8, Option<&'static str>)>,
    }
    let (seq, at, by, client_id, append) = (world.log.len() as Seq + 1, world.now, 2, "future", 99);
    let (fact, target, note) = ("pinned", 2, vec![(1, None), (2, Some("later"))]);
    let bytes = rmp_serde::to_vec_named(&Future { seq, at, by, client_id, posts, append, fact, target, note }).unwrap();
    let entry = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(rmp_serde::to_vec_named(&entry).unwrap(), bytes, "it is written back as it was");
    entry
}

#[test]
fn what_is_not_known_changes_nothing_but_the_numbers() {
    let mut world = World::group([2]);
    world.run(1, post("hello")).unwrap();
    let before = world.state().clone();
    let entry = from_the_future(&world, 1);
    assert!(matches!(entry.fact, Fact::Unknown(_)));
    assert_eq!(entry.membership().count(), 0);
    let mut state = before.clone();
    state.fold(&entry);
    let (last, last_append, passed_over) = (3, 99, 3);
    assert_eq!(state, State { last, last_append, passed_over, updated_at: entry.at, ..before });
    // It is no message either.
    world.state = Some(state);
    world.log.push(entry);
    assert_eq!(code(world.run(1, react(3, "👍"))), Code::NotFound);
}

#[test]
fn a_later_kind_of_message_counts_as_the_entry_says() {
    let mut world = World::group([2]);
    world.run(1, post("hello")).unwrap();
    let entry = from_the_future(&world, 2);
    let mut state = world.state().clone();
    state.fold(&entry);
    assert_eq!((state.posts, state.last_post), (2, 2));
}

fn kept(state: &State) -> Vec<u8> {
    rmp_serde::to_vec_named(&Snapshot::of(state)).unwrap()
}

fn read(bytes: &[u8]) -> Option<State> {
    rmp_serde::from_slice::<Snapshot>(bytes).ok()?.usable()
}

/// A snapshot as another version would have written it.
fn written_by(bytes: &[u8], change: impl FnOnce(&mut Snapshot)) -> Vec<u8> {
    let mut snapshot: Snapshot = rmp_serde::from_slice(bytes).unwrap();
    change(&mut snapshot);
    rmp_serde::to_vec_named(&snapshot).unwrap()
}

#[test]
fn a_snapshot_is_used_only_where_it_is_what_this_version_would_have_folded() {
    let mut world = World::group([2]);
    world.run(1, post("hello")).unwrap();
    let bytes = kept(world.state());
    assert_eq!(read(&bytes).as_ref(), Some(world.state()));
    assert_eq!(read(&written_by(&bytes, |snapshot| snapshot.form += 1)), None);
    assert_eq!(read(&written_by(&bytes, |snapshot| snapshot.form = 0)), None);
    // Others knew more, or less, but met nothing that they didn't know.
    for facts in [3, 300] {
        assert_eq!(read(&written_by(&bytes, |snapshot| snapshot.facts = facts)).as_ref(), Some(world.state()));
    }
    // What had no version, and what is damaged.
    assert_eq!(read(&rmp_serde::to_vec_named(world.state()).unwrap()), None);
    assert_eq!(read(&bytes[..bytes.len() - 1]), None);
    assert_eq!(read(b"\xc1"), None);
}

#[test]
fn a_snapshot_that_passed_something_over_is_not_used_by_who_knows_it() {
    let world = World::group([2]);
    let mut state = world.state().clone();
    state.fold(&from_the_future(&world, 0));
    let bytes = kept(&state);
    assert_eq!(read(&bytes), Some(state));
    assert_eq!(read(&written_by(&bytes, |snapshot| snapshot.facts -= 1)), None, "an older version passed it over");
}

#[test]
fn a_ban_says_whether_it_removed_somebody() {
    let mut world = World::group([2]);
    for (who, was_member) in [(2, true), (3, false), (2, false)] {
        let until = Some(world.now + 1_000 + world.log.len() as Seq);
        let fact = world.run(1, Command::Ban { user: user(who), until }).unwrap();
        let Fact::Banned { removed, .. } = fact else { panic!("{fact:?}") };
        assert_eq!(removed, was_member);
        let gone: Vec<_> = world.log.last().unwrap().removed().collect();
        assert_eq!(gone, if was_member { vec![user(who)] } else { Vec::new() });
    }
    assert!(!world.state().members.contains_key(&principal(2).user));
}
