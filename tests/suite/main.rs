//! The integration tests, in one binary: a module for each part of the system.

mod auth;
