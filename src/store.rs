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

use parlance_actors::ports::store::{Append, ClaimKind, IdKind, StoreError};
use parlance_schema::Seq;
use parlance_schema::limits::LOG_BUCKET;

pub use memory::Memory;
pub use scylla::Scylla;
pub use sqlite::Sqlite;

/// Families of refresh tokens that one sweep removes.
const FAMILIES_SWEEP_MAX: usize = 1_000;

/// The form in which names are compared: equal for texts that differ in case only, in any script.
///
/// Upper case first, so that letters with several small forms (ς and σ, ſ and s) come out alike.
#[must_use]
pub fn fold_case(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
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

#[cfg(test)]
mod tests {
    use super::fold_case;

    #[test]
    fn case_is_folded_in_any_script() {
        for (a, b) in
            [("Ada", "aDA"), ("STRASSE", "straße"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ЖАННА", "жанна"), ("日本", "日本")]
        {
            assert_eq!(fold_case(a), fold_case(b), "{a} and {b}");
        }
        assert_ne!(fold_case("ada"), fold_case("adà"));
    }
}
