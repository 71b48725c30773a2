//! The buses: what carries events between nodes.
//!
//! `local` is the process itself, `nats` a NATS server. One conformance suite (`tests/suite/bus/conformance.rs`) shows that
//! they do the same.

pub mod local;
pub mod nats;

pub use local::Local;
pub use nats::Nats;
