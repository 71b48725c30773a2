//! A room and the people around it: gives commands, keeps the log, and checks after each what must always hold.

use std::collections::BTreeMap;

use parlance_domain::message::{self, Target};
use parlance_domain::room::{self, Ask, State};
use parlance_schema::command::{Command, History, Kind, MemberRole};
use parlance_schema::content::{Content, Meta};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::limits::{INVITES_MAX, MEMBERS_MAX};
use parlance_schema::user::{Principal, Role};
use parlance_schema::{ClientId, Code, Fault, MessageId, Millis, Seq, TenantId, UserId};

/// When all histories begin.
pub const START: Millis = 1_790_000_000_000;

pub fn user(id: u64) -> UserId {
    UserId::new(id)
}

/// Who is who: 1 to 6 are users, 7 reads only, 8 moderates the tenant, 9 everything; from 20 on they are of tenant 2,
/// where 22 moderates. All others are users of tenant 1.
pub fn principal(id: u64) -> Principal {
    let (tenant, role) = match id {
        7 => (1, Role::Readonly),
        8 => (1, Role::TenantAdmin),
        9 => (3, Role::SuperAdmin),
        20 | 21 => (2, Role::User),
        22 => (2, Role::TenantAdmin),
        _ => (1, Role::User),
    };
    Principal { user: user(id), tenant: TenantId::new(tenant), role }
}

pub fn create(kind: Kind, members: impl IntoIterator<Item = u64>) -> Command {
    let name = if kind == Kind::Direct { String::new() } else { "Tea".to_owned() };
    Command::Create { kind, name, members: members.into_iter().map(user).collect(), history: History::All }
}

pub fn post(text: &str) -> Command {
    Command::Post { content: Content::text(text), reply_to: None, mentions: Vec::new(), meta: Meta::new() }
}

pub fn edit(seq: Seq, revision: Option<u32>, text: &str) -> Command {
    Command::Edit { seq, revision, content: Content::text(text) }
}

pub fn react(seq: Seq, emoji: &str) -> Command {
    Command::React { seq, emoji: emoji.to_owned() }
}

/// A room's log, its state, and its messages as they are.
#[derive(Clone, Default)]
pub struct World {
    pub state: Option<State>,
    pub log: Vec<Entry>,
    pub messages: BTreeMap<Seq, Target>,
    pub erased: Vec<Seq>,
    pub now: Millis,
}

impl World {
    pub fn new() -> Self {
        Self { now: START, ..Self::default() }
    }

    /// A group that 1 owns, with these members.
    pub fn group(members: impl IntoIterator<Item = u64>) -> Self {
        let mut world = Self::new();
        world.run(1, create(Kind::Group, members)).unwrap();
        world
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    pub fn role(&self, id: u64) -> Option<MemberRole> {
        self.state.as_ref()?.members.get(&user(id)).map(|member| member.role)
    }

    /// Gives a command; takes what it comes to into the log.
    pub fn run(&mut self, who: u64, command: Command) -> Result<Fact, Fault> {
        self.run_as(&principal(who), command)
    }

    pub fn run_as(&mut self, who: &Principal, command: Command) -> Result<Fact, Fault> {
        let before = self.state.clone();
        let target = room::needs(&command).and_then(|seq| self.messages.get(&seq)).cloned();
        let id = MessageId::new(self.log.len() as u64 + 1);
        let ask = Ask { who, command: &command, now: self.now, id, target: target.as_ref() };
        let decided = room::decide(self.state.as_ref(), &ask);
        assert_eq!(decided, room::decide(before.as_ref(), &ask), "the same question, another answer");
        assert_eq!(self.state, before, "deciding changed the state");
        let fact = decided?;
        self.take_in(who.user, fact.clone());
        self.check(before.as_ref());
        Ok(fact)
    }

    fn take_in(&mut self, by: UserId, fact: Fact) {
        let seq = self.log.len() as Seq + 1;
        let posted = matches!(fact, Fact::Posted { .. });
        let posts = self.log.last().map_or(0, |entry| entry.posts) + u64::from(posted);
        let client_id = ClientId::new(format!("c{seq}")).unwrap();
        let entry = Entry { seq, at: self.now, by, client_id, posts, append: seq * 7, fact };
        match &mut self.state {
            Some(state) => state.fold(&entry),
            None => self.state = State::opened(&entry),
        }
        if posted {
            self.messages.insert(seq, Target { by: Some(by), ..Target::default() });
        } else if let Some(target) = entry.message().and_then(|seq| self.messages.get_mut(&seq)) {
            message::fold(&mut target.state, &entry);
            self.erased.extend(message::erased(&target.state, &entry));
        }
        self.log.push(entry);
    }

    /// What holds after every entry, said anew rather than asked of the code.
    fn check(&self, before: Option<&State>) {
        let state = self.state();
        let posts = self.log.iter().filter(|entry| matches!(entry.fact, Fact::Posted { .. })).count() as u64;
        assert_eq!((state.last, state.posts), (self.log.len() as Seq, posts));
        assert!(self.log.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "numbers have a gap");
        assert!(state.members.len() <= MEMBERS_MAX);
        let owners = state.members.values().filter(|member| member.role == MemberRole::Owner).count();
        if state.kind == Kind::Direct {
            let first = State::opened(&self.log[0]).unwrap();
            assert_eq!(owners, 0);
            assert_eq!(state.members.len(), 2);
            assert!(state.members.keys().eq(first.members.keys()), "a direct room changed its members");
        } else {
            assert_eq!(owners, usize::from(!state.members.is_empty()));
        }
        assert!(state.invites.len() <= 2 * INVITES_MAX);
        let entry = self.log.last().unwrap();
        if let Some(before) = before {
            // What is noted for the lists of rooms is exactly how the members differ.
            let mut members: Vec<UserId> = before.members.keys().copied().collect();
            for (user, there) in entry.membership() {
                assert_ne!(members.contains(&user), there, "a change that changes nothing");
                if there { members.push(user) } else { members.retain(|m| *m != user) }
            }
            members.sort_unstable();
            assert!(state.members.keys().eq(members.iter()), "what the entry says of members, and folding it, differ");
        }
        for (user, member) in &state.members {
            let theirs = self.log.iter().filter(|e| e.seq > member.joined && e.by == *user);
            let own: Vec<Seq> = theirs.filter(|e| matches!(e.fact, Fact::Posted { .. })).map(|e| e.seq).collect();
            assert_eq!((member.own, member.last_own), (own.len() as u64, own.last().copied().unwrap_or(0)));
        }
    }
}

/// The code of a refusal.
pub fn code(outcome: Result<Fact, Fault>) -> Code {
    outcome.expect_err("it was accepted").code
}
