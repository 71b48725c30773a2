//! The law: rooms and messages as pure functions. No async, no clock, no randomness, no input or output; time and ids
//! are arguments.
//!
//! A new command or fact doesn't compile until every rule has said what it makes of it.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod content_rules;
pub mod feed;
pub mod invariants;
pub mod message;
pub mod placement;
pub mod rate;
pub mod ring;
pub mod room;
pub mod visibility;
