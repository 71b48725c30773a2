//! The integration tests, in one binary: a module for each part of the system.

#![allow(clippy::unwrap_used)]

mod socket;
mod store;
