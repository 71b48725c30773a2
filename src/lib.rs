//! The edges of parlance: doors, stores, buses, accounts, and what puts them together.

pub mod auth;
pub mod config;
