//! The edges of parlance: doors, stores, buses, accounts, and what puts them together.

pub mod auth;
pub mod cli;
pub mod config;
pub mod gateway;
pub mod store;
pub mod telemetry;
