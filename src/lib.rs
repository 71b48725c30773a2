//! The edges of parlance: the gateway that faces clients, accounts, and what stands behind the actors' ports.

pub mod api;
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
pub mod origin;
pub mod proxy;
pub mod secret;
pub mod store;
pub mod telemetry;
