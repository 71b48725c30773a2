//! Every bound at its edge: what just fits is taken, one more is refused.

use parlance_domain::content_rules::{check_content, check_meta, check_reaction, check_room_name, reaction};
use parlance_schema::command::{Command, Kind};
use parlance_schema::content::{Content, Meta, Part};
use parlance_schema::entry::Fact;
use parlance_schema::limits::{
    BANS_MAX, EDITS_MAX, INVITES_MAX, MEMBERS_MAX, META_BYTES_MAX, META_KEYS_MAX, MUTES_KEPT_MAX, PART_FIELD_BYTES_MAX,
    PARTS_MAX, REACTION_BYTES_MAX, REACTIONS_MAX, ROOM_NAME_CHARS_MAX,
};
use parlance_schema::{Code, Seq};
use proptest::prelude::*;

use crate::world::{START, World, code, create, edit, post, react, user};

/// Sentences in several scripts: combining marks, right to left, emoji of several scalar values, surrogate pairs.
const SENTENCES: [&str; 8] = [
    "Wie geht es dir heute? Ich hoffe, der Zug nach Köln fährt pünktlich ab.",
    "Cafe\u{301} cre\u{300}me et pa\u{302}te\u{301} a\u{300} emporter, s’il vous plai\u{302}t",
    "هل يمكنك أن تشرح لي كيف يعمل هذا البرنامج من فضلك؟",
    "מה שלומך היום? אני מקווה שהכול בסדר אצלך.",
    "क्या आप मुझे बता सकते हैं कि यह गाड़ी कहाँ जाती है?",
    "今日はいい天気ですね。散歩に行きませんか？",
    "👩🏽‍🍳👨‍👩‍👧‍👦🏳️‍🌈🇪🇺🫶🏽",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒊𝒔 𝖋𝖚𝖓",
];

/// Exactly `count` scalar values of a sentence, again and again; never white space alone.
fn repeated(sentence: &str, count: usize) -> String {
    sentence.chars().cycle().take(count).collect()
}

fn refused(content: &Content) -> bool {
    check_content(content).is_err_and(|fault| fault.code == Code::Invalid)
}

#[test]
fn a_message_has_ten_thousand_scalar_values_in_any_script() {
    for sentence in SENTENCES {
        let fits = Content::text(repeated(sentence, 10_000));
        assert_eq!(fits.chars(), 10_000);
        assert!(check_content(&fits).is_ok(), "{sentence}");
        assert!(refused(&Content::text(repeated(sentence, 10_001))), "{sentence}");
        let part = |count| Part::Code { language: "rust".into(), text: repeated(sentence, count) };
        let mixed = |count| Content { text: repeated(sentence, 5_000), parts: vec![part(count)] };
        assert!(check_content(&mixed(4_996)).is_ok());
        assert!(refused(&mixed(4_997)));
    }
}

#[test]
fn a_message_says_something() {
    for empty in ["", " ", "\n\t \u{2003}"] {
        assert!(refused(&Content::text(empty)), "{empty:?}");
    }
    let image = |url: String| Content { text: String::new(), parts: vec![Part::Image { url, alt: String::new() }] };
    assert!(check_content(&image("https://example.org/a.png".into())).is_ok());
    for url in ["javascript:alert(1)", "ftp://example.org/", "", "//example.org", "HTTPS//"] {
        assert!(refused(&image(url.into())), "{url}");
    }
    let padded = |bytes: usize| format!("https://{}", "a".repeat(bytes - 8));
    assert!(check_content(&image(padded(PART_FIELD_BYTES_MAX))).is_ok());
    assert!(refused(&image(padded(PART_FIELD_BYTES_MAX + 1))));
}

#[test]
fn no_field_of_a_message_holds_nul() {
    assert!(refused(&Content::text("a\0b")));
    for part in [
        Part::Code { language: String::new(), text: "a\0b".into() },
        Part::Data { mime: "text/csv".into(), text: "a\0b".into() },
        Part::Image { url: "https://example.org/\0".into(), alt: String::new() },
        Part::File { url: "https://example.org/".into(), name: "a\0b".into(), mime: String::new(), size: 0 },
    ] {
        assert!(refused(&Content { text: "see".into(), parts: vec![part.clone()] }), "{part:?}");
    }
}

#[test]
fn parts_meta_names_and_reactions_end_where_the_table_says() {
    let code = Part::Code { language: String::new(), text: "x".into() };
    let parts = |count| Content { text: String::new(), parts: vec![code.clone(); count] };
    assert!(check_content(&parts(PARTS_MAX)).is_ok());
    assert!(refused(&parts(PARTS_MAX + 1)));

    let keys = |count: usize| -> Meta { (0..count).map(|n| (format!("k{n}"), String::new())).collect() };
    assert!(check_meta(&keys(META_KEYS_MAX)).is_ok());
    assert!(check_meta(&keys(META_KEYS_MAX + 1)).is_err());
    let long = |bytes: usize| Meta::from([("k".to_owned(), "v".repeat(bytes - 1))]);
    assert!(check_meta(&long(META_BYTES_MAX)).is_ok());
    assert!(check_meta(&long(META_BYTES_MAX + 1)).is_err());

    for sentence in SENTENCES {
        assert!(check_room_name(&repeated(sentence, ROOM_NAME_CHARS_MAX)).is_ok());
        assert!(check_room_name(&repeated(sentence, ROOM_NAME_CHARS_MAX + 1)).is_err());
    }
    assert!(["", "  ", "a\nb", "a\u{7}"].into_iter().all(|name| check_room_name(name).is_err()));

    assert!(
        ["👍", "👩🏽‍🍳", "❤\u{fe0f}", "🏴\u{e0067}\u{e0062}\u{e007f}", "e\u{301}", "thumbs_up"]
            .into_iter()
            .all(|emoji| check_reaction(emoji).is_ok())
    );
    let refused = ["", "a b", "a\u{2003}b", "\0", "👍\u{200b}", "👍\u{2060}", "a\u{ad}b", "\u{202e}ab", "a\u{34f}"];
    assert!(refused.into_iter().all(|emoji| check_reaction(emoji).is_err()));
    assert!(check_reaction(&"x".repeat(REACTION_BYTES_MAX)).is_ok());
    assert!(check_reaction(&"x".repeat(REACTION_BYTES_MAX + 1)).is_err());
    // What fits once it is composed is taken, and what can't fit is not composed: in the wrong order, marks take long to sort.
    let (single, marks) = ("e\u{301}".repeat(REACTION_BYTES_MAX / 2), "\u{301}\u{323}".repeat(30_000));
    assert_eq!(reaction(&single), Ok("é".repeat(REACTION_BYTES_MAX / 2)));
    assert!(reaction(&marks).is_err());
}

#[test]
fn reactions_that_look_the_same_are_one() {
    let mut world = World::group([2]);
    world.run(1, post("hello")).unwrap();
    let seq = world.log.last().unwrap().seq;
    world.run(1, react(seq, "e\u{301}")).unwrap();
    assert_eq!(code(world.run(1, react(seq, "\u{e9}"))), Code::Already);
    world.run(2, react(seq, "\u{e9}")).unwrap();
    assert_eq!(world.messages[&seq].state.reactions.keys().collect::<Vec<_>>(), ["\u{e9}"]);
    for by in [1, 2] {
        world.run(by, Command::Unreact { seq, emoji: "e\u{301}".into() }).unwrap();
    }
    assert!(world.messages[&seq].state.reactions.is_empty());
    // One of an older log, in another form, is taken back in that form.
    world.messages.get_mut(&seq).unwrap().state.reactions.insert("e\u{301}".into(), vec![user(1)]);
    let fact = world.run(1, Command::Unreact { seq, emoji: "e\u{301}".into() }).unwrap();
    assert!(matches!(&fact, Fact::Unreacted { emoji, .. } if emoji == "e\u{301}"), "{fact:?}");
}

#[test]
fn a_room_is_full_at_one_hundred_by_every_way_in() {
    let crowd = |count: usize| 100..100 + count as u64;
    let mut world = World::new();
    assert_eq!(code(world.run(1, create(Kind::Group, crowd(MEMBERS_MAX)))), Code::RoomFull);
    world.run(1, create(Kind::Group, crowd(MEMBERS_MAX - 2))).unwrap();
    let two = Command::Add { users: vec![user(2), user(3)] };
    assert_eq!(code(world.run(1, two)), Code::RoomFull);
    assert_eq!(world.role(2), None, "adding is whole or not at all");
    let invite = Command::Invite { hash: "h".into(), expires_at: None, uses: None };
    world.run(1, invite).unwrap();
    let join = Command::Join { hash: "h".into() };
    world.run(2, join.clone()).unwrap();
    assert_eq!(world.state().members.len(), MEMBERS_MAX);
    assert_eq!(code(world.run(3, join.clone())), Code::RoomFull);
    assert_eq!(code(world.run(1, Command::Add { users: vec![user(3)] })), Code::RoomFull);
    world.run(2, Command::Leave).unwrap();
    world.run(3, join).unwrap();
    assert_eq!(world.state().members.len(), MEMBERS_MAX);
}

#[test]
fn edits_reactions_bans_and_invites_are_bounded() {
    let mut world = World::group([2]);
    world.run(1, post("hello")).unwrap();
    for _ in 0..EDITS_MAX {
        world.run(1, edit(2, None, "again")).unwrap();
    }
    assert_eq!(code(world.run(1, edit(2, None, "again"))), Code::Invalid);
    for n in 0..REACTIONS_MAX {
        world.run(1, react(2, &format!("e{n}"))).unwrap();
    }
    assert_eq!(code(world.run(1, react(2, "one_more"))), Code::Invalid);
    world.run(2, react(2, "e0")).unwrap();

    for n in 0..INVITES_MAX {
        let expires_at = (n % 2 == 0).then_some(START + 1_000);
        world.run(1, Command::Invite { hash: format!("h{n}"), expires_at, uses: Some(1) }).unwrap();
    }
    let invite = |n: usize| Command::Invite { hash: format!("i{n}"), expires_at: None, uses: None };
    assert_eq!(code(world.run(1, invite(0))), Code::Invalid);
    world.now += 1_000;
    (0..INVITES_MAX / 2).for_each(|n| drop(world.run(1, invite(n)).unwrap()));
    assert_eq!(code(world.run(1, invite(99))), Code::Invalid);

    for n in 0..BANS_MAX as u64 + 10 {
        let until = (n % 2 == 1).then_some(world.now + 1);
        world.run(1, Command::Ban { user: user(1_000 + n), until }).unwrap();
        assert!(world.state().bans.len() <= BANS_MAX);
        world.now += 1;
    }
    // An expired one makes way before one that holds.
    assert!(world.state().bans.contains_key(&user(1_000)));
}

#[test]
fn mutes_of_those_who_left_are_bounded() {
    let mut world = World::group([]);
    for n in 0..MUTES_KEPT_MAX as u64 + 10 {
        let (who, until) = (user(1_000 + n), (n % 2 == 1).then_some(world.now + 2));
        world.run(1, Command::Add { users: vec![who] }).unwrap();
        world.run(1, Command::Mute { user: who, until }).unwrap();
        world.run(1, Command::Kick { user: who }).unwrap();
        assert!(world.state().mutes_kept.len() <= MUTES_KEPT_MAX);
        world.now += 2;
    }
    // An expired one makes way before one that holds.
    assert!(world.state().mutes_kept.contains_key(&user(1_000)));
}

#[test]
fn invites_that_expired_never_keep_a_room_from_making_new_ones() {
    let mut world = World::group([]);
    for round in 0..5 {
        for n in 0..INVITES_MAX {
            let expires_at = Some(world.now + 1_000);
            let outcome = world.run(1, Command::Invite { hash: format!("h{round}-{n}"), expires_at, uses: None });
            assert!(outcome.is_ok(), "round {round}: {outcome:?}");
        }
        world.now += 1_000;
    }
    assert!(world.state().invites.len() <= 2 * INVITES_MAX);
}

#[test]
fn an_invite_that_is_there_is_not_made_again() {
    let mut world = World::group([]);
    let invite = |uses| Command::Invite { hash: "h".into(), expires_at: None, uses };
    world.run(1, invite(Some(1))).unwrap();
    assert_eq!(code(world.run(1, invite(None))), Code::Already);
}

proptest! {
    #[test]
    fn text_is_counted_in_scalar_values(text in "\\PC{0,40}", pick in 0..SENTENCES.len()) {
        let mut text = text + SENTENCES[pick];
        let missing = 10_000 - text.chars().count();
        text.extend(std::iter::repeat_n('ß', missing));
        prop_assert!(check_content(&Content::text(text.clone())).is_ok());
        text.push('ß');
        prop_assert!(refused(&Content::text(text)));
    }
}

#[test]
fn a_number_that_no_message_has_is_not_found() {
    let mut world = World::group([2]);
    world.run(1, post("hello")).unwrap();
    for seq in [0, 1, 3, Seq::MAX >> 1] {
        for command in [edit(seq, None, "x"), Command::Delete { seq }, react(seq, "👍")] {
            assert_eq!(code(world.run(1, command)), Code::NotFound);
        }
    }
}
