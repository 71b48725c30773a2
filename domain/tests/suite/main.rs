//! The law put to the test: random histories against the invariants and an independent model, and every bound at its edge.

mod bounds;
mod history;
mod model;
mod ring_and_rate;
mod rules;
mod secrecy;
mod world;
