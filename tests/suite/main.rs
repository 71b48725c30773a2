//! The integration tests, in one binary: a module for each part of the system.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod actors;
mod auth;
mod bus;
mod dialect;
mod docs;
mod host;
mod import;
mod membership;
mod protocol;
mod rest;
mod settings;
mod socket;
mod store;
mod yaml;
