//! The edges of parlance: the gateway that faces clients, and what stands behind the actors' ports.

pub mod bus;
pub mod clock;
pub mod gateway;
pub mod store;
