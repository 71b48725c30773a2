//! The store port's backends: `sqlite`, one file in a data folder, `scylla`, a keyspace on a CQL server that many nodes
//! share, and `memory`, for tests.
//!
//! All do the same, which one conformance suite (`tests/suite/store/conformance.rs`) shows. What they must agree on to the
//! letter stands here.

pub mod copy;
pub mod memory;
pub mod scylla;
pub mod sqlite;

use std::collections::HashSet;

use icu_normalizer::ComposingNormalizerBorrowed;
use parlance_actors::ports::store::{Append, Begins, ClaimKind, IMPORT_OWNER, IdKind, StoreError, Thing, WorkMark};
use parlance_schema::Seq;
use parlance_schema::limits::LOG_BUCKET;

pub use memory::Memory;
pub use scylla::Scylla;
pub use sqlite::Sqlite;

/// Families of refresh tokens that one sweep removes.
const FAMILIES_SWEEP_MAX: usize = 1_000;

/// The form in which names are compared: equal for texts that differ in case only, in any script, or only in how letters are
/// written (composed or taken apart, wide or narrow: NFKC, UAX 15).
///
/// Upper case first, so that letters with several small forms (ς and σ, ſ and s) come out alike.
#[must_use]
pub fn name_key(text: &str) -> String {
    let forms = ComposingNormalizerBorrowed::new_nfkc();
    let fold = |text: &str| -> String {
        forms.normalize(text).chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    };
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // A letter that was folded may be written in another form again; after the second time all is as it stays.
    forms.normalize(&fold(&fold(text))).into_owned()
}

/// A name with an ending, cut where it would get longer than `chars_max`.
#[must_use]
pub fn with_ending(name: &str, ending: &str, chars_max: usize) -> String {
    let room = chars_max.saturating_sub(ending.chars().count());
    name.chars().take(room).chain(ending.chars()).collect()
}

/// A kind of claim, as it is kept; the same in every store, as rows are moved from one to another.
const fn claim_word(kind: ClaimKind) -> &'static str {
    match kind {
        ClaimKind::Direct => "direct",
        ClaimKind::Create => "create",
        ClaimKind::Subject => "subject",
    }
}

/// A kind of id, as it is kept; the same in every store.
const fn id_word(kind: IdKind) -> &'static str {
    match kind {
        IdKind::User => "user",
        IdKind::Room => "room",
        IdKind::Message => "message",
    }
}

/// Where a consumer begins, as it is kept.
const fn begins_word(begins: Begins) -> &'static str {
    match begins {
        Begins::Start => "start",
        Begins::Now => "now",
    }
}

/// Where a consumer begins, by the word that is kept of it.
fn begins_of(word: &str) -> Result<Begins, StoreError> {
    match word {
        "start" => Ok(Begins::Start),
        "now" => Ok(Begins::Now),
        other => Err(StoreError::Corrupt(format!("a consumer begins with {other:?}"))),
    }
}

/// Refuses an append that contradicts itself, which no room may ask for.
fn check(append: &Append) -> Result<(), StoreError> {
    check_numbers(append)?;
    if append.expected / LOG_BUCKET != (last(append) - 1) / LOG_BUCKET {
        return wrong(append, "it crosses a bucket");
    }
    if append.entries.len() > 1 {
        let mut names = HashSet::with_capacity(append.entries.len());
        if !append.entries.iter().all(|e| names.insert((e.by, &e.client_id))) {
            return wrong(append, "two entries have the same sender and client id");
        }
    }
    Ok(())
}

fn wrong(append: &Append, what: &str) -> Result<(), StoreError> {
    Err(StoreError::Corrupt(format!("append to room {}: {what}", append.room)))
}

/// The same but for the client ids, which a bulk write finds by itself.
fn check_numbers(append: &Append) -> Result<(), StoreError> {
    let wrong = |what: &str| wrong(append, what);
    if append.entries.is_empty() {
        return wrong("no entries");
    }
    if !append.entries.iter().zip(append.expected + 1..).all(|(e, seq)| e.seq == seq) {
        return wrong("its numbers don't follow the expected one");
    }
    let last = last(append);
    if append.erase.iter().chain(append.messages.iter().map(|(seq, _)| seq)).any(|seq| *seq == 0 || *seq > last) {
        return wrong("it changes an entry that doesn't exist");
    }
    Ok(())
}

/// The log's last number once an append is done.
fn last(append: &Append) -> Seq {
    append.expected + append.entries.len() as Seq
}

/// The mark that an imported stretch of a log leaves, so that consumers are given it.
fn imported(append: &Append) -> WorkMark {
    WorkMark { owner: IMPORT_OWNER, thing: Thing::Room(append.room), at: last(append) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::name_key;

    #[test]
    fn case_is_folded_in_any_script() {
        for (a, b) in
            [("Ada", "aDA"), ("STRASSE", "straße"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ЖАННА", "жанна"), ("日本", "日本")]
        {
            assert_eq!(name_key(a), name_key(b), "{a} and {b}");
        }
        assert_ne!(name_key("ada"), name_key("adà"));
    }

    #[test]
    fn letters_are_the_same_however_they_are_written() {
        for (a, b) in [
            ("한국인", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1175}\u{11ab}"),
            ("É", "e\u{301}"),
            ("Å", "\u{212b}"),
            ("Ａｄａ", "ADA"),
            ("ｶﾞｷﾞ", "ガギ"),
            ("Ệ", "e\u{302}\u{323}"),
            ("น้ำ", "น้\u{e4d}\u{e32}"),
        ] {
            assert_eq!(name_key(a), name_key(b), "{a} and {b}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in "\\PC{0,12}") {
            prop_assert_eq!(name_key(&name_key(&text)), name_key(&text));
        }
    }
}
