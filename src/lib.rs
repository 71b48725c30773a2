//! The edges of parlance: the gateway that faces clients, accounts, and what stands behind the actors' ports.

pub mod auth;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod compose;
pub mod config;
pub mod consumer;
pub mod dialect;
pub mod gateway;
pub mod import;
pub mod membership;
pub mod store;
pub mod telemetry;
