//! The law put to the test: random histories against the invariants and an independent model, and every bound at its edge.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed; what was run is told")]

mod bounds;
mod feed;
mod future;
mod history;
mod model;
mod ring_and_rate;
mod rules;
mod secrecy;
mod visibility;
mod world;
mod writer;
