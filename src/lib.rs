//! The edges of parlance: the gateway that faces clients, and what stands behind the actors' ports.

pub mod gateway;
