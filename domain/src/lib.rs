//! The law: rooms and messages as pure functions. No async, no clock, no randomness, no input or output; time and ids
//! are arguments.

pub mod feed;
pub mod invariants;
pub mod message;
pub mod placement;
pub mod rate;
pub mod ring;
pub mod room;
pub mod text;
