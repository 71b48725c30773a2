//! The memberships: who else is there. `jetstream` keeps leases in a bucket on NATS; a node that is alone has
//! `parlance_actors::ports::membership::SingleNode`.
//!
//! One conformance suite (`tests/suite/membership/conformance.rs`) says what each must do.

mod bucket;
mod failure_detector;
pub mod jetstream;

pub use jetstream::JetStream;
