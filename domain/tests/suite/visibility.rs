//! Whoever joins later is shown nothing about what was before: over random histories, no word of it is in any entry.

use parlance_domain::visibility::{Visible, is_whole, names, visible};
use parlance_schema::command::{Command, History};
use parlance_schema::content::{Content, Meta};
use parlance_schema::entry::{Entry, Fact};
use parlance_schema::shown::Shown;
use parlance_schema::{ClientId, Seq};
use proptest::prelude::*;

use crate::world::{World, edit, post, react, user};

/// What somebody does, to one of the messages so far.
type Step = (u64, u8, prop::sample::Index);

fn step() -> impl Strategy<Value = Step> {
    (1..=3_u64, 0..9_u8, any::<prop::sample::Index>())
}

/// The message that an entry says something of, itself included, and the words that it brings.
fn words(entry: &Entry) -> (Option<Seq>, Vec<String>) {
    let words = match &entry.fact {
        Fact::Posted { content, .. } | Fact::Edited { content, .. } => content.iter().map(|c| c.text.clone()).collect(),
        Fact::Reacted { emoji, .. } | Fact::Unreacted { emoji, .. } => vec![emoji.clone()],
        _ => Vec::new(),
    };
    (entry.message(), words)
}

fn act(world: &mut World, (who, action, which): Step, word: &str, gone: &mut Vec<(Seq, String)>) {
    let posts: Vec<Seq> = world.log.iter().filter(|e| e.message() == Some(e.seq)).map(|e| e.seq).collect();
    let target = which.get(&posts).to_owned();
    let command = match action {
        0 | 1 => post(word),
        2 | 3 => Command::Post {
            content: Content::text(word),
            reply_to: Some(target),
            mentions: vec![user(2)],
            meta: Meta::new(),
        },
        4 | 5 => edit(target, None, word),
        6 => react(target, word),
        7 => Command::Unreact { seq: target, emoji: word.to_owned() },
        _ => Command::Delete { seq: target },
    };
    // What is refused does nothing; what is done is kept from the newcomer, should it be about an earlier message.
    let _ = world.run(who, command);
    if let Some(entry) = world.log.last()
        && let (Some(message), words) = words(entry)
    {
        gone.extend(words.into_iter().map(|word| (message, word)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_newcomer_is_shown_nothing_of_what_was_before(
        before in prop::collection::vec(step(), 1..30),
        after in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::group([2, 3]);
        world.run(1, Command::Configure { history: History::SinceJoined }).unwrap();
        world.run(2, post("w0.")).unwrap();
        let mut said = vec![(world.state().last, "w0.".to_owned())];
        for (at, step) in before.into_iter().enumerate() {
            act(&mut world, step, &format!("b{at}."), &mut said);
        }
        world.run(1, Command::Add { users: vec![user(5)] }).unwrap();
        let first = world.state().last;
        for (at, step) in after.into_iter().enumerate() {
            act(&mut world, step, &format!("a{at}."), &mut said);
        }
        let secrets: Vec<&String> = said.iter().filter(|(message, _)| *message < first).map(|(_, word)| word).collect();
        for (next, entry) in (first..).zip(world.log.iter().filter(|entry| entry.seq >= first)) {
            let shown = Shown::from(visible(entry, first));
            prop_assert_eq!(shown.seq(), next, "numbers have no gap");
            let text = format!("{shown:?}");
            prop_assert!(!secrets.iter().any(|word| text.contains(word.as_str())), "{}: {:?}", text, secrets);
            match shown {
                Shown::Hidden(hidden) => {
                    prop_assert!(entry.message().is_some_and(|message| message < first), "{:?}", entry);
                    prop_assert_eq!(hidden.append, entry.append, "a position can be made of each");
                }
                Shown::Entry(shown) => {
                    prop_assert!(names(&shown).is_none_or(|seq| seq >= first), "{}", text);
                    let same = is_whole(entry, first);
                    prop_assert_eq!(*shown == *entry, same, "what is theirs is whole");
                }
            }
            prop_assert_eq!(visible(entry, 1), Visible::Whole(entry), "who was there from the beginning sees all");
        }
    }
}

#[test]
fn a_reply_to_what_is_hidden_is_a_message_like_any_other() {
    let mut world = World::group([2]);
    world.run(1, post("old")).unwrap();
    let reply = Command::Post { content: Content::text("new"), reply_to: Some(2), mentions: vec![], meta: Meta::new() };
    world.run(2, reply).unwrap();
    let entry = world.log.last().unwrap();
    let Visible::Without(shown) = visible(entry, 3) else { panic!("{:?}", visible(entry, 3)) };
    let Fact::Posted { reply_to: None, content: Some(content), .. } = &shown.fact else { panic!("{shown:?}") };
    assert_eq!(content.text, "new");
    assert_eq!(ClientId::new(shown.client_id.as_str()).ok(), Some(entry.client_id.clone()));
    assert_eq!(visible(entry, 2), Visible::Whole(entry));
}
