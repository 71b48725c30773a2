//! Who waits for whom, step by step.

use parlance_domain::room::writer::{Appended, Effect, Env, Envelope, Found, Input, Unread, Writer};
use parlance_schema::command::Command;
use parlance_schema::view::Done;
use parlance_schema::{ClientId, Code, Fault, MessageId, RoomId};

use super::store::Store;
use crate::world::{START, edit, post, principal, react, user};

/// A writer of a group of 1 to 6, whose log has ten entries.
struct Desk {
    store: Store,
    writer: Writer<u64>,
    single_node: bool,
    next: u64,
}

type Effects = Vec<Effect<u64>>;
type Answered = (u64, Result<Done, Fault>);

impl Desk {
    fn new(single_node: bool) -> Self {
        let store = Store::new(10);
        let writer = Writer::new(RoomId::new(1), Some(store.state().clone()), 0, 0);
        Self { store, writer, single_node, next: 1 << 30 }
    }

    fn step(&mut self, input: Input<u64>) -> Effects {
        self.next += 100;
        let (mut id, mut random) = (self.next, self.next);
        let mut env = Env {
            now: START,
            elapsed_ms: 0,
            random: &mut || {
                random += 1;
                random
            },
            message_id: &mut || {
                id += 1;
                Some(MessageId::new(id))
            },
            single_node: self.single_node,
            at_home: true,
            idle_ms: 60_000,
        };
        self.writer.step(&mut env, input).collect()
    }

    fn ask(&mut self, reply: u64, who: u64, command: Command) -> Effects {
        let client_id = ClientId::new(format!("c{reply}")).unwrap();
        self.step(Input::Ask(Box::new(Envelope { who: principal(who), client_id, command, reply })))
    }

    /// Does what is asked of the store, but for look-ups; says who was answered what, and what is to be looked up.
    fn serve(&mut self, effects: Effects) -> (Vec<Answered>, Effects) {
        let (mut replies, mut lookups) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Append(id, append) => {
                    let outcome = self.store.append(&append);
                    let effects = self.step(Input::Appended(id, outcome));
                    let (more, asked) = self.serve(effects);
                    replies.extend(more);
                    lookups.extend(asked);
                }
                Effect::Reply(reply, outcome) => replies.push((reply, outcome)),
                Effect::LookUp(..) => lookups.push(effect),
                _ => {}
            }
        }
        (replies, lookups)
    }

    fn found(&mut self, lookup: &Effect<u64>) -> Effects {
        let Effect::LookUp(id, wanted) = lookup else { panic!("{lookup:?}") };
        let found = self.store.look_up(&mut super::Rng(1), 0, wanted);
        self.step(Input::Found(*id, Box::new(found)))
    }
}

#[test]
fn nobody_waits_for_the_reads_that_others_refused_commands_need() {
    for single_node in [true, false] {
        let mut desk = Desk::new(single_node);
        let mut lookups = Effects::new();
        // Refused at once; about messages that must be read; about what is no message.
        for (reply, command) in
            [Command::Kick { user: user(1) }, edit(3, None, "mine"), react(1, "👍"), edit(9_999, None, "x")]
                .into_iter()
                .enumerate()
        {
            let effects = desk.ask(reply as u64, 2, command);
            let (replies, asked) = desk.serve(effects);
            assert!(replies.is_empty(), "{replies:?}");
            lookups.extend(asked);
        }
        for reply in 100..300 {
            let effects = desk.ask(reply, 3 + reply % 4, post("others"));
            let (replies, asked) = desk.serve(effects);
            assert!(matches!(replies[..], [(to, Ok(_))] if to == reply), "{replies:?}");
            lookups.extend(asked);
        }
        assert!(lookups.len() <= 4, "too many reads at a time");
        let mut answered = Vec::new();
        while let Some(lookup) = lookups.pop() {
            let effects = desk.found(&lookup);
            let (replies, asked) = desk.serve(effects);
            answered.extend(replies);
            lookups.extend(asked);
        }
        answered.sort_by_key(|(reply, _)| *reply);
        let codes: Vec<_> =
            answered.iter().map(|(reply, outcome)| (*reply, outcome.as_ref().unwrap_err().code)).collect();
        let expected = [Code::Forbidden, Code::Forbidden, Code::NotFound, Code::NotFound];
        assert_eq!(codes, (0..).zip(expected).collect::<Vec<_>>());
    }
}

#[test]
fn a_sender_s_commands_are_done_in_their_order_though_one_must_be_looked_up() {
    let mut desk = Desk::new(false);
    let effects = desk.ask(1, 3, react(2, "👍"));
    let (replies, lookups) = desk.serve(effects);
    assert!(replies.is_empty() && lookups.len() == 1);
    let effects = desk.ask(2, 3, post("after it"));
    assert!(desk.serve(effects).0.is_empty(), "it overtook an earlier command of its sender");
    let effects = desk.found(&lookups[0]);
    let replies: Vec<_> = desk.serve(effects).0.into_iter().map(|(to, outcome)| (to, outcome.unwrap().seq)).collect();
    assert_eq!(replies, [(1, 11), (2, 12)]);
}

#[test]
fn on_several_nodes_a_refusal_waits_until_the_log_was_seen_to_be_as_it_was_thought() {
    let mut desk = Desk::new(false);
    let effects = desk.ask(1, 2, Command::Kick { user: user(1) });
    let (replies, lookups) = desk.serve(effects);
    assert!(replies.is_empty());
    // Another node has made 2 the owner meanwhile.
    desk.store
        .others_write_as(1, &Command::Promote { user: user(2), role: parlance_schema::command::MemberRole::Owner });
    let effects = desk.found(&lookups[0]);
    let [Effect::Reread { id, doubt: None, .. }] = &effects[..] else { panic!("{effects:?}") };
    let reread = desk.store.reread(None, &[]);
    let effects = desk.step(Input::Reread(*id, Some(Box::new(reread))));
    let (replies, _) = desk.serve(effects);
    assert!(matches!(&replies[..], [(1, Ok(done))] if done.seq == 12), "{replies:?}");
}

#[test]
fn an_append_that_succeeds_makes_refusals_sure_without_a_look_at_the_log() {
    let mut desk = Desk::new(false);
    let effects = desk.ask(1, 2, Command::Kick { user: user(1) });
    let (_, lookups) = desk.serve(effects);
    let effects = desk.ask(2, 3, post("a"));
    desk.serve(effects);
    let Effect::LookUp(id, wanted) = &lookups[0] else { panic!() };
    let done = wanted.client_ids.iter().map(|key| (key.clone(), Ok(None))).collect();
    let found = Found { targets: Vec::new(), done, beyond: Some(Err(Unread)) };
    let effects = desk.step(Input::Found(*id, Box::new(found)));
    let (replies, _) = desk.serve(effects);
    assert!(matches!(&replies[..], [(1, Err(fault))] if fault.code == Code::Forbidden), "{replies:?}");
}

#[test]
fn late_answers_are_taken_for_what_they_are() {
    let mut desk = Desk::new(true);
    let effects = desk.ask(1, 1, post("a"));
    let Some(Effect::Append(first, append)) = effects.into_iter().find(|e| matches!(e, Effect::Append(..))) else {
        panic!()
    };
    let outcome = desk.store.append(&append);
    desk.step(Input::Appended(first, outcome));
    let effects = desk.ask(2, 1, post("b"));
    assert!(matches!(effects[..], [Effect::Append(second, _)] if second != first));
    // The first append's answer once more, and a reading that nobody waits for.
    assert!(desk.step(Input::Appended(first, Appended::Done)).is_empty());
    assert!(desk.step(Input::Reread(first, None)).is_empty());
    assert_eq!(desk.writer.inspect().phase, "appending");
}

#[test]
fn a_snapshot_counts_once_it_is_written() {
    let mut desk = Desk::new(true);
    let mut reply = 0;
    while desk.writer.inspect().last < 255 {
        reply += 1;
        let effects = desk.ask(reply, 1, post("fill"));
        desk.serve(effects);
    }
    let effects = desk.ask(1_000, 1, post("due"));
    let Some(Effect::Append(id, append)) = effects.into_iter().find(|e| matches!(e, Effect::Append(..))) else {
        panic!()
    };
    assert_eq!(append.snapshot.as_ref().map(|state| state.last), Some(256));
    assert_eq!(desk.writer.inspect().snapshot_at, 0);
    let outcome = desk.store.append(&append);
    desk.step(Input::Appended(id, outcome));
    assert_eq!(desk.writer.inspect().snapshot_at, 256);
}
