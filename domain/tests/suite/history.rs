//! Random histories: whatever many people ask for, the log and its state keep their promises.

use parlance_domain::room::State;
use parlance_schema::command::{Command, History, Kind, MemberRole};
use parlance_schema::content::{Content, Meta};
use parlance_schema::entry::Fact;
use parlance_schema::limits::REACTIONS_MAX;
use parlance_schema::{Code, Seq, UserId};
use proptest::prelude::*;

use crate::world::{World, code, create, principal, user};

/// Everybody who may turn up.
pub fn who() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1..=6u64, 1 => Just(7u64), 1 => Just(8u64), 1 => Just(9u64), 1 => 20..=22u64]
}

fn end() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..20_000u64).prop_map(|ms| Some(crate::world::START + ms))]
}

fn seq() -> impl Strategy<Value = Seq> {
    0..40u64
}

fn role() -> impl Strategy<Value = MemberRole> {
    prop_oneof![Just(MemberRole::Member), Just(MemberRole::Admin), Just(MemberRole::Owner)]
}

fn hash() -> impl Strategy<Value = String> {
    (0..4u8).prop_map(|n| format!("h{n}"))
}

fn emoji() -> impl Strategy<Value = String> {
    prop_oneof![Just("👍".to_owned()), Just("🫶🏽".to_owned()), (0..60u8).prop_map(|n| format!("e{n}"))]
}

fn history() -> impl Strategy<Value = History> {
    prop_oneof![Just(History::All), Just(History::SinceJoined)]
}

fn words() -> impl Strategy<Value = Content> {
    prop_oneof!["[a-zא-ת ]{0,12}", Just("e\u{301}👩🏽‍🍳".to_owned())].prop_map(Content::text)
}

fn crowd() -> impl Strategy<Value = Vec<UserId>> {
    let few = prop::collection::vec(1..=9u64, 0..4);
    let many = (100..200u64, 0..101u64).prop_map(|(from, count)| (from..from + count).collect());
    prop_oneof![3 => few.boxed(), 1 => many.boxed()].prop_map(|ids: Vec<u64>| ids.into_iter().map(user).collect())
}

fn message() -> impl Strategy<Value = Command> {
    let reply = prop::option::of(seq());
    let mentions = prop::collection::vec((1..=8u64).prop_map(user), 0..2);
    prop_oneof![
        6 => (words(), reply, mentions).prop_map(|(content, reply_to, mentions)| {
            Command::Post { content, reply_to, mentions, meta: Meta::new() }
        }),
        3 => (seq(), prop::option::of(0..3u32), words())
            .prop_map(|(seq, revision, content)| Command::Edit { seq, revision, content }),
        1 => seq().prop_map(|seq| Command::Delete { seq }),
        3 => (seq(), emoji()).prop_map(|(seq, emoji)| Command::React { seq, emoji }),
        1 => (seq(), emoji()).prop_map(|(seq, emoji)| Command::Unreact { seq, emoji }),
    ]
}

fn people() -> impl Strategy<Value = Command> {
    let other = || (1..=9u64).prop_map(user);
    prop_oneof![
        3 => crowd().prop_map(|users| Command::Add { users }),
        2 => other().prop_map(|user| Command::Kick { user }),
        2 => Just(Command::Leave),
        2 => (other(), end()).prop_map(|(user, until)| Command::Ban { user, until }),
        1 => other().prop_map(|user| Command::Unban { user }),
        2 => (other(), end()).prop_map(|(user, until)| Command::Mute { user, until }),
        1 => other().prop_map(|user| Command::Unmute { user }),
        3 => (other(), role()).prop_map(|(user, role)| Command::Promote { user, role }),
        2 => (hash(), end(), prop::option::of(0..3u32))
            .prop_map(|(hash, expires_at, uses)| Command::Invite { hash, expires_at, uses }),
        1 => hash().prop_map(|hash| Command::Uninvite { hash }),
        3 => hash().prop_map(|hash| Command::Join { hash }),
    ]
}

fn room() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => "[a-z\u{7}]{0,3}".prop_map(|name| Command::Rename { name }),
        1 => history().prop_map(|history| Command::Configure { history }),
        1 => Just(Command::Archive),
        2 => Just(Command::Unarchive),
        1 => (crowd()).prop_map(|members| Command::Create {
            kind: Kind::Group, name: "Tea".into(), members, history: History::All
        }),
    ]
}

/// Any command.
pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![6 => message().boxed(), 5 => people().boxed(), 1 => room().boxed()]
}

/// How a room begins.
pub fn opening() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => prop::collection::vec(1..=8u64, 0..6).prop_map(|members| create(Kind::Group, members)),
        1 => Just(create(Kind::Direct, [2])),
        1 => Just(create(Kind::Conversation, [])),
    ]
}

type Step = (u64, u64, Command);

fn steps(count: usize) -> impl Strategy<Value = (Command, Vec<Step>)> {
    (opening(), prop::collection::vec((who(), 0..2_000u64, command()), 1..count))
}

fn lived((opening, steps): (Command, Vec<Step>)) -> World {
    let mut world = World::new();
    world.run(1, opening).unwrap();
    for (who, pause, command) in steps {
        world.now += pause;
        obeyed(&mut world, who, command);
    }
    world
}

/// Gives a command and checks the outcome against what everybody may rely on.
fn obeyed(world: &mut World, who: u64, command: Command) {
    let before = world.state().clone();
    let messages = world.messages.clone();
    let me = principal(who);
    let member = before.members.get(&me.user);
    let moderates = me.moderates(before.tenant);
    let Ok(fact) = world.run(who, command.clone()) else {
        assert_eq!(*world.state(), before, "a refused command had an effect");
        return;
    };
    let own = |seq: &Seq| messages[seq].by == Some(me.user);
    let rank = |user: &UserId| before.members.get(user).map(|m| m.role);
    assert!(member.is_some() || moderates || matches!(fact, Fact::Joined { .. }), "a stranger acted: {command:?}");
    assert!(me.tenant == before.tenant || moderates, "another tenant's user acted");
    if matches!(fact, Fact::Posted { .. } | Fact::Edited { .. } | Fact::Reacted { .. }) {
        let member = member.expect("only members write");
        assert!(!member.is_muted(world.now) && !before.archived);
    }
    match &fact {
        Fact::Edited { target, revision, .. } => {
            assert!(own(target) && messages[target].state.deleted_at.is_none());
            assert_eq!(*revision, messages[target].state.revision + 1);
            let Command::Edit { revision: named, .. } = command else { panic!("an edit from nowhere") };
            assert!(named.is_none_or(|named| named + 1 == *revision));
        }
        Fact::Deleted { target } => {
            assert!(own(target) || moderates || member.is_some_and(|m| m.role >= MemberRole::Admin));
        }
        Fact::Kicked { user, .. } | Fact::Muted { user, .. } | Fact::Unmuted { user } => {
            assert_ne!(*user, me.user);
            assert!(moderates || rank(&me.user) > rank(user), "acted on an equal or higher role");
        }
        Fact::Banned { user, .. } if rank(user).is_some() => {
            assert!(moderates || rank(&me.user) > rank(user), "acted on an equal or higher role");
        }
        Fact::Promoted { user, .. } => {
            assert!(moderates || rank(&me.user) == Some(MemberRole::Owner), "only owners promote");
            assert_ne!(rank(user), Some(MemberRole::Owner));
        }
        Fact::Joined { .. } => {
            let ban = before.bans.get(&me.user);
            assert!(ban.is_none_or(|ban| ban.until.is_some_and(|end| end <= world.now)), "a banned user joined");
        }
        _ => {}
    }
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn every_history_keeps_the_promises(history in steps(80)) {
        lived(history);
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn folding_from_any_snapshot_is_folding_from_the_start(history in steps(60), cut in 0..60usize) {
        let world = lived(history);
        let cut = 1 + cut % world.log.len();
        let folded = State::folded(&world.log[..cut]).unwrap();
        let bytes = rmp_serde::to_vec_named(&folded).unwrap();
        let mut woken: State = rmp_serde::from_slice(&bytes).unwrap();
        prop_assert_eq!(&woken, &folded);
        world.log[cut..].iter().for_each(|entry| woken.fold(entry));
        prop_assert_eq!(&woken, world.state());
        let whole = State::folded(&world.log);
        prop_assert_eq!(whole.as_ref(), Some(&woken));
    }

    #[test]
    fn deleted_stays_deleted_and_all_its_words_are_named(history in steps(80)) {
        let mut world = lived(history);
        for (seq, target) in world.messages.clone() {
            let reactions = &target.state.reactions;
            prop_assert!(reactions.len() <= REACTIONS_MAX);
            prop_assert!(reactions.values().all(|users| !users.is_empty()));
            if target.state.deleted_at.is_none() {
                continue;
            }
            prop_assert_eq!(&target.state.content, &None);
            prop_assert!(reactions.is_empty());
            for entry in &world.log {
                let words = match &entry.fact {
                    Fact::Posted { .. } => entry.seq == seq,
                    Fact::Edited { target, .. } => *target == seq,
                    _ => false,
                };
                prop_assert!(!words || world.erased.contains(&entry.seq), "{} keeps words of {}", entry.seq, seq);
            }
            let sender = target.by.map(UserId::get).unwrap();
            for command in [
                crate::world::edit(seq, None, "again"),
                crate::world::react(seq, "👍"),
                Command::Delete { seq },
            ] {
                // 8 moderates, but writes only where a member; the sender may have left or be muted by now.
                for who in [sender, 8] {
                    let refused = code(world.run(who, command.clone()));
                    prop_assert!(matches!(
                        refused,
                        Code::Deleted | Code::NotFound | Code::Muted | Code::Forbidden | Code::Archived
                    ));
                }
            }
        }
        let posts: Vec<_> = world.erased.iter().map(|seq| &world.log[*seq as usize - 1].fact).collect();
        let only_words = posts.iter().all(|fact| matches!(fact, Fact::Posted { .. } | Fact::Edited { .. }));
        prop_assert!(only_words, "something else was erased");
    }
}
