//! An independent model of who may do what: plain lists, none of the code under test. It predicts acceptance, members,
//! roles and posts.

use parlance_schema::command::{Command, Kind, MemberRole};
use proptest::prelude::*;

use crate::world::{World, create, post, principal, user};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rank {
    Member = 1,
    Admin,
    Owner,
}

/// One who is in the room, in order of joining.
#[derive(Clone, Copy, Debug)]
struct Person {
    id: u64,
    rank: Rank,
    /// Which of the entries brought them in.
    since: usize,
    /// Silent until then.
    mute: u64,
}

/// What is asked, in the model's own words.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Say,
    Add(u64, u64),
    Kick(u64),
    Ban(u64),
    Unban(u64),
    Mute(u64, u64),
    Unmute(u64),
    Promote(u64, Rank),
    Leave,
    Rename,
    Close,
    Open,
}

#[derive(Debug, Default)]
struct Model {
    people: Vec<Person>,
    banned: Vec<u64>,
    /// Who has left while muted, and until when they are.
    silent_ones_outside: Vec<(u64, u64)>,
    closed: bool,
    said: u64,
    now: u64,
    entries: usize,
}

const CROWD: u64 = 300;

impl Model {
    fn new(creator: u64) -> Self {
        Self { people: vec![Person { id: creator, rank: Rank::Owner, since: 0, mute: 0 }], ..Self::default() }
    }

    fn rank(&self, id: u64) -> usize {
        self.people.iter().find(|p| p.id == id).map_or(0, |p| p.rank as usize)
    }

    fn is_in(&self, id: u64) -> bool {
        self.rank(id) > 0
    }

    fn remove(&mut self, id: u64) {
        let silent = self.people.iter().find(|p| p.id == id && p.mute > self.now).map(|p| (id, p.mute));
        self.silent_ones_outside.extend(silent);
        let owned = self.rank(id) == 3;
        self.people.retain(|p| p.id != id);
        if owned {
            // The longest there, of the admins if there are any; who came together is told apart by number.
            let admins = self.people.iter().any(|p| p.rank == Rank::Admin);
            let heirs = self.people.iter_mut().filter(|p| !admins || p.rank == Rank::Admin);
            if let Some(heir) = heirs.min_by_key(|p| (p.since, p.id)) {
                heir.rank = Rank::Owner;
            }
        }
    }

    fn with(&mut self, id: u64, change: impl FnOnce(&mut Person)) {
        change(self.people.iter_mut().find(|p| p.id == id).unwrap());
    }

    /// Whether it may be done; does it.
    fn grant(&mut self, who: u64, wish: Wish) -> bool {
        let boss = who == 8 || who == 9;
        let mine = self.rank(who);
        if who == 7 && !matches!(wish, Wish::Leave) {
            return false;
        }
        if who >= 20 || (mine == 0 && !boss) {
            return false;
        }
        let staff = boss || mine >= 2;
        let closed = self.closed;
        let over = |model: &Self, id: u64| staff && id != who && model.is_in(id) && (boss || mine > model.rank(id));
        match wish {
            Wish::Say => {
                let heard = !closed && self.people.iter().any(|p| p.id == who && p.mute <= self.now);
                self.said += u64::from(heard);
                heard
            }
            Wish::Add(from, count) => self.add(!closed && staff, from, count),
            Wish::Kick(id) => over(self, id) && self.then(|m| m.remove(id)),
            Wish::Ban(id) => {
                let may = if self.is_in(id) { over(self, id) } else { staff };
                may && !self.banned.contains(&id)
                    && self.then(|m| {
                        m.remove(id);
                        m.banned.push(id);
                    })
            }
            Wish::Unban(id) => {
                !closed && staff && self.banned.contains(&id) && self.then(|m| m.banned.retain(|b| *b != id))
            }
            Wish::Mute(id, ms) => {
                let until = self.now + ms;
                !closed
                    && over(self, id)
                    && ms > 0
                    && !self.people.iter().any(|p| p.id == id && p.mute == until)
                    && self.then(|m| m.with(id, |p| p.mute = until))
            }
            Wish::Unmute(id) => {
                let muted = self.people.iter().any(|p| p.id == id && p.mute > self.now);
                !closed && over(self, id) && muted && self.then(|m| m.with(id, |p| p.mute = 0))
            }
            Wish::Promote(id, rank) => self.promote(!closed && (boss || mine == 3), id, rank),
            Wish::Leave => self.is_in(who) && self.then(|m| m.remove(who)),
            Wish::Rename => !closed && staff,
            Wish::Close => (boss || mine == 3) && !closed && self.then(|m| m.closed = true),
            Wish::Open => (boss || mine == 3) && closed && self.then(|m| m.closed = false),
        }
    }

    fn then(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        change(self);
        true
    }

    fn add(&mut self, may: bool, from: u64, count: u64) -> bool {
        let new: Vec<u64> = (from..from + count).filter(|id| !self.is_in(*id)).collect();
        if !may
            || new.is_empty()
            || new.iter().any(|id| self.banned.contains(id))
            || self.people.len() + new.len() > 100
        {
            return false;
        }
        for id in new {
            let rank = if self.people.is_empty() { Rank::Owner } else { Rank::Member };
            let left = self.silent_ones_outside.iter().position(|(who, _)| *who == id);
            let mute = left.map_or(0, |at| self.silent_ones_outside.remove(at).1);
            self.people.push(Person { id, rank, since: self.entries, mute });
        }
        true
    }

    fn promote(&mut self, may: bool, id: u64, rank: Rank) -> bool {
        if !may || !self.is_in(id) || self.rank(id) == rank as usize || self.rank(id) == 3 {
            return false;
        }
        if rank == Rank::Owner {
            self.people.iter_mut().filter(|p| p.rank == Rank::Owner).for_each(|p| p.rank = Rank::Admin);
        }
        self.with(id, |p| p.rank = rank);
        true
    }
}

fn asked(wish: Wish, now: u64) -> Command {
    match wish {
        Wish::Say => post("hello"),
        Wish::Add(from, count) => Command::Add { users: (from..from + count).map(user).collect() },
        Wish::Kick(id) => Command::Kick { user: user(id) },
        Wish::Ban(id) => Command::Ban { user: user(id), until: None },
        Wish::Unban(id) => Command::Unban { user: user(id) },
        Wish::Mute(id, ms) => Command::Mute { user: user(id), until: Some(now + ms) },
        Wish::Unmute(id) => Command::Unmute { user: user(id) },
        Wish::Promote(id, rank) => Command::Promote { user: user(id), role: role(rank) },
        Wish::Leave => Command::Leave,
        Wish::Rename => Command::Rename { name: "Coffee".into() },
        Wish::Close => Command::Archive,
        Wish::Open => Command::Unarchive,
    }
}

fn role(rank: Rank) -> MemberRole {
    match rank {
        Rank::Member => MemberRole::Member,
        Rank::Admin => MemberRole::Admin,
        Rank::Owner => MemberRole::Owner,
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    let who = || 1..=9u64;
    let rank = prop_oneof![Just(Rank::Member), Just(Rank::Admin), Just(Rank::Owner)];
    prop_oneof![
        4 => Just(Wish::Say),
        4 => (who(), 1..4u64).prop_map(|(from, count)| Wish::Add(from, count)),
        1 => (CROWD..CROWD + 80, 1..101u64).prop_map(|(from, count)| Wish::Add(from, count)),
        2 => who().prop_map(Wish::Kick),
        2 => who().prop_map(Wish::Ban),
        2 => who().prop_map(Wish::Unban),
        2 => (who(), 0..3_000u64).prop_map(|(id, ms)| Wish::Mute(id, ms)),
        1 => who().prop_map(Wish::Unmute),
        4 => (who(), rank).prop_map(|(id, rank)| Wish::Promote(id, rank)),
        2 => Just(Wish::Leave),
        1 => Just(Wish::Rename),
        1 => Just(Wish::Close),
        2 => Just(Wish::Open),
    ]
}

/// Pushes a history through both and compares what is left.
fn agree(members: &[u64], steps: Vec<(u64, u64, Wish)>) {
    let mut world = World::new();
    world.run(1, create(Kind::Group, members.iter().copied())).unwrap();
    let mut model = Model::new(1);
    model.now = world.now;
    for id in members {
        model.add(true, *id, 1);
    }
    for (who, pause, wish) in steps {
        world.now += pause;
        model.now = world.now;
        model.entries += 1;
        let real = world.run(who, asked(wish, world.now));
        let expected = model.grant(who, wish);
        assert_eq!(real.is_ok(), expected, "{who} wished {wish:?}: {real:?}, model {model:?}");
        assert_eq!(world.state().posts, model.said);
        let mut people: Vec<_> = model.people.iter().map(|p| (user(p.id), role(p.rank))).collect();
        people.sort_by_key(|(user, _)| *user);
        let real: Vec<_> = world.state().members.iter().map(|(user, member)| (*user, member.role)).collect();
        assert_eq!(real, people, "after {who} wished {wish:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_model_and_the_law_agree(
        members in prop::collection::vec(2..=8u64, 0..5),
        steps in prop::collection::vec((crate::history::who(), 0..1_000u64, wish()), 1..80),
    ) {
        agree(&members, steps);
    }
}

#[test]
fn the_model_knows_the_people_it_speaks_of() {
    assert!(principal(8).moderates(principal(1).tenant) && principal(9).moderates(principal(1).tenant));
    assert!((1..=7).all(|id| !principal(id).moderates(principal(1).tenant)));
    assert!((20..=22).all(|id| !principal(id).moderates(principal(1).tenant)));
}
